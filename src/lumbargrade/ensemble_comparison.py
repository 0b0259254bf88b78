"""Ways of making several members' answers one, compared on studies that no member saw.

What must stay true: whatever is fitted is fitted on the other folds' out-of-fold answers when a
fold is answered for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from lumbargrade.ensemble import fit_weights, mean_probabilities
from lumbargrade.metric import MetricParts, competition_metric, reweight_for_metric
from lumbargrade.stacking import stacked_probabilities

BEST_SINGLE = "best-single"
POINTS_FIRST = "points-first"
PLAIN = "plain"
WEIGHTED = "weighted"
STACKED = "stacked"

Labels = Int[np.ndarray, "study 25"]
StudyProbabilities = Float64[np.ndarray, "study 25 3"]
UnseenProbabilities = Float64[np.ndarray, "other 25 3"]
_FitAndAnswer = Callable[
    [Labels, Sequence[StudyProbabilities], Sequence[UnseenProbabilities]], UnseenProbabilities
]


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfFold:
    """Every member's answers to every study, each by the fold that never saw it."""

    study_ids: tuple[str, ...]
    fold: Int[np.ndarray, "study"]
    labels: Labels
    pairs: tuple[tuple[str, str], ...]
    """Classifier and detector set of each member."""
    members: tuple[StudyProbabilities, ...]
    """p, in the order of ``pairs``."""
    at_mean_points: tuple[StudyProbabilities, ...]
    """p of each classifier at the sets' mean points; empty with one set."""


def compare(found: OutOfFold) -> dict[str, StudyProbabilities]:
    """Answer for every study in every way.

    Returns:
        Name → p. ``best-single`` is the member that scores best on all folds but the one answered
        for; ``points-first`` is missing with one detector set.
    """
    answers = {
        BEST_SINGLE: _nested(found, _answer_best),
        PLAIN: mean_probabilities(found.members),
        WEIGHTED: _nested(found, _answer_weighted),
        STACKED: _nested(found, stacked_probabilities),
    }
    if found.at_mean_points:
        answers[POINTS_FIRST] = mean_probabilities(found.at_mean_points)
    return answers


def scores_of(labels: Labels, answers: dict[str, StudyProbabilities]) -> dict[str, MetricParts]:
    """The competition metric of each way's q."""
    return {name: competition_metric(labels, reweight_for_metric(p)) for name, p in answers.items()}


def _nested(found: OutOfFold, fit_and_answer: _FitAndAnswer) -> StudyProbabilities:
    """Answer for each fold with what was fitted on the others."""
    answers: StudyProbabilities = np.empty_like(found.members[0])
    for fold in np.unique(found.fold):
        here = found.fold == fold
        answers[here] = fit_and_answer(
            found.labels[~here],
            [member[~here] for member in found.members],
            [member[here] for member in found.members],
        )
    return answers


def _answer_best(
    labels: Labels, members: Sequence[StudyProbabilities], unseen: Sequence[UnseenProbabilities]
) -> UnseenProbabilities:
    scores = [competition_metric(labels, reweight_for_metric(p)).score for p in members]
    return unseen[int(np.argmin(scores))]


def _answer_weighted(
    labels: Labels, members: Sequence[StudyProbabilities], unseen: Sequence[UnseenProbabilities]
) -> UnseenProbabilities:
    return mean_probabilities(unseen, fit_weights(labels, members))
