"""The metric's fourth term takes the largest canal answer: is that the answer it should be?

What must stay true: raising (or lowering) changes the largest canal answer of each study alone; a
factor that is used is fitted on answers to studies that the networks never saw.

The rows' answers q are each the best for their own row. The largest of five need not be the best
answer to "is any of them severe": it is too low where several levels may be severe, and drawn too
high where levels were guessed with noise.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64
from scipy.optimize import minimize_scalar

from lumbargrade.labels import GRADE_WEIGHTS, GRADES, LEVELS, MISSING_GRADE, Grade
from lumbargrade.metric import (
    EPSILON,
    PARTS,
    StudyAnswers,
    StudyLabels,
    competition_metric,
    normalise,
    study_sums,
)

LARGEST_LOG_ODDS = float(np.log(8.0))
"""Factors are sought between 1/8 and 8."""

_CANAL = slice(0, len(LEVELS))
_SEVERE = GRADES.index(Grade.SEVERE)
_SPINAL, _ANY_SEVERE = PARTS.index("spinal"), PARTS.index("any_severe_spinal")
"""Columns among the metric's parts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnySevereMaximum:
    """How the largest canal answers compare with the truth, studies weighted as the metric does."""

    answered: float
    """Mean of the largest answer."""
    true: float
    """Share of studies with a severe level."""
    best_odds: float
    """Factor on the odds of each largest answer with which the score would be lowest here."""
    gain: float
    """By how much the score would fall; fitted on these very studies, so no less than is there."""


def any_severe_maximum(labels: StudyLabels, answers: StudyAnswers) -> AnySevereMaximum:
    """Compare the largest canal answers with the truth.

    Args:
        labels: grades in target order, every family somewhere labelled.
        answers: q.
    """
    weight = study_sums(labels, answers).weight[:, _ANY_SEVERE]
    severe = _severe(answers, labels != MISSING_GRADE).max(axis=1)
    true = (labels[:, _CANAL] == _SEVERE).any(axis=1)
    odds = fit_odds(labels, answers)
    raised = raise_largest(answers, odds, labels != MISSING_GRADE)
    before, after = (competition_metric(labels, rows).score for rows in (answers, raised))
    return AnySevereMaximum(
        answered=float(weight @ severe / weight.sum()),
        true=float(weight @ true / weight.sum()),
        best_odds=odds,
        gain=before - after,
    )


def fit_odds(labels: StudyLabels, answers: StudyAnswers) -> float:
    """The factor that makes the score lowest: canal rows and any-severe term together."""
    known = labels != MISSING_GRADE
    canal = normalise(answers, known)[:, _CANAL]
    severe = np.where(known[:, _CANAL], canal[..., _SEVERE], 0.0)
    studies, level = np.arange(len(labels)), severe.argmax(axis=1)
    largest = canal[studies, level]
    severe[studies, level] = 0.0
    second = severe.max(axis=1)
    grade = labels[studies, level]  # canal levels come first
    truth = (labels[:, _CANAL] == _SEVERE).any(axis=1)
    weights = study_sums(labels, answers).weight
    of_any = weights[:, _ANY_SEVERE] / weights[:, _ANY_SEVERE].sum()
    of_row = np.where(grade == MISSING_GRADE, 0.0, np.array(GRADE_WEIGHTS)[grade])
    of_row /= weights[:, _SPINAL].sum()

    def changing_losses(log_odds: float) -> float:
        """What depends on the factor: the largest rows' losses, and the any-severe term."""
        row = largest * np.where(np.arange(len(GRADES)) == _SEVERE, np.exp(log_odds), 1.0)
        row /= row.sum(axis=1, keepdims=True)
        answer = np.maximum(row[:, _SEVERE], second)
        on_truth = np.stack([row[studies, grade], np.where(truth, answer, 1 - answer)])
        losses = -np.log(np.clip(on_truth, EPSILON, 1 - EPSILON))
        return float(of_row @ losses[0] + of_any @ losses[1])

    bounds = (-LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)
    found = minimize_scalar(changing_losses, bounds=bounds, method="bounded")
    return float(np.exp(found.x))


def raise_largest(
    answers: Float[np.ndarray, "*study 25 3"],
    odds: float,
    known: Bool[np.ndarray, "*study 25"] | None = None,
) -> Float64[np.ndarray, "*study 25 3"]:
    """Multiply the odds of "severe" of each study's largest canal answer; its other grades share.

    Args:
        answers: (…, 25, 3) q.
        odds: above 1 raises; 1 changes nothing.
        known: cells to look for the largest among; None for all.
    """
    raised: Float64[np.ndarray, "*study 25 3"] = np.array(answers, dtype=np.float64)
    if odds == 1:
        return raised
    flat = raised.reshape(-1, *raised.shape[-2:])
    anywhere = np.ones(flat.shape[:2], dtype=bool)
    severe = _severe(flat, anywhere if known is None else known.reshape(anywhere.shape))
    level = severe.argmax(axis=1)
    studies = np.arange(len(flat))
    row = flat[studies, level]
    row[:, _SEVERE] *= odds
    flat[studies, level] = row / row.sum(axis=1, keepdims=True)
    return flat.reshape(raised.shape)


def _severe(
    answers: Float[np.ndarray, "study 25 3"], known: Bool[np.ndarray, "study 25"]
) -> Float64[np.ndarray, "study 5"]:
    """Answers "severe" of the canal; 0 where a cell is not known."""
    return np.where(known[:, _CANAL], normalise(answers, known)[:, _CANAL, _SEVERE], 0.0)
