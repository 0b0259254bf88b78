"""The data behind the pictures of a submission: reliability, ROC curves, confusion.

What must stay true: reliability and confusion are of the probabilities p, never of the answers q;
rows of all cells of a family are pooled, unlabelled ones left out.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from lumbargrade.agreement import CALIBRATION_BINS, probability_bins, roc_auc, severity_questions
from lumbargrade.labels import GRADES, MISSING_GRADE, Family, Grade
from lumbargrade.metric import (
    FAMILIES,
    FAMILY_INDEX,
    StudyAnswers,
    StudyLabels,
    undo_metric_weights,
)

QUESTIONS = ("severe", "moderate_or_worse")
"""What a ROC curve tells apart from the rest."""

ROC_POINTS = 200
"""A longer curve is thinned to this many points; its area is of the whole."""

_NORMAL_QUANTILE = 1.959963984540054
"""Of a two-sided 95 % interval."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """The rows of one family whose p of one grade lies in one tenth of 0 to 1."""

    low: float
    high: float
    rows: int
    mean_probability: float | None
    frequency: float | None
    """How often the grade was true; None, like the others, in an empty bin."""
    frequency_low: float | None
    frequency_high: float | None
    """95 % interval of the frequency (Wilson), which takes rows as independent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RocCurve:
    """How well one question is answered, all cells of a family pooled."""

    positives: int
    negatives: int
    auc: float | None
    """Area under the pooled curve; not the mean over cells."""
    false_positive_rate: list[float]
    true_positive_rate: list[float]
    """Both empty where one class is absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyCurves:
    """Everything that is drawn about one family."""

    family: Family
    rows: int
    reliability: dict[Grade, tuple[ReliabilityBin, ...]]
    roc: dict[str, RocCurve]
    """By question, in the order of ``QUESTIONS``."""
    confusion: Int[np.ndarray, "3 3"]
    """Rows by true grade (first axis) and likeliest grade by p (second)."""


def family_curves(labels: StudyLabels, answers: StudyAnswers) -> tuple[FamilyCurves, ...]:
    """What is drawn about each family, in the order of ``FAMILIES``."""
    labelled = labels != MISSING_GRADE
    questions = severity_questions(labels, answers)
    drawn = []
    for index, family in enumerate(FAMILIES):
        rows = labelled & (index == FAMILY_INDEX)
        truth, probabilities = labels[rows], undo_metric_weights(answers[rows])
        drawn.append(
            FamilyCurves(
                family=family,
                rows=len(truth),
                reliability={
                    grade: reliability(truth == number, probabilities[:, number])
                    for number, grade in enumerate(GRADES)
                },
                roc={
                    name: roc_curve(positive[rows], score[rows])
                    for name, (positive, score) in zip(QUESTIONS, questions, strict=True)
                },
                confusion=confusion(truth, probabilities.argmax(axis=-1)),
            )
        )
    return tuple(drawn)


def reliability(
    happened: Bool[np.ndarray, "row"], probability: Float64[np.ndarray, "row"]
) -> tuple[ReliabilityBin, ...]:
    """Frequency against mean probability, in the bins of the calibration error."""
    bins = probability_bins(probability)
    edges = np.linspace(0, 1, CALIBRATION_BINS + 1)
    found = []
    for index in range(CALIBRATION_BINS):
        inside = bins == index
        rows, hits = int(inside.sum()), int(happened[inside].sum())
        low, high = wilson_interval(hits, rows) if rows else (None, None)
        found.append(
            ReliabilityBin(
                low=float(edges[index]),
                high=float(edges[index + 1]),
                rows=rows,
                mean_probability=float(probability[inside].mean()) if rows else None,
                frequency=hits / rows if rows else None,
                frequency_low=low,
                frequency_high=high,
            )
        )
    return tuple(found)


def wilson_interval(hits: int, rows: int) -> tuple[float, float]:
    """95 % interval of a share.

    Source: E. B. Wilson, Probable inference, the law of succession, and statistical inference,
    J. Am. Stat. Assoc. 22 (1927).
    """
    z2 = _NORMAL_QUANTILE**2 / rows
    share = hits / rows
    centre = (share + z2 / 2) / (1 + z2)
    half = np.sqrt(share * (1 - share) * z2 + z2**2 / 4) / (1 + z2)
    return max(0.0, float(centre - half)), min(1.0, float(centre + half))


def roc_curve(positive: Bool[np.ndarray, "row"], score: Float64[np.ndarray, "row"]) -> RocCurve:
    """True against false positive rate as the threshold falls."""
    positives = int(positive.sum())
    negatives = len(positive) - positives
    false_rate: Float64[np.ndarray, "_"] = np.zeros(0)
    true_rate: Float64[np.ndarray, "_"] = np.zeros(0)
    if positives and negatives:
        order = np.argsort(-score, kind="stable")
        ends = np.append(np.flatnonzero(np.diff(score[order])), len(order) - 1)
        hits = np.cumsum(positive[order])[ends]
        true_rate = np.append(0.0, hits / positives)
        false_rate = np.append(0.0, (ends + 1 - hits) / negatives)
        for keep in (_corners, _thinned):
            kept = keep(false_rate, true_rate)
            false_rate, true_rate = false_rate[kept], true_rate[kept]
    return RocCurve(
        positives=positives,
        negatives=negatives,
        auc=roc_auc(positive, score),
        false_positive_rate=false_rate.tolist(),
        true_positive_rate=true_rate.tolist(),
    )


def confusion(
    truth: Int[np.ndarray, "row"], answer: Int[np.ndarray, "row"]
) -> Int[np.ndarray, "3 3"]:
    """Count rows by true and answered grade."""
    size = len(GRADES)
    counts = np.bincount(truth * size + answer, minlength=size * size)
    return counts.reshape(size, size)


def _corners(
    x: Float64[np.ndarray, "point"], y: Float64[np.ndarray, "point"]
) -> Int[np.ndarray, "_"]:
    """Indices of the ends and of the points where the direction changes."""
    dx, dy = np.diff(x), np.diff(y)
    turn = np.abs(dx[:-1] * dy[1:] - dx[1:] * dy[:-1]) > np.finfo(np.float64).eps
    return np.flatnonzero(np.concatenate([[True], turn, [True]]))


def _thinned(
    x: Float64[np.ndarray, "point"], y: Float64[np.ndarray, "point"]
) -> Int[np.ndarray, "_"]:
    """Indices of at most ``ROC_POINTS`` points, evenly spaced along the curve, both ends kept."""
    if len(x) <= ROC_POINTS:
        return np.arange(len(x))
    length = x + y
    return np.unique(np.searchsorted(length, np.linspace(length[0], length[-1], ROC_POINTS)))
