"""``ensemble.yaml`` of a model folder: whose answers are averaged, at whose points, how heavily.

What must stay true: members are named as the manifest names them; every fold's members answer
alike, and folds weigh the same.
"""

from typing import Literal

from pydantic import Field

from lumbargrade.settings import Settings

ENSEMBLE_FILE = "ensemble.yaml"


class EnsemblePair(Settings):
    """A classifier at a detector set's points."""

    classifier: str
    points: str
    """The detector set, or ``mean`` for the sets' mean points."""
    weight: float = Field(ge=0)


class Ensemble(Settings):
    """How several members' answers become one."""

    answers: Literal["plain", "weighted", "points-first"]
    """What the pairs below came from."""
    merge_px: float = Field(ge=0)
    """Points nearer than this, in pixels of the crop, on one slice, share one crop."""
    uncertain_above: float | None
    """Rows on which the pairs disagree more (mean divergence from their mean, in nats) are
    flagged; None where one pair answers alone."""
    pairs: tuple[EnsemblePair, ...] = Field(min_length=1)
