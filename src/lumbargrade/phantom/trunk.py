"""The trunk's envelope: air, skin, subcutaneous fat with its septa, the abdominal wall."""

import numpy as np

from lumbargrade.phantom.body_grid import Field, Fields, smooth_noise
from lumbargrade.phantom.habitus import Habitus
from lumbargrade.phantom.tissue import Tissue


def paint_trunk(rng: np.random.Generator, fields: Fields, habitus: Habitus) -> Field:
    """Paint the envelope; return the depth below the deep fascia, negative in the skin's fat."""
    x, y, z = (axis.astype(np.float32) for axis in (fields.x, fields.y, fields.z))
    skin, belly = habitus.skin_y.astype(np.float32), habitus.belly_y.astype(np.float32)
    half = (skin - belly) / 2
    u = (y[:, None] - (skin + belly) / 2) / half
    wide = habitus.half_width.astype(np.float32)
    depth = (x[:, None] / wide) ** 2
    radius = np.sqrt(depth[:, None, :] + u[None] ** 2)
    uneven = np.float32(1.6) * smooth_noise(rng, (x, z[:1], z), (45.0, 45.0, 45.0))
    groove = 5.0 * np.exp(-((x / 14) ** 2))
    depth_mm: Field = ((1 - radius) * half).astype(np.float32, copy=False)
    depth_mm += uneven
    back = np.clip(u, 0, 1) ** 2
    depth_mm -= groove[:, None, None] * (0.6 * back[None])

    back_fat = (habitus.skin_y - habitus.fascia_y).astype(np.float32)
    thickness = np.where(
        u > 0,
        habitus.side_fat + (back_fat - habitus.side_fat) * np.clip(u, 0, 1) ** 2,
        habitus.side_fat + (habitus.front_fat - habitus.side_fat) * np.clip(-u, 0, 1) ** 2,
    ).astype(np.float32)
    inside: Field = (depth_mm - thickness[None]).astype(np.float32, copy=False)

    wall = habitus.wall * np.clip((0.55 - u) / 0.3, 0, 1).astype(np.float32)
    wall *= np.where(u < -0.75, np.float32(0.6), np.float32(1))
    layer = np.minimum(inside, wall[None] - inside)
    muscle = np.clip(layer * np.float32(0.6), 0, 1)
    lateral = np.float32(0.4) * np.clip((np.abs(x) - 55) / 15, 0, 1)[:, None, None]
    for share in (0.3, 0.62):
        muscle *= 1 - lateral * np.clip(1.4 - np.abs(inside - share * wall[None]), 0, 1)
    fields.fat -= muscle

    _septa(fields, depth_mm, thickness)
    air = depth_mm < 1.0
    fields.tissue[air] = int(Tissue.AIR)
    np.copyto(fields.fat, np.clip(depth_mm, 0, 1), where=air)
    fields.gain *= 1 - 0.45 * np.clip(1.6 - np.abs(depth_mm - 1.2), 0, 1)
    return inside


def _septa(fields: Fields, depth: Field, thickness: Field) -> None:
    """Thin dark septa in the fat behind, and the superficial fascia half way down."""
    window = fields.window((-205, 205), (10, 180), (-210, 210))
    ridge = np.abs(fields.patches[window])
    part, limit = depth[window], thickness[None, window[1], window[2]]
    dark = np.float32(0.28) * np.clip(1 - ridge * 14, 0, 1)
    middle = part - np.float32(0.55) * limit
    middle += 2 * fields.patches[window]
    dark = np.maximum(dark, np.float32(0.22) * np.clip(1.2 - np.abs(middle), 0, 1))
    dark *= (part > 3) & (part < limit - 1)
    dark -= 0.02 * fields.patches[window]
    fields.gain[window] *= 1 - dark
