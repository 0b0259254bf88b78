"""A submission against the truth: rows aligned by ``row_id``, then every figure of merit.

What must stay true: nothing is guessed. A labelled cell without a row, a row given twice, a
negative, non-finite or badly summing row, and a row of an unknown study or cell are errors that
name the row; only a row whose cell is empty in the truth is left out.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lumbargrade.agreement import calibration_error, quadratic_kappa, severity_auc
from lumbargrade.any_severe import AnySevereMaximum, any_severe_maximum
from lumbargrade.arrays import Labels
from lumbargrade.competition import Submission
from lumbargrade.labels import GRADES, MISSING_GRADE, TARGETS
from lumbargrade.metric import (
    FAMILIES,
    FAMILY_INDEX,
    MetricParts,
    StudyAnswers,
    StudyLabels,
    competition_metric,
    loss_by_target,
    undo_metric_weights,
    weighted_prior,
)
from lumbargrade.records import InvalidStudyError

ROW_SUM_TOLERANCE = 1e-3
"""A row that sums to 1 within this is normalised; any other is an error."""

_SUBSET_HINT = "; to score only the studies that are there, evaluate with --subset"


@dataclass(frozen=True, slots=True, kw_only=True)
class Aligned:
    """A submission brought into the order of the truth."""

    study_ids: tuple[str, ...]
    labels: StudyLabels
    answers: StudyAnswers
    """As submitted; uniform where the cell is unlabelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """Everything that is reported about a submission."""

    studies: int
    rows: int
    """Labelled rows."""
    parts: MetricParts
    auc: float | None
    """None where no cell holds both classes."""
    kappa: dict[str, float | None]
    """Family → quadratic weighted kappa of the likeliest grade; None where it has no value."""
    calibration_error: dict[str, float | None]
    """Family → expected calibration error of p(severe); None without a labelled row."""
    loss_by_target: dict[str, float | None]
    """Column of ``train.csv`` → weighted mean log-loss; None where nothing is labelled."""
    any_severe_maximum: AnySevereMaximum


def align(
    truth: Mapping[str, Labels], submission: Submission, *, allow_others: bool = False
) -> Aligned:
    """Match a submission's rows with the truth's cells.

    Args:
        truth: study id → (25,) grades.
        submission: rows in any order.
        allow_others: whether rows of other studies and cells are left out, not refused.

    Raises:
        InvalidStudyError: a bad row, or a missing, duplicate or extra one; names it.
    """
    _check_rows(submission)
    labels = np.array(list(truth.values()), dtype=np.int64).reshape(-1, len(TARGETS))
    line_of_row = {row_id: line for line, row_id in enumerate(submission.row_ids)}
    if len(line_of_row) < len(submission.row_ids):
        twice, _ = Counter(submission.row_ids).most_common(1)[0]
        raise InvalidStudyError(f"{submission.path}: row {twice} is given twice")
    row_ids = row_ids_of(truth)
    lines = np.array([line_of_row.get(row_id, -1) for row_id in row_ids], dtype=np.int64)
    labelled = labels.ravel() != MISSING_GRADE
    if (labelled & (lines < 0)).any():
        absent = [row_ids[cell] for cell in np.flatnonzero(labelled & (lines < 0))]
        hint = "" if lines.reshape(labels.shape).max(axis=1).min() >= 0 else _SUBSET_HINT
        raise InvalidStudyError(f"{submission.path}: {_some(absent)} missing{hint}")
    if not allow_others and (lines >= 0).sum() < len(line_of_row):
        known = set(row_ids)
        extra = [row_id for row_id in submission.row_ids if row_id not in known]
        raise InvalidStudyError(
            f"{submission.path}: {_some(extra)} of no study and cell in the truth"
        )
    answers = np.full((len(row_ids), len(GRADES)), 1 / len(GRADES))
    answers[labelled] = submission.probabilities[lines[labelled]]
    return Aligned(
        study_ids=tuple(truth), labels=labels, answers=answers.reshape(*labels.shape, len(GRADES))
    )


