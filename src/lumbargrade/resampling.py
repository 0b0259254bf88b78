"""How sure a score is: bootstrap over studies.

What must stay true: whole studies are drawn, never rows, because the 25 rows of a study depend on
each other; two submissions are compared on the same draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lumbargrade.metric import PARTS, StudyAnswers, StudyLabels, StudySums, study_sums
from lumbargrade.records import InvalidStudyError

INTERVAL_PERCENT = 95.0
"""Share of the resampled scores inside an interval."""

_CHUNK = 100
"""Draws held in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A percentile interval over resampled studies."""

    low: float
    high: float
    standard_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """First score minus second on the same studies; below zero, the first is better."""

    difference: float
    interval: Interval


def bootstrap_parts(
    labels: StudyLabels, answers: StudyAnswers, *, resamples: int, seed: int = 0
) -> dict[str, Interval]:
    """Intervals of the score and its four parts.

    Args:
        labels: grades in target order.
        answers: rows aligned with them.
        resamples: how many sets of studies to draw; draws without any grade of a family are left
            out.
        seed: of the draws.

    Returns:
        ``score`` and each of ``PARTS`` → interval.

    Raises:
        InvalidStudyError: fewer than two draws hold grades of every family.
    """
    losses = np.concatenate(list(_resampled((study_sums(labels, answers),), resamples, seed)))
    parts = losses[:, 0]
    named = {"score": parts.mean(axis=1)} | {
        part: parts[:, index] for index, part in enumerate(PARTS)
    }
    return {name: _interval(values) for name, values in named.items()}


def paired_difference(
    labels: StudyLabels,
    first: StudyAnswers,
    second: StudyAnswers,
    *,
    resamples: int,
    seed: int = 0,
) -> PairedDifference:
    """Compare two sets of answers on the same studies.

    Args:
        labels: grades in target order.
        first: rows aligned with them.
        second: the answers to compare with, aligned likewise.
        resamples: how many sets of studies to draw.
        seed: of the draws.

    Raises:
        InvalidStudyError: fewer than two draws hold grades of every family.
    """
    both = (study_sums(labels, first), study_sums(labels, second))
    losses = np.concatenate(list(_resampled(both, resamples, seed)))
    scores = losses.mean(axis=-1)  # (draw, submission)
    whole = [float((sums.loss.sum(axis=0) / sums.weight.sum(axis=0)).mean()) for sums in both]
    return PairedDifference(
        difference=whole[0] - whole[1], interval=_interval(scores[:, 0] - scores[:, 1])
    )


def _resampled(
    submissions: tuple[StudySums, ...], resamples: int, seed: int
) -> Iterator[Float64[np.ndarray, "draw submission 4"]]:
    rng = np.random.default_rng(seed)
    studies = len(submissions[0].weight)
    share = np.full(studies, 1 / studies)
    for start in range(0, resamples, _CHUNK):
        times = rng.multinomial(studies, share, size=min(_CHUNK, resamples - start))
        weight = times @ submissions[0].weight
        losses = np.stack([times @ sums.loss for sums in submissions], axis=1)
        usable = (weight > 0).all(axis=1)
        yield losses[usable] / weight[usable, None]


def _interval(values: Float64[np.ndarray, "draw"]) -> Interval:
    if len(values) < 2:
        raise InvalidStudyError(
            f"{len(values)} drawn set(s) of studies hold grades of every family, expected at least "
            "2: draw more, or add studies"
        )
    tail = (100 - INTERVAL_PERCENT) / 2
    low, high = np.percentile(values, [tail, 100 - tail])
    return Interval(low=float(low), high=float(high), standard_error=float(values.std(ddof=1)))
