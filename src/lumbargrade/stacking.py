"""A small model over the members' answers: multinomial logistic regression, one per family.

What must stay true: it is fitted on answers to studies that no member saw, and judged on studies
that it did not see either.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Float64, Int

from lumbargrade.labels import GRADES, MISSING_GRADE
from lumbargrade.metric import FAMILIES, FAMILY_INDEX

INVERSE_PENALTY = 0.01
"""Of the squared coefficients: small, because members agree and rows are noisy."""

SMALLEST_PROBABILITY = 1e-6


def stacked_probabilities(
    labels: Int[np.ndarray, "study 25"],
    members: Sequence[Float[np.ndarray, "study 25 3"]],
    unseen: Sequence[Float[np.ndarray, "other 25 3"]],
) -> Float64[np.ndarray, "other 25 3"]:
    """Fit on some studies' out-of-fold answers, answer for others.

    Args:
        labels: grades, ``MISSING_GRADE`` where unlabelled.
        members: probabilities p of each member.
        unseen: the members' probabilities p of the studies to answer for.

    Returns:
        Probabilities p; a family in whose labels a grade is missing gets the members' plain mean.
    """
    from sklearn.linear_model import LogisticRegression  # takes seconds to import

    features, others = _log_odds(members), _log_odds(unseen)
    answers: Float64[np.ndarray, "other 25 3"] = np.mean(np.asarray(unseen, np.float64), axis=0)
    for index in range(len(FAMILIES)):
        cells = np.flatnonzero(index == FAMILY_INDEX)
        truth = labels[:, cells]
        labelled = truth != MISSING_GRADE
        if len(np.unique(truth[labelled])) < len(GRADES):
            continue
        model = LogisticRegression(C=INVERSE_PENALTY, max_iter=1000)
        model.fit(features[:, cells][labelled], truth[labelled])
        rows = others[:, cells]
        predicted = model.predict_proba(rows.reshape(-1, rows.shape[-1]))
        answers[:, cells] = predicted.reshape(*rows.shape[:2], len(GRADES))
    return answers


def _log_odds(members: Sequence[np.ndarray]) -> Float64[np.ndarray, "study 25 feature"]:
    """Log p of moderate and of severe against normal/mild, of every member."""
    log_p = np.log(np.maximum(np.asarray(members, np.float64), SMALLEST_PROBABILITY))
    odds = log_p[..., 1:] - log_p[..., :1]  # (member, study, 25, 2)
    features: Float64[np.ndarray, "study 25 feature"] = np.moveaxis(odds, 0, -2).reshape(
        *odds.shape[1:3], -1
    )
    return features
