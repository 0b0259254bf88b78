"""Whether a point's score means what it says: how often points of a score are found.

What must stay true: found means within 5 px in the plane and within one slice, as
``point_confidence.py`` fits it; every point that is both marked and predicted counts once.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lumbargrade.agreement import calibration_error
from lumbargrade.curves import ReliabilityBin, reliability
from lumbargrade.labels import View
from lumbargrade.point_confidence import WITHIN_PX
from lumbargrade.point_errors import PointError


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreReliability:
    """The scores of one view's points, taken as probabilities of being found."""

    points: int
    found: float | None
    """Share of them; None, like the others, where there is no point."""
    mean_score: float | None
    calibration_error: float | None
    """Mean gap between score and share found over tenths of the score."""
    brier: float | None
    """Mean squared difference of the score to 1 where found, to 0 where not."""
    bins: tuple[ReliabilityBin, ...]


def score_reliability(errors: Iterable[PointError], view: View) -> ScoreReliability:
    """Judge the scores of a view's points."""
    own = [error for error in errors if error.target.condition.view is view]
    scores = np.array([error.predicted.score for error in own], dtype=np.float64)
    found = np.array([error.px <= WITHIN_PX and error.slice_within_1 for error in own], dtype=bool)
    some = bool(own)
    return ScoreReliability(
        points=len(own),
        found=float(found.mean()) if some else None,
        mean_score=float(scores.mean()) if some else None,
        calibration_error=calibration_error(found, scores),
        brier=float(((scores - found) ** 2).mean()) if some else None,
        bins=reliability(found, scores),
    )