def row_ids_of(study_ids: Iterable[str]) -> list[str]:
    """The ``row_id`` of every cell, 25 a study in target order."""
    columns = [target.column for target in TARGETS]
    return [f"{study_id}_{column}" for study_id in study_ids for column in columns]


def keep_submitted(truth: Mapping[str, Labels], submission: Submission) -> dict[str, Labels]:
    """The studies of the truth of which the submission holds a row.

    Raises:
        InvalidStudyError: it holds none.
    """
    submitted = set(submission.row_ids)
    kept = {
        study_id: labels
        for study_id, labels in truth.items()
        if not submitted.isdisjoint(row_ids_of([study_id]))
    }
    if not kept:
        raise InvalidStudyError(
            f"{submission.path}: no row belongs to any of the truth's {len(truth)} studies"
        )
    return kept


def evaluate(aligned: Aligned) -> Evaluation:
    """Compute every figure of merit of an aligned submission.

    Kappa and calibration are measured on the grades' probabilities p, which follow from the
    submitted answers q by dividing by the metric's weights.

    Raises:
        InvalidStudyError: the truth holds no grade of a family of conditions.
    """
    labels, answers = aligned.labels, aligned.answers
    labelled = labels != MISSING_GRADE
    probabilities = undo_metric_weights(answers)
    kappa: dict[str, float | None] = {}
    calibration: dict[str, float | None] = {}
    for index, family in enumerate(FAMILIES):
        rows = labelled & (index == FAMILY_INDEX)
        kappa[family.value] = quadratic_kappa(labels[rows], probabilities[rows].argmax(axis=-1))
        calibration[family.value] = calibration_error(
            labels[rows] == len(GRADES) - 1, probabilities[rows][:, -1]
        )
    losses = loss_by_target(labels, answers)
    return Evaluation(
        studies=len(labels),
        rows=int(labelled.sum()),
        parts=competition_metric(labels, answers),
        auc=severity_auc(labels, answers),
        kappa=kappa,
        calibration_error=calibration,
        loss_by_target={
            target.column: float(loss) if np.isfinite(loss) else None
            for target, loss in zip(TARGETS, losses, strict=True)
        },
        any_severe_maximum=any_severe_maximum(labels, answers),
    )


def prior_answers(training: Mapping[str, Labels]) -> Float64[np.ndarray, "25 3"]:
    """The grade-weighted prior per condition and level, the best constant answer.

    Args:
        training: study id → (25,) grades from which the prior is counted.
    """
    return weighted_prior(
        np.array(list(training.values()), dtype=np.int64).reshape(-1, len(TARGETS))
    )


def prior_score(aligned: Aligned, training: Mapping[str, Labels]) -> float:
    """Score of the grade-weighted prior.

    Args:
        aligned: the truth to score against.
        training: study id → (25,) grades from which the prior is counted.
    """
    constant = np.broadcast_to(prior_answers(training), aligned.answers.shape)
    return competition_metric(aligned.labels, constant).score


def _check_rows(submission: Submission) -> None:
    values = submission.probabilities
    finite = np.isfinite(values).all(axis=1)
    negative = (values < 0).any(axis=1)
    off = np.abs(values.sum(axis=1) - 1) > ROW_SUM_TOLERANCE
    for bad, problem in ((~finite, "is not finite"), (negative, "is negative")):
        if bad.any():
            line = int(bad.argmax())
            raise InvalidStudyError(
                f"{submission.path}: row {submission.row_ids[line]} {problem}: {values[line]}"
            )
    if off.any():
        line = int(off.argmax())
        raise InvalidStudyError(
            f"{submission.path}: row {submission.row_ids[line]} sums to {values[line].sum():.6g}, "
            f"expected 1 within {ROW_SUM_TOLERANCE}"
        )


def _some(row_ids: list[str]) -> str:
    if len(row_ids) == 1:
        return f"row {row_ids[0]} is"
    return f"row {row_ids[0]} and {len(row_ids) - 1} more are"
