"""What bounds the canal's sac: epidural fat and veins, the disc's margin, roots beside it.

What must stay true: every boundary that a measure depends on is painted exactly where it was
solved, after everything else.
"""

import numpy as np

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import Anatomy, LevelAnatomy
from lumbargrade.phantom.canvas import Box, Canvas, Field, box_around, ellipsoid, tube
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.sac import smooth_max
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue

PAINT_PART = 10
"""Paint nuisances of a level draw from the canal's stream at this part plus the level."""


def canal_box(sac: SacCourse, half_width: float = 24.0) -> Box:
    """Where the canal and its contents lie."""
    return Box(x=(-half_width, half_width), d=(-6, 30), s=(sac.end_mm - 4, sac.top_mm))


def paint_canal_fat(canvas: Canvas, sac: SacCourse) -> None:
    """The bony canal, filled with fat."""

    def shape(x: Field, d: Field, s: Field) -> Field:
        wall = sac.back_wall(x, d, s)
        np.maximum(wall, np.maximum(np.abs(x) - 21, -4 - d), out=wall)
        return np.asarray(np.maximum(wall, sac.end_mm - 3 - s, out=wall))

    canvas.paint(shape, Tissue.FAT, canal_box(sac, 22.0))


def paint_bulge(canvas: Canvas, seed: int, index: int, level: LevelAnatomy) -> None:
    """The disc's posterior margin: a broad bulge, lower towards the sides, and any herniation."""
    rng = generator(seed, Stream.CANAL, part=PAINT_PART + index)
    half = level.disc_height_mm / 2
    margin = level.sac.margin
    focal_middle = float(margin.focal_push(0.0, 0.0))
    rest = level.bulge_mm - focal_middle + 3

    def broad(x: Field, s: Field) -> Field:
        beyond = np.maximum(np.abs(s - level.s_mm) - 1.5, 0) / (0.7 * half + 1)
        return np.asarray(rest * np.exp(-(beyond**2)) * (1 - 0.35 * np.square(x / 16)) - 3)

    def shape(x: Field, d: Field, s: Field) -> Field:
        beside_disc = np.clip(2 * (np.abs(s - level.s_mm) - half), 0, 2)
        start = -2.5 - 4.0 * (x / 17) ** 4 + beside_disc
        ends = np.abs(x) - 17 + 0.5 * np.maximum(d, 0)
        return smooth_max(np.maximum(d - broad(x, s), start - d), ends, 2.0)

    def herniation(x: Field, d: Field, s: Field) -> Field:
        ds = s - level.s_mm
        focal = margin.focal_push(x, ds)
        back = level.bulge_mm - focal_middle + focal - 0.35 * margin.broad_mm * np.square(x / 16)
        start = back - 1.5 * focal - 0.3 - np.clip(np.abs(ds) - half, 0, 2)
        lens = np.maximum(d - back, np.maximum(start, -1.5) - d)
        return np.asarray(np.maximum(lens, 0.12 * margin.focal_mm - focal))

    up = max(0.0, margin.migration_mm) + 2.2 * margin.focal_reach_mm
    down = max(0.0, -margin.migration_mm) + 2.2 * margin.focal_reach_mm
    box = Box(
        x=(-18, 18), d=(-6, 18),
        s=(level.s_mm - max(half, down) - 4, level.s_mm + max(half, up) + 4),
    )  # fmt: skip
    canvas.paint(shape, Tissue.ANNULUS, box)
    brighter, fissure, place = rng.uniform(0, 0.4), rng.random(), rng.uniform(-6, 6)
    if margin.focal_mm > 0.4:
        nucleus, annulus = (canvas.signals[:, t] for t in (Tissue.NUCLEUS, Tissue.ANNULUS))
        mixed = (annulus + brighter * (nucleus - annulus)).astype(np.float64)
        canvas.paint(herniation, mixed, box)
        place = margin.focal_x_mm
    if fissure < 0.06 + 0.16 * level.causes.degeneration:
        depth = float(level.bulge_mm + margin.push(place, 0.0) - margin.push(0.0, 0.0)) - 2.2
        zone = ellipsoid((place, depth, level.s_mm - 0.15 * half), (2.4, 0.9, 0.9))
        canvas.paint(zone, Tissue.NUCLEUS, box)


def paint_epidural_veins(canvas: Canvas, seed: int, anatomy: Anatomy, sac: SacCourse) -> None:
    """The anterior internal plexus: paired veins behind each vertebral body."""
    rng = generator(seed, Stream.CANAL, part=PAINT_PART + len(anatomy.levels))
    middles = np.array([level.s_mm for level in anatomy.levels]) - 16
    for middle in [*middles, float(anatomy.levels[0].s_mm) + 17]:
        front = float(sac.front_d(middle))
        for sign in (-1.0, 1.0):
            x = sign * float(rng.uniform(2.5, 6.0))
            depth = float(np.clip(front / 2, 0.5, 1.2))
            radii = (float(rng.uniform(1.2, 3.0)), depth, float(rng.uniform(4, 8)))
            vein = ellipsoid((x, depth - 0.3, middle + float(rng.normal(0, 1.5))), radii)
            box = Box(x=(x - 4, x + 4), d=(-3, front + 2), s=(middle - 14, middle + 14))
            canvas.paint(vein, Tissue.VEIN, box)


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
