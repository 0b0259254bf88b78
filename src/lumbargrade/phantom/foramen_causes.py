"""What narrows one foramen: how much of the fat is lost in front, behind, above and below.

What must stay true: the mix decides where fat is left, never how near the nearest wall is; it is
drawn from a stream of its own, so that the same foramen closes in the same way at any severity.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lumbargrade.phantom.streams import Stream, generator

# shares of front, back, above and below (Dirichlet), and how often
_FROM_FRONT = ((5.0, 0.6, 0.5, 2.0), 0.20)  # a bulge or a ridge of the vertebra's rim
_FROM_BEHIND = ((0.6, 5.0, 1.2, 1.2), 0.20)  # an overgrown articular process
_FRONT_AND_BACK = ((4.0, 4.0, 0.6, 0.6), 0.20)
_UP_AND_DOWN = ((0.6, 0.8, 4.0, 4.0), 0.20)  # as the disc loses height
_ALL_AROUND = ((14.0, 14.0, 14.0, 14.0), 0.25)
_UP_AND_DOWN_PER_LOSS = 1.5
"""How much more often it is up and down where all of the disc's height is lost."""

_KEPT_BELOW = 1.3
"""There is more room below a root than on its other sides, times this."""

_FILLING_MM = 1.6
"""The fat that is left shrinks by a factor e with so much flattening of the root."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ForamenCauses:
    """The causes at one foramen; the shares add up to 1."""

    front: float
    back: float
    above: float
    below: float
    room_mm: float
    """Fat left beside the root where nothing narrows, beyond what its nearest wall leaves."""
    root_size: float
    """Of the root, over the usual one."""
    root_tilt_rad: float
    """Of the root's section, its top to the back."""
    floor_slope: float
    """How the floor rises to the back: above 0 with the articular process, below 0 the disc."""

    @property
    def flat_in_height(self) -> bool:
        """Whether a root is flattened from above and below, not from front and back."""
        return self.above + self.below > self.front + self.back

    def spare_mm(self, flattened_mm: float) -> Float64[np.ndarray, "4"]:
        """Fat left in front, behind, above and below beyond the smallest; 0 at the leading cause.

        Args:
            flattened_mm: how much the root is.
        """
        shares = np.array([self.front, self.back, self.above, self.below])
        spare = (1 - shares / shares.max()) * self.room_mm * np.exp(-flattened_mm / _FILLING_MM)
        return np.asarray(spare * [1, 1, 1, _KEPT_BELOW])


def draw_foramen_causes(
    seed: int, part: int, height_loss: float, *, herniated: bool
) -> ForamenCauses:
    """Draw the causes at a foramen.

    Args:
        seed: of the study.
        part: which of its foramina.
        height_loss: share of the disc's height that is lost.
        herniated: whether disc has come out into it, in front.
    """
    rng = generator(seed, Stream.FORAMEN_CAUSES, part=part)
    kinds = (_FROM_FRONT, _FROM_BEHIND, _FRONT_AND_BACK, _UP_AND_DOWN, _ALL_AROUND)
    often = np.array([chance for _, chance in kinds])
    often[kinds.index(_UP_AND_DOWN)] *= 1 + _UP_AND_DOWN_PER_LOSS * height_loss
    kind = int(rng.choice(len(kinds), p=often / often.sum()))
    front, back, above, below = rng.dirichlet(_FROM_FRONT[0] if herniated else kinds[kind][0])
    return ForamenCauses(
        front=float(front),
        back=float(back),
        above=float(above),
        below=float(below),
        room_mm=float(rng.uniform(0.5, 2.5)),
        root_size=float(rng.uniform(0.88, 1.22)),
        root_tilt_rad=float(rng.normal(0, 0.22)),
        floor_slope=float(np.clip(rng.normal(0.15 * np.sign(back - front), 0.2), -0.5, 0.5)),
    )
