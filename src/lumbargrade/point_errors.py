"""How far one study's predicted points lie from the truth.

What must stay true: pixels are those of the 256 x 256 grid (x / width · 256); millimetres, levels
and sides are measured in the patient's frame, against the exact truth where there is one, else
against the marked pixel on its slice.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from lumbargrade.arrays import Affine, Point
from lumbargrade.competition import CoordinateRow, PredictedPoint, TruthPoint
from lumbargrade.geometry import lps_to_slices, normal_of, spacing_of
from lumbargrade.labels import MIRROR_CONDITION, Family, Target
from lumbargrade.records import InvalidStudyError

GRID_PX = 256
"""Side of the square grid on which pixels are compared, whatever the image's matrix."""

EXACT_SLICE_SPACINGS = 0.25
"""A slice at most this much farther from the point than the best one counts as exact."""

TOLERANCE_MM = {Family.CANAL: 10.0, Family.FORAMINAL: 14.0, Family.SUBARTICULAR: 12.0}
"""A point so near to the truth, in three dimensions, still lies in the structure of its own level.

Discs are 30 to 40 mm apart: a point on a neighbouring level never counts.
"""

ReadSlice = Callable[[str, str, int], tuple[Affine, tuple[int, int]]]
"""(study id, series id, instance number) → affine and (rows, columns) of the stored slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyPoints:
    """What is known and what was answered about one study."""

    study_id: str
    marked: dict[Target, CoordinateRow]
    predicted: dict[Target, PredictedPoint]
    exact: dict[Target, TruthPoint] = field(default_factory=dict)
    """Empty for real studies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointError:
    """One predicted point against its truth."""

    study_id: str
    target: Target
    marked: CoordinateRow
    predicted: PredictedPoint
    px: float
    """In the plane, on the 256 grid."""
    in_plane_mm: float
    """Across the normal of the true slice."""
    along_z_mm: float
    """Along the normal of the true slice."""
    slice_exact: bool
    slice_within_1: bool
    slices_off: int
    """Whole slice spacings by which the slice is farther from the point than the best one, by the
    rule of the two above: 0 is exact, up to 1 within 1."""
    level_correct: bool | None
    """Nearer to its own level's truth than to any other's; None where there is no other."""
    side_correct: bool | None
    """Nearer to its own side's truth than to the other's; None where there is no other."""

    @property
    def distance_mm(self) -> float:
        """In three dimensions."""
        return float(np.hypot(self.in_plane_mm, self.along_z_mm))

    @property
    def within_tolerance(self) -> bool:
        """Near enough in millimetres for its family."""
        return self.distance_mm <= TOLERANCE_MM[self.target.condition.family]


def point_errors(study: StudyPoints, read_slice: ReadSlice) -> Iterator[PointError]:
    """Measure every target that is both marked and predicted.

    Args:
        study: marked, predicted and exact points.
        read_slice: geometry of a stored slice.

    Raises:
        InvalidStudyError: a predicted point without instance number, or an unreadable slice.
    """
    truth = true_positions(study, read_slice)
    for target, marked in study.marked.items():
        predicted = study.predicted.get(target)
        if predicted is not None:
            yield _point_error(marked, predicted, study.exact.get(target), truth, read_slice)


def true_positions(study: StudyPoints, read_slice: ReadSlice) -> dict[Target, Point]:
    """Where each target lies, LPS mm: the exact truth, else the marked pixel on its slice."""
    positions = {target: point.position_lps_mm for target, point in study.exact.items()}
    for target, marked in study.marked.items():
        if target not in positions:
            affine, _ = read_slice(study.study_id, marked.series_id, marked.instance_number)
            positions[target] = _position(affine, marked.column, marked.row)
    return positions


def _point_error(
    marked: CoordinateRow,
    predicted: PredictedPoint,
    exact: TruthPoint | None,
    truth: dict[Target, Point],
    read_slice: ReadSlice,
) -> PointError:
    study_id, target = marked.study_id, marked.target
    if predicted.instance_number is None:
        raise InvalidStudyError(f"the point {target.row_id(study_id)} has no instance_number")
    found, found_shape = read_slice(study_id, predicted.series_id, predicted.instance_number)
    position = _position(found, predicted.column, predicted.row)
    own, own_shape = read_slice(study_id, marked.series_id, marked.instance_number)
    if predicted.series_id == marked.series_id:
        row, column, shape = predicted.row, predicted.column, found_shape
    else:  # another matrix: compare on the marked slice's
        row, column = lps_to_slices(own[None], position)[0, 1:]
        shape = own_shape
    best = own
    if exact is not None and exact.instance_number is not None:
        best, _ = read_slice(study_id, exact.series_id, exact.instance_number)
    normal = normal_of(best)
    offset = position - truth[target]
    along_z = float(offset @ normal)
    farther = _distance_mm(found, truth[target]) - _distance_mm(best, truth[target])
    spacings = farther / spacing_of(found)[0]
    return PointError(
        study_id=study_id,
        target=target,
        marked=marked,
        predicted=predicted,
        px=GRID_PX
        * float(
            np.hypot(
                column / shape[1] - marked.column / own_shape[1],
                row / shape[0] - marked.row / own_shape[0],
            )
        ),
        in_plane_mm=float(np.linalg.norm(offset - along_z * normal)),
        along_z_mm=abs(along_z),
        slice_exact=bool(spacings <= EXACT_SLICE_SPACINGS),
        slice_within_1=bool(spacings <= 1 + EXACT_SLICE_SPACINGS),
        slices_off=max(0, int(np.ceil(spacings - EXACT_SLICE_SPACINGS))),
        level_correct=_nearest_is_own(
            position, target, {t: p for t, p in truth.items() if t.condition is target.condition}
        ),
        side_correct=_nearest_is_own(
            position, target, {t: p for t, p in truth.items() if _same_place(t, target)}
        ),
    )


def _position(affine: Affine, column: float, row: float) -> Point:
    position: Point = (affine @ np.array([0.0, row, column, 1.0]))[:3]
    return position


def _distance_mm(affine: Affine, position_lps_mm: Point) -> float:
    return abs(float(lps_to_slices(affine[None], position_lps_mm)[0, 0]))


def _same_place(first: Target, second: Target) -> bool:
    """One of the two sides of the same condition and level."""
    return first.level is second.level and first.condition in (
        second.condition,
        MIRROR_CONDITION[second.condition],
    )


def _nearest_is_own(position: Point, own: Target, truth: dict[Target, Point]) -> bool | None:
    if len(truth) < 2:
        return None
    return min(truth, key=lambda target: float(np.linalg.norm(position - truth[target]))) == own
