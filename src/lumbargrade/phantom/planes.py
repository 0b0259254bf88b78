"""Where slices lie: affines of planes, and the blocks of parallel slices of axial series.

What must stay true: a block of discs that an axial series is not to reach stays out of its reach.
"""

from dataclasses import dataclass
from itertools import chain, pairwise

import numpy as np
from jaxtyping import Float64

from lumbargrade.arrays import Affine
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine

FLAT_SHARE = 0.3
"""Of studies: those whose axial slices are all parallel."""

LONG_SHARE = 0.09
"""Of studies: those with a long stack of thin, overlapping axial slices."""

SEVERAL_SHARE = 0.16
"""Of studies: those whose axial slices come as two or three series."""


def plane_affine(
    position: Float64[np.ndarray, "3"],
    rows: Float64[np.ndarray, "3"],
    columns: Float64[np.ndarray, "3"],
    pixel_mm: tuple[float, float],
    spacing_mm: float,
) -> Affine:
    """Affine whose row and column indices grow along the given unit directions."""
    affine = np.eye(4)
    affine[:3, 0] = np.cross(columns, rows) * spacing_mm
    affine[:3, 1] = rows * pixel_mm[0]
    affine[:3, 2] = columns * pixel_mm[1]
    affine[:3, 3] = position
    return affine


def tilted(
    rng: np.random.Generator,
    rows: Float64[np.ndarray, "3"],
    columns: Float64[np.ndarray, "3"],
    degrees: float,
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """Turn two orthonormal directions by small random angles, keeping them orthonormal."""
    normal = np.cross(columns, rows)
    a, b, c = np.deg2rad(rng.normal(0, degrees, 3))
    new_rows = rows + a * columns + b * normal
    new_rows /= np.linalg.norm(new_rows)
    new_columns = columns - a * rows + c * normal
    new_columns -= (new_columns @ new_rows) * new_rows
    return new_rows, new_columns / np.linalg.norm(new_columns)


Plane = tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]
"""Centre, direction of rows, direction of columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AxialStack:
    """All axial slices of a study, by series, each head to foot."""

    spacing_mm: float
    thickness_mm: float
    series: list[list[Plane]]


def draw_axial_stack(rng: np.random.Generator, spine: Spine, first: int) -> AxialStack:
    """Draw where the axial slices of a study lie.

    Args:
        rng: of the axial series.
        spine: to lay the slices across.
        first: the uppermost graded disc that they reach, 0 for L1/L2.
    """
    long = rng.random() < LONG_SHARE
    spacing = float(np.clip(rng.normal(4.5, 0.35), 3.6, 5.0))
    thickness = float(np.clip(spacing - rng.uniform(0, 0.9), 3.5, spacing))
    if long:
        spacing, thickness = float(rng.uniform(0.9, 2.6)), 3.5
    flat = long or rng.random() < FLAT_SHARE
    several = rng.random() < SEVERAL_SHARE
    count = (3 if rng.random() < 0.1 else 2) if several else 1
    if flat:
        planes = _flat_block(rng, spine, first, spacing)
        cuts = np.linspace(0, len(planes), count + 1).round().astype(int)
        series = [planes[a:b] for a, b in pairwise(cuts)]
    else:
        above, below = float(rng.uniform(1.4, 3.2)), float(rng.uniform(1.8, 3.4))
        blocks = [
            _tilted_block(
                rng, spine, float(s), spacing, (min(above, 2.2) if i == 0 else above, below)
            )
            for i, s in enumerate(spine.graded_s_mm()[first:])
        ]
        cuts = np.linspace(0, len(blocks), count + 1).round().astype(int)
        series = [list(chain.from_iterable(blocks[a:b])) for a, b in pairwise(cuts)]
    return AxialStack(spacing_mm=spacing, thickness_mm=thickness, series=series)


def _tilted_block(
    rng: np.random.Generator,
    spine: Spine,
    s: float,
    spacing: float,
    reach: tuple[float, float],
) -> list[Plane]:
    """Slices parallel to a disc, head to foot; ``reach`` is how many there are above and below."""
    x_axis, d_axis, s_axis = spine.scan_axes_lps(s)
    rows, columns = tilted(rng, d_axis, x_axis, 2.0)
    normal = np.cross(columns, rows)
    up = normal if normal @ s_axis > 0 else -normal
    above, below = (round(count + rng.uniform(-0.5, 0.5)) for count in reach)
    centre = spine.to_lps(0, 2, s) + x_axis * rng.normal(0, 4) + d_axis * rng.normal(0, 5)
    shift = rng.uniform(-0.5, 0.5)
    return [
        (centre + up * (k + shift) * spacing, rows, columns) for k in range(above, -below - 1, -1)
    ]


def _flat_block(rng: np.random.Generator, spine: Spine, first: int, spacing: float) -> list[Plane]:
    """One block of parallel slices from above the first covered disc to S1, head to foot."""
    centres = spine.graded_s_mm()
    x_axis, d_axis, s_axis = spine.scan_axes_lps(float(centres[2]))
    rows, columns = tilted(rng, d_axis, x_axis, 2.5)
    normal = np.cross(columns, rows)
    up = normal if normal @ s_axis > 0 else -normal
    middle = spine.to_lps(0, 4, float(centres[2])) + x_axis * rng.normal(0, 4)
    top_disc = spine.to_lps(0, 4, float(centres[first]))
    bottom_disc = spine.to_lps(0, 4, float(centres[4]))
    top = float((top_disc - middle) @ up) + rng.uniform(6, 10)
    bottom = float((bottom_disc - middle) @ up) - rng.uniform(10, 20)
    if first > 0:
        above = spine.to_lps(0, 4, float(spine.disc_s_mm[FIRST_GRADED_DISC + first - 1]))
        top = min(top, float((above - middle) @ up) - 14)
    return [(middle + up * h, rows, columns) for h in np.arange(top, bottom - spacing, -spacing)]
