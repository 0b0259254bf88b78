"""The foramina: walls, fat, vessels and the exiting roots.

What must stay true: walls and root are painted exactly where they were solved; each wall is made of
what it is in the body: pedicle, vertebra, disc, flavum on the articular process.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import LevelAnatomy
from lumbargrade.phantom.canvas import Box, Canvas, Field, SignedDistance, ellipsoid
from lumbargrade.phantom.foramen import Foramen, Herniation
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import mixed, ordered

_ROOF, _FRONT, _BACK = 0, 1, 2
"""Which of ``Foramen.walls``."""

_CORTEX_MM = 0.7


def paint_foramen(
    canvas: Canvas, rng: np.random.Generator, level: LevelAnatomy, foramen: Foramen, side: Side
) -> None:
    """Walls, fat, vessels, and the exiting root, along the root's oblique course."""
    sign = SIDE_SIGN[side]

    def frame(x: Field, d: Field, s: Field) -> tuple[Field, Field, Field]:
        """Distance sideways from the narrowest section, and (d, height) there."""
        u = np.asarray(sign * x - foramen.x_mm)
        return u, d + 0.1 * u, (s - level.s_mm) * foramen.stretch + 0.45 * u

    def section(x: Field, d: Field, s: Field) -> Field:
        u, along, height = frame(x, d, s)
        wall = foramen.signed_distance(along, height, np.minimum(0.06 * u**2, 3.5))
        return np.maximum(wall, np.abs(u - 1) - 5.5)

    low, high = foramen.bottom_mm - 8, foramen.top_mm + 8
    box = Box(
        x=ordered(sign * (foramen.x_mm - 7), sign * (foramen.x_mm + 13)),
        d=(foramen.front_mm - 7, foramen.back_mm + 7),
        s=(level.s_mm + low / foramen.stretch - 2, level.s_mm + high / foramen.stretch + 2),
    )

    def beside(wall: int, reach: float, keep: Callable[[Field], Field]) -> SignedDistance:
        """What lies within a reach outside the section beyond one of its walls."""

        def distance(x: Field, d: Field, s: Field) -> Field:
            u, along, height = frame(x, d, s)
            others = foramen.walls(along, height)
            beyond = reduce(np.maximum, (o for k, o in enumerate(others) if k != wall))
            ring = np.maximum(section(x, d, s) - reach, beyond - others[wall] - 0.5)
            return np.asarray(np.maximum(np.maximum(ring, np.abs(u - 1) - 5.0), keep(height)))

        return distance

    def everywhere(height: Field) -> Field:
        return np.full_like(height, -9.0)

    half_disc = level.disc_height_mm / 2
    bone = (
        (_ROOF, everywhere),
        (_FRONT, lambda height: half_disc - np.abs(height)),
    )
    depth = float(rng.uniform(2.0, 3.5))
    for wall, keep in bone:
        canvas.paint(beside(wall, depth, keep), Tissue.MARROW, box)
        canvas.paint(beside(wall, _CORTEX_MM, keep), Tissue.CORTEX, box)
    canvas.paint(
        beside(_FRONT, 4.0, lambda height: np.abs(height) - half_disc), Tissue.ANNULUS, box
    )
    if foramen.herniation is not None:
        _paint_herniation(canvas, foramen, foramen.herniation, beside, box)
    flavum = float(rng.uniform(0.9, 2.4))
    canvas.paint(beside(_BACK, flavum, everywhere), Tissue.FLAVUM, box)
    canvas.paint(section, Tissue.FAT, box)
    for _ in range(int(rng.integers(0, 4))):
        d = _between(rng, foramen.front_mm + 1.5, foramen.back_mm - 1.0)
        height = _between(rng, foramen.bottom_mm + 1, foramen.root_height_mm - 3)
        radius = float(rng.uniform(0.4, 0.9))
        centre = (sign * foramen.x_mm, d, level.s_mm + height / foramen.stretch)
        vein = _inside(ellipsoid(centre, (6.0, radius, radius)), section)
        canvas.paint(vein, Tissue.VEIN if rng.random() < 0.5 else Tissue.VESSEL, box)
    _paint_root(canvas, rng, foramen, frame, box)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """One draw; the middle of both where a narrow foramen leaves no room between them."""
    middle = (low + high) / 2
    return float(rng.uniform(low, high) if low <= high else rng.uniform(middle, middle))


def _paint_herniation(
    canvas: Canvas,
    foramen: Foramen,
    herniation: Herniation,
    beside: Callable[[int, float, Callable[[Field], Field]], SignedDistance],
    box: Box,
) -> None:
    """Disc with some nucleus in it, from the front wall to where the section begins."""
    middle = herniation.height_share * foramen.root_height_mm
    shape = beside(
        _FRONT,
        herniation.reach_mm + 0.8,
        lambda height: np.abs(height - middle) - 1.5 * herniation.half_height_mm,
    )
    canvas.paint(shape, mixed(canvas, {Tissue.ANNULUS: 0.7, Tissue.NUCLEUS: 0.3}), box)


def _inside(shape: SignedDistance, limit: SignedDistance) -> SignedDistance:
    """What of a shape lies inside another."""
    return lambda x, d, s: np.maximum(shape(x, d, s), limit(x, d, s))


def _paint_root(
    canvas: Canvas,
    rng: np.random.Generator,
    foramen: Foramen,
    frame: Callable[[Field, Field, Field], tuple[Field, Field, Field]],
    box: Box,
) -> None:
    """The exiting root with its ganglion, flattened where it was solved to be."""
    swelling = float(rng.uniform(0.0, 0.5))

    def root(x: Field, d: Field, s: Field) -> Field:
        u, along, height = frame(x, d, s)
        relax = np.exp(-((u / 4) ** 2))
        swell = 1 + swelling * np.exp(-(((u - 5) / 3) ** 2))
        half_d = (foramen.root_half_d_mm * relax + 2.0 * (1 - relax)) * swell
        half_height = foramen.root_half_height_mm * swell
        radius = np.hypot(
            (along - foramen.root_d_mm) / half_d, (height - foramen.root_height_mm) / half_height
        )
        return np.asarray(
            np.maximum((radius - 1) * np.minimum(half_d, half_height), np.abs(u - 3) - 9)
        )

    canvas.paint(root, Tissue.ROOT, box)
