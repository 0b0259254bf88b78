"""The posterior margin of one disc: a broad bulge, and at some levels a focal herniation.

What must stay true: the margin moves back everywhere as its causes grow, so that bisection on the
sac that it indents finds one answer.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

_FLAT_MM = 1.5
"""Half-extent along s over which a bulge has its full height."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscMargin:
    """How far a disc pushes back, beyond where it leaves the sac alone; all in mm."""

    broad_mm: float
    """Height of the broad bulge in the midline."""
    focal_mm: float
    """Height of the herniation on top of the bulge; 0 where there is none."""
    focal_x_mm: float
    """Its middle, towards the patient's left."""
    focal_width_mm: float
    migration_mm: float
    """How far it has wandered up (positive) or down; 0 for a protrusion."""
    focal_reach_mm: float
    """How far it extends along s beyond its path."""
    reach_mm: float
    """Extent of the broad bulge's push along s."""

    def broad_push(self, x: Values | float, ds: Values | float) -> Values:
        """Push of the broad bulge at x, at a height ds above the disc."""
        lower_at_sides = 1 - 0.35 * np.minimum(np.square(x) / 256, 1)
        return np.asarray(self.broad_mm * flat_fade(ds, self.reach_mm) * lower_at_sides)

    def focal_push(self, x: Values | float, ds: Values | float) -> Values:
        """Push of the herniation at x, at a height ds above the disc."""
        path = np.clip(ds, min(0.0, self.migration_mm), max(0.0, self.migration_mm))
        along = flat_fade(np.asarray(ds) - path, self.focal_reach_mm)
        across = np.exp(-np.square((np.asarray(x) - self.focal_x_mm) / self.focal_width_mm))
        return np.asarray(self.focal_mm * along * across)

    def push(self, x: Values | float, ds: Values | float) -> Values:
        """Push of bulge and herniation together."""
        broad = self.broad_push(x, ds)
        return np.asarray(broad + self.focal_push(x, ds)) if self.focal_mm > 0 else broad


def flat_fade(ds: Values | float, reach_mm: float) -> Values:
    """1 within 1.5 mm of the disc, then falling to 0 over about twice the reach."""
    beyond = np.maximum(np.abs(ds) - _FLAT_MM, 0) / reach_mm
    return np.asarray(np.exp(-(beyond**2)))
