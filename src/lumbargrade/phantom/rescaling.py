"""Does a monotone rescaling of the best answers score better than they do?

What must stay true: a rescaling is one map per family for all its cells and studies, monotone in
the answers' odds; the free families are fitted on one half of the studies and scored on the other,
so that chance in the labels cannot pass for a gain.

Source: Platt and temperature scaling (Guo et al., ICML 2017); isotonic regression (Zadrozny and
Elkan, KDD 2002).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.optimize import isotonic_regression, minimize

from lumbargrade.labels import GRADE_WEIGHTS, MISSING_GRADE
from lumbargrade.metric import FAMILIES, FAMILY_INDEX, competition_metric
from lumbargrade.phantom.label_set import LabelSet

Answers = Float64[np.ndarray, "study 25 3"]
Rescaling = Callable[[Answers], Answers]

BINS = 60
"""Steps of the isotonic maps before interpolation."""

SMALLEST_PROBABILITY = 1e-7
"""Answers are kept above this before logarithms are taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RescaledScore:
    """The score that one family of maps reaches."""

    name: str
    score: float


def rescaled_scores(labels: LabelSet) -> tuple[RescaledScore, ...]:
    """Fit each family of monotone maps to the labels and score it on studies it has not seen.

    Returns:
        power: all answers to one power; temperature: a power per family; severe: the odds of
        severe times a factor per family; affine: power, moderate and severe factors per family;
        isotonic: any monotone map of P(≥ moderate) and P(severe) per family.
    """
    halves = _half(labels, 0), _half(labels, 1)
    n = len(FAMILIES)
    zeros, ones = np.zeros(n), np.ones(n)
    families: dict[str, tuple[int, Callable[[Float64[np.ndarray, "_"]], Rescaling]]] = {
        "power": (1, lambda v: _affine(ones * np.exp(v[0]), zeros, zeros)),
        "temperature": (n, lambda v: _affine(np.exp(v), zeros, zeros)),
        "severe": (n, lambda v: _affine(ones, zeros, v)),
        "affine": (3 * n, lambda v: _affine(np.exp(v[:n]), v[n : 2 * n], v[2 * n :])),
    }
    results = []
    for name, (size, build) in families.items():
        fitted = [build(_fit(build, size, half)) for half in halves]
        results.append(RescaledScore(name=name, score=_cross_score(labels, fitted)))
    isotonic = [_isotonic(half) for half in halves]
    results.append(RescaledScore(name="isotonic", score=_cross_score(labels, isotonic)))
    return tuple(results)


def _half(labels: LabelSet, first: int) -> LabelSet:
    return LabelSet(
        grades=labels.grades[first::2],
        probabilities=labels.probabilities[first::2],
        oracle=labels.oracle[first::2],
    )


def _cross_score(labels: LabelSet, fitted: list[Rescaling]) -> float:
    """Score all studies, each half by the map fitted on the other."""
    answers = np.empty_like(labels.oracle)
    for first, rescale in enumerate(reversed(fitted)):
        answers[first::2] = rescale(labels.oracle[first::2])
    return competition_metric(labels.grades, answers).score


def _fit(
    build: Callable[[Float64[np.ndarray, "_"]], Rescaling], size: int, labels: LabelSet
) -> Float64[np.ndarray, "_"]:
    def score(values: Float64[np.ndarray, "_"]) -> float:
        return competition_metric(labels.grades, build(values)(labels.oracle)).score

    found = minimize(score, np.zeros(size), method="L-BFGS-B", options={"ftol": 1e-7})
    values: Float64[np.ndarray, "_"] = found.x
    return values


def _affine(
    power: Float64[np.ndarray, "family"],
    moderate: Float64[np.ndarray, "family"],
    severe: Float64[np.ndarray, "family"],
) -> Rescaling:
    """Log q → power · log q + (0, moderate, severe), normalised."""

    def rescale(answers: Answers) -> Answers:
        logits = np.log(np.maximum(answers, SMALLEST_PROBABILITY))
        offset = np.stack([np.zeros_like(moderate), moderate, severe], axis=-1)
        changed = np.exp(power[FAMILY_INDEX, None] * logits + offset[FAMILY_INDEX])
        normalised: Answers = changed / changed.sum(axis=-1, keepdims=True)
        return normalised

    return rescale


def _isotonic(labels: LabelSet) -> Rescaling:
    """Monotone maps of P(≥ moderate) and P(severe), fitted per family to weighted frequencies."""
    maps = [[_isotonic_map(labels, family, grade) for grade in (1, 2)] for family in range(3)]

    def rescale(answers: Answers) -> Answers:
        above = np.empty((*answers.shape[:2], 2))
        for family, (at_least_moderate, severe) in enumerate(maps):
            cells = family == FAMILY_INDEX
            above[:, cells, 0] = at_least_moderate(answers[:, cells, 1:].sum(axis=-1))
            above[:, cells, 1] = severe(answers[:, cells, 2])
        above[..., 1] = np.minimum(above[..., 1], above[..., 0])
        changed = np.stack(
            [1 - above[..., 0], above[..., 0] - above[..., 1], above[..., 1]], axis=-1
        )
        changed = np.maximum(changed, SMALLEST_PROBABILITY)
        normalised: Answers = changed / changed.sum(axis=-1, keepdims=True)
        return normalised

    return rescale


Map = Callable[[Float64[np.ndarray, "..."]], Float64[np.ndarray, "..."]]


def _isotonic_map(labels: LabelSet, family: int, grade: int) -> Map:
    cells = family == FAMILY_INDEX
    answers = labels.oracle[:, cells, grade:].sum(axis=-1).ravel()
    grades = labels.grades[:, cells].ravel()
    labelled = grades != MISSING_GRADE
    answers, grades = answers[labelled], grades[labelled]
    weights = np.array(GRADE_WEIGHTS)[grades]
    groups = np.array_split(np.argsort(answers, kind="stable"), BINS)
    centres = np.array([np.average(answers[g], weights=weights[g]) for g in groups])
    hits = np.array([np.average(grades[g] >= grade, weights=weights[g]) for g in groups])
    totals = np.array([weights[g].sum() for g in groups])
    fitted = isotonic_regression(hits, weights=totals).x

    def rescale(values: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
        """Move each answer by what its neighbourhood is off, in the log-odds."""
        shift = _log_odds(fitted) - _log_odds(centres)
        seen = (fitted > 0) & (fitted < 1)
        moved = _log_odds(values) + np.interp(values, centres[seen], shift[seen])
        return np.asarray(1 / (1 + np.exp(-moved)))

    return rescale


def _log_odds(values: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    kept = np.clip(values, SMALLEST_PROBABILITY, 1 - SMALLEST_PROBABILITY)
    odds: Float64[np.ndarray, "..."] = np.log(kept) - np.log1p(-kept)
    return odds
