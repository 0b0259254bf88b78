import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from lumbargrade.agreement import calibration_error, quadratic_kappa, roc_auc, severity_auc
from lumbargrade.labels import MISSING_GRADE


def test_auc_counts_ties_half() -> None:
    positive = np.array([True, False, True, False])
    assert roc_auc(positive, np.array([0.9, 0.1, 0.5, 0.5])) == 0.875
    assert roc_auc(positive, np.full(4, 0.3)) == 0.5
    assert roc_auc(np.ones(4, dtype=bool), np.arange(4.0)) is None


def test_auc_equals_scikit_learn() -> None:
    rng = np.random.default_rng(0)
    positive, score = rng.random(300) < 0.2, rng.integers(0, 40, 300) / 40
    assert roc_auc(positive, score) == pytest.approx(roc_auc_score(positive, score), abs=1e-14)


def test_severity_auc_is_one_for_perfect_ranking_and_half_for_constants() -> None:
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 3, (40, 25))
    perfect = np.eye(3)[labels] * 0.8 + 0.2 / 3
    assert severity_auc(labels, perfect) == 1.0
    assert severity_auc(labels, np.full((40, 25, 3), 1 / 3)) == 0.5
    assert severity_auc(labels, perfect[..., ::-1]) == pytest.approx(0.25, abs=0.06)


def test_severity_auc_is_the_mean_over_cells_questions_and_families() -> None:
    labels = np.zeros((4, 25), dtype=int)
    labels[:, 0] = (0, 0, 1, 2)  # canal: one cell with both classes
    labels[:, 5] = (0, 1, MISSING_GRADE, MISSING_GRADE)  # foraminal: no severe cell
    answers = np.tile([0.5, 0.3, 0.2], (4, 25, 1))
    answers[:, 0] = [[0.6, 0.2, 0.2], [0.2, 0.2, 0.6], [0.5, 0.2, 0.3], [0.4, 0.2, 0.4]]
    answers[1, 5] = [0.6, 0.2, 0.2]
    canal = (2 / 3 + 2 / 4) / 2  # severe: 2 of 3 pairs right; moderate or worse: 2 of 4
    assert severity_auc(labels, answers) == pytest.approx((canal + 0.0) / 2, abs=1e-15)


def test_severity_auc_has_no_value_where_every_cell_has_one_class() -> None:
    assert severity_auc(np.zeros((5, 25), dtype=int), np.full((5, 25, 3), 1 / 3)) is None


def test_kappa_equals_scikit_learn() -> None:
    rng = np.random.default_rng(2)
    truth = rng.integers(0, 3, 200)
    answer = np.clip(truth + rng.integers(-1, 2, 200), 0, 2)
    expected = cohen_kappa_score(truth, answer, weights="quadratic")
    assert quadratic_kappa(truth, answer) == pytest.approx(expected, abs=1e-14)
    assert quadratic_kappa(np.zeros(3, dtype=int), np.zeros(3, dtype=int)) is None
    assert quadratic_kappa(np.zeros(0, dtype=int), np.zeros(0, dtype=int)) is None


def test_calibration_error_is_the_gap_between_frequency_and_probability() -> None:
    happened = np.array([True, False, False, False])
    assert calibration_error(happened, np.full(4, 0.25)) == 0.0
    assert calibration_error(happened, np.full(4, 0.75)) == pytest.approx(0.5, abs=1e-15)
    mixed = np.array([1.0, 0.0, 0.05, 0.95])  # bins: (1.0, 0.95) and (0.0, 0.05)
    assert calibration_error(happened, mixed) == pytest.approx((0.95 + 0.05) / 4, abs=1e-15)
    assert calibration_error(happened[:0], mixed[:0]) is None
