"""What surrounds the painted spine: muscles, fat, vessels, viscera and skin, on a coarse grid.

What must stay true: nothing here is graded; it is sampled only where the painted spine is not.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, zoom

from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue

STEP_MM = 3.0
LOW_MM = np.array([-190.0, -170.0, -200.0])
HIGH_MM = np.array([190.0, 115.0, 200.0])
"""Canonical x, y, z limits of the grid; outside is air."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """Signals of every contrast on the coarse canonical grid, and the spine's frame on it."""

    colour: Float32[np.ndarray, "contrast x y z"]
    depth: Float64[np.ndarray, "y z"]
    height: Float64[np.ndarray, "y z"]
    back_y_mm: float
    """Canonical y of the skin behind the spine."""


def build_body(seed: int, spine: Spine, signals: Float64[np.ndarray, "contrast tissue"]) -> Body:
    """Draw the body of the study of a seed."""
    rng = generator(seed, Stream.TEXTURE, part=1)
    x, y, z = (
        np.arange(low, high + STEP_MM, STEP_MM) for low, high in zip(LOW_MM, HIGH_MM, strict=True)
    )
    depth, height = spine.depth_and_height(*np.meshgrid(y, z, indexing="ij"))
    shape = (len(x), len(y), len(z))
    fat_mm = float(rng.uniform(8, 35))
    half_width, half_depth = float(rng.uniform(150, 185)), float(rng.uniform(100, 125))
    back_y = 62.0 + fat_mm
    across = np.hypot(x[:, None] / half_width, (y[None, :] - back_y + half_depth) / half_depth)
    across = across + 0 * x[:, None]
    skin = (1 - across[:, :, None]) * half_depth + _noise(rng, shape, 30) * 2.5

    tissue = np.full(shape, int(Tissue.VISCERA), np.int8)
    d, lateral = depth[None], np.abs(x)[:, None, None]
    bowel = _noise(rng, shape, 7)
    front = np.broadcast_to(d < -46, shape)
    tissue[front & (bowel > 0.7)] = Tissue.FAT
    tissue[front & (bowel < -1.1)] = Tissue.VESSEL
    tissue[np.broadcast_to((d >= -46) & (d < 4), shape) & (bowel > -0.6)] = Tissue.FAT
    psoas = np.hypot((lateral - 40) / 17, (d + 14) / 22) < 1 + 0.15 * bowel
    tissue[psoas] = Tissue.MUSCLE
    paraspinal = ((lateral - 31) / 33) ** 4 + ((d - 25) / 28) ** 4 < 1 + 0.2 * bowel
    tissue[paraspinal] = Tissue.MUSCLE
    streaks = _noise(rng, shape, 3) + 0.012 * np.clip(d, 0, 50) - 0.25 * (lateral > 8)
    tissue[paraspinal & (streaks > float(rng.uniform(0.5, 1.6)))] = Tissue.FAT
    for centre, radius in ((9.0, 8.5), (-15.0, 9.5)):
        vessel = np.hypot(x[:, None, None] - centre, d + 47) < radius
        tissue[np.broadcast_to(vessel, shape)] = Tissue.VESSEL
    tissue[skin < fat_mm] = Tissue.FAT
    tissue[skin < 1.5] = Tissue.MUSCLE
    tissue[skin < 0] = Tissue.AIR
    colour = np.stack([gaussian_filter(row.astype(np.float32)[tissue], 0.5) for row in signals])
    return Body(colour=colour, depth=depth, height=height, back_y_mm=back_y)


def _noise(rng: np.random.Generator, shape: tuple[int, int, int], size: int) -> NDArray[np.float32]:
    """Smooth noise of unit spread whose features span about ``size`` voxels."""
    coarse = rng.standard_normal([max(2, n // size + 2) for n in shape]).astype(np.float32)
    field = zoom(coarse, [n / c for n, c in zip(shape, coarse.shape, strict=True)], order=1)
    result: NDArray[np.float32] = field / field.std()
    return result
