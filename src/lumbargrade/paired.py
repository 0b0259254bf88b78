"""Two ways of answering compared on the same studies, each perhaps answered several times over.

What must stay true: both are scored on the same rows and the same drawn studies; of answers given
several times (seed by seed), the losses are averaged, never the answers; a small difference is
called none, however narrow its interval.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from jaxtyping import Float64

from lumbargrade.intervals import by_part, part_losses
from lumbargrade.metric import (
    MetricParts,
    StudyAnswers,
    StudyLabels,
    StudySums,
    parts_of,
    study_sums,
)
from lumbargrade.resampling import PairedDifference, draw_studies, interval_of

INDISTINGUISHABLE = 0.010
"""Scores nearer than this are called indistinguishable, a convention of this project."""


class Verdict(StrEnum):
    """What a comparison says."""

    INDISTINGUISHABLE = "indistinguishable"
    """The scores differ by less than ``INDISTINGUISHABLE``."""
    UNDECIDED = "undecided"
    """They differ by more, but another draw of studies could turn the difference round."""
    FIRST = "first is better"
    SECOND = "second is better"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two ways of answering, on the same studies."""

    studies: int
    repeats: tuple[int, int]
    """How often the first and the second answered."""
    first: MetricParts
    second: MetricParts
    """Means over the repeats."""
    differences: dict[str, PairedDifference]
    """``score`` and each of its parts: first minus second, below zero where the first is better."""

    @property
    def verdict(self) -> Verdict:
        """Which is better, if that can be said."""
        score = self.differences["score"]
        if abs(score.difference) < INDISTINGUISHABLE:
            return Verdict.INDISTINGUISHABLE
        if score.interval is None or score.interval.low <= 0 <= score.interval.high:
            return Verdict.UNDECIDED
        return Verdict.FIRST if score.difference < 0 else Verdict.SECOND


def compare_answers(
    labels: StudyLabels,
    first: Sequence[StudyAnswers],
    second: Sequence[StudyAnswers],
    *,
    resamples: int,
    seed: int = 0,
) -> Comparison:
    """Compare two ways of answering.

    Args:
        labels: grades in target order.
        first: q, rows aligned with the labels, once for each repeat.
        second: likewise; it may have been repeated more or less often.
        resamples: sets of studies to draw.
        seed: of the draws.

    Raises:
        InvalidStudyError: the truth holds no grade of a family of conditions.
    """
    sums = [
        mean_sums([study_sums(labels, rows) for rows in repeats]) for repeats in (first, second)
    ]
    drawn = [
        [part_losses(times, item) for item in sums]
        for times in draw_studies(len(labels), resamples=resamples, seed=seed)
    ]
    everyone = np.ones((1, len(labels)))
    whole = [part_losses(everyone, item)[0] for item in sums]
    between = by_part(_first_minus_second(drawn))
    difference = by_part((whole[0] - whole[1])[None])
    return Comparison(
        studies=len(labels),
        repeats=(len(first), len(second)),
        first=parts_of(whole[0]),
        second=parts_of(whole[1]),
        differences={
            part: PairedDifference(
                difference=float(difference[part][0]), interval=interval_of(between[part])
            )
            for part in between
        },
    )


def mean_sums(repeats: Sequence[StudySums]) -> StudySums:
    """Each study's losses averaged over repeats; its weights are the same in all."""
    loss = np.mean([item.loss for item in repeats], axis=0)
    return replace(repeats[0], loss=loss)


def _first_minus_second(
    drawn: Sequence[Sequence[Float64[np.ndarray, "_ 4"]]],
) -> Float64[np.ndarray, "draw 4"]:
    if not drawn:
        return np.zeros((0, 4))
    return np.concatenate([first - second for first, second in drawn])
