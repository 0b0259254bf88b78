"""How far the members of an ensemble disagree about a row, and what that is worth.

What must stay true: thresholds are chosen on answers to studies that no member saw; a row above
the threshold is flagged, nothing else about it changes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float64, Int

from lumbargrade.labels import MISSING_GRADE

SMALLEST_PROBABILITY = 1e-12


def disagreement(
    members: Sequence[Float[np.ndarray, "*row 3"]], weights: Sequence[float] | None = None
) -> Float64[np.ndarray, "*row"]:
    """Mean Kullback-Leibler divergence of the members' probabilities from their mean, in nats.

    Args:
        members: probabilities p, all of one shape.
        weights: one per member; equal if None.

    Returns:
        0 where all agree (always, with one member); at most log 3.
    """
    p = np.maximum(np.asarray(members, np.float64), SMALLEST_PROBABILITY)
    shares = np.ones(len(p)) if weights is None else np.asarray(weights, np.float64)
    shares = shares / shares.sum()
    mean = np.tensordot(shares, p, axes=1)
    divergence: Float64[np.ndarray, "*row"] = np.tensordot(
        shares, (p * np.log(p / mean)).sum(axis=-1), axes=1
    )
    np.maximum(divergence, 0.0, out=divergence)  # rounding
    return divergence


def threshold_for(uncertainty: Float[np.ndarray, "*row"], certain_share: float) -> float:
    """The smallest uncertainty that leaves this share of the rows at or below it."""
    ordered = np.sort(np.ravel(uncertainty))
    last = max(1, int(np.ceil(certain_share * len(ordered)))) - 1
    return float(ordered[last])


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskCoverage:
    """Errors among the rows that are kept, the most certain first."""

    coverage: Float64[np.ndarray, "kept"]
    """Share of the rows kept."""
    log_loss: Float64[np.ndarray, "kept"]
    """Mean −log p of the true grade over the rows kept."""
    error: Float64[np.ndarray, "kept"]
    """Share of the rows kept whose likeliest grade is wrong."""


def risk_coverage(
    labels: Int[np.ndarray, "*row"],
    probabilities: Float[np.ndarray, "*row 3"],
    uncertainty: Float[np.ndarray, "*row"],
    *,
    points: int = 50,
) -> RiskCoverage:
    """Follow the errors as less certain rows are added.

    Args:
        labels: grades, ``MISSING_GRADE`` where unlabelled; those rows are left out.
        probabilities: p.
        uncertainty: larger, less certain.
        points: how many shares to compute, evenly spaced, the last one all rows.
    """
    labelled = labels != MISSING_GRADE
    truth, p = labels[labelled], np.asarray(probabilities, np.float64)[labelled]
    order = np.argsort(uncertainty[labelled], kind="stable")
    on_truth = np.take_along_axis(p, truth[:, None], axis=1)[:, 0]
    losses = -np.log(np.maximum(on_truth, SMALLEST_PROBABILITY))[order]
    wrong = (p.argmax(axis=1) != truth)[order]
    kept = np.unique(np.ceil(np.linspace(0, 1, points + 1)[1:] * len(truth)).astype(int))
    return RiskCoverage(
        coverage=kept / len(truth),
        log_loss=np.cumsum(losses)[kept - 1] / kept,
        error=np.cumsum(wrong)[kept - 1] / kept,
    )
