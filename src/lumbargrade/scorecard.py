"""Everything that is known about a submission: its figures, what they are compared with, how sure.

What must stay true: the floor, the weighted prior and another submission are scored on the rows of
the truth and resampled on the same draws as the submission itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from lumbargrade.arrays import Labels
from lumbargrade.breakdown import GroupFigures, GroupKind, group_figures, group_losses
from lumbargrade.curves import FamilyCurves, family_curves
from lumbargrade.evaluation import Aligned, Evaluation, evaluate, prior_answers
from lumbargrade.intervals import ScoreIntervals, score_intervals
from lumbargrade.metric import MetricParts, StudyAnswers, competition_metric

WEIGHTED_PRIOR = "weighted_prior"
"""The best constant answer of each cell."""
FLOOR = "floor"
"""The true probabilities of synthetic studies: nothing can be better, except by luck."""
AGAINST = "against"
"""Another submission."""

DEFAULT_RESAMPLES = 1000
"""Draws for the difference to another submission where no number is given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """Other answers to the same rows."""

    parts: MetricParts
    loss_by_group: dict[tuple[GroupKind, str], float | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Scorecard:
    """A submission, measured."""

    evaluation: Evaluation
    groups: tuple[GroupFigures, ...]
    curves: tuple[FamilyCurves, ...]
    references: dict[str, Reference]
    """``WEIGHTED_PRIOR``; ``FLOOR`` and ``AGAINST`` where there are such."""
    intervals: ScoreIntervals | None
    """None where nothing was drawn."""

    def figures(self, kind: GroupKind) -> dict[str, GroupFigures]:
        """Name → figures of the groups of one kind."""
        return {item.group.name: item for item in self.groups if item.group.kind is kind}


def measure(
    aligned: Aligned,
    *,
    training: Mapping[str, Labels],
    floor: Aligned | None = None,
    against: Aligned | None = None,
    resamples: int = 0,
    seed: int = 0,
    on_draws: Callable[[int], None] | None = None,
) -> Scorecard:
    """Measure an aligned submission.

    Args:
        aligned: the submission.
        training: study id → (25,) grades from which the weighted prior is counted.
        floor: the answers from the true probabilities, where they are known.
        against: another submission.
        resamples: sets of studies to draw; 0 for no intervals.
        seed: of the draws.
        on_draws: told after each lot of draws how many it held.

    Raises:
        InvalidStudyError: the truth holds no grade of a family of conditions.
    """
    labels = aligned.labels
    others: dict[str, StudyAnswers] = {
        WEIGHTED_PRIOR: np.broadcast_to(prior_answers(training), aligned.answers.shape)
    }
    others |= {
        name: item.answers
        for name, item in ((FLOOR, floor), (AGAINST, against))
        if item is not None
    }
    return Scorecard(
        evaluation=evaluate(aligned),
        groups=group_figures(labels, aligned.answers),
        curves=family_curves(labels, aligned.answers),
        references={
            name: Reference(
                parts=competition_metric(labels, answers),
                loss_by_group=group_losses(labels, answers),
            )
            for name, answers in others.items()
        },
        intervals=score_intervals(
            labels,
            aligned.answers,
            others=others,
            resamples=resamples,
            seed=seed,
            on_draws=on_draws,
        )
        if resamples
        else None,
    )
