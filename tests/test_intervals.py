import numpy as np
import pytest

from lumbargrade.breakdown import GROUPS, GroupKind, group_figures
from lumbargrade.intervals import ScoreIntervals, score_intervals
from lumbargrade.labels import GRADES, MISSING_GRADE
from lumbargrade.metric import PARTS, StudyAnswers, StudyLabels, competition_metric
from lumbargrade.resampled_agreement import AgreementStatistics
from lumbargrade.resampling import Interval


def calibrated_case(studies: int, seed: int) -> tuple[StudyLabels, StudyAnswers]:
    rng = np.random.default_rng(seed)
    p = rng.dirichlet((4.0, 1.0, 0.7), size=(studies, 25))
    labels = (rng.random((studies, 25, 1)) > p.cumsum(axis=-1)[..., :2]).sum(axis=-1)
    return labels, p


def sparse_case(studies: int, seed: int) -> tuple[StudyLabels, StudyAnswers]:
    """With tied answers, missing labels, a cell without labels and one of a single class."""
    labels, answers = calibrated_case(studies, seed)
    answers = np.round(answers, 1) + 0.01
    labels[np.random.default_rng(seed).random(labels.shape) < 0.2] = MISSING_GRADE
    labels[:, 15] = MISSING_GRADE
    labels[:, 16] = 0
    return labels, answers / answers.sum(axis=-1, keepdims=True)


def score_interval(labels: StudyLabels, answers: StudyAnswers, resamples: int) -> Interval:
    interval = score_intervals(labels, answers, resamples=resamples).parts["score"]
    assert interval is not None
    return interval


def numbers(found: ScoreIntervals) -> list[Interval | None]:
    return [*found.parts.values(), found.auc, *(item.kappa for item in found.groups)]


@pytest.mark.parametrize("case", [calibrated_case(60, 1), sparse_case(60, 2), sparse_case(7, 3)])
@pytest.mark.parametrize("seed", [None, 0, 1])
def test_figures_of_a_draw_are_those_of_the_drawn_studies_written_out(
    case: tuple[StudyLabels, StudyAnswers], seed: int | None
) -> None:
    labels, answers = case
    studies = len(labels)
    rng = np.random.default_rng(seed)
    drawn = np.arange(studies) if seed is None else rng.integers(studies, size=studies)
    times = np.bincount(drawn, minlength=studies)[None].astype(float)
    found = AgreementStatistics.of(labels, answers).figures(times)
    expected = group_figures(labels[drawn], answers[drawn])
    for index, figures in enumerate(expected):
        errors = [figures.calibration_error[grade] for grade in GRADES]
        values = [figures.loss, figures.auc, figures.kappa, *errors]
        ours = [found.loss[0, index], found.auc[0, index], found.kappa[0, index]]
        np.testing.assert_allclose(
            np.array([*ours, *found.calibration_error[0, index]]),
            np.array(values, dtype=np.float64),
            rtol=1e-6,
            atol=1e-6,
            err_msg=f"{figures.group.kind} {figures.group.name}",
        )


def test_equal_seeds_give_equal_intervals() -> None:
    labels, answers = calibrated_case(50, 0)
    first = score_intervals(labels, answers, resamples=150, seed=1)
    assert numbers(first) == numbers(score_intervals(labels, answers, resamples=150, seed=1))
    assert numbers(first) != numbers(score_intervals(labels, answers, resamples=150, seed=2))
    assert set(first.parts) == {"score", *PARTS}


def test_bootstrap_standard_error_matches_the_spread_between_fresh_samples() -> None:
    cases = [calibrated_case(100, seed) for seed in range(100, 220)]
    canal = [group_figures(*case)[0] for case in cases]
    fresh = {
        "score": [competition_metric(*case).score for case in cases],
        "kappa": [figures.kappa or 0 for figures in canal],
        "auc": [figures.auc or 0 for figures in canal],
    }
    found = [score_intervals(*calibrated_case(100, seed), resamples=200) for seed in range(10)]
    estimated = {
        "score": [item.parts["score"] for item in found],
        "kappa": [item.groups[0].kappa for item in found],
        "auc": [item.groups[0].auc for item in found],
    }
    for name, intervals in estimated.items():
        errors = [interval.standard_error for interval in intervals if interval is not None]
        assert len(errors) == 10
        assert np.mean(errors) == pytest.approx(np.std(fresh[name]), rel=0.25), name


def test_ninety_five_percent_intervals_cover_the_expected_score() -> None:
    expected = competition_metric(*calibrated_case(20_000, 7)).score
    covered = 0
    for seed in range(60):
        interval = score_interval(*calibrated_case(80, seed), resamples=300)
        covered += interval.low <= expected <= interval.high
    assert 51 <= covered <= 60  # 57 expected, standard deviation 1.7


def test_draws_without_a_family_are_left_out_of_its_interval() -> None:
    labels, answers = calibrated_case(4, 3)
    labels[1:, 15:] = MISSING_GRADE  # only one study has subarticular grades
    interval = score_intervals(labels, answers, resamples=100).parts["subarticular"]
    assert interval is not None
    assert interval.low == pytest.approx(
        competition_metric(labels, answers).subarticular, abs=1e-12
    )


def test_paired_difference_is_tighter_than_the_two_intervals() -> None:
    labels, answers = calibrated_case(200, 4)
    worse = 0.97 * answers + 0.01
    found = score_intervals(labels, answers, others={"worse": worse}, resamples=400)
    for part, paired in found.differences["worse"].items():
        alone = found.parts[part]
        expected = [getattr(competition_metric(labels, rows), part) for rows in (answers, worse)]
        assert paired.difference == pytest.approx(expected[0] - expected[1], abs=1e-14)
        assert alone is not None
        assert paired.interval is not None
        assert paired.interval.low < paired.difference < paired.interval.high
        assert paired.interval.standard_error < alone.standard_error / 2


def test_equal_submissions_differ_by_nothing() -> None:
    labels, answers = calibrated_case(30, 5)
    found = score_intervals(labels, answers, others={"same": answers.copy()}, resamples=50)
    paired = found.differences["same"]["score"]
    assert paired.interval is not None
    assert (paired.difference, paired.interval.low, paired.interval.high) == (0, 0, 0)


def test_one_draw_gives_no_interval_and_a_cell_without_labels_has_none() -> None:
    labels, answers = sparse_case(10, 6)
    assert score_intervals(labels, answers, resamples=1).parts["score"] is None
    found = score_intervals(labels, answers, resamples=20)
    targets = [item for item in found.groups if item.group.kind is GroupKind.TARGET]
    assert (targets[15].loss, targets[15].auc, targets[15].kappa) == (None, None, None)
    assert targets[16].loss is not None
    assert targets[16].auc is None
    assert len(found.groups) == len(GROUPS) == 38
