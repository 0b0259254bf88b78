"""Temperatures that make probabilities p mean what they say, one per family.

What must stay true: calibration is fitted on answers to studies that the answering networks never
saw, of the same averaging that it will be applied to; it never changes which grade is likeliest.

Source: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float64, Int
from pydantic import Field
from scipy.optimize import minimize_scalar

from lumbargrade.any_severe import fit_odds, raise_largest
from lumbargrade.labels import MISSING_GRADE, TARGETS
from lumbargrade.metric import (
    FAMILIES,
    FAMILY_INDEX,
    reweight_for_metric,
    undo_metric_weights,
    weighted_prior,
)
from lumbargrade.settings import Settings

LARGEST_LOG_TEMPERATURE = float(np.log(4.0))
"""Temperatures are sought between 1/4 and 4."""

SMALLEST_PROBABILITY = 1e-12

Answers = Float[np.ndarray, "*study 25 3"]


class Calibration(Settings):
    """What ``calibration.yaml`` holds: temperatures (above 1 softens, below 1 sharpens)."""

    SILENT: ClassVar[frozenset[str]] = frozenset({"any_severe_odds", "without_images"})

    spinal: float = Field(default=1.0, gt=0)
    foraminal: float = Field(default=1.0, gt=0)
    subarticular: float = Field(default=1.0, gt=0)
    any_severe_odds: float = Field(default=1.0, gt=0)
    """Of q alone, see :func:`lumbargrade.any_severe.raise_largest`; 1 leaves q as it follows from
    p."""
    without_images: tuple[tuple[float, float, float], ...] | None = Field(
        default=None, min_length=len(TARGETS), max_length=len(TARGETS)
    )
    """Each cell's share of the grades among the run's studies: p for a study that shows nothing,
    which no network has ever seen. None for what the networks say all the same."""

    def by_target(self) -> Float64[np.ndarray, "25"]:
        """The temperature of each target."""
        temperatures: Float64[np.ndarray, "25"] = np.array(
            [self.spinal, self.foraminal, self.subarticular]
        )[FAMILY_INDEX]
        return temperatures


def apply_calibration(calibration: Calibration, probabilities: Answers) -> Answers:
    """Calibrate probabilities: p^(1 / temperature), normalised.

    Args:
        calibration: of the same members and averaging.
        probabilities: (…, 25, 3) p.
    """
    return _temper(probabilities, calibration.by_target()[:, None])


def metric_answers(
    calibration: Calibration, probabilities: Answers
) -> Float64[np.ndarray, "*study 25 3"]:
    """The answers q that follow from calibrated p, the any-severe term's with its odds."""
    return raise_largest(reweight_for_metric(probabilities), calibration.any_severe_odds)


def with_prior(calibration: Calibration, labels: Int[np.ndarray, "study 25"]) -> Calibration:
    """The same calibration with the grades' shares among studies, for those without images."""
    shares = undo_metric_weights(weighted_prior(labels))
    rows = tuple(tuple(row) for row in shares.tolist())
    return calibration.model_copy(update={"without_images": rows})


def fit_calibration(
    labels: Int[np.ndarray, "study 25"],
    probabilities: Float[np.ndarray, "study 25 3"],
    *,
    any_severe: bool = False,
) -> Calibration:
    """Find each family's temperature, which minimises the plain log-loss of its labelled cells.

    Args:
        labels: grades, ``MISSING_GRADE`` where unlabelled.
        probabilities: p, not q.
        any_severe: fit the odds of the largest canal answers, too, on the competition's score.

    Returns:
        A family without any label keeps 1.
    """
    temperatures = {}
    for index, family in enumerate(FAMILIES):
        cells = (index == FAMILY_INDEX) & (labels != MISSING_GRADE)
        if cells.any():
            temperatures[family.value] = _fit(labels[cells], probabilities[cells])
    calibration = Calibration.model_validate(temperatures)
    if not any_severe:
        return calibration
    q = reweight_for_metric(apply_calibration(calibration, probabilities))
    return calibration.model_copy(update={"any_severe_odds": fit_odds(labels, q)})


def _fit(labels: Int[np.ndarray, "row"], probabilities: Float[np.ndarray, "row 3"]) -> float:
    def loss(log_temperature: float) -> float:
        tempered = _temper(probabilities, np.exp(log_temperature))
        on_truth = np.take_along_axis(tempered, labels[:, None], axis=1)
        return float(-np.log(np.maximum(on_truth, SMALLEST_PROBABILITY)).mean())

    bounds = (-LARGEST_LOG_TEMPERATURE, LARGEST_LOG_TEMPERATURE)
    return float(np.exp(minimize_scalar(loss, bounds=bounds, method="bounded").x))


def _temper(
    probabilities: Float[np.ndarray, "*row 3"], temperature: np.ndarray | float
) -> Float64[np.ndarray, "*row 3"]:
    log_p = np.log(np.maximum(np.asarray(probabilities, np.float64), SMALLEST_PROBABILITY))
    scaled = log_p / temperature
    scaled = np.exp(scaled - scaled.max(axis=-1, keepdims=True))
    tempered: Float64[np.ndarray, "*row 3"] = scaled / scaled.sum(axis=-1, keepdims=True)
    return tempered
