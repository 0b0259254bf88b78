"""Intervertebral discs, painted before the bodies that hollow out above and below them.

What must stay true: behind d = -3 mm the graded discs' margin is painted later, where it was
solved; nothing here reaches farther back than the posterior wall.
"""

import numpy as np

from lumbargrade.phantom.anatomy import Anatomy
from lumbargrade.phantom.canvas import Box, Canvas, Field, SignedDistance
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import SACRUM, mixed, outline, soft

_HOLLOW_MM = 3.2
"""How far a disc is painted beyond its height, to fill the hollows of its end plates."""


_GRAIN = 0.5
"""Share of marrow's unevenness in a disc."""


def paint_disc(canvas: Canvas, seed: int, spine: Spine, anatomy: Anatomy, index: int) -> None:
    """One disc of the free spine: dark annulus, nucleus as bright as it is hydrated."""
    rng = generator(seed, Stream.DISCS, part=index)
    graded = index - FIRST_GRADED_DISC
    level = anatomy.levels[graded] if 0 <= graded < len(anatomy.levels) else None
    s0 = float(spine.disc_s_mm[index])
    height = level.disc_height_mm if level else float(spine.disc_height_mm[index])
    hydration = level.hydration if level else float(np.clip(rng.normal(0.6, 0.25), 0, 1))
    size = spine.size * float(spine.form.girth[index])
    half_width = (19 + 0.9 * min(index, SACRUM)) * size
    depth = (27 + 0.9 * min(index, SACRUM)) * size
    overhang = float(rng.uniform(0.0, 1.2)) + 1.2 * (1 - hydration) * float(rng.random())
    box = Box(
        x=(-half_width - 5, half_width + 5), d=(-depth - 5, 1.0),
        s=(s0 - height / 2 - _HOLLOW_MM - 1, s0 + height / 2 + _HOLLOW_MM + 1),
    )  # fmt: skip

    def annulus(x: Field, d: Field, s: Field) -> Field:
        bow = overhang * np.clip(1 - ((s - s0) / (0.6 * height + 1)) ** 2, -1, 1)
        wall = outline(x, d, half_width, depth) - bow
        return np.asarray(np.maximum(wall, np.abs(s - s0) - height / 2 - _HOLLOW_MM))

    canvas.paint(annulus, Tissue.ANNULUS, box)
    shift, lean = float(rng.normal(0, 0.02)), float(rng.normal(0, 0.06))

    def nucleus(scale: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            high = (height * 0.46 + 1.2) * scale**0.7
            radius = np.sqrt(
                (x / (half_width * 0.74 * scale)) ** 2
                + ((d + depth * (0.54 + shift)) / (depth * 0.36 * scale)) ** 2
                + ((s - s0 - lean * (d + depth / 2)) / high) ** 2
            )
            return np.asarray((radius - 1) * high)

        return distance

    for scale, share in ((1.08, 0.45), (0.88, 0.8), (0.66, 1.0)):
        wet = hydration * share
        signals = mixed(
            canvas,
            {
                Tissue.NUCLEUS: wet,
                Tissue.ANNULUS: (1 - wet) * 0.85,
                Tissue.MUSCLE: (1 - wet) * 0.15,
            },
        )
        canvas.paint(soft(nucleus(scale), 1.6), signals, box, grain=_GRAIN)
    if hydration > 0.35 and rng.random() < 0.75:
        _paint_cleft(canvas, rng, (s0, height, depth), half_width, hydration, box)
    if hydration < 0.2 and rng.random() < 0.25:
        _paint_cleft(canvas, rng, (s0, height, depth), half_width, -1.0, box)


def _paint_cleft(
    canvas: Canvas,
    rng: np.random.Generator,
    place: tuple[float, float, float],
    half_width: float,
    hydration: float,
    box: Box,
) -> None:
    """The fibrous band through the nucleus, or, below zero hydration, gas."""
    s0, height, depth = place
    half, off = float(rng.uniform(0.3, 0.9)), float(rng.normal(0, 0.06)) * height
    bend = float(rng.normal(0, 0.03))

    def band(x: Field, d: Field, s: Field) -> Field:
        along = np.hypot(x / (half_width * 0.6), (d + depth * 0.54) / (depth * 0.3))
        line = np.abs(s - s0 - off - bend * (d + depth * 0.54)) - half * np.clip(1.2 - along, 0, 1)
        return np.asarray(np.maximum(line, (along - 1) * 3))

    dark = {Tissue.ANNULUS: 0.75, Tissue.NUCLEUS: 0.25}
    canvas.paint(soft(band, 0.9), mixed(canvas, dark if hydration > 0 else {Tissue.AIR: 1.0}), box)
