"""The figures of merit against scikit-learn's own."""

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import cohen_kappa_score, confusion_matrix, log_loss, roc_auc_score, roc_curve

from lumbargrade import curves
from lumbargrade.breakdown import GroupFigures, GroupKind, group_figures
from lumbargrade.curves import family_curves
from lumbargrade.labels import GRADES, MISSING_GRADE, Family, Grade
from lumbargrade.metric import FAMILIES, FAMILY_INDEX, competition_metric, undo_metric_weights

STUDIES = 150
WEIGHTS = np.array([1.0, 2.0, 4.0])


@pytest.fixture(scope="module")
def case() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(11)
    p = rng.dirichlet((4.0, 1.0, 0.7), size=(STUDIES, 25))
    labels = (rng.random((STUDIES, 25, 1)) > p.cumsum(axis=-1)[..., :2]).sum(axis=-1)
    labels[rng.random(labels.shape) < 0.1] = MISSING_GRADE
    answers = p**0.8
    return labels, answers / answers.sum(axis=-1, keepdims=True)


@pytest.fixture(scope="module")
def tied(case: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Answers in 64ths, so that many are equal and each row sums to 1 exactly."""
    labels, answers = case
    return labels, (np.random.default_rng(12).multinomial(61, answers) + 1) / 64


@pytest.mark.parametrize("family", list(Family))
def test_a_part_of_the_metric_is_the_weighted_log_loss(
    case: tuple[np.ndarray, np.ndarray], family: Family
) -> None:
    labels, answers = case
    rows = (labels != MISSING_GRADE) & (FAMILIES.index(family) == FAMILY_INDEX)
    truth = labels[rows]
    expected = log_loss(truth, answers[rows], sample_weight=WEIGHTS[truth], labels=[0, 1, 2])
    assert getattr(competition_metric(labels, answers), family.value) == pytest.approx(
        expected, abs=1e-12
    )


def test_any_severe_is_the_weighted_log_loss_over_studies(
    case: tuple[np.ndarray, np.ndarray],
) -> None:
    labels, answers = case
    truth, score, weight = [], [], []
    for study in range(STUDIES):
        cells = [cell for cell in range(5) if labels[study, cell] != MISSING_GRADE]
        truth.append(max(labels[study, cell] == 2 for cell in cells))
        score.append(max(answers[study, cell, 2] for cell in cells))
        weight.append(max(WEIGHTS[labels[study, cell]] for cell in cells))
    expected = log_loss(truth, score, sample_weight=weight)
    found = competition_metric(labels, answers)
    assert found.any_severe_spinal == pytest.approx(expected, abs=1e-12)
    parts = (found.spinal, found.foraminal, found.subarticular, expected)
    assert found.score == pytest.approx(np.mean(parts), abs=1e-12)


def by_name(case: tuple[np.ndarray, np.ndarray]) -> dict[tuple[GroupKind, str], GroupFigures]:
    return {(item.group.kind, item.group.name): item for item in group_figures(*case)}


@pytest.mark.parametrize("kind", list(GroupKind))
def test_figures_of_every_group_are_those_of_scikit_learn(
    case: tuple[np.ndarray, np.ndarray], kind: GroupKind
) -> None:
    labels, answers = case
    for (group_kind, _), figures in by_name(case).items():
        if group_kind is not kind:
            continue
        rows = (labels != MISSING_GRADE) & figures.group.cells
        truth, q = labels[rows], answers[rows]
        p = undo_metric_weights(q)
        weighted = log_loss(truth, q, sample_weight=WEIGHTS[truth], labels=[0, 1, 2])
        assert figures.loss == pytest.approx(weighted, abs=1e-12)
        kappa = cohen_kappa_score(truth, p.argmax(axis=1), weights="quadratic")
        assert figures.kappa == pytest.approx(kappa, abs=1e-12)
        assert figures.rows == len(truth) == sum(figures.rows_by_grade.values())
        for index, grade in enumerate(GRADES):
            assert figures.calibration_error[grade] == pytest.approx(
                error_from_curve(truth == index, p[:, index]), abs=1e-12
            )


def error_from_curve(happened: np.ndarray, p: np.ndarray) -> float:
    frequency, mean = calibration_curve(happened, p, n_bins=10)
    rows, _ = np.histogram(p, bins=np.linspace(0, 1, 11))
    return float((np.abs(frequency - mean) * rows[rows > 0]).sum() / len(p))


def test_auc_of_a_family_is_the_mean_over_its_cells(tied: tuple[np.ndarray, np.ndarray]) -> None:
    labels, answers = tied
    figures = by_name(tied)[GroupKind.FAMILY, "foraminal"]
    severe, worse = [], []
    for cell in range(5, 15):
        rows = labels[:, cell] != MISSING_GRADE
        truth, q = labels[rows, cell], answers[rows, cell]
        severe.append(roc_auc_score(truth == 2, q[:, 2]))
        worse.append(roc_auc_score(truth >= 1, q[:, 1] + q[:, 2]))
    assert figures.auc_severe == pytest.approx(np.mean(severe), abs=1e-12)
    assert figures.auc_moderate_or_worse == pytest.approx(np.mean(worse), abs=1e-12)
    assert figures.auc == pytest.approx(np.mean([np.mean(severe), np.mean(worse)]), abs=1e-12)


def test_curves_of_a_family_are_those_of_scikit_learn(
    case: tuple[np.ndarray, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels, answers = case
    monkeypatch.setattr(curves, "ROC_POINTS", 100_000)
    for family, drawn in zip(FAMILIES, family_curves(labels, answers), strict=True):
        assert drawn.family is family
        rows = (labels != MISSING_GRADE) & (FAMILIES.index(family) == FAMILY_INDEX)
        truth, q = labels[rows], answers[rows]
        p = undo_metric_weights(q)
        every_point = np.column_stack(roc_curve(truth == 2, q[:, 2], drop_intermediate=False)[:2])
        roc = drawn.roc["severe"]
        ours = np.column_stack([roc.false_positive_rate, roc.true_positive_rate])
        distances = np.linalg.norm(ours[:, None] - every_point[None], axis=2)
        assert distances.min(axis=1).max() < 1e-12  # corners of scikit-learn's curve
        area = np.trapezoid(ours[:, 1], ours[:, 0])
        assert area == pytest.approx(roc_auc_score(truth == 2, q[:, 2]), abs=1e-12)
        assert roc.auc == pytest.approx(roc_auc_score(truth == 2, q[:, 2]), abs=1e-12)
        assert (drawn.confusion == confusion_matrix(truth, p.argmax(axis=1))).all()
        bins = [item for item in drawn.reliability[Grade.SEVERE] if item.rows]
        frequency, mean = calibration_curve(truth == 2, p[:, 2], n_bins=10)
        np.testing.assert_allclose([item.frequency or 0 for item in bins], frequency, atol=1e-12)
        np.testing.assert_allclose([item.mean_probability or 0 for item in bins], mean, atol=1e-12)
