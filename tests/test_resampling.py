import numpy as np
import pytest

from lumbargrade.labels import MISSING_GRADE
from lumbargrade.metric import PARTS, StudyAnswers, StudyLabels, competition_metric
from lumbargrade.records import InvalidStudyError
from lumbargrade.resampling import bootstrap_parts, paired_difference


def calibrated_case(studies: int, seed: int) -> tuple[StudyLabels, StudyAnswers]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((4.0, 1.0, 0.7), size=(studies, 25))
    labels = (rng.random((studies, 25, 1)) > p.cumsum(axis=-1)[..., :2]).sum(axis=-1)
    return labels, p


def test_same_seed_same_interval() -> None:
    labels, answers = calibrated_case(50, 0)
    first = bootstrap_parts(labels, answers, resamples=150, seed=1)
    assert first == bootstrap_parts(labels, answers, resamples=150, seed=1)
    assert first != bootstrap_parts(labels, answers, resamples=150, seed=2)
    assert set(first) == {"score", *PARTS}


def test_bootstrap_standard_error_matches_the_spread_between_fresh_samples() -> None:
    scores = [competition_metric(*calibrated_case(100, seed)).score for seed in range(100, 220)]
    estimate = np.mean(
        [
            bootstrap_parts(*calibrated_case(100, seed), resamples=200)["score"].standard_error
            for seed in range(10)
        ]
    )
    assert estimate == pytest.approx(np.std(scores), rel=0.25)


def test_ninety_five_percent_intervals_cover_the_expected_score() -> None:
    expected = competition_metric(*calibrated_case(20_000, 7)).score
    covered = 0
    for seed in range(60):
        interval = bootstrap_parts(*calibrated_case(80, seed), resamples=300)["score"]
        covered += interval.low <= expected <= interval.high
    assert 51 <= covered <= 60  # 57 expected, standard deviation 1.7


def test_draws_without_a_family_are_left_out() -> None:
    labels, answers = calibrated_case(4, 3)
    labels[1:, 15:] = MISSING_GRADE  # only one study has subarticular grades
    interval = bootstrap_parts(labels, answers, resamples=100)["subarticular"]
    assert interval.low == pytest.approx(
        competition_metric(labels, answers).subarticular, abs=1e-12
    )


def test_paired_difference_is_tighter_than_the_two_intervals() -> None:
    labels, answers = calibrated_case(200, 4)
    worse = 0.97 * answers + 0.01
    paired = paired_difference(labels, answers, worse, resamples=400)
    alone = bootstrap_parts(labels, answers, resamples=400)["score"]
    expected = competition_metric(labels, answers).score - competition_metric(labels, worse).score
    assert paired.difference == pytest.approx(expected, abs=1e-14)
    assert paired.interval.low < paired.difference < paired.interval.high
    assert paired.interval.standard_error < alone.standard_error / 3


def test_equal_submissions_differ_by_nothing() -> None:
    labels, answers = calibrated_case(30, 5)
    paired = paired_difference(labels, answers, answers.copy(), resamples=50)
    assert (paired.difference, paired.interval.low, paired.interval.high) == (0, 0, 0)


def test_too_few_usable_draws_are_an_error() -> None:
    labels, answers = calibrated_case(10, 6)
    with pytest.raises(InvalidStudyError, match="1 drawn set.* expected at least 2"):
        bootstrap_parts(labels, answers, resamples=1)
