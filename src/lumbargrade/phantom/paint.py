"""Anatomy → a painted volume in the spine's straight frame.

What must stay true: bones, discs and muscles are painted first, then the graded spaces (canal,
recesses, foramina) exactly as they were solved, with nothing over them but their own contents.
"""

import numpy as np
from jaxtyping import Float64

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import Anatomy
from lumbargrade.phantom.arch import paint_arch
from lumbargrade.phantom.canvas import Box, Canvas
from lumbargrade.phantom.cauda import paint_sac
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.disc import paint_disc
from lumbargrade.phantom.facets import paint_facet
from lumbargrade.phantom.flavum import paint_flavum
from lumbargrade.phantom.foramen_paint import paint_foramen
from lumbargrade.phantom.ligament import paint_anterior_ligament
from lumbargrade.phantom.marrow import marrow_texture
from lumbargrade.phantom.sacrum import paint_sacrum
from lumbargrade.phantom.spaces import (
    paint_bulge,
    paint_canal_fat,
    paint_epidural_veins,
    paint_traversing_roots,
)
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.veins import paint_tributaries
from lumbargrade.phantom.vertebra import (
    BACK_MM,
    FRONT_MM,
    HALF_WIDTH_MM,
    SACRUM,
    paint_body,
    paint_end_plate_changes,
    vertebral_bodies,
)


def paint_spine(
    seed: int,
    spine: Spine,
    anatomy: Anatomy,
    signals: Float64[np.ndarray, "contrast tissue"],
    heights_mm: tuple[float, float] | None = None,
) -> Canvas:
    """Paint the spine.

    Args:
        seed: of the study.
        spine: its course.
        anatomy: its levels.
        signals: each contrast's signal of every tissue.
        heights_mm: the part of it to paint, from s to s; the whole of it by default.
    """
    whole = float(spine.disc_s_mm[-1]) - 25, float(spine.disc_s_mm[0]) + 30
    bodies = vertebral_bodies(seed, spine, anatomy)
    canvas = Canvas(
        Box(
            x=(-HALF_WIDTH_MM, HALF_WIDTH_MM),
            d=(FRONT_MM, BACK_MM),
            s=whole if heights_mm is None else heights_mm,
        ),
        signals,
    )
    canvas.marrow = marrow_texture(seed, signals)
    sac = SacCourse(seed, spine, anatomy)
    paint_canal_fat(canvas, sac)
    free = [body for body in bodies if not body.sacral]
    paint_anterior_ligament(canvas, seed, free)
    for index in range(SACRUM + 1):
        paint_disc(canvas, seed, spine, anatomy, index)
    paint_sacrum(canvas, seed, spine, bodies, sac)
    for body in free:
        paint_body(canvas, seed, body)
        paint_tributaries(canvas, seed, body)
    paint_end_plate_changes(canvas, seed, bodies, anatomy)
    for body in free:
        last = body.index == SACRUM - 1
        paint_arch(canvas, seed, body, sac, spine.form.broad_process if last else (0.0, 0.0))
    for index, level in enumerate(anatomy.levels):
        paint_flavum(canvas, seed, index, level, sac)
        for number, side in enumerate((Side.LEFT, Side.RIGHT)):
            rng = generator(seed, Stream.FACETS, part=2 * index + number)
            paint_facet(canvas, rng, level.s_mm, level.recess[side], side)
        paint_bulge(canvas, seed, index, level)
    for index, level in enumerate(anatomy.levels):
        for number, side in enumerate((Side.LEFT, Side.RIGHT)):
            rng = generator(seed, Stream.FORAMINA, part=2 * index + number)
            paint_foramen(canvas, rng, level, level.foramen[side], side)
    paint_epidural_veins(canvas, seed, anatomy, sac)
    for side in (Side.LEFT, Side.RIGHT):
        paint_traversing_roots(canvas, anatomy, side)
    paint_sac(canvas, seed, spine, sac)
    return canvas
