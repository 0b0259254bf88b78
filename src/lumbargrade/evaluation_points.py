"""Predicted points against marked ones: figures by view and over all.

What must stay true: shares are over the points that were predicted, with the share of predicted
ones beside them; a figure without images, exact truth or any point is None, never a made-up number.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np

from lumbargrade.arrays import Affine
from lumbargrade.competition import (
    CoordinateRow,
    PredictedPoint,
    TruthPoint,
    image_folder,
    instance_path,
)
from lumbargrade.dicom.header import read_slice_geometry
from lumbargrade.labels import VIEWS, Target, View
from lumbargrade.point_errors import PointError, ReadSlice, StudyPoints, point_errors
from lumbargrade.records import InvalidStudyError

WITHIN_PX = 5.0
"""An in-plane error up to this, on the 256 grid, is a hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointFigures:
    """Point accuracy of one view, or of all; shares 0 to 1, None where there is no value."""

    truths: int
    """Marked points of the evaluated studies."""
    found: float | None
    """Share of them that were predicted; the shares below, but coverage, are over these."""
    within_5px: float | None
    median_px: float | None
    p95_px: float | None
    median_mm_in_plane: float | None
    median_mm_along_z: float | None
    slice_exact: float | None
    slice_within_1: float | None
    level_correct: float | None
    side_correct: float | None
    coverage_precision: float | None
    """Share of predicted points whose target some slice covers."""
    coverage_recall: float | None
    """Share of covered targets that were predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointEvaluation:
    """Point accuracy by view and over all."""

    studies: int
    """Studies with both marked and predicted points."""
    studies_without_points: int
    """Studies of the truth with no predicted point; they are in no figure."""
    by_view: dict[View, PointFigures]
    overall: PointFigures


def slices_beside(truth: Path) -> ReadSlice | None:
    """A reader of the slices in ``train_images/`` beside a table; None where there is none."""
    dataset = truth.parent
    if not image_folder(dataset).is_dir():
        return None

    @cache
    def read(study_id: str, series_id: str, instance: int) -> tuple[Affine, tuple[int, int]]:
        return read_slice_geometry(instance_path(dataset, study_id, series_id, instance))

    return read


def evaluate_points(
    marked: Iterable[CoordinateRow],
    predicted: Iterable[PredictedPoint],
    *,
    exact: Iterable[TruthPoint] | None = None,
    read_slice: ReadSlice | None = None,
) -> PointEvaluation:
    """Compare predicted points with marked ones, target by target.

    Args:
        marked: the points of ``train_label_coordinates.csv``.
        predicted: the points of ``points.csv``; those of unmarked targets count for coverage only.
        exact: the exact truth of synthetic studies, None where there is none.
        read_slice: geometry of a stored slice, None without images.

    Raises:
        InvalidStudyError: a target given twice, no study in common, a predicted point without
            instance number, or a slice that cannot be read.
    """
    marked_by_study = _by_study(marked, "marked")
    predicted_by_study = _by_study(predicted, "predicted")
    graded = [(point.target, point) for point in exact or () if point.target is not None]
    exact_by_study: dict[str, dict[Target, TruthPoint]] = {}
    for target, point in graded:
        exact_by_study.setdefault(point.study_id, {})[target] = point
    studies = [
        StudyPoints(
            study_id=study_id,
            marked=points,
            predicted=predicted_by_study[study_id],
            exact=exact_by_study.get(study_id, {}),
        )
        for study_id, points in marked_by_study.items()
        if study_id in predicted_by_study
    ]
    if not studies:
        raise InvalidStudyError("the truth and the points have no study in common")
    errors = [
        error
        for study in studies
        if read_slice is not None
        for error in point_errors(study, read_slice)
    ]
    return PointEvaluation(
        studies=len(studies),
        studies_without_points=len(marked_by_study) - len(studies),
        by_view={view: _figures(studies, errors, (view,)) for view in VIEWS},
        overall=_figures(studies, errors, VIEWS),
    )


def _figures(
    studies: Sequence[StudyPoints], errors: Sequence[PointError], views: tuple[View, ...]
) -> PointFigures:
    wanted = [error for error in errors if error.target.condition.view in views]
    pixels = [error.px for error in wanted]
    found = [
        target in study.predicted
        for study in studies
        for target in study.marked
        if target.condition.view in views
    ]
    covered = [
        (target in study.predicted, point.covered)
        for study in studies
        for target, point in study.exact.items()
        if target.condition.view in views
    ]
    return PointFigures(
        truths=len(found),
        found=_share(found),
        within_5px=_share([px <= WITHIN_PX for px in pixels]),
        median_px=_percentile(pixels, 50),
        p95_px=_percentile(pixels, 95),
        median_mm_in_plane=_percentile([error.in_plane_mm for error in wanted], 50),
        median_mm_along_z=_percentile([error.along_z_mm for error in wanted], 50),
        slice_exact=_share([error.slice_exact for error in wanted]),
        slice_within_1=_share([error.slice_within_1 for error in wanted]),
        level_correct=_share([error.level_correct for error in wanted]),
        side_correct=_share([error.side_correct for error in wanted]),
        coverage_precision=_share([is_covered for predicted, is_covered in covered if predicted]),
        coverage_recall=_share([predicted for predicted, is_covered in covered if is_covered]),
    )


_Row = TypeVar("_Row", CoordinateRow, PredictedPoint)


def _by_study(rows: Iterable[_Row], kind: str) -> dict[str, dict[Target, _Row]]:
    studies: dict[str, dict[Target, _Row]] = {}
    for row in rows:
        points = studies.setdefault(row.study_id, {})
        if row.target in points:
            raise InvalidStudyError(f"{row.target.row_id(row.study_id)} is {kind} twice")
        points[row.target] = row
    return studies


def _share(values: Sequence[bool | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _percentile(values: Sequence[float], percent: int) -> float | None:
    return float(np.percentile(values, percent)) if values else None
