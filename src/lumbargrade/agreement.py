"""How well answers agree with the truth beyond the competition's metric: AUC, kappa, calibration.

What must stay true: unlabelled cells are left out; a figure that has no value (one class absent,
no row) is None, never a number made up for it.
"""

from collections.abc import Iterable

import numpy as np
from jaxtyping import Bool, Float64, Int

from lumbargrade.labels import GRADES, MISSING_GRADE, Grade
from lumbargrade.metric import FAMILIES, FAMILY_INDEX, StudyAnswers, StudyLabels, normalise

CALIBRATION_BINS = 10
"""Equal-width bins of the predicted probability."""

_MODERATE = GRADES.index(Grade.MODERATE)
_SEVERE = GRADES.index(Grade.SEVERE)


def severity_auc(labels: StudyLabels, answers: StudyAnswers) -> float | None:
    """How well answers rank studies, whatever their calibration.

    Per cell (condition and level), severe against the rest and moderate or worse against the rest;
    a cell in which one class is absent is skipped. The mean over cells, then over the two
    questions, then over the families of conditions.

    Returns:
        0.5 for chance, 1 for perfect ranking; None where no cell holds both classes.
    """
    aucs = cell_aucs(labels, answers)
    families = [
        mean_known([mean_known(cells) for cells in aucs[:, family == FAMILY_INDEX]])
        for family in range(len(FAMILIES))
    ]
    return mean_known(families)


def cell_aucs(labels: StudyLabels, answers: StudyAnswers) -> Float64[np.ndarray, "question 25"]:
    """AUC of each cell for each of the two questions; NaN where one class is absent."""
    labelled = labels != MISSING_GRADE
    aucs = [
        [
            roc_auc(positive[labelled[:, cell], cell], score[labelled[:, cell], cell])
            for cell in range(labels.shape[1])
        ]
        for positive, score in severity_questions(labels, answers)
    ]
    return np.array(aucs, dtype=np.float64)


def severity_questions(
    labels: StudyLabels, answers: StudyAnswers
) -> tuple[tuple[Bool[np.ndarray, "study 25"], Float64[np.ndarray, "study 25"]], ...]:
    """Severe against the rest, and moderate or worse against the rest: what is so, and its score.

    Unlabelled cells hold no meaning.
    """
    probabilities = normalise(answers, labels != MISSING_GRADE)
    return (
        (labels >= _SEVERE, probabilities[..., _SEVERE]),
        (labels >= _MODERATE, probabilities[..., _MODERATE:].sum(axis=-1)),
    )


def mean_known(values: Iterable[float | None]) -> float | None:
    """Mean of the values that are neither None nor NaN; None where there is none."""
    known = [value for value in values if value is not None and not np.isnan(value)]
    return float(np.mean(known)) if known else None


def roc_auc(positive: Bool[np.ndarray, "row"], score: Float64[np.ndarray, "row"]) -> float | None:
    """Probability that a positive row scores above a negative one; ties count half.

    Returns:
        None where one class is absent.
    """
    positives = int(positive.sum())
    negatives = len(positive) - positives
    if not positives or not negatives:
        return None
    _, group, size = np.unique(score, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(size) - (size - 1) / 2
    rank_sum = float(mean_rank[group][positive].sum())
    return (rank_sum - positives * (positives + 1) / 2) / (positives * negatives)


def quadratic_kappa(truth: Int[np.ndarray, "row"], answer: Int[np.ndarray, "row"]) -> float | None:
    """Cohen's kappa with quadratic weights over grades 0, 1, 2.

    Returns:
        1 for full agreement, 0 for chance; None where all grades are the same, or there are none.
    """
    grades = np.arange(len(GRADES))
    step = np.subtract.outer(grades, grades) ** 2
    truth_counts = (truth[:, None] == grades).sum(axis=0)
    answer_counts = (answer[:, None] == grades).sum(axis=0)
    by_chance = float(truth_counts @ step @ answer_counts)
    if not by_chance:
        return None
    return 1 - float(((truth - answer) ** 2).sum()) * len(truth) / by_chance


def calibration_error(
    happened: Bool[np.ndarray, "row"], probability: Float64[np.ndarray, "row"]
) -> float | None:
    """Expected calibration error: mean over rows of |frequency − mean probability| of their bin.

    Returns:
        0 for perfect calibration; None without rows.
    """
    if not len(happened):
        return None
    bins = probability_bins(probability)
    gaps = np.bincount(bins, weights=probability - happened, minlength=CALIBRATION_BINS)
    return float(np.abs(gaps).sum() / len(happened))


def probability_bins(probability: Float64[np.ndarray, "*row"]) -> Int[np.ndarray, "*row"]:
    """Which of ``CALIBRATION_BINS`` equal parts of 0 to 1 each probability lies in."""
    bins: Int[np.ndarray, "*row"] = np.minimum(
        (probability * CALIBRATION_BINS).astype(np.int64), CALIBRATION_BINS - 1
    )
    return bins
