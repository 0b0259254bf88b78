"""The foramina: walls, fat, vessels and the exiting roots.

What must stay true: walls and root are painted exactly where they were solved.
"""

import numpy as np

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import LevelAnatomy
from lumbargrade.phantom.canvas import Box, Canvas, Field, ellipsoid
from lumbargrade.phantom.foramen import Foramen
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import ordered


def paint_foramen(
    canvas: Canvas, rng: np.random.Generator, level: LevelAnatomy, foramen: Foramen, side: Side
) -> None:
    """Dark walls, fat, and the exiting root, along the root's oblique course."""
    sign = SIDE_SIGN[side]

    def along(x: Field) -> Field:
        return np.asarray(sign * x - foramen.x_mm)

    def section(x: Field, d: Field, s: Field, thicker: float) -> Field:
        u = along(x)
        height = (s - level.s_mm) * foramen.stretch + 0.45 * u
        widen = np.minimum(0.06 * u**2, 3.5)
        wall = foramen.signed_distance(d + 0.1 * u, height, widen) - thicker
        return np.maximum(wall, np.abs(u - 1) - 5.5)

    def root(x: Field, d: Field, s: Field) -> Field:
        u = along(x)
        height = (s - level.s_mm) * foramen.stretch + 0.45 * u
        relax = np.exp(-((u / 4) ** 2))
        half_d = foramen.root_half_d_mm * relax + 2.0 * (1 - relax)
        radius = np.hypot(
            (d + 0.1 * u - foramen.root_d_mm) / half_d,
            (height - foramen.root_height_mm) / foramen.root_half_height_mm,
        )
        return np.asarray(
            np.maximum((radius - 1) * np.minimum(half_d, foramen.root_half_height_mm),
                       np.abs(u - 3) - 9)
        )  # fmt: skip

    low, high = foramen.bottom_mm - 8, foramen.top_mm + 8
    box = Box(
        x=ordered(sign * (foramen.x_mm - 7), sign * (foramen.x_mm + 13)),
        d=(foramen.front_mm - 7, foramen.back_mm + 7),
        s=(level.s_mm + low / foramen.stretch - 2, level.s_mm + high / foramen.stretch + 2),
    )
    canvas.paint(lambda x, d, s: section(x, d, s, 1.5), Tissue.CORTEX, box)
    canvas.paint(lambda x, d, s: section(x, d, s, 0.0), Tissue.FAT, box)
    for _ in range(int(rng.integers(0, 3))):
        d = float(rng.uniform(foramen.front_mm + 1, foramen.back_mm - 0.5))
        height = float(rng.uniform(foramen.bottom_mm, foramen.root_height_mm - 3))
        centre = (sign * foramen.x_mm, d, level.s_mm + height / foramen.stretch)
        vessel = ellipsoid(centre, (6.0, 0.7, 0.7))
        canvas.paint(vessel, Tissue.VEIN, box)
    canvas.paint(root, Tissue.ROOT, box)
