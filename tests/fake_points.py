"""Marked points of one study and points predicted near them, on slices that exist as numbers."""

from dataclasses import replace

from lumbargrade.arrays import Affine
from lumbargrade.competition import CoordinateRow, PredictedPoint
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import CONDITIONS, LEVELS, Target, View

SPACING_MM = 4.0
SAGITTAL, OTHER_MATRIX, AXIAL = "1", "2", "3"
CANAL, LEFT, RIGHT = CONDITIONS[:3]


def read_slice(study_id: str, series_id: str, instance: int) -> tuple[Affine, tuple[int, int]]:
    """Sagittal series of 320 x 256 pixels of 0.8 mm and 640 x 512 of 0.4 mm, axial of 512 x 512.

    Sagittal instances run from the right (1: x = −40 mm) to the left, axial ones from z = 80 mm
    downwards; slices are 4 mm apart.
    """
    assert study_id == "9"
    if series_id == AXIAL:
        position = (-100.0, -100.0, 80.0 - SPACING_MM * instance)
        return slice_affine(position, (1, 0, 0, 0, 1, 0), (0.4, 0.4), SPACING_MM), (512, 512)
    pixel = 0.8 if series_id == SAGITTAL else 0.4
    edge = pixel / 2  # centres of the first pixels; both series share the edges of the field
    position = (-40.0 + SPACING_MM * (instance - 1), -100.0 + edge, 120.0 - edge)
    shape = (round(256 / pixel), round(204.8 / pixel))
    return slice_affine(position, (0, 1, 0, 0, 0, -1), (pixel, pixel), SPACING_MM), shape


def mark(target: Target, instance: int, column: float, row: float) -> CoordinateRow:
    return CoordinateRow(
        study_id="9",
        series_id=AXIAL if target.condition.view is View.AXIAL_T2 else SAGITTAL,
        instance_number=instance,
        target=target,
        column=column,
        row=row,
    )


def predict(marked: CoordinateRow, **changes: object) -> PredictedPoint:
    point = PredictedPoint(
        study_id=marked.study_id,
        series_id=marked.series_id,
        instance_number=marked.instance_number,
        target=marked.target,
        column=marked.column,
        row=marked.row,
        score=0.9,
    )
    return replace(point, **changes)  # type: ignore[arg-type]


MARKED = tuple(
    mark(
        Target(condition=condition, level=level),
        {CANAL: 11, LEFT: 15, RIGHT: 7}.get(condition, 10 + 9 * number),
        140.0 if condition.view is not View.AXIAL_T2 else 250.0 - 30 * (condition.side == "right"),
        60.0 + 44 * number if condition.view is not View.AXIAL_T2 else 270.0,
    )
    for condition in CONDITIONS
    for number, level in enumerate(LEVELS)
)
