"""What surrounds the painted spine: muscles, fat, vessels, viscera, pelvis and skin.

What must stay true: nothing here is graded; it is sampled only where the painted spine is not.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

from lumbargrade.phantom.abdomen import paint_abdomen
from lumbargrade.phantom.back_muscles import paint_back_muscles
from lumbargrade.phantom.body_grid import Fields, to_index
from lumbargrade.phantom.habitus import draw_habitus
from lumbargrade.phantom.pelvis import paint_pelvis
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.trunk import paint_trunk


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Signals of every contrast on the body's grid, and the spine's frame on it."""

    colour: Float32[np.ndarray, "contrast x y z"]
    depth: Float64[np.ndarray, "y z"]
    height: Float64[np.ndarray, "y z"]
    back_y_mm: float
    """Canonical y of the skin behind the spine."""

    def index(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fractional grid index, (axis, n), of canonical positions in mm, (n, 3)."""
        return to_index(points)


def build_body(seed: int, spine: Spine, signals: Float64[np.ndarray, "contrast tissue"]) -> Body:
    """Draw the body of the study of a seed."""
    fields = Fields(generator(seed, Stream.SURROUNDINGS, part=5))
    y, z = fields.y.astype(np.float64), fields.z.astype(np.float64)
    depth, height = spine.depth_and_height(*np.meshgrid(y, z, indexing="ij"))
    habitus = draw_habitus(generator(seed, Stream.SURROUNDINGS), spine, z)
    inside = paint_trunk(generator(seed, Stream.SURROUNDINGS, part=1), fields, habitus)
    paint_abdomen(generator(seed, Stream.SURROUNDINGS, part=2), fields, habitus, spine, inside)
    paint_pelvis(generator(seed, Stream.SURROUNDINGS, part=3), fields, habitus, spine, inside)
    frame = depth.astype(np.float32), height.astype(np.float32)
    rng = generator(seed, Stream.SURROUNDINGS, part=4)
    paint_back_muscles(rng, fields, habitus, spine, frame)
    return Body(
        colour=fields.colour(signals),
        depth=depth,
        height=height,
        back_y_mm=float(np.interp(0.0, z, habitus.skin_y)),
    )
