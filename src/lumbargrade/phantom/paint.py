"""Anatomy → a painted volume in the spine's straight frame.

What must stay true: bones, discs and muscles are painted first, then the graded spaces (canal,
recesses, foramina) exactly as they were solved, with nothing over them but their own contents.
"""

import numpy as np
from jaxtyping import Float64

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import Anatomy
from lumbargrade.phantom.bones import (
    BACK_MM,
    FRONT_MM,
    HALF_WIDTH_MM,
    add_texture,
    paint_arch,
    paint_body,
    paint_disc,
    vertebral_bodies,
)
from lumbargrade.phantom.canvas import Box, Canvas
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.facets import paint_facet
from lumbargrade.phantom.foramen_paint import paint_foramen
from lumbargrade.phantom.spaces import (
    paint_bulge,
    paint_canal_fat,
    paint_flavum,
    paint_sac,
    paint_traversing_roots,
)
from lumbargrade.phantom.spine import DISCS, Spine
from lumbargrade.phantom.streams import Stream, generator


def paint_spine(
    seed: int, spine: Spine, anatomy: Anatomy, signals: Float64[np.ndarray, "contrast tissue"]
) -> Canvas:
    """Paint the whole spine; ``signals`` holds each contrast's signal of every tissue."""
    rng = generator(seed, Stream.ORGANS)
    bodies = vertebral_bodies(rng, spine, anatomy)
    canvas = Canvas(
        Box(
            x=(-HALF_WIDTH_MM, HALF_WIDTH_MM),
            d=(FRONT_MM, BACK_MM),
            s=(float(spine.disc_s_mm[-1]) - 25, float(spine.disc_s_mm[0]) + 30),
        ),
        signals,
    )
    sac = SacCourse(spine, anatomy)
    paint_canal_fat(canvas, sac)
    for body in bodies:
        paint_body(canvas, body)
    add_texture(seed, canvas)
    for index in range(len(DISCS)):
        paint_disc(canvas, rng, spine, anatomy, index)
    for body in bodies:
        paint_arch(canvas, rng, body, sac)
    for level in anatomy.levels:
        paint_flavum(canvas, level, sac)
        for side in (Side.LEFT, Side.RIGHT):
            paint_facet(canvas, rng, level.s_mm, level.recess[side], side)
        paint_bulge(canvas, level)
    for level in anatomy.levels:
        for side in (Side.LEFT, Side.RIGHT):
            paint_foramen(canvas, rng, level, level.foramen[side], side)
    for side in (Side.LEFT, Side.RIGHT):
        paint_traversing_roots(canvas, anatomy, side)
    paint_sac(canvas, rng, spine, sac)
    return canvas
