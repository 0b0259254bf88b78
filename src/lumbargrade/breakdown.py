"""Figures of merit of groups of cells: families, conditions, levels and single targets.

What must stay true: every group is a set of the 25 cells, so that a figure of a group and its
interval are over the same rows; a figure that has no value is None and never enters a mean.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from jaxtyping import Bool, Float64

from lumbargrade.agreement import calibration_error, cell_aucs, mean_known, quadratic_kappa
from lumbargrade.labels import CONDITIONS, GRADES, LEVELS, MISSING_GRADE, TARGETS, Grade
from lumbargrade.metric import (
    FAMILIES,
    StudyAnswers,
    StudyLabels,
    row_losses,
    undo_metric_weights,
)


class GroupKind(StrEnum):
    """How the 25 cells are grouped."""

    FAMILY = "family"
    CONDITION = "condition"
    LEVEL = "level"
    TARGET = "target"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellGroup:
    """A named set of the 25 cells."""

    kind: GroupKind
    name: str
    cells: Bool[np.ndarray, "25"]


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupFigures:
    """How well the rows of one group are answered; None where there is no value."""

    group: CellGroup
    rows: int
    """Labelled rows."""
    rows_by_grade: dict[Grade, int]
    loss: float | None
    """Weighted mean log-loss."""
    auc: float | None
    """Mean of the next two that have a value."""
    auc_severe: float | None
    """Severe against the rest: mean over the cells that hold both classes."""
    auc_moderate_or_worse: float | None
    """Moderate or worse against the rest, likewise."""
    kappa: float | None
    """Quadratic weighted, of the likeliest grade by p."""
    calibration_error: dict[Grade, float | None]
    """Expected calibration error of p, grade by grade."""


def _cell_groups() -> tuple[CellGroup, ...]:
    kinds = (
        (GroupKind.FAMILY, FAMILIES, [target.condition.family for target in TARGETS]),
        (GroupKind.CONDITION, CONDITIONS, [target.condition for target in TARGETS]),
        (GroupKind.LEVEL, LEVELS, [target.level for target in TARGETS]),
        (GroupKind.TARGET, [t.column for t in TARGETS], [target.column for target in TARGETS]),
    )
    return tuple(
        CellGroup(kind=kind, name=str(name), cells=np.array([member == name for member in members]))
        for kind, names, members in kinds
        for name in names
    )


GROUPS = _cell_groups()
"""3 families, 5 conditions, 5 levels and 25 targets, in this order."""

GROUP_CELLS = np.array([group.cells for group in GROUPS], dtype=np.float64)
"""(38, 25): 1 where a group holds a cell."""


def group_figures(labels: StudyLabels, answers: StudyAnswers) -> tuple[GroupFigures, ...]:
    """Figures of merit of every group, in the order of ``GROUPS``.

    Args:
        labels: grades in target order, ``MISSING_GRADE`` where unlabelled.
        answers: q, rows aligned with them.
    """
    aucs = cell_aucs(labels, answers)  # (question, 25)
    losses = group_losses(labels, answers)
    return tuple(
        _figures(group, labels, answers, aucs[:, group.cells], losses[group.kind, group.name])
        for group in GROUPS
    )


def group_losses(
    labels: StudyLabels, answers: StudyAnswers
) -> dict[tuple[GroupKind, str], float | None]:
    """Weighted mean log-loss of every group; None where nothing is labelled."""
    loss, weight = row_losses(labels, answers)
    losses = GROUP_CELLS @ loss.sum(axis=0)
    weights = GROUP_CELLS @ weight.sum(axis=0)
    return {
        (group.kind, group.name): float(total / share) if share else None
        for group, total, share in zip(GROUPS, losses, weights, strict=True)
    }


def _figures(
    group: CellGroup,
    labels: StudyLabels,
    answers: StudyAnswers,
    aucs: Float64[np.ndarray, "question cell"],
    loss: float | None,
) -> GroupFigures:
    rows = (labels != MISSING_GRADE) & group.cells
    truth, probabilities = labels[rows], undo_metric_weights(answers[rows])
    by_question = [mean_known(cells) for cells in aucs]
    return GroupFigures(
        group=group,
        rows=len(truth),
        rows_by_grade={g: int((truth == index).sum()) for index, g in enumerate(GRADES)},
        loss=loss,
        auc=mean_known(by_question),
        auc_severe=by_question[0],
        auc_moderate_or_worse=by_question[1],
        kappa=quadratic_kappa(truth, probabilities.argmax(axis=-1)),
        calibration_error={
            grade: calibration_error(truth == index, probabilities[:, index])
            for index, grade in enumerate(GRADES)
        },
    )
