"""The sacrum: one wedge of fused bodies with rudimentary discs, wings and a dorsal crest.

What must stay true: its back wall is the front of the sacral canal, at d = 0, and nothing of it
lies in the canal.
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from lumbargrade.phantom.canvas import Box, Canvas, Field, SignedDistance
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import CORTEX_MM, SACRUM, Body, mixed, ordered, soft


def paint_sacrum(
    canvas: Canvas, seed: int, spine: Spine, bodies: list[Body], sac: SacCourse
) -> None:
    """Paint S1 and all below it.

    Args:
        canvas: to paint on.
        seed: of the study.
        spine: its course.
        bodies: of the whole spine; the first sacral one gives the sacrum's upper end.
        sac: the canal's course.
    """
    rng = generator(seed, Stream.BONES, part=90)
    first = next(body for body in bodies if body.index == SACRUM)
    top, lowest = first.top_mm, float(spine.disc_s_mm[-1]) - 24
    s1_s2, s2_s3 = (float(v) for v in spine.disc_s_mm[SACRUM + 1 : SACRUM + 3])
    knots = np.array([lowest, s2_s3 - 12, s2_s3, s1_s2, top - 6, top])
    square = spine.form.s1_square
    depths = np.array([6.0, 10.5, 13.5, 21.0 + 8.0 * square, 30.0 + 1.5 * square, 32.5])
    depth = PchipInterpolator(knots, depths * spine.size * rng.normal(1, 0.04))
    widths = np.array([9.0, 13.0, 15.0, 19.0 + 4.0 * square, 24.0, 25.5])
    width = PchipInterpolator(knots, widths * spine.size)
    hollow = first.hollow_mm * 0.7

    def bone(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            at = np.clip(s, lowest, top)
            half = depth(at) / 2
            # Between its discs the front wall is a little hollow.
            waist = 0.5 * np.cos(2 * np.pi * (s - s1_s2) / (top - s1_s2))
            half = half + waist * np.clip((s - lowest) / 20, 0, 1) - 0.4
            radius = (np.abs(x / width(at)) ** 2.4 + np.abs((d + half) / half) ** 2.4) ** (1 / 2.4)
            wall = (radius - 1) * np.minimum(width(at), half)
            inner = (x / (0.85 * width(at))) ** 2 + ((d + 17) / 14) ** 2
            end = s - top + hollow * np.exp(-(inner**1.5))
            qw, qe = wall + inset + 2.2, end + inset + 2.2
            corner = np.hypot(np.maximum(qw, 0), np.maximum(qe, 0))
            upper = corner + np.minimum(np.maximum(qw, qe), 0) - 2.2
            return np.asarray(np.maximum(upper, lowest - s + inset))

        return distance

    box = Box(x=(-30, 30), d=(-38, 3), s=(lowest - 2, top + 2))
    _paint_wings(canvas, rng, spine, top, s2_s3)
    canvas.paint(bone(0.0), Tissue.CORTEX, box)
    canvas.paint(bone(CORTEX_MM), Tissue.MARROW, box)
    for s0, share, more in ((s1_s2, 1.0, spine.form.s1_s2_half_mm), (s2_s3, 0.8, 0.0)):
        _paint_rudiment(canvas, rng, s0, share, (depth, width), more)
    _paint_crest(canvas, rng, sac, top, lowest)


def _paint_rudiment(
    canvas: Canvas, rng: np.random.Generator, s0: float, share: float,
    girth: tuple[PchipInterpolator, PchipInterpolator], more_mm: float,
) -> None:  # fmt: skip
    """A thin disc between fused bodies, in a dark frame; often gone in front."""
    depth, width = girth
    half_depth, half_width = float(depth(s0)) / 2 * share, float(width(s0)) * 0.85
    half = float(rng.uniform(0.5, 2.0)) * share + more_mm
    wet = float(rng.uniform(0, 0.8))
    tilt = float(rng.normal(0, 0.05))

    def lens(grow: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            along = np.hypot(x / half_width, (d + half_depth) / half_depth)
            line = np.abs(s - s0 - tilt * (d + half_depth))
            return np.asarray(np.maximum(line - half * np.clip(1.15 - along**2, 0, 1) - grow,
                                         (along - 1) * 4))  # fmt: skip

        return distance

    box = Box(
        x=(-half_width, half_width),
        d=(-2 * half_depth - 1, 1),
        s=(s0 - 6 - more_mm, s0 + 6 + more_mm),
    )
    canvas.paint(soft(lens(0.6), 0.8), Tissue.CORTEX, box)
    canvas.paint(
        soft(lens(0.0), 0.8), mixed(canvas, {Tissue.ANNULUS: 1 - wet, Tissue.NUCLEUS: wet}), box
    )


def _paint_wings(
    canvas: Canvas, rng: np.random.Generator, spine: Spine, top: float, s2_s3: float
) -> None:
    """The lateral masses of S1 and S2, with the first sacral foramina in them."""
    slope = float(rng.uniform(0.35, 0.6))
    for sign in (-1, 1):

        def mass(inset: float, sign: int = sign) -> SignedDistance:
            def distance(x: Field, d: Field, s: Field) -> Field:
                out = sign * x - 20 * spine.size
                upper = s - (top - 3 - slope * np.maximum(out, 0))
                lower = (s2_s3 - 6) - s + 0.2 * np.maximum(out, 0)
                front = -20 - 0.25 * out - d
                return np.asarray(
                    np.maximum(np.maximum(upper, lower), np.maximum(front, d - 12)) + inset
                )

            return distance

        box = Box(x=ordered(sign * 14, sign * 46), d=(-34, 14), s=(s2_s3 - 14, top + 2))
        canvas.paint(mass(0.0), Tissue.CORTEX, box)
        canvas.paint(mass(0.9), Tissue.MARROW, box)
        for s0 in (float(spine.disc_s_mm[SACRUM + 1]) + 2, s2_s3 + 1):

            def tunnel(x: Field, d: Field, s: Field, s0: float = s0, sign: int = sign) -> Field:
                return np.asarray(np.hypot(sign * x - 20 * spine.size, (s - s0) / 1.2) - 3.6)

            canvas.paint(
                tunnel, Tissue.FAT,
                Box(x=ordered(sign * 14, sign * 26), d=(-30, 12), s=(s0 - 6, s0 + 6)),
            )  # fmt: skip


def _paint_crest(
    canvas: Canvas, rng: np.random.Generator, sac: SacCourse, top: float, lowest: float
) -> None:
    """The fused laminae behind the sacral canal, with low tubercles in the midline."""
    thickness, pitch = float(rng.uniform(3.5, 5.5)), float(rng.uniform(19, 23))
    phase = float(rng.uniform(0, 2 * np.pi))

    def plate(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            wall = sac.back_wall(x, d, np.maximum(s, sac.end_mm))
            bump = np.clip(np.cos(2 * np.pi * (s - top) / pitch + phase), 0, 1)
            bump = 6.0 * bump * np.exp(-((x / 3.5) ** 2)) * np.clip((s - lowest) / 30, 0, 1)
            half = (thickness + bump) / 2
            ends = np.maximum(s - top + 9, lowest - s)
            return np.asarray(
                np.maximum(np.abs(wall - half) - half, np.maximum(ends, np.abs(x) - 17)) + inset
            )

        return distance

    box = Box(x=(-19, 19), d=(2, 44), s=(lowest - 2, top))
    canvas.paint(plate(0.0), Tissue.CORTEX, box)
    canvas.paint(plate(0.9), Tissue.MARROW, box)
