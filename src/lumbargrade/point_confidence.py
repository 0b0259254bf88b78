"""What a detector's evidence for its points is worth: the probability that they are found.

What must stay true: it is fitted on points of studies that the detector never saw; more evidence
never lowers the probability; a point counts as found where ``evaluate-points`` would count it as
within 5 px and within one slice.

Source: Platt, Probabilistic Outputs for Support Vector Machines, 1999 (smoothed targets).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from pydantic import Field
from scipy.optimize import minimize
from scipy.special import expit, logit

from lumbargrade.agreement import calibration_error
from lumbargrade.arrays import Affines, Point
from lumbargrade.geometry import locate, lps_to_slices
from lumbargrade.labels import View
from lumbargrade.point_errors import EXACT_SLICE_SPACINGS, GRID_PX
from lumbargrade.records import Evidence
from lumbargrade.settings import Settings

WITHIN_PX = 5.0
"""In the plane, on the 256 grid."""

FEWEST_POINTS = 20
"""With fewer, a detector's scores stay as they are."""

PENALTY = 1e-2
"""Of the squared weights, per point: evidence that separates all points perfectly stays finite."""

FOLDS = 5
"""Of the studies, to measure how well the fit does on studies it was not fitted on."""

_CLIP = 1e-4
_LARGEST_MARGIN = 5.0


class PointConfidence(Settings):
    """One detector's: a logistic function of its evidence."""

    bias: float
    peak: float = Field(ge=0)
    """Of the peak's logit."""
    pointer: float = Field(ge=0)
    """Of the pointer's logit."""
    peak_margin: float = Field(ge=0)
    pointer_margin: float = Field(ge=0)
    flag_below: float = Field(default=0.5, ge=0, le=1)
    """Points that are less probable are flagged as of low confidence."""

    def probability(self, evidence: Evidence) -> float:
        """The probability that a point is found."""
        weights = [self.peak, self.pointer, self.peak_margin, self.pointer_margin]
        return float(expit(self.bias + _row(evidence) @ np.array(weights)))


class DetectorFit(Settings):
    """What was fitted for one detector, and how well it does on studies it was not fitted on."""

    confidence: PointConfidence
    points: int
    found: float
    """Share of them."""
    calibration_error: float
    """Mean gap between probability and share found over tenths of the probability."""


class PointConfidences(Settings):
    """What ``point_confidence.yaml`` holds."""

    within_px: float = WITHIN_PX
    detectors: dict[str, DetectorFit]
    """By the detector's folder, relative to the model folder."""

    def of(self, folders: Mapping[View, str]) -> dict[View, PointConfidence]:
        """Of a set of detectors, those that are there.

        Args:
            folders: of each view's detector, relative to the model folder.
        """
        return {
            view: self.detectors[folder].confidence
            for view, folder in folders.items()
            if folder in self.detectors
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class PointSample:
    """One found point of a study whose truth is known."""

    study_id: str
    evidence: Evidence
    found: bool


def is_found(
    affines: Affines, shapes: np.ndarray, position_lps_mm: Point, truth_lps_mm: Point
) -> bool:
    """Whether a point lies within 5 px in the plane and at most one slice from the best one.

    Args:
        affines: of the view's slices.
        shapes: their rows and columns.
        position_lps_mm: the point; on a slice.
        truth_lps_mm: where it should be.
    """
    best = locate(affines, shapes, truth_lps_mm).slice_index
    own = locate(affines, shapes, position_lps_mm).slice_index
    truth = lps_to_slices(affines[[best, own]], truth_lps_mm)
    found = lps_to_slices(affines[[own]], position_lps_mm)[0]
    pixels = (found[1:] - truth[1, 1:]) * GRID_PX / shapes[own]
    spacing = float(np.linalg.norm(affines[own, :3, 0]))
    farther = (abs(truth[1, 0]) - abs(truth[0, 0])) / spacing
    return bool(np.hypot(*pixels) <= WITHIN_PX and farther <= 1 + EXACT_SLICE_SPACINGS)


def fit_detector(samples: Sequence[PointSample]) -> DetectorFit | None:
    """Fit one detector's confidence; None with fewer than ``FEWEST_POINTS``.

    Args:
        samples: points of studies that the detector never saw.
    """
    if len(samples) < FEWEST_POINTS:
        return None
    rows = np.stack([_row(sample.evidence) for sample in samples])
    found = np.array([sample.found for sample in samples])
    held_out = np.full(len(samples), np.nan)
    folds = _folds([sample.study_id for sample in samples])
    for fold in np.unique(folds):
        other = folds != fold
        solution = _fit(rows[other], found[other]) if other.any() else _fit(rows, found)
        held_out[~other] = expit(solution[0] + rows[~other] @ solution[1:])
    bias, *weights = _fit(rows, found).tolist()
    return DetectorFit(
        confidence=PointConfidence(
            bias=bias,
            peak=weights[0],
            pointer=weights[1],
            peak_margin=weights[2],
            pointer_margin=weights[3],
        ),
        points=len(samples),
        found=float(found.mean()),
        calibration_error=calibration_error(found, held_out) or 0.0,
    )


def _row(evidence: Evidence) -> Float64[np.ndarray, "4"]:
    probabilities = np.clip([evidence.peak, evidence.pointer], _CLIP, 1 - _CLIP)
    margins = np.clip(
        [evidence.peak_margin, evidence.pointer_margin], -_LARGEST_MARGIN, _LARGEST_MARGIN
    )
    row: Float64[np.ndarray, "4"] = np.concatenate([logit(probabilities), margins])
    return row


def _fit(
    rows: Float64[np.ndarray, "point 4"], found: Bool[np.ndarray, "point"]
) -> Float64[np.ndarray, "5"]:
    """Bias and weights, none negative, that minimise the penalised log-loss."""
    hits, misses = int(found.sum()), int((~found).sum())
    targets = np.where(found, (hits + 1) / (hits + 2), 1 / (misses + 2))

    def loss(solution: Float64[np.ndarray, "5"]) -> tuple[float, Float64[np.ndarray, "5"]]:
        scores = solution[0] + rows @ solution[1:]
        errors = expit(scores) - targets
        value = np.logaddexp(0, scores) - targets * scores
        slope = np.concatenate([[errors.mean()], rows.T @ errors / len(rows)])
        slope[1:] += PENALTY * solution[1:]
        return float(value.mean() + PENALTY / 2 * (solution[1:] ** 2).sum()), slope

    bounds = [(None, None), *[(0, None)] * rows.shape[1]]
    start = np.zeros(1 + rows.shape[1])
    solution: Float64[np.ndarray, "5"] = minimize(
        loss, start, jac=True, method="L-BFGS-B", bounds=bounds
    ).x
    return solution


def _folds(study_ids: Iterable[str]) -> np.ndarray:
    """A fold for each sample; a study's samples share one."""
    ids = np.array(list(study_ids))
    places = {study_id: place for place, study_id in enumerate(np.unique(ids).tolist())}
    return np.array([places[study_id] % FOLDS for study_id in ids.tolist()])
