"""The competition metric and its parts, as pure NumPy functions.

What must stay true: labels (study, 25) and answers (study, 25, 3) are aligned and in target order;
unlabelled cells are dropped first, whatever stands in their answers; rows are normalised here, in
float64, and clipped at the float's epsilon.

Source: the evaluation page of the RSNA 2024 Lumbar Spine Degenerative Classification competition.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Float64, Int
from numpy.typing import NDArray

from lumbargrade.labels import (
    GRADE_WEIGHTS,
    GRADES,
    LEVELS,
    MISSING_GRADE,
    TARGETS,
    Family,
    Grade,
)
from lumbargrade.records import InvalidStudyError

EPSILON = float(np.finfo(np.float64).eps)
"""A probability of 0 on the true grade costs −log(EPSILON), about 36."""

PARTS = ("spinal", "foraminal", "subarticular", "any_severe_spinal")
"""The four terms that the score is the plain mean of."""

FAMILIES = tuple(Family)
FAMILY_INDEX = np.array([FAMILIES.index(target.condition.family) for target in TARGETS])
"""(25,): which family each target belongs to."""

PRIOR_PSEUDO_COUNT = 0.1
"""Rows of each grade added to every cell of the prior, so that no grade is impossible."""

_CANAL = slice(0, len(LEVELS))
_SEVERE = GRADES.index(Grade.SEVERE)
_WEIGHTS = np.array(GRADE_WEIGHTS)

StudyLabels = Int[np.ndarray, "study 25"]
StudyAnswers = Float[np.ndarray, "study 25 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricParts:
    """The score and the four weighted log-losses that it averages."""

    score: float
    spinal: float
    foraminal: float
    subarticular: float
    any_severe_spinal: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySums:
    """What each study adds to the metric: a part is sum(loss) / sum(weight) over studies."""

    loss: Float64[np.ndarray, "study 4"]
    """Weighted log-losses, in the order of ``PARTS``."""
    weight: Float64[np.ndarray, "study 4"]


def competition_metric(labels: StudyLabels, answers: StudyAnswers) -> MetricParts:
    """Score answers as the competition does.

    Args:
        labels: grades 0, 1, 2 in target order, ``MISSING_GRADE`` where unlabelled.
        answers: one row per cell, in proportion to the grades' probabilities; normalised here.

    Raises:
        InvalidStudyError: no cell of a family is labelled, so that its part has no value.
    """
    sums = study_sums(labels, answers)
    weight = sums.weight.sum(axis=0)
    if not (weight > 0).all():
        absent = ", ".join(part for part, total in zip(PARTS, weight, strict=True) if total == 0)
        raise InvalidStudyError(f"the truth holds no grade for {absent}")
    return parts_of(sums.loss.sum(axis=0) / weight)


def parts_of(losses: Float64[np.ndarray, "4"]) -> MetricParts:
    """Name four losses in the order of ``PARTS`` and average them."""
    spinal, foraminal, subarticular, any_severe = (float(loss) for loss in losses)
    return MetricParts(
        score=float(losses.mean()),
        spinal=spinal,
        foraminal=foraminal,
        subarticular=subarticular,
        any_severe_spinal=any_severe,
    )


def study_sums(labels: StudyLabels, answers: StudyAnswers) -> StudySums:
    """Each study's own numerators and denominators, from which resampled scores follow."""
    labelled = labels != MISSING_GRADE
    probabilities = normalise(answers, labelled)
    row_weight = np.where(labelled, _WEIGHTS[labels], 0.0)
    row_loss = row_weight * _log_loss(labels, probabilities)
    families = np.eye(len(FAMILIES))[FAMILY_INDEX]  # (25, 3)
    loss, weight = _any_severe(labels, labelled, probabilities, row_weight)
    return StudySums(
        loss=np.column_stack([row_loss @ families, loss]),
        weight=np.column_stack([row_weight @ families, weight]),
    )


