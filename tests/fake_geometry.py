"""Slices in any place and direction, for tests of geometry; Hypothesis strategies for them."""

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from lumbargrade import geometry

Array = NDArray[np.float64]

SIGNED_AXES = [
    (sign_c * np.eye(3)[c], sign_r * np.eye(3)[r])
    for c in range(3)
    for r in range(3)
    if r != c
    for sign_c in (1, -1)
    for sign_r in (1, -1)
]
"""The 24 ways in which columns and rows can run along the patient's axes."""

SHAPE = (12, 9)
"""Rows, columns."""


def rotation(axis: Array, degrees: float) -> Array:
    axis = axis / np.linalg.norm(axis)
    cross = np.cross(np.eye(3), axis)
    angle = np.deg2rad(degrees)
    result: Array = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return result


def series(
    along_columns: Array,
    along_rows: Array,
    *,
    slices: int = 7,
    spacing_mm: float = 4.0,
    pixel_mm: tuple[float, float] = (0.7, 0.5),
    origin: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Positions (slice, 3), orientations (slice, 6) and affines of one stack."""
    normal = np.cross(along_columns, along_rows)
    start = np.array([10.0, -20.0, 30.0]) if origin is None else origin
    positions = start + np.arange(slices)[:, None] * spacing_mm * normal
    orientation = np.concatenate([along_columns, along_rows])
    affines = np.stack(
        [geometry.slice_affine(p, orientation, pixel_mm, spacing_mm) for p in positions]
    )
    return positions, np.tile(orientation, (slices, 1)), affines


def tilted(degrees: float, *, slices: int, centre: Array, spacing_mm: float = 4.0) -> Array:
    """Image centres of an axial block whose normal leans by so many degrees, head to foot."""
    normal = rotation(np.array([1.0, 0, 0]), degrees) @ np.array([0.0, 0, -1])
    return np.asarray(
        centre + (np.arange(slices) - (slices - 1) / 2)[:, None] * spacing_mm * normal
    )


def tilted_orientation(degrees: float, slices: int) -> Array:
    back = rotation(np.array([1.0, 0, 0]), degrees) @ np.array([0.0, 1, 0])
    return np.tile(np.concatenate([[1.0, 0, 0], back]), (slices, 1))


orientations = st.sampled_from(SIGNED_AXES)
tilts = st.floats(-40, 40)
directions = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)).map(np.array)
coordinates = st.tuples(st.floats(0, 6), st.floats(-2, 14), st.floats(-2, 11)).map(np.array)
