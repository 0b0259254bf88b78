"""The anterior longitudinal ligament, painted first: discs and bodies cover what lies in them.

What must stay true: it lies in front of the vertebrae, far from every graded space.
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from lumbargrade.phantom.canvas import Box, Canvas, Field
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import Body, body_shape

_SHARES = (-0.42, -0.25, 0.0, 0.25, 0.42)
"""Heights above a body's middle where its front is looked up, as shares of its height."""
_STEP_MM = 0.1


def paint_anterior_ligament(canvas: Canvas, seed: int, free: list[Body]) -> None:
    """A thin dark band along the front of the free bodies, bridging their discs."""
    rng = generator(seed, Stream.BONES, part=120)
    half_width, thickness = float(rng.uniform(9, 13)), float(rng.uniform(0.5, 1.1))
    rising = sorted(free, key=lambda body: body.middle_mm)
    knots = [
        (body.middle_mm + share * body.height_mm, _front_mm(body, share))
        for body in rising
        for share in _SHARES
    ]
    front = PchipInterpolator(*zip(*knots, strict=True))
    low, high = rising[0].bottom_mm, rising[-1].top_mm

    def band(x: Field, d: Field, s: Field) -> Field:
        surface = front(np.clip(s, knots[0][0], knots[-1][0])) - 0.6 * (x / 9) ** 2
        across = np.abs(-d - surface) - thickness
        return np.asarray(np.maximum(across, np.abs(x) - half_width))

    deepest = max(reach for _, reach in knots)
    shallowest = min(reach for _, reach in knots)
    box = Box(
        x=(-half_width - 1, half_width + 1),
        d=(-deepest - 2, -shallowest + 4),
        s=(low, high),
    )
    canvas.paint(band, Tissue.CORTEX, box)


def _front_mm(body: Body, share: float) -> float:
    """How far in front of d = 0 a body's front wall is, in the midline."""
    d = np.arange(-1.4 * body.depth_mm, -0.5 * body.depth_mm, _STEP_MM)
    height = np.full_like(d, body.middle_mm + share * body.height_mm)
    inside = body_shape(body, 0.0)(np.zeros_like(d), d, height) < 0
    # The first from the front: farther back a hollow end plate may lie outside again.
    return float(-d[inside.argmax()])
