"""Intervals of every figure of a submission, and its difference to other answers.

What must stay true: each figure is computed anew from each set of drawn studies, all figures and
all submissions on the same draws; a draw in which a figure has no value is left out of its
interval.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lumbargrade.breakdown import GROUPS, CellGroup, GroupKind
from lumbargrade.labels import GRADES, Grade
from lumbargrade.metric import PARTS, StudyAnswers, StudyLabels, StudySums, study_sums
from lumbargrade.resampled_agreement import AgreementStatistics, GroupDraws
from lumbargrade.resampling import Interval, PairedDifference, draw_studies, interval_of


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupIntervals:
    """Intervals of one group's figures; None where fewer than two draws give a value."""

    group: CellGroup
    loss: Interval | None
    auc: Interval | None
    kappa: Interval | None
    calibration_error: dict[Grade, Interval | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreIntervals:
    """What resampling says about a submission."""

    resamples: int
    seed: int
    parts: dict[str, Interval | None]
    """``score`` and each of ``PARTS``."""
    auc: Interval | None
    groups: tuple[GroupIntervals, ...]
    """In the order of ``GROUPS``."""
    differences: dict[str, dict[str, PairedDifference]]
    """Name of the other answers → ``score`` and each of ``PARTS``."""


def score_intervals(
    labels: StudyLabels,
    answers: StudyAnswers,
    *,
    others: Mapping[str, StudyAnswers] | None = None,
    resamples: int,
    seed: int = 0,
    on_draws: Callable[[int], None] | None = None,
) -> ScoreIntervals:
    """Draw studies with replacement and compute every figure on each set.

    Args:
        labels: grades in target order.
        answers: q, rows aligned with them.
        others: answers to compare with, by name, aligned likewise.
        resamples: how many sets of studies to draw.
        seed: of the draws.
        on_draws: told after each lot of draws how many it held.
    """
    submissions = {"": answers, **(others or {})}
    sums = {name: study_sums(labels, rows) for name, rows in submissions.items()}
    agreement = AgreementStatistics.of(labels, answers)
    losses: dict[str, list[Float64[np.ndarray, "draw 4"]]] = {name: [] for name in sums}
    groups = []
    for times in draw_studies(len(labels), resamples=resamples, seed=seed):
        for name, item in sums.items():
            losses[name].append(part_losses(times, item))
        groups.append(agreement.figures(times))
        if on_draws is not None:
            on_draws(len(times))
    drawn = {name: by_part(np.concatenate(rows)) for name, rows in losses.items()}
    whole = {name: _whole(item) for name, item in sums.items()}
    figures = GroupDraws.concatenate(groups)
    return ScoreIntervals(
        resamples=resamples,
        seed=seed,
        parts={part: interval_of(values) for part, values in drawn[""].items()},
        auc=interval_of(_overall_auc(figures)),
        groups=_group_intervals(figures),
        differences={
            name: {
                part: PairedDifference(
                    difference=whole[""][part] - whole[name][part],
                    interval=interval_of(drawn[""][part] - drawn[name][part]),
                )
                for part in drawn[""]
            }
            for name in others or {}
        },
    )


def part_losses(
    times: Float64[np.ndarray, "draw study"], sums: StudySums
) -> Float64[np.ndarray, "draw 4"]:
    """The four parts of the score on each set of drawn studies; NaN where a draw has no label."""
    weight = times @ sums.weight
    losses: Float64[np.ndarray, "draw 4"] = np.full(weight.shape, np.nan)
    np.divide(times @ sums.loss, weight, out=losses, where=weight > 0)
    return losses


def _whole(sums: StudySums) -> dict[str, float]:
    everyone = np.ones((1, len(sums.weight)))
    return {name: float(values[0]) for name, values in by_part(part_losses(everyone, sums)).items()}


def by_part(losses: Float64[np.ndarray, "draw 4"]) -> dict[str, Float64[np.ndarray, "draw"]]:
    """``score``, their mean, and each of ``PARTS``."""
    return {"score": losses.mean(axis=1)} | {
        part: losses[:, index] for index, part in enumerate(PARTS)
    }


def _overall_auc(figures: GroupDraws) -> Float64[np.ndarray, "draw"]:
    """Mean over the families that have a value, as ``severity_auc`` takes it."""
    families = figures.auc[:, [group.kind is GroupKind.FAMILY for group in GROUPS]]
    known = np.isfinite(families)
    mean = np.full(len(families), np.nan)
    total = np.where(known, families, 0.0).sum(axis=1)
    np.divide(total, known.sum(axis=1), out=mean, where=known.any(axis=1))
    return mean


def _group_intervals(figures: GroupDraws) -> tuple[GroupIntervals, ...]:
    return tuple(
        GroupIntervals(
            group=group,
            loss=interval_of(figures.loss[:, index]),
            auc=interval_of(figures.auc[:, index]),
            kappa=interval_of(figures.kappa[:, index]),
            calibration_error={
                grade: interval_of(figures.calibration_error[:, index, number])
                for number, grade in enumerate(GRADES)
            },
        )
        for index, group in enumerate(GROUPS)
    )
