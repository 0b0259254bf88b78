"""Several members' answers → one: means of probabilities, and the weights of a mean.

What must stay true: members answer in probabilities p, and p is what is averaged; the order of
members does not matter; weights are fitted on answers to studies that no member has seen.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int
from scipy.optimize import minimize

from lumbargrade.metric import competition_metric, reweight_for_metric

SMALLEST_WEIGHT = 0.01
"""Members of less weight are not worth running."""


def mean_probabilities(
    members: Sequence[Float[np.ndarray, "*row 3"]], weights: Sequence[float] | None = None
) -> Float64[np.ndarray, "*row 3"]:
    """Average the members' probabilities.

    Args:
        members: one array per member, all of one shape.
        weights: one per member, not negative; equal if None.

    Raises:
        ValueError: no member, another number of weights, or weights that cannot be a mean's.
    """
    if not members:
        raise ValueError("an ensemble needs at least one member")
    shares = np.full(len(members), 1.0) if weights is None else np.asarray(weights, np.float64)
    if shares.shape != (len(members),) or (shares < 0).any() or not shares.sum() > 0:
        raise ValueError(f"{len(members)} members, but weights {shares.tolist()}")
    stacked = np.stack([np.asarray(member, np.float64) for member in members])
    mean: Float64[np.ndarray, "*row 3"] = np.tensordot(shares / shares.sum(), stacked, axes=1)
    mean /= mean.sum(axis=-1, keepdims=True)
    return mean


def fit_weights(
    labels: Int[np.ndarray, "study 25"], members: Sequence[Float[np.ndarray, "study 25 3"]]
) -> tuple[float, ...]:
    """Find the weights of the mean that scores best, by descent from equal weights.

    Args:
        labels: grades, ``MISSING_GRADE`` where unlabelled.
        members: out-of-fold probabilities p.

    Returns:
        One weight per member, not negative; they sum to 1. What would be below ``SMALLEST_WEIGHT``
        is 0.
    """
    if len(members) == 1:
        return (1.0,)

    def shares(free: np.ndarray) -> np.ndarray:
        powers = np.exp(free - free.max())
        normalised: np.ndarray = powers / powers.sum()
        return normalised

    def score(free: np.ndarray) -> float:
        answers = mean_probabilities(members, shares(free).tolist())
        return competition_metric(labels, reweight_for_metric(answers)).score

    found = shares(minimize(score, np.zeros(len(members)), method="L-BFGS-B").x)
    kept = np.where(found < SMALLEST_WEIGHT, 0.0, found)
    return tuple((kept / kept.sum()).tolist())
