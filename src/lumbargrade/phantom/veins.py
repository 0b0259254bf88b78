"""Veins in the vertebral bodies that run together into the basivertebral one.

What must stay true: they are a nuisance: faint, in bone alone, and no measure depends on them.
"""

import numpy as np

from lumbargrade.phantom.canvas import Canvas, box_around, tube
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import Body, mixed, soft

_START_MM = 6.0
"""Depth in front of the back wall at which they meet."""

_FIRST_PART = 2
"""Of the texture's stream; the uppermost body has index -1."""


def paint_tributaries(canvas: Canvas, seed: int, body: Body) -> None:
    """Streaks from the sides and the front of a free body towards the middle of its back wall."""
    rng = generator(seed, Stream.TEXTURE, part=_FIRST_PART + body.index)
    strength = float(rng.uniform(0.1, 0.5))
    shares = {Tissue.VEIN: 0.6 * strength, Tissue.FAT: 0.4 * strength, Tissue.MARROW: 1 - strength}
    signals = mixed(canvas, shares)
    for _ in range(int(rng.integers(2, 7))):
        angle, reach = float(rng.uniform(-1.25, 1.25)), float(rng.uniform(0.45, 0.85))
        aside = reach * body.half_width_mm * np.sin(angle)
        ahead = reach * (body.depth_mm - _START_MM) * np.cos(angle)
        rise = float(rng.normal(0, 0.12)) * body.height_mm
        start = np.array([0.15 * aside, -_START_MM, body.middle_mm])
        end = np.array([aside, -_START_MM - ahead, body.middle_mm + rise])
        course = np.array([start, (start + end) / 2 + rng.normal(0, 1.2, 3), end])
        vein = tube(course, float(rng.uniform(0.3, 0.6)))
        canvas.paint(soft(vein, 0.9), signals, box_around(course, 1.5), grain=1.0)
