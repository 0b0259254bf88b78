"""How several members' answers become one.

What must stay true: whatever is fitted here is fitted on answers to studies that no member saw.
"""

from typing import Literal

from pydantic import Field

from lumbargrade.settings import Settings


class EnsembleSettings(Settings):
    """Of a cross-validated run."""

    answers: Literal["plain", "weighted", "points-first"] = "plain"
    """The mean over every classifier at every detector set's points; the same with fitted weights;
    or the mean over the classifiers at the detector sets' mean points."""
    merge_px: float = Field(default=1.0, ge=0)
    """Sets' points nearer than this, in pixels of the crop, on one slice, share one crop."""
    certain_share: float = Field(default=0.9, gt=0, le=1)
    """Share of the rows that shall not be flagged as uncertain, on out-of-fold answers."""
