"""Detectors' own errors as the source of the classifier's jitter."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fake_crops import CROPS, NO_CHANGES, TINY, fake_study
from lumbargrade.cache import CachedStudy, no_truth
from lumbargrade.classifier.augment import apply_changes, draw_changes
from lumbargrade.classifier.dataset import to_batch
from lumbargrade.classifier.jitter import (
    MIN_ERRORS,
    REACH_MM,
    REACH_SLICES,
    PointErrors,
    measure_errors,
)
from lumbargrade.classifier.train import ClassifierTask, training_crop_settings
from lumbargrade.config import ClassifierMember, FitSettings
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import TARGETS, VIEWS, Family, Flag
from lumbargrade.records import InvalidStudyError, Landmark, ViewVolume

SPACING_MM, PIXEL_MM = 4.0, 0.5
FOUND = NO_CHANGES.model_copy(update={"jitter_from_found": True})
WIDE = training_crop_settings(CROPS, TINY.model_copy(update={"augment": FOUND}))


def landmarks(position_lps_mm: np.ndarray, *, missing: int | None = None) -> list[Landmark]:
    points = [Landmark(target=t, position_lps_mm=position_lps_mm, score=1.0) for t in TARGETS]
    if missing is not None:
        points[missing] = replace(
            points[missing], position_lps_mm=None, flags=(Flag.LEVEL_NOT_COVERED,)
        )
    return points


def study(study_id: str, *, stacks: tuple[int, ...] = (0,) * 9) -> CachedStudy:
    """Nine sagittal slices for every view: columns run to the back, rows to the feet."""
    affines = np.stack(
        [
            slice_affine(
                (k * SPACING_MM, 0, 0), (0, 1, 0, 0, 0, -1), (PIXEL_MM, PIXEL_MM), SPACING_MM
            )
            for k in range(9)
        ]
    )
    volumes = {
        view: ViewVolume(
            view=view, slices=[np.zeros((100, 100), np.uint8)] * 9, affines=affines,
            stack_ids=np.array(stacks), series_index=np.zeros(9, int), slice_index=np.arange(9),
        )
        for view in VIEWS
    }  # fmt: skip
    return CachedStudy(
        study_id=study_id, study_uid="1.2", sop_instances_sha256="", source_sha256="",
        volumes=volumes, references={}, truth=no_truth(),
    )  # fmt: skip


def measured(offset_mm: tuple[float, float, float], **how: Any) -> PointErrors:
    """Errors of four studies whose found points are all off by the same (LPS)."""
    true = np.array([16.0, 20.0, -20.0])
    studies = [study(str(k), **how) for k in range(4)]
    return measure_errors(
        studies,
        {item.study_id: landmarks(true + offset_mm) for item in studies},
        {item.study_id: landmarks(true) for item in studies},
    )


def test_an_error_is_found_minus_marked_in_slices_rows_and_columns() -> None:
    errors = measured((4.1, 3.0, -1.5))  # one slice to the left, 3 mm back, 1.5 mm down
    for family in Family:
        np.testing.assert_allclose(errors.by_family[family][0], [1, 1.5, 3.0], atol=1e-9)


def test_errors_beyond_the_reach_count_as_the_reach() -> None:
    (error, *_) = measured((-15.0, 25.0, 0.0)).by_family[Family.CANAL]
    np.testing.assert_allclose(error, [-REACH_SLICES, 0, REACH_MM])


def test_points_on_two_stacks_are_no_error_to_draw() -> None:
    with pytest.raises(InvalidStudyError, match=f"{MIN_ERRORS} points of each family"):
        measured((4.0, 0.0, 0.0), stacks=(0,) * 5 + (1,) * 4)


def test_points_that_were_not_found_do_not_count() -> None:
    true = np.array([16.0, 20.0, -20.0])
    studies = [study(str(k)) for k in range(8)]
    errors = measure_errors(
        studies,
        {item.study_id: landmarks(true, missing=0) for item in studies},
        {"0": landmarks(true, missing=1), **{str(k): landmarks(true) for k in range(1, 8)}},
    )
    assert len(errors.by_family[Family.CANAL]) == 8 * 5 - 9
    assert len(errors.by_family[Family.FORAMINAL]) == 8 * 10


def test_a_jittered_crop_is_the_one_cut_at_the_found_point() -> None:
    """One slice on, 3 mm down and 2 mm to the right of the marked point, at 1 mm a pixel."""
    item = fake_study("1", WIDE)
    errors = PointErrors(by_family={f: np.array([[1.0, 3.0, 2.0]]) for f in Family})
    changes = draw_changes([item], CROPS, FOUND, seed=0, epoch=0, errors=errors)
    images, _ = apply_changes(to_batch([item]), changes, CROPS)
    edge = (WIDE.size_px - CROPS.size_px) // 2
    expected = item.pixels[:, 3:8, edge + 3 : edge + 35, edge + 2 : edge + 34] / 255
    np.testing.assert_allclose(images[0].numpy(), expected, atol=1e-5)


def test_each_draw_is_one_whole_error_of_its_family() -> None:
    pools = {family: np.arange(30.0).reshape(10, 3) + 100 * k for k, family in enumerate(Family)}
    drawn = PointErrors(by_family=pools).draw(np.random.default_rng(0))
    for target, row in zip(TARGETS, drawn, strict=True):
        assert (pools[target.condition.family] == row).all(axis=1).any()


def test_training_without_the_errors_it_asks_for_is_refused() -> None:
    member = ClassifierMember(crops=CROPS, classifier=TINY.model_copy(update={"augment": FOUND}))
    with pytest.raises(ValueError, match="errors"):
        ClassifierTask([], [], member, FitSettings(), seed=0, weighted=False)
