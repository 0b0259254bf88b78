from itertools import chain

import numpy as np
import pytest

from lumbargrade.arrays import Labels
from lumbargrade.folds import k_folds, severity_rank, split_studies
from lumbargrade.labels import MISSING_GRADE
from lumbargrade.recipe_settings import SplitSettings
from lumbargrade.records import InvalidStudyError


def some_labels(studies: int = 200) -> dict[str, Labels]:
    rng = np.random.default_rng(3)
    grades = rng.choice([MISSING_GRADE, 0, 1, 2], size=(studies, 25), p=[0.02, 0.88, 0.07, 0.03])
    return {str(100_000 + i): row for i, row in enumerate(grades)}


def any_severe_share(labels: dict[str, Labels], part: tuple[str, ...]) -> float:
    return float(np.mean([severity_rank(labels[study_id])[0] for study_id in part]))


def test_every_study_is_in_exactly_one_part() -> None:
    labels = some_labels()
    split = split_studies(labels, SplitSettings(), seed=0)
    parts = (
        split.detector,
        split.detector_validation,
        split.classifier,
        split.classifier_validation,
    )
    assert sorted(chain(*parts)) == sorted(labels)
    assert [len(part) for part in parts] == [84, 12, 80, 24]


def test_no_study_is_in_two_folds_and_fold_sizes_differ_by_one_at_most() -> None:
    labels = some_labels(203)
    folds = k_folds(labels, 5, seed=0)
    assert sorted(chain(*folds)) == sorted(labels)
    assert sorted(len(fold) for fold in folds) == [40, 40, 41, 41, 41]


def test_study_order_does_not_change_the_parts() -> None:
    labels = some_labels()
    turned = dict(reversed(labels.items()))
    assert split_studies(labels, SplitSettings(), 5) == split_studies(turned, SplitSettings(), 5)
    assert k_folds(labels, 5, 5) == k_folds(turned, 5, 5)


def test_another_seed_gives_another_split() -> None:
    labels = some_labels()
    first = split_studies(labels, SplitSettings(), 0)
    assert split_studies(labels, SplitSettings(), 0) == first
    assert split_studies(labels, SplitSettings(), 1).detector != first.detector


@pytest.mark.parametrize("seed", range(5))
def test_severe_canals_are_spread_evenly(seed: int) -> None:
    labels = some_labels()
    overall = any_severe_share(labels, tuple(labels))
    split = split_studies(labels, SplitSettings(), seed)
    for part in (*k_folds(labels, 5, seed), split.detector, split.classifier_validation):
        assert any_severe_share(labels, part) * len(part) == pytest.approx(
            overall * len(part), abs=1.5
        )


def test_severity_rank_ignores_missing_grades() -> None:
    labels = np.full(25, MISSING_GRADE)
    assert severity_rank(labels) == (False, 0, 0)
    labels[[3, 7, 8]] = [2, 2, 1]
    assert severity_rank(labels) == (True, 2, 1)


def test_small_sets_give_every_part_a_study_or_are_refused() -> None:
    split = split_studies(some_labels(5), SplitSettings(), 0)
    assert (len(split.detector), len(split.classifier)) == (2, 1)
    assert (len(split.detector_validation), len(split.classifier_validation)) == (1, 1)
    with pytest.raises(InvalidStudyError, match="4 studies cannot be split"):
        split_studies(some_labels(4), SplitSettings(), 0)
    with pytest.raises(InvalidStudyError, match="4 studies cannot be cut into 5 folds"):
        k_folds(some_labels(4), 5, 0)
    with pytest.raises(ValueError, match="at least 2, found 1"):
        k_folds(some_labels(4), 1, 0)


def test_fractions_that_leave_nothing_for_the_classifier_are_refused() -> None:
    greedy = SplitSettings(detector=0.8, detector_validation=0.1, classifier_validation=0.1)
    with pytest.raises(InvalidStudyError, match="at least one for the classifier"):
        split_studies(some_labels(50), greedy, 0)
