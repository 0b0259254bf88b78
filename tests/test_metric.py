from dataclasses import astuple

import numpy as np
import pytest
from sklearn.metrics import log_loss

from lumbargrade.labels import GRADE_WEIGHTS, MISSING_GRADE, TARGETS, Family
from lumbargrade.metric import (
    FAMILIES,
    FAMILY_INDEX,
    StudyAnswers,
    StudyLabels,
    competition_metric,
    loss_by_target,
    reweight_for_metric,
    study_sums,
    undo_metric_weights,
    weighted_prior,
)
from lumbargrade.records import InvalidStudyError

LN2 = 0.6931471805599453


def constant(studies: int, *row: float) -> StudyAnswers:
    return np.tile(np.array(row, dtype=np.float64), (studies, 25, 1))


def random_case(studies: int, seed: int) -> tuple[StudyLabels, StudyAnswers]:
    rng = np.random.default_rng(seed)
    labels = rng.choice([MISSING_GRADE, 0, 1, 2], size=(studies, 25), p=[0.1, 0.6, 0.2, 0.1])
    return labels, rng.dirichlet((2.0, 1.0, 1.0), size=(studies, 25))


def test_one_normal_study_scores_as_computed_by_hand() -> None:
    parts = competition_metric(np.zeros((1, 25), dtype=int), constant(1, 0.5, 0.25, 0.25))
    assert astuple(parts) == pytest.approx(
        ((3 * LN2 + 0.28768207245178085) / 4, LN2, LN2, LN2, 0.28768207245178085), abs=1e-15
    )


def test_rows_weigh_one_two_and_four_by_true_grade() -> None:
    labels = np.zeros((1, 25), dtype=int)
    labels[0, 0], labels[0, 5] = 2, 1
    answers = constant(1, 0.8, 0.1, 0.1)
    answers[0, 0] = (0.2, 0.2, 0.6)
    parts = competition_metric(labels, answers)
    severe, moderate, normal = 0.5108256237659907, 2.302585092994046, 0.2231435513142097
    assert parts.spinal == pytest.approx((4 * severe + 4 * normal) / 8, abs=1e-15)
    assert parts.foraminal == pytest.approx((2 * moderate + 9 * normal) / 11, abs=1e-15)
    assert parts.subarticular == pytest.approx(normal, abs=1e-15)
    assert parts.any_severe_spinal == pytest.approx(severe, abs=1e-15)


def test_any_severe_weighs_a_study_by_its_heaviest_canal_row() -> None:
    labels = np.zeros((3, 25), dtype=int)
    labels[0, 3] = 2  # weight 4, some level severe
    labels[1, 1] = 1  # weight 2, none severe
    answers = constant(3, 0.7, 0.2, 0.1)
    answers[0, 4] = (0.1, 0.4, 0.5)  # the largest p(severe), on another level than the severe one
    answers[1, 0] = (0.1, 0.7, 0.2)
    losses = (4 * LN2 + 2 * -np.log(0.8) + 1 * -np.log(0.9)) / 7
    assert competition_metric(labels, answers).any_severe_spinal == pytest.approx(losses, abs=1e-15)


def test_any_severe_takes_its_maximum_over_labelled_levels() -> None:
    labels = np.zeros((1, 25), dtype=int)
    labels[0, 2] = MISSING_GRADE
    answers = constant(1, 0.7, 0.2, 0.1)
    answers[0, 2] = (0.0, 0.0, 1.0)
    assert competition_metric(labels, answers).any_severe_spinal == pytest.approx(
        -np.log(0.9), abs=1e-15
    )


def test_a_study_without_canal_grades_does_not_count_for_any_severe() -> None:
    labels, answers = random_case(6, seed=0)
    labels[2, :5] = MISSING_GRADE
    without = np.delete(np.arange(6), 2)
    assert study_sums(labels, answers).weight[2, 3] == 0
    assert competition_metric(labels, answers).any_severe_spinal == pytest.approx(
        competition_metric(labels[without], answers[without]).any_severe_spinal, abs=1e-15
    )


def test_whatever_stands_in_unlabelled_rows_is_ignored() -> None:
    labels, answers = random_case(8, seed=1)
    spoiled = answers.copy()
    spoiled[labels == MISSING_GRADE] = np.nan
    assert competition_metric(labels, spoiled) == competition_metric(labels, answers)


def test_rows_are_normalised_before_scoring() -> None:
    labels, answers = random_case(8, seed=2)
    halved = competition_metric(labels, answers * 0.5)
    assert astuple(halved) == pytest.approx(astuple(competition_metric(labels, answers)), abs=1e-14)
    row = np.zeros((1, 25), dtype=int)
    assert competition_metric(row, constant(1, 0.4, 0.05, 0.05)).spinal == pytest.approx(
        0.2231435513142097, abs=1e-15
    )


def test_zero_on_the_truth_costs_minus_log_of_the_float_epsilon() -> None:
    parts = competition_metric(np.full((1, 25), 2), constant(1, 1.0, 0.0, 0.0))
    assert astuple(parts) == pytest.approx((36.04365338911715,) * 5, abs=1e-12)
    perfect = competition_metric(np.zeros((1, 25), dtype=int), constant(1, 1.0, 0.0, 0.0))
    assert astuple(perfect) == pytest.approx((0.0,) * 5, abs=1e-15)


