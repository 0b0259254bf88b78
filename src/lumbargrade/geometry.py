"""Voxel ↔ pixel ↔ patient LPS, slice order and plane maths, in NumPy float64.

What must stay true: a voxel index is (slice, row, column), zero-based, at voxel centres; every
slice has an affine of its own, because an axial series is often several blocks, each tilted to its
disc; order is the projection on the stack's normal, never a file name or an instance number.

Source: DICOM PS3.3 C.7.6.2.1.1 (Image Position, Image Orientation, Pixel Spacing).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Float64, Int, Num

from lumbargrade.arrays import Affine, Affines, Point, Points
from lumbargrade.labels import View

SAME_ORIENTATION_COSINE = 0.9998
"""Slices whose normals and rows agree better than this (about 1.1°) belong to one stack."""

ORTHOGONALITY_TOLERANCE = 1e-3
"""Largest dot product of row and column cosines, and deviation of their lengths from 1."""


class Plane(StrEnum):
    """The anatomical plane nearest to a slice."""

    SAGITTAL = "sagittal"
    CORONAL = "coronal"
    AXIAL = "axial"


PLANE_OF_AXIS = (Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)
"""The plane whose normal is nearest to LPS axis x, y or z."""

PLANE_OF_VIEW = {
    View.SAGITTAL_T2: Plane.SAGITTAL,
    View.SAGITTAL_T1: Plane.SAGITTAL,
    View.AXIAL_T2: Plane.AXIAL,
}

CANONICAL_DIRECTIONS = {
    Plane.SAGITTAL: np.array([[0.0, 0, -1], [0, 1, 0]]),
    Plane.CORONAL: np.array([[0.0, 0, -1], [1, 0, 0]]),
    Plane.AXIAL: np.array([[0.0, 1, 0], [1, 0, 0]]),
}
"""LPS directions in which (row index, column index) grow in a radiologist's display."""

HEAD_TO_FOOT = np.array([0.0, 0.0, -1.0])
RIGHT_TO_LEFT = np.array([1.0, 0.0, 0.0])
FRONT_TO_BACK = np.array([0.0, 1.0, 0.0])
ORDER_DIRECTION = {
    Plane.SAGITTAL: RIGHT_TO_LEFT,
    Plane.CORONAL: FRONT_TO_BACK,
    Plane.AXIAL: HEAD_TO_FOOT,
}
"""The direction in which slices of a plane are ordered here."""


def slice_affine(
    position_lps_mm: Sequence[float] | Num[np.ndarray, "3"],
    image_orientation: Sequence[float] | Num[np.ndarray, "6"],
    pixel_spacing_mm: Sequence[float] | Num[np.ndarray, "2"],
    slice_spacing_mm: float,
) -> Affine:
    """Build the affine of one slice from its DICOM attributes.

    Args:
        position_lps_mm: ImagePositionPatient (3,), centre of the first pixel.
        image_orientation: ImageOrientationPatient (6,), direction of growing columns, then rows.
        pixel_spacing_mm: PixelSpacing (2,), between rows, then between columns.
        slice_spacing_mm: distance between slice centres, the length of the slice axis.

    Returns:
        (4, 4): (slice, row, column, 1) → LPS mm.

    Raises:
        ValueError: the cosines are not orthonormal, or a spacing is not positive.
    """
    along_columns, along_rows = np.asarray(image_orientation, dtype=np.float64).reshape(2, 3)
    between_rows, between_columns = np.asarray(pixel_spacing_mm, dtype=np.float64)
    lengths = np.linalg.norm([along_columns, along_rows], axis=1)
    if (
        abs(float(along_columns @ along_rows)) > ORTHOGONALITY_TOLERANCE
        or np.abs(lengths - 1).max() > ORTHOGONALITY_TOLERANCE
    ):
        raise ValueError(
            f"ImageOrientationPatient is not orthonormal: {along_columns}, {along_rows}"
        )
    if not (between_rows > 0 and between_columns > 0 and slice_spacing_mm > 0):
        raise ValueError(
            f"spacings must be positive, found rows {between_rows}, columns {between_columns}, "
            f"slices {slice_spacing_mm} mm"
        )
    affine = np.eye(4)
    affine[:3, 0] = np.cross(along_columns, along_rows) * slice_spacing_mm
    affine[:3, 1] = along_rows * between_rows
    affine[:3, 2] = along_columns * between_columns
    affine[:3, 3] = np.asarray(position_lps_mm, dtype=np.float64)
    return affine


def normal_of(affine: Affine) -> Point:
    """Unit normal (LPS) of a slice."""
    normal: Point = affine[:3, 0] / np.linalg.norm(affine[:3, 0])
    return normal


def spacing_of(affine: Affine) -> Point:
    """Spacing (slice, row, column) in mm of a slice's affine."""
    spacing: Point = np.linalg.norm(affine[:3, :3], axis=0)
    return spacing


def plane_of(normal: Point) -> Plane:
    """The anatomical plane whose axis is nearest to a normal."""
    return PLANE_OF_AXIS[int(np.abs(normal).argmax())]


def tilt_deg(normal: Point, plane: Plane) -> float:
    """Angle between a slice's normal and the axis of its series' plane, 0 to 90 degrees."""
    cosine = abs(float(normal[PLANE_OF_AXIS.index(plane)])) / float(np.linalg.norm(normal))
    return float(np.degrees(np.arccos(min(1.0, cosine))))