def loss_by_target(labels: StudyLabels, answers: StudyAnswers) -> Float64[np.ndarray, "25"]:
    """Weighted mean log-loss of each of the 25 cells; NaN where a cell has no label."""
    row_loss, row_weight = row_losses(labels, answers)
    total = row_weight.sum(axis=0)
    losses: Float64[np.ndarray, "25"] = np.full(len(TARGETS), np.nan)
    np.divide(row_loss.sum(axis=0), total, out=losses, where=total > 0)
    return losses


def row_losses(
    labels: StudyLabels, answers: StudyAnswers
) -> tuple[Float64[np.ndarray, "study 25"], Float64[np.ndarray, "study 25"]]:
    """Weighted log-loss of each row, and its weight; both 0 where unlabelled."""
    labelled = labels != MISSING_GRADE
    row_weight = np.where(labelled, _WEIGHTS[labels], 0.0)
    return row_weight * _log_loss(labels, normalise(answers, labelled)), row_weight


def normalise(
    answers: StudyAnswers, labelled: Bool[np.ndarray, "study 25"]
) -> Float64[np.ndarray, "study 25 3"]:
    """Make labelled rows sum to 1 in float64; unlabelled rows become uniform."""
    rows = np.where(labelled[..., None], np.asarray(answers, dtype=np.float64), 1.0)
    normalised: Float64[np.ndarray, "study 25 3"] = rows / rows.sum(axis=-1, keepdims=True)
    return normalised


def reweight_for_metric(probabilities: NDArray[np.floating]) -> Float64[np.ndarray, "*row 3"]:
    """Turn probabilities p into the answers q ∝ (1, 2, 4) · p that minimise the metric."""
    weighted = np.asarray(probabilities, dtype=np.float64) * _WEIGHTS
    answers: Float64[np.ndarray, "*row 3"] = weighted / weighted.sum(axis=-1, keepdims=True)
    return answers


def undo_metric_weights(answers: NDArray[np.floating]) -> Float64[np.ndarray, "*row 3"]:
    """Turn answers q back into probabilities p of the grades, p ∝ q / (1, 2, 4)."""
    divided = np.asarray(answers, dtype=np.float64) / _WEIGHTS
    probabilities: Float64[np.ndarray, "*row 3"] = divided / divided.sum(axis=-1, keepdims=True)
    return probabilities


def weighted_prior(labels: StudyLabels) -> Float64[np.ndarray, "25 3"]:
    """The best constant answer of each cell: the grades' shares, each row counted by its weight.

    ``PRIOR_PSEUDO_COUNT`` rows of each grade are added to every cell.

    Returns:
        (25, 3) answers q.
    """
    counts = (labels[..., None] == np.arange(len(GRADES))).sum(axis=0)
    return reweight_for_metric(counts + PRIOR_PSEUDO_COUNT)


def _log_loss(
    labels: StudyLabels, probabilities: Float64[np.ndarray, "study 25 3"]
) -> Float64[np.ndarray, "study 25"]:
    """−log of the answer on the true grade; of the first grade where unlabelled (weight 0)."""
    index = np.maximum(labels, 0)[..., None]
    on_truth = np.take_along_axis(probabilities, index, axis=-1)[..., 0]
    losses: Float64[np.ndarray, "study 25"] = -np.log(np.clip(on_truth, EPSILON, 1 - EPSILON))
    return losses


def _any_severe(
    labels: StudyLabels,
    labelled: Bool[np.ndarray, "study 25"],
    probabilities: Float64[np.ndarray, "study 25 3"],
    row_weight: Float64[np.ndarray, "study 25"],
) -> tuple[Float64[np.ndarray, "study"], Float64[np.ndarray, "study"]]:
    """Weighted binary log-loss of "some canal level is severe", and its weight, per study."""
    truth = (labels[:, _CANAL] == _SEVERE).any(axis=1)
    canal = np.where(labelled[:, _CANAL], probabilities[:, _CANAL, _SEVERE], 0.0)
    severe = np.clip(canal.max(axis=1), EPSILON, 1 - EPSILON)
    weight = row_weight[:, _CANAL].max(axis=1)
    return weight * -np.log(np.where(truth, severe, 1 - severe)), weight