def test_single_precision_answers_are_scored_in_double_precision() -> None:
    labels, answers = random_case(50, seed=3)
    single = answers.astype(np.float32)
    assert competition_metric(labels, single) == competition_metric(
        labels, single.astype(np.float64)
    )


@pytest.mark.parametrize("seed", range(5))
def test_metric_equals_scikit_learn_on_the_same_rows(seed: int) -> None:
    labels, answers = random_case(40, seed)
    parts = competition_metric(labels, answers)
    weights = np.array(GRADE_WEIGHTS)
    expected = {}
    for family in Family:
        cells = [t.index for t in TARGETS if t.condition.family is family]
        truth, rows = labels[:, cells].ravel(), answers[:, cells].reshape(-1, 3)
        kept = truth != MISSING_GRADE
        expected[family.value] = log_loss(
            truth[kept], rows[kept], labels=[0, 1, 2], sample_weight=weights[truth[kept]]
        )
    truths, predictions, study_weights = [], [], []
    for study in range(len(labels)):
        kept = labels[study, :5] != MISSING_GRADE
        if kept.any():
            truths.append(int((labels[study, :5][kept] == 2).any()))
            predictions.append(answers[study, :5, 2][kept].max())
            study_weights.append(weights[labels[study, :5][kept]].max())
    any_severe = log_loss(truths, predictions, labels=[0, 1], sample_weight=study_weights)
    assert parts.spinal == pytest.approx(expected["spinal"], abs=1e-13)
    assert parts.foraminal == pytest.approx(expected["foraminal"], abs=1e-13)
    assert parts.subarticular == pytest.approx(expected["subarticular"], abs=1e-13)
    assert parts.any_severe_spinal == pytest.approx(any_severe, abs=1e-13)
    assert parts.score == pytest.approx(np.mean([*expected.values(), any_severe]), abs=1e-13)


def test_a_family_without_any_grade_is_an_error_naming_it() -> None:
    labels, answers = random_case(5, seed=0)
    labels[:, 15:] = MISSING_GRADE
    with pytest.raises(InvalidStudyError, match="no grade for subarticular"):
        competition_metric(labels, answers)


def test_study_order_does_not_change_the_score() -> None:
    labels, answers = random_case(30, seed=4)
    turned = competition_metric(labels[::-1], answers[::-1])
    assert astuple(turned) == pytest.approx(astuple(competition_metric(labels, answers)), abs=1e-14)


def test_losses_by_target_average_to_their_family() -> None:
    labels, answers = random_case(60, seed=5)
    weight = np.where(labels >= 0, np.array(GRADE_WEIGHTS)[labels], 0).sum(axis=0)
    cells = FAMILIES.index(Family.FORAMINAL) == FAMILY_INDEX
    mean = np.average(loss_by_target(labels, answers)[cells], weights=weight[cells])
    assert mean == pytest.approx(competition_metric(labels, answers).foraminal, abs=1e-14)
    labels[:, 7] = MISSING_GRADE
    assert np.isnan(loss_by_target(labels, answers)[7])


def test_answers_and_probabilities_convert_both_ways() -> None:
    p = np.array([[0.7, 0.2, 0.1], [1.0, 0.0, 0.0]])
    q = reweight_for_metric(p)
    assert q[0] == pytest.approx([0.7 / 1.5, 0.4 / 1.5, 0.4 / 1.5], abs=1e-15)
    assert undo_metric_weights(q) == pytest.approx(p, abs=1e-15)


def test_weighted_answers_beat_the_probabilities_themselves() -> None:
    rng = np.random.default_rng(0)
    p = rng.dirichlet((6.0, 1.5, 1.0), size=(2000, 25))
    labels = (rng.random((2000, 25, 1)) > p.cumsum(axis=-1)[..., :2]).sum(axis=-1)
    weighted = competition_metric(labels, reweight_for_metric(p))
    plain = competition_metric(labels, p)
    for part in ("spinal", "foraminal", "subarticular"):
        assert getattr(weighted, part) < getattr(plain, part) - 0.02


def test_weighted_prior_is_the_best_constant_answer() -> None:
    labels, _ = random_case(400, seed=6)
    prior = weighted_prior(labels)
    assert prior.sum(axis=-1) == pytest.approx(np.ones(25), abs=1e-15)
    constant_answers = np.broadcast_to(prior, (400, 25, 3))
    best = loss_by_target(labels, constant_answers)
    for row in (constant(400, 1, 1, 1), reweight_for_metric(constant(400, 0.65, 0.23, 0.12))):
        assert (best < loss_by_target(labels, row)).all()


def test_weighted_prior_of_a_cell_without_grades_is_the_weights_themselves() -> None:
    labels = np.full((3, 25), MISSING_GRADE)
    assert weighted_prior(labels)[0] == pytest.approx([1 / 7, 2 / 7, 4 / 7], abs=1e-15)
