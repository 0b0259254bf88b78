"""The graded spaces and what is in them: canal, flavum, disc bulge, roots, sac.

What must stay true: every boundary that a measure depends on is painted exactly where it was
solved, after everything else.
"""

import numpy as np

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import Anatomy, LevelAnatomy
from lumbargrade.phantom.canvas import Box, Canvas, Field, box_around, tube
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.tissue import Tissue


def _canal_box(sac: SacCourse, half_width: float = 24.0) -> Box:
    return Box(x=(-half_width, half_width), d=(-6, 30), s=(sac.end_mm - 4, sac.top_mm))


def paint_canal_fat(canvas: Canvas, sac: SacCourse) -> None:
    """The bony canal, filled with fat."""

    def shape(x: Field, d: Field, s: Field) -> Field:
        wall = np.maximum(sac.back_wall(x, d, s), np.abs(x) - 21)
        return np.asarray(np.maximum(wall, np.maximum(-4 - d, sac.end_mm - 3 - s)))

    canvas.paint(shape, Tissue.FAT, _canal_box(sac))


def paint_flavum(canvas: Canvas, level: LevelAnatomy, sac: SacCourse) -> None:
    """The ligament between two laminae; at the disc it reaches the sac but for a film of fat."""
    own = level.sac
    sin, cos = np.sin(own.back_angle_rad), np.cos(own.back_angle_rad)
    face = own.back_support_mm() - own.back_cut_mm

    def shape(x: Field, d: Field, s: Field) -> Field:
        fade = own.fade(s - level.s_mm)
        behind_sac = face + 0.3 + level.posterior_fat_mm * 0.4 - (np.abs(x) * sin + d * cos)
        behind_sac = behind_sac + (1 - fade) * 4
        wall = sac.back_wall(x, d, s) - 4.0
        ends = np.abs(s - level.s_mm) - 10
        return np.asarray(
            np.maximum(np.maximum(behind_sac, wall), np.maximum(ends, np.abs(x) - 15))
        )

    canvas.paint(
        shape, Tissue.FLAVUM, Box(x=(-16, 16), d=(0, 32), s=(level.s_mm - 11, level.s_mm + 11))
    )


def paint_bulge(canvas: Canvas, level: LevelAnatomy) -> None:
    """The disc's posterior margin: a broad bulge, lower towards the sides."""
    half = level.disc_height_mm / 2

    def shape(x: Field, d: Field, s: Field) -> Field:
        fade = np.exp(-(np.maximum(np.abs(s - level.s_mm) - 1.5, 0) ** 2) / (0.7 * half + 1) ** 2)
        margin = -3 + (level.bulge_mm + 3) * fade * (1 - 0.35 * (x / 16) ** 2)
        return np.asarray(np.maximum(np.maximum(d - margin, -6 - d), np.abs(x) - 17))

    canvas.paint(
        shape,
        Tissue.ANNULUS,
        Box(x=(-18, 18), d=(-6, 16), s=(level.s_mm - half - 4, level.s_mm + half + 4)),
    )


def paint_traversing_roots(canvas: Canvas, anatomy: Anatomy, side: Side) -> None:
    """From each recess down to the inner side of the next pedicle and its foramen."""
    sign = SIDE_SIGN[side]
    for level, below in zip(anatomy.levels, (*anatomy.levels[1:], None), strict=True):
        recess = level.recess[side]
        points = [
            (recess.root_x_mm * 0.8, recess.root_d_mm + 1.0, level.s_mm + 9),
            (recess.root_x_mm, recess.root_d_mm, level.s_mm + 1),
            (recess.root_x_mm, recess.root_d_mm, level.s_mm - 3),
        ]
        if below is None:
            points.append((recess.root_x_mm + sign * 4, recess.root_d_mm, level.s_mm - 20))
        else:
            foramen = below.foramen[side]
            exit_s = below.s_mm + foramen.root_height_mm / foramen.stretch
            points.append((sign * (foramen.x_mm - 6), foramen.root_d_mm, exit_s + 4))
        course = np.array(points)
        canvas.paint(tube(course, recess.root_radius_mm), Tissue.ROOT, box_around(course, 3.0))


def paint_sac(canvas: Canvas, rng: np.random.Generator, spine: Spine, sac: SacCourse) -> None:
    """Dural sac with the cord down to the conus and the roots of the cauda equina behind it."""
    box = _canal_box(sac, 14.0)
    canvas.paint(sac.shape(), Tissue.CSF, box)
    conus = float(spine.graded_s_mm()[0] + rng.normal(4, 10))

    def cord(x: Field, d: Field, s: Field) -> Field:
        radius = 4.3 * np.clip((s - conus) / 25, 0.05, 1) ** 0.5
        middle = sac.centre_d(s) + 0.5
        return np.asarray(np.maximum(np.hypot(x / 1.2, d - middle) - radius, conus - s))

    canvas.paint(cord, Tissue.CORD, Box(x=box.x, d=box.d, s=(conus, sac.top_mm)))
    inside = sac.shape(0.4)
    strands = 16
    lateral = rng.uniform(-0.8, 0.8, strands)
    depth = rng.uniform(-0.1, 0.75, strands) - 0.3 * np.abs(lateral)
    sway = rng.normal(0, 0.06, (strands, 2))
    phase = rng.uniform(0, 6, strands)
    ends = np.sort(rng.uniform(sac.end_mm + 5, conus - 30, strands))

    def cauda(x: Field, d: Field, s: Field) -> Field:
        nearest = np.full(np.broadcast_shapes(x.shape, d.shape, s.shape), 9.0)
        half_width, half_depth, centre = sac.half_width(s), sac.half_depth(s), sac.centre_d(s)
        for i in range(strands):
            wave = np.sin(s / 17 + phase[i])
            px = (lateral[i] + sway[i, 0] * wave) * half_width
            pd = centre + (depth[i] + sway[i, 1] * wave) * half_depth
            square = (x - px) ** 2 + (d - pd) ** 2
            nearest = np.minimum(nearest, np.where(s > ends[i], square, 9.0))
        return np.asarray(np.maximum(np.sqrt(nearest) - 0.55, inside(x, d, s)))

    canvas.paint(cauda, Tissue.ROOT, Box(x=box.x, d=(0, 24), s=(sac.end_mm, conus + 12)))
