"""Predicted points against marked ones: figures by view, condition, level and target.

What must stay true: shares are over the points that were predicted, with the share of predicted
ones beside them; a figure without images, exact truth or any point is None, never a made-up number.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Bool

from lumbargrade.arrays import Affine
from lumbargrade.competition import (
    CoordinateRow,
    PredictedPoint,
    TruthPoint,
    image_folder,
    instance_path,
)
from lumbargrade.dicom.header import read_slice_geometry
from lumbargrade.labels import TARGETS, Condition, Level, Target, View
from lumbargrade.point_errors import PointError, ReadSlice, StudyPoints, point_errors
from lumbargrade.point_intervals import PointIntervals, point_intervals
from lumbargrade.point_samples import (
    CONDITION_TARGETS,
    EVERY_TARGET,
    LEVEL_TARGETS,
    VIEW_TARGETS,
    FigureSample,
    FigureSamples,
    target_masks,
)
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
    median_mm: float | None
    """In three dimensions."""
    p95_mm: float | None
    within_mm: float | None
    """Within 10 mm (canal), 14 mm (foramina) or 12 mm (recesses) of the truth."""
    slice_exact: float | None
    slice_within_1: float | None
    level_correct: float | None
    side_correct: float | None
    coverage_precision: float | None
    """Share of predicted points whose target some slice covers."""
    coverage_recall: float | None
    """Share of covered targets that were predicted."""
    uncovered_left_out: float | None
    """Share of targets that no slice covers for which no point was predicted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointEvaluation:
    """Point accuracy by view, condition, level and target, and over all."""

    studies: int
    """Studies with both marked and predicted points."""
    studies_without_points: int
    """Studies of the truth with no predicted point; they are in no figure."""
    by_view: dict[View, PointFigures]
    by_condition: dict[Condition, PointFigures]
    by_level: dict[Level, PointFigures]
    by_target: dict[Target, PointFigures]
    overall: PointFigures
    errors: tuple[PointError, ...]
    """Of the points that are both marked and predicted, farthest first; empty without images."""
    intervals: PointIntervals | None
    """None where nothing was drawn."""


def slices_of(dataset: Path) -> ReadSlice | None:
    """A reader of the slices in a dataset's ``train_images/``; None where there is none."""
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
    resamples: int = 0,
    seed: int = 0,
    on_draws: Callable[[int], None] | None = None,
) -> PointEvaluation:
    """Compare predicted points with marked ones, target by target.

    Args:
        marked: the points of ``train_label_coordinates.csv``.
        predicted: the points of ``points.csv``; those of unmarked targets count for coverage only.
        exact: the exact truth of synthetic studies, None where there is none.
        read_slice: geometry of a stored slice, None without images.
        resamples: sets of studies to draw; 0 for no intervals.
        seed: of the draws.
        on_draws: told after each lot of draws how many it held.

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
        (number, error)
        for number, study in enumerate(studies)
        if read_slice is not None
        for error in point_errors(study, read_slice)
    ]
    samples = _samples(studies, errors)
    return PointEvaluation(
        studies=len(studies),
        studies_without_points=len(marked_by_study) - len(studies),
        by_view={view: _figures(samples, mask) for view, mask in VIEW_TARGETS.items()},
        by_condition={c: _figures(samples, mask) for c, mask in CONDITION_TARGETS.items()},
        by_level={level: _figures(samples, mask) for level, mask in LEVEL_TARGETS.items()},
        by_target={
            target: _figures(samples, mask)
            for target, mask in target_masks(TARGETS, lambda target: target).items()
        },
        overall=_figures(samples, EVERY_TARGET),
        errors=tuple(sorted((e for _, e in errors), key=lambda error: -error.distance_mm)),
        intervals=point_intervals(
            samples, len(studies), resamples=resamples, seed=seed, on_draws=on_draws
        )
        if resamples
        else None,
    )


def _samples(
    studies: Sequence[StudyPoints], errors: Sequence[tuple[int, PointError]]
) -> dict[str, FigureSample]:
    """The rows of every figure, in the order of the fields of ``PointFigures``."""
    marked = [(n, t, t in study.predicted) for n, study in enumerate(studies) for t in study.marked]
    covered = [
        (number, target, target in study.predicted, point.covered)
        for number, study in enumerate(studies)
        for target, point in study.exact.items()
    ]

    def rows(of: Callable[[PointError], float | bool | None]) -> Iterator[_SampleRow]:
        return ((number, error.target, of(error)) for number, error in errors)

    return {
        "found": FigureSample.of(marked),
        "within_5px": FigureSample.of(rows(lambda e: e.px <= WITHIN_PX)),
        "median_px": FigureSample.of(rows(lambda e: e.px), percent=50),
        "p95_px": FigureSample.of(rows(lambda e: e.px), percent=95),
        "median_mm_in_plane": FigureSample.of(rows(lambda e: e.in_plane_mm), percent=50),
        "median_mm_along_z": FigureSample.of(rows(lambda e: e.along_z_mm), percent=50),
        "median_mm": FigureSample.of(rows(lambda e: e.distance_mm), percent=50),
        "p95_mm": FigureSample.of(rows(lambda e: e.distance_mm), percent=95),
        "within_mm": FigureSample.of(rows(lambda e: e.within_tolerance)),
        "slice_exact": FigureSample.of(rows(lambda e: e.slice_exact)),
        "slice_within_1": FigureSample.of(rows(lambda e: e.slice_within_1)),
        "level_correct": FigureSample.of(rows(lambda e: e.level_correct)),
        "side_correct": FigureSample.of(rows(lambda e: e.side_correct)),
        "coverage_precision": FigureSample.of(
            (number, target, is_covered) for number, target, found, is_covered in covered if found
        ),
        "coverage_recall": FigureSample.of(
            (number, target, found) for number, target, found, is_covered in covered if is_covered
        ),
        "uncovered_left_out": FigureSample.of(
            (number, target, not found)
            for number, target, found, is_covered in covered
            if not is_covered
        ),
    }


def _figures(samples: FigureSamples, targets: Bool[np.ndarray, "25"]) -> PointFigures:
    return PointFigures(
        truths=int(targets[samples["found"].target].sum()),
        **{name: sample.figure(targets) for name, sample in samples.items()},
    )


_SampleRow = tuple[int, Target, float | bool | None]
_Row = TypeVar("_Row", CoordinateRow, PredictedPoint)


def _by_study(rows: Iterable[_Row], kind: str) -> dict[str, dict[Target, _Row]]:
    studies: dict[str, dict[Target, _Row]] = {}
    for row in rows:
        points = studies.setdefault(row.study_id, {})
        if row.target in points:
            raise InvalidStudyError(f"{row.target.row_id(row.study_id)} is {kind} twice")
        points[row.target] = row
    return studies
