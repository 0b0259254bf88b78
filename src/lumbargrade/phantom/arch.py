"""Vertebral arches: pedicles, laminae, spinous and transverse processes.

What must stay true: laminae and spinous processes stay behind the canal's back wall; articular
processes are not painted here.
"""

import numpy as np

from lumbargrade.phantom.canvas import Box, Canvas, Field, SignedDistance
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import CORTEX_MM, Body, ordered


def paint_arch(
    canvas: Canvas, seed: int, body: Body, sac: SacCourse, broad: tuple[float, float] = (0.0, 0.0)
) -> None:
    """The arch of one free vertebra.

    Args:
        canvas: to paint on.
        seed: of the study.
        body: the vertebra's.
        sac: the canal's course.
        broad: how far either transverse process, right and left, has grown towards the sacral
            wing, 0 to 1.
    """
    rng = generator(seed, Stream.BONES, part=60 + body.index)
    for sign, share in zip((-1, 1), broad, strict=True):
        _paint_pedicle(canvas, body, sign)
        _paint_transverse(canvas, rng, body, sign, share)
    lamina_s = body.middle_mm - body.height_mm * 0.22
    _paint_laminae(canvas, rng, body, sac, lamina_s)
    _paint_spinous(canvas, rng, body, sac, lamina_s)


def _paint_pedicle(canvas: Canvas, body: Body, sign: int) -> None:
    """An oval bar from the body to the articular processes; its marrow runs on into the body."""
    x0 = sign * (body.pedicle_x_mm + 1.0)
    s0 = body.middle_mm + body.height_mm * 0.15
    half_x, half_s = 4.6, body.height_mm * 0.27

    def bar(inset: float, front: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            flare = 0.05 * np.maximum(3 - d, 0) ** 1.4
            radius = np.hypot((x - x0) / (half_x + flare), (s - s0) / (half_s + flare))
            side = (radius - 1) * half_x + inset
            return np.asarray(np.maximum(side, np.maximum(front - d, d - 13 + inset)))

        return distance

    box = Box(x=(x0 - 8, x0 + 8), d=(-11, 15), s=(s0 - half_s - 4, s0 + half_s + 4))
    canvas.paint(bar(0.0, -3.0), Tissue.CORTEX, box)
    canvas.paint(bar(CORTEX_MM, -9.0), Tissue.MARROW, box)


def _paint_transverse(
    canvas: Canvas, rng: np.random.Generator, body: Body, sign: int, broad: float
) -> None:
    """A flat bar to the side; a broad one comes forward and down on the sacral wing."""
    reach, droop = float(rng.uniform(36, 44)), float(rng.normal(0, 0.12))
    s0 = body.middle_mm + 3

    def wing(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            out = sign * x - body.pedicle_x_mm
            grown = broad * np.maximum(out - 4.0, 0)
            axis_s, axis_d = s0 + droop * out - 0.75 * grown, 11.0 + 0.12 * out - 0.35 * grown
            high, thick = 5.0 + 0.75 * grown, 2.6 + 0.25 * grown
            radius = np.hypot((s - axis_s) / high, (d - axis_d) / thick)
            return np.asarray(
                np.maximum((radius - 1) * thick, np.maximum(-out, sign * x - reach)) + inset
            )

        return distance

    box = Box(
        x=ordered(sign * body.pedicle_x_mm, sign * 46), d=(6 - 14 * broad, 20),
        s=(s0 - 12 - 32 * broad, s0 + 12),
    )  # fmt: skip
    canvas.paint(wing(0.0), Tissue.CORTEX, box)
    canvas.paint(wing(CORTEX_MM), Tissue.MARROW, box)


def _paint_laminae(
    canvas: Canvas, rng: np.random.Generator, body: Body, sac: SacCourse, lamina_s: float
) -> None:
    """Two plates like a roof behind the canal, sloping backwards to the foot."""
    thickness, slope = float(rng.uniform(5, 7)), float(rng.uniform(0.3, 0.55))
    half = body.height_mm * 0.34

    def plate(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            wall = sac.back_wall(x, d, s)
            height = s - lamina_s + 0.3 * (d - 20)
            lean = wall - slope * (half - np.clip(height, -half, half)) * 0.35
            radius = np.hypot((lean - thickness / 2) / (thickness / 2), height / half)
            bar = (radius**1.0 - 1) * thickness / 2
            return np.asarray(
                np.maximum(np.maximum(bar, -wall), np.abs(x) - 15 - 0.1 * height) + inset
            )

        return distance

    box = Box(x=(-19, 19), d=(2, 40), s=(body.bottom_mm - 10, body.top_mm + 4))
    canvas.paint(plate(0.0), Tissue.CORTEX, box)
    canvas.paint(plate(0.9), Tissue.MARROW, box)


def _paint_spinous(
    canvas: Canvas, rng: np.random.Generator, body: Body, sac: SacCourse, lamina_s: float
) -> None:
    """A hatchet: narrow at the laminae, higher and thicker at its rounded end."""
    half_thickness = float(rng.uniform(2.2, 3.2))
    droop = float(rng.uniform(0.22, 0.45))
    length = float(rng.uniform(26, 32)) * body.height_mm / 26
    base, tip = body.height_mm * 0.19, body.height_mm * float(rng.uniform(0.32, 0.42))
    start, bend = 22.0, float(rng.normal(0, 0.05))

    def hatchet(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            out = d - start
            share = np.clip(out / length, -0.2, 1)
            half = base + (tip - base) * np.clip(share, 0, 1) ** 1.4
            axis = s - (lamina_s - 3 - droop * out - 0.15 * tip * share)
            high = np.abs(axis) - half + 3
            far = out - length + 3 + 0.25 * np.abs(axis)
            corner = np.hypot(np.maximum(high, 0), np.maximum(far, 0))
            plane = corner + np.minimum(np.maximum(high, far), 0) - 3
            side = np.abs(x - bend * out) - half_thickness - 1.3 * np.clip(share, 0, 1) ** 3
            both = np.maximum(np.maximum(plane, side), -sac.back_wall(x, d, s) + 1.0)
            return np.asarray(both + inset)

        return distance

    box = Box(x=(-8, 8), d=(12, 58), s=(lamina_s - 36, lamina_s + 20))
    canvas.paint(hatchet(0.0), Tissue.CORTEX, box)
    canvas.paint(hatchet(CORTEX_MM), Tissue.MARROW, box)