def index_vox_to_lps(affines: Affines, index_vox: Float64[np.ndarray, "*point 3"]) -> Points:
    """Map (slice, row, column) to LPS mm; a fractional slice is measured from the nearest one."""
    index = np.asarray(index_vox, dtype=np.float64)
    nearest = np.clip(np.rint(index[..., 0]), 0, len(affines) - 1).astype(int)
    local = np.concatenate(
        [(index[..., :1] - nearest[..., None]), index[..., 1:], np.ones_like(index[..., :1])], -1
    )
    position: Points = np.einsum("...ij,...j->...i", affines[nearest], local)[..., :3]
    return position


def lps_to_slices(affines: Affines, position_lps_mm: Point) -> Float64[np.ndarray, "slice 3"]:
    """Coordinates of one position in every slice's own frame.

    Returns:
        (slice, 3): signed distance from the slice's plane in mm along its normal, then row and
        column of the foot point, in pixels.
    """
    local = np.linalg.solve(affines, np.append(position_lps_mm, 1.0)[:, None])[..., :3, 0]
    local[:, 0] *= np.linalg.norm(affines[:, :3, 0], axis=1)
    coordinates: Float64[np.ndarray, "slice 3"] = local
    return coordinates


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """Where a position falls in a set of slices."""

    slice_index: int
    row: float
    column: float
    distance_mm: float
    """Distance from the plane of that slice."""
    covered: bool
    """Within one slice spacing of that slice, and inside its image area."""


def locate(
    affines: Affines,
    shapes: Int[np.ndarray, "slice 2"],
    position_lps_mm: Point,
    *,
    normal: Point | None = None,
) -> Location:
    """Find the slice that shows a position best.

    Args:
        affines: (slice, 4, 4), the slices of one view, of one or more series.
        shapes: (slice, 2), rows and columns of each.
        position_lps_mm: where to look.
        normal: where blocks overlap, prefer the block whose normal is nearest to this one.

    Returns:
        The nearest slice that covers the position; where none does, the nearest slice.
    """
    local = lps_to_slices(affines, position_lps_mm)
    distance = np.abs(local[:, 0])
    spacing = np.linalg.norm(affines[:, :3, 0], axis=1)
    inside = ((local[:, 1:] >= -0.5) & (local[:, 1:] <= shapes - 0.5)).all(axis=1)
    covered = inside & (distance <= spacing)
    cost = distance + np.where(covered, 0.0, 1e6)
    if normal is not None and covered.any():
        tilt = 1 - np.abs((affines[:, :3, 0] / spacing[:, None]) @ normal)
        best = tilt[covered].min()
        cost = cost + np.where(tilt > best + (1 - SAME_ORIENTATION_COSINE), 1e3, 0.0)
    index = int(cost.argmin())
    return Location(
        slice_index=index,
        row=float(local[index, 1]),
        column=float(local[index, 2]),
        distance_mm=float(distance[index]),
        covered=bool(covered[index]),
    )


def canonical_axes(affine: Affine, plane: Plane | None = None) -> tuple[bool, bool, bool]:
    """How to turn a slice into a radiologist's display (head or front up, patient's right left).

    Args:
        affine: of the slice.
        plane: the series' plane, so that an axial block tilted beyond 45° is turned like its
            neighbours; None takes the plane nearest to this slice.

    Returns:
        transpose, flip rows, flip columns: to be applied to the pixels in this order.
    """
    display = CANONICAL_DIRECTIONS[plane_of(normal_of(affine)) if plane is None else plane]
    axes = affine[:3, 1:3] / np.linalg.norm(affine[:3, 1:3], axis=0)
    cosines = display @ axes  # (display row, display column) x (row, column)
    transpose = bool(
        abs(cosines[0, 1]) + abs(cosines[1, 0]) > abs(cosines[0, 0]) + abs(cosines[1, 1])
    )
    if transpose:
        cosines = cosines[:, ::-1]
    return transpose, bool(cosines[0, 0] < 0), bool(cosines[1, 1] < 0)


def canonical_affine(
    affine: Affine, shape: tuple[int, int], plane: Plane | None = None
) -> tuple[Affine, tuple[int, int]]:
    """Affine and shape of a slice after :func:`canonical_axes` was applied to its pixels.

    The slice axis keeps its direction and length: pixels move, the plane does not.
    """
    transpose, flip_rows, flip_columns = canonical_axes(affine, plane)
    result = affine.copy()
    rows, columns = shape
    if transpose:
        result[:, [1, 2]] = result[:, [2, 1]]
        rows, columns = columns, rows
    if flip_rows:
        result[:3, 3] += result[:3, 1] * (rows - 1)
        result[:3, 1] *= -1
    if flip_columns:
        result[:3, 3] += result[:3, 2] * (columns - 1)
        result[:3, 2] *= -1
    return result, (rows, columns)


def resample_affine(affine: Affine, row_scale: float, column_scale: float) -> Affine:
    """Affine of a slice whose grid was shrunk by pixel-area: new = (old + 0.5) · scale − 0.5.

    Args:
        affine: of the original grid.
        row_scale: new rows per old row.
        column_scale: new columns per old column.
    """
    result = affine.copy()
    result[:3, 3] += affine[:3, 1] * (0.5 / row_scale - 0.5)
    result[:3, 3] += affine[:3, 2] * (0.5 / column_scale - 0.5)
    result[:3, 1] /= row_scale
    result[:3, 2] /= column_scale
    return result


def shift_affine(affine: Affine, rows: float, columns: float) -> Affine:
    """Affine of a slice whose new pixel (0, 0) lies at the old (rows, columns)."""
    result = affine.copy()
    result[:3, 3] += affine[:3, 1] * rows + affine[:3, 2] * columns
    return result
