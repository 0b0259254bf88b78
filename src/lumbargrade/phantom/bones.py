"""Bones and discs of the phantom, painted before the graded spaces.

What must stay true: nothing here limits a graded space; those are painted over it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom

from lumbargrade.phantom.anatomy import Anatomy
from lumbargrade.phantom.canvas import (
    Box,
    Canvas,
    Field,
    SignedDistance,
    ellipsoid,
    rounded_box,
)
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.spine import DISCS, FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue

HALF_WIDTH_MM = 46.0
FRONT_MM, BACK_MM = -44.0, 60.0
"""Limits of the painted volume."""

CORTEX_MM = 1.0
_BODY_EXPONENT = 2.6
_SACRUM = FIRST_GRADED_DISC + 4
"""Index of the L5/S1 disc; bodies below it belong to the sacrum."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One vertebral body between two discs."""

    bottom_mm: float
    top_mm: float
    half_width_mm: float
    depth_mm: float
    sacral: bool
    pedicle_x_mm: float

    @property
    def middle_mm(self) -> float:
        """Height s of the middle."""
        return (self.bottom_mm + self.top_mm) / 2

    @property
    def height_mm(self) -> float:
        """Extent along s."""
        return self.top_mm - self.bottom_mm


def vertebral_bodies(rng: np.random.Generator, spine: Spine, anatomy: Anatomy) -> list[Body]:
    """All vertebral bodies, head to foot between the discs, then the uppermost and the lowest."""
    heights = spine.disc_height_mm.copy()
    heights[FIRST_GRADED_DISC : FIRST_GRADED_DISC + 5] = [
        level.disc_height_mm for level in anatomy.levels
    ]
    tops = np.append(spine.disc_s_mm - heights / 2, spine.disc_s_mm[-1] - 18)
    bodies = []
    widths = np.array([19, 20, 21, 22, 23, 24.5, 25, 19, 15]) * spine.size
    depths = np.array([27, 28, 29, 30.5, 32, 33, 32, 19, 13]) * spine.size
    pedicles = np.array([14, 14.5, 15, 15.5, 16, 17, 19, 19, 17]) * spine.size
    for index in range(len(DISCS) - 1):
        above, below = spine.disc_s_mm[index], spine.disc_s_mm[index + 1]
        bodies.append(
            Body(
                bottom_mm=float(below + heights[index + 1] / 2),
                top_mm=float(above - heights[index] / 2),
                half_width_mm=float(widths[index + 1] * rng.normal(1, 0.03)),
                depth_mm=float(depths[index + 1] * rng.normal(1, 0.03)),
                sacral=index >= _SACRUM,
                pedicle_x_mm=float(pedicles[index + 1]),
            )
        )
    top = float(spine.disc_s_mm[0] + heights[0] / 2)
    bodies.append(
        Body(
            bottom_mm=top, top_mm=top + 24, half_width_mm=float(widths[0]),
            depth_mm=float(depths[0]), sacral=False, pedicle_x_mm=float(pedicles[0]),
        )
    )  # fmt: skip
    bodies.append(
        Body(
            bottom_mm=float(tops[-1]), top_mm=float(spine.disc_s_mm[-1] - 1.5),
            half_width_mm=12.0, depth_mm=11.0, sacral=True, pedicle_x_mm=15.0,
        )
    )  # fmt: skip
    return bodies


def _outline(x: Field, d: Field, half_width: Field | float, depth: Field | float) -> Field:
    """Signed distance of a vertebra's outline in the plane; its posterior wall is at d = 0."""
    n = _BODY_EXPONENT
    half_depth = np.asarray(depth) / 2
    radius = (np.abs(x / half_width) ** n + np.abs((d + half_depth) / half_depth) ** n) ** (1 / n)
    return np.asarray((radius - 1) * np.minimum(half_width, half_depth))


