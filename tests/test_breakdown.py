import numpy as np
import pytest

from lumbargrade.breakdown import GROUP_CELLS, GROUPS, GroupKind, group_figures, group_losses
from lumbargrade.labels import MISSING_GRADE, TARGETS, Grade
from lumbargrade.metric import competition_metric, loss_by_target


def test_groups_of_each_kind_part_the_25_cells() -> None:
    counts = dict.fromkeys(GroupKind, 0)
    for kind in GroupKind:
        members = np.array([group.cells for group in GROUPS if group.kind is kind])
        counts[kind] = len(members)
        assert (members.sum(axis=0) == 1).all()
    assert list(counts.values()) == [3, 5, 5, 25]
    assert GROUP_CELLS.shape == (38, 25)
    assert [g.name for g in GROUPS[13:]] == [target.column for target in TARGETS]


def test_group_losses_are_the_parts_of_the_metric_and_the_losses_of_the_cells() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, (40, 25))
    labels[::3, 20] = MISSING_GRADE
    answers = rng.dirichlet((2, 1, 1), size=(40, 25))
    losses = group_losses(labels, answers)
    parts = competition_metric(labels, answers)
    assert losses[GroupKind.FAMILY, "subarticular"] == pytest.approx(parts.subarticular, abs=1e-12)
    cells = [losses[GroupKind.TARGET, target.column] for target in TARGETS]
    np.testing.assert_allclose(np.array(cells, float), loss_by_target(labels, answers), atol=1e-12)


def test_a_group_without_labels_has_no_figure_and_one_class_has_no_auc() -> None:
    labels = np.full((6, 25), MISSING_GRADE)
    labels[:, 0] = 1
    answers = np.tile([0.2, 0.5, 0.3], (6, 25, 1))
    figures = {(f.group.kind, f.group.name): f for f in group_figures(labels, answers)}
    one_class = figures[GroupKind.TARGET, TARGETS[0].column]
    assert (one_class.rows, one_class.rows_by_grade[Grade.MODERATE]) == (6, 6)
    assert one_class.loss == pytest.approx(-np.log(0.5))
    assert (one_class.auc, one_class.kappa) == (None, None)
    empty = figures[GroupKind.LEVEL, "l5_s1"]
    assert (empty.rows, empty.loss, empty.auc, empty.kappa) == (0, None, None, None)
    assert set(empty.calibration_error.values()) == {None}
