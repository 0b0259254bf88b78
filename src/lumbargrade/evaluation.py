"""A submission against the truth: rows aligned by ``row_id``, then every figure of merit.

What must stay true: nothing is guessed. A labelled cell without a row, a row given twice, a
negative, non-finite or badly summing row, and a row of an unknown study or cell are errors that
name the row; only a row whose cell is empty in the truth is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from lumbargrade.agreement import calibration_error, quadratic_kappa, severity_auc
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


def align(truth: Mapping[str, Labels], submission: Submission) -> Aligned:
    """Match a submission's rows with the truth's cells.

    Args:
        truth: study id → (25,) grades.
        submission: rows in any order.

    Raises:
        InvalidStudyError: a bad row, or a missing, duplicate or extra one; names it.
    """
    _check_rows(submission)
    line_of_row: dict[str, int] = {}
    for line, row_id in enumerate(submission.row_ids):
        if row_id in line_of_row:
            raise InvalidStudyError(f"{submission.path}: row {row_id} is given twice")
        line_of_row[row_id] = line
    labels = np.array(list(truth.values()), dtype=np.int64).reshape(-1, len(TARGETS))
    answers = np.full((*labels.shape, len(GRADES)), 1 / len(GRADES))
    missing = []
    for study, study_id in enumerate(truth):
        for target in TARGETS:
            found = line_of_row.pop(target.row_id(study_id), None)
            if labels[study, target.index] == MISSING_GRADE:
                continue
            if found is None:
                missing.append(target.row_id(study_id))
            else:
                answers[study, target.index] = submission.probabilities[found]
    if missing:
        raise InvalidStudyError(f"{submission.path}: {_some(missing)} missing")
    if line_of_row:
        raise InvalidStudyError(
            f"{submission.path}: {_some(list(line_of_row))} of no study and cell in the truth"
        )
    return Aligned(study_ids=tuple(truth), labels=labels, answers=answers)


def keep_studies(submission: Submission, truth: Mapping[str, Labels]) -> Submission:
    """The rows of a submission that belong to the truth's studies."""
    row_ids = {target.row_id(study_id) for study_id in truth for target in TARGETS}
    kept = [line for line, row_id in enumerate(submission.row_ids) if row_id in row_ids]
    return Submission(
        path=submission.path,
        row_ids=tuple(submission.row_ids[line] for line in kept),
        probabilities=submission.probabilities[kept],
    )


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
    )


def prior_score(aligned: Aligned, training: Mapping[str, Labels]) -> float:
    """Score of the grade-weighted prior per condition and level, the best constant answer.

    Args:
        aligned: the truth to score against.
        training: study id → (25,) grades from which the prior is counted.
    """
    prior = weighted_prior(np.array(list(training.values()), dtype=np.int64))
    constant = np.broadcast_to(prior, (len(aligned.labels), *prior.shape))
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