def paint_body(canvas: Canvas, body: Body) -> None:
    """One vertebral body with cortex and basivertebral vein; the sacrum with its wings."""

    def shape(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            relative = (s - body.middle_mm) / (body.height_mm / 2)
            waist = 0.9 + 0.1 * np.minimum(relative**2, 1.2)
            wall = _outline(
                x, d + 1.3 * (1 - np.minimum(relative**2, 1)), body.half_width_mm * waist,
                body.depth_mm * waist,
            )  # fmt: skip
            ends = np.abs(s - body.middle_mm) - body.height_mm / 2
            return np.maximum(wall, ends) + inset

        return distance

    margin = 2.0
    box = Box(
        x=(-body.half_width_mm - margin, body.half_width_mm + margin),
        d=(-body.depth_mm - margin, margin),
        s=(body.bottom_mm - margin, body.top_mm + margin),
    )
    canvas.paint(shape(0.0), Tissue.CORTEX, box)
    canvas.paint(shape(CORTEX_MM), Tissue.MARROW, box)
    if body.sacral:
        for sign in (-1, 1):
            centre = (sign * (body.half_width_mm + 16), -6.0, body.middle_mm)
            half = (20.0, 12.0, body.height_mm / 2 + 2.0)
            reach = Box(x=ordered(sign * 4, sign * 46), d=(-22, 10),
                        s=(centre[2] - half[2] - 2, centre[2] + half[2] + 2))  # fmt: skip
            canvas.paint(rounded_box(centre, half, 4.0), Tissue.MARROW, reach)
    else:
        vein = ellipsoid((0, -body.depth_mm * 0.18, body.middle_mm), (6, 5.0, 1.3))
        canvas.paint(vein, Tissue.VEIN, box)


def ordered(a: float, b: float) -> tuple[float, float]:
    """Two limits, the smaller first."""
    return (a, b) if a < b else (b, a)


def add_texture(seed: int, canvas: Canvas) -> None:
    """Trabecular and fatty unevenness of the vertebral bodies painted so far."""
    rng = generator(seed, Stream.TEXTURE)
    region = canvas.window(Box(x=(-30, 30), d=(FRONT_MM, 3), s=(-1000, 1000)))
    shape = canvas.coverage[region].shape
    field = np.zeros([2, 2, 2], np.float32)
    for size, strength in ((14, 0.06), (4, 0.05)):
        coarse = [n // size + 2 for n in shape]
        field = _upsample(field, coarse)
        field += np.float32(strength) * rng.standard_normal(coarse).astype(np.float32)
    canvas.colour[(slice(None), *region)] *= 1 + _upsample(field, list(shape))


def _upsample(field: NDArray[np.float32], shape: list[int]) -> NDArray[np.float32]:
    """Linear interpolation of a field to a larger shape."""
    factors = [n / c for n, c in zip(shape, field.shape, strict=True)]
    larger: NDArray[np.float32] = zoom(field, factors, order=1)
    return larger


def paint_disc(
    canvas: Canvas, rng: np.random.Generator, spine: Spine, anatomy: Anatomy, index: int
) -> None:
    """One disc: dark annulus, nucleus as bright as it is hydrated, with its cleft."""
    graded = index - FIRST_GRADED_DISC
    level = anatomy.levels[graded] if 0 <= graded < len(anatomy.levels) else None
    s0 = float(spine.disc_s_mm[index])
    height = level.disc_height_mm if level else float(spine.disc_height_mm[index])
    half_width = (19 + 0.9 * min(index, _SACRUM)) * spine.size * (0.8 if index > _SACRUM else 1)
    depth = (27 + 0.9 * min(index, _SACRUM)) * spine.size * (0.6 if index > _SACRUM else 1)
    hydration = level.hydration if level else 0.6
    overhang = float(rng.uniform(0.3, 1.5))

    def annulus(x: Field, d: Field, s: Field) -> Field:
        thickness = np.abs(s - s0) - (height / 2 + 0.4)
        return np.maximum(_outline(x, d, half_width + overhang, depth + overhang), thickness)

    def nucleus(x: Field, d: Field, s: Field) -> Field:
        radius = np.sqrt(
            (x / (half_width * 0.72)) ** 2
            + ((d + depth * 0.52) / (depth * 0.34)) ** 2
            + ((s - s0) / (height * 0.42)) ** 2
        )
        cleft = 0.5 - np.abs(s - s0 - 0.2) if hydration < 0.75 else np.float64(-1)
        return np.maximum((radius - 1) * height * 0.42, cleft)

    box = Box(
        x=(-half_width - 4, half_width + 4), d=(-depth - 4, 2),
        s=(s0 - height / 2 - 2, s0 + height / 2 + 2),
    )  # fmt: skip
    canvas.paint(annulus, Tissue.ANNULUS, box)
    mixed = hydration * canvas.signals[:, Tissue.NUCLEUS] + (1 - hydration) * (
        0.8 * canvas.signals[:, Tissue.ANNULUS] + 0.2 * canvas.signals[:, Tissue.MUSCLE]
    )
    canvas.paint(nucleus, mixed.astype(np.float64), box)


def paint_arch(canvas: Canvas, rng: np.random.Generator, body: Body, sac: SacCourse) -> None:
    """Pedicles, laminae, spinous and transverse processes of one vertebra."""
    height = body.height_mm
    for sign in (-1, 1):
        if not body.sacral:
            x = sign * (body.pedicle_x_mm + 1.0)
            half = (4.2, 10.0, height * 0.27)
            centre = (x, 3.0, body.middle_mm + height * 0.14)
            box = Box(x=(x - 6, x + 6), d=(-8, 14), s=(centre[2] - 12, centre[2] + 12))
            canvas.paint(rounded_box(centre, half, 3.5), Tissue.CORTEX, box)
            inner = (half[0] - CORTEX_MM, half[1], half[2] - CORTEX_MM)
            canvas.paint(rounded_box(centre, inner, 2.8), Tissue.MARROW, box)
            reach = (sign * 30, 12.0, body.middle_mm + 2)
            wing = rounded_box(reach, (14.0, 3.0, 4.0), 2.5)
            canvas.paint(
                wing, Tissue.MARROW, Box(x=ordered(sign * 16, sign * 46), d=(7, 17),
                                         s=(reach[2] - 6, reach[2] + 6)),
            )  # fmt: skip
    lamina_s = body.middle_mm - height * 0.22
    thickness = float(rng.uniform(5, 7))

    def lamina(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            wall = sac.back_wall(x, d, s)
            plate = np.abs(wall - thickness / 2) - thickness / 2
            ends = np.abs(s - lamina_s + 0.3 * (d - 20)) - height * 0.33
            return np.asarray(np.maximum(np.maximum(plate, ends), np.abs(x) - 17) + inset)

        return distance

    box = Box(x=(-19, 19), d=(2, 36), s=(body.bottom_mm - 8, body.top_mm + 4))
    canvas.paint(lamina(0.0), Tissue.CORTEX, box)
    canvas.paint(lamina(1.3), Tissue.MARROW, box)
    if body.sacral:
        return
    half_thickness = float(rng.uniform(2.6, 3.6))
    tilt = 0.35

    def spinous(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            axis = s - (lamina_s - 4 - tilt * (d - 24))
            q = np.maximum(np.abs(d - 38) - 14, np.abs(axis) - height * 0.36)
            return np.asarray(np.maximum(np.abs(x) - half_thickness, q) + inset)

        return distance

    box = Box(x=(-5, 5), d=(20, 56), s=(lamina_s - 32, lamina_s + 22))
    canvas.paint(spinous(0.0), Tissue.CORTEX, box)
    canvas.paint(spinous(CORTEX_MM), Tissue.MARROW, box)
