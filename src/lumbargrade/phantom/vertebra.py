"""Vertebral bodies: their sizes, shapes, marrow and what grows or goes in them.

What must stay true: nothing here limits a graded space; those are painted over it. A body's end
plates are concave towards its discs, which were painted before and show in the hollows.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.phantom.anatomy import Anatomy
from lumbargrade.phantom.canvas import STEP_MM, Box, Canvas, Field, SignedDistance
from lumbargrade.phantom.spine import DISCS, FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue

HALF_WIDTH_MM = 46.0
FRONT_MM, BACK_MM = -44.0, 60.0
"""Limits of the painted volume."""

CORTEX_MM = 0.75
SACRUM = FIRST_GRADED_DISC + 4
"""Index of the L5/S1 disc; bodies below it belong to the sacrum."""

_CORNER_MM = 2.2
_EXPONENT = 2.5
_HALF_WIDTHS = np.array([19, 20, 21, 22, 23, 24.5, 25, 19, 15.0])
_DEPTHS = np.array([27, 28, 29, 30.5, 32, 33, 32, 22, 16.0])
_PEDICLES = np.array([14, 14.5, 15, 15.5, 16, 17, 19, 19, 17.0])
"""By disc, of the body below it, in mm."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One vertebral body between two discs."""

    index: int
    """Of the disc above it in ``DISCS``; -1 for the uppermost."""
    bottom_mm: float
    top_mm: float
    half_width_mm: float
    depth_mm: float
    sacral: bool
    pedicle_x_mm: float
    hollow_mm: float
    """Depth of the end plates' hollow."""
    osteophyte_mm: float
    """How far the rims reach out in front and at the sides."""

    @property
    def middle_mm(self) -> float:
        """Height s of the middle."""
        return (self.bottom_mm + self.top_mm) / 2

    @property
    def height_mm(self) -> float:
        """Extent along s."""
        return self.top_mm - self.bottom_mm


def vertebral_bodies(seed: int, spine: Spine, anatomy: Anatomy) -> list[Body]:
    """All vertebral bodies, from the uppermost to the foot."""
    rng = generator(seed, Stream.BONES)
    heights = spine.disc_height_mm.copy()
    heights[FIRST_GRADED_DISC : FIRST_GRADED_DISC + 5] = [
        level.disc_height_mm for level in anatomy.levels
    ]
    hollow = float(np.clip(rng.normal(1.5, 0.5), 0.5, 3.0))
    spurs = float(max(0.0, rng.normal(0.3, 1.0)))
    girth = spine.form.girth
    bodies = []
    for index in range(-1, len(DISCS) - 1):
        top_disc = spine.disc_s_mm[index] if index >= 0 else spine.disc_s_mm[0] + 31.0
        half_above = heights[index] / 2 if index >= 0 else 3.0
        bodies.append(
            Body(
                index=index,
                bottom_mm=float(spine.disc_s_mm[index + 1] + heights[index + 1] / 2),
                top_mm=float(top_disc - half_above),
                half_width_mm=float(
                    _HALF_WIDTHS[index + 1] * spine.size * rng.normal(1, 0.03) * girth[index + 1]
                ),
                depth_mm=float(
                    _DEPTHS[index + 1] * spine.size * rng.normal(1, 0.03) * girth[index + 1]
                ),
                sacral=index >= SACRUM,
                pedicle_x_mm=float(_PEDICLES[index + 1] * spine.size),
                hollow_mm=max(0.2, hollow + float(rng.normal(0, 0.3))),
                osteophyte_mm=spurs * float(rng.uniform(0, 1.6)),
            )
        )
    return bodies


def outline(x: Field, d: Field, half_width: Field | float, depth: Field | float) -> Field:
    """Signed distance of a vertebra's outline in the plane, kidney-shaped; its back is at d = 0."""
    half_depth = np.asarray(depth) / 2
    dent = 1.6 * np.exp(-((x / (0.42 * np.asarray(half_width))) ** 2))
    dd = d + dent * np.clip((d + half_depth) / half_depth, 0, 1.2)
    radius = (
        np.abs(x / half_width) ** _EXPONENT + np.abs((dd + half_depth) / half_depth) ** _EXPONENT
    ) ** (1 / _EXPONENT)
    return np.asarray((radius - 1) * np.minimum(half_width, half_depth))


def body_shape(body: Body, inset: float) -> SignedDistance:
    """A body: waisted walls, rounded rims that may reach out, hollow end plates."""
    half = body.height_mm / 2

    def distance(x: Field, d: Field, s: Field) -> Field:
        relative = (s - body.middle_mm) / half
        bulk = np.minimum(relative**2, 1.3)
        rim = body.osteophyte_mm * np.clip(np.abs(relative), 0, 1.1) ** 10
        rim = rim * np.clip(-d / (0.5 * body.depth_mm), 0, 1)
        waist = 0.89 + 0.11 * bulk
        back = d + 1.4 * (1 - np.minimum(bulk, 1))
        wall = outline(x, back, body.half_width_mm * waist, body.depth_mm * waist) - rim
        inner = (x / (0.85 * body.half_width_mm)) ** 2
        inner = inner + ((d + 0.55 * body.depth_mm) / (0.45 * body.depth_mm)) ** 2
        ends = np.abs(s - body.middle_mm) - half + body.hollow_mm * np.exp(-(inner**1.5))
        qw, qe = wall + inset + _CORNER_MM, ends + inset + _CORNER_MM
        corner = np.hypot(np.maximum(qw, 0), np.maximum(qe, 0))
        return np.asarray(corner + np.minimum(np.maximum(qw, qe), 0) - _CORNER_MM)

    return distance


def paint_body(canvas: Canvas, seed: int, body: Body) -> None:
    """One free vertebral body: cortex, marrow, basivertebral vein, haemangiomas, nodes."""
    rng = generator(seed, Stream.BONES, part=20 + body.index)
    margin = 3.0 + body.osteophyte_mm
    box = Box(
        x=(-body.half_width_mm - margin, body.half_width_mm + margin),
        d=(-body.depth_mm - margin, 3.0),
        s=(body.bottom_mm - 2, body.top_mm + 2),
    )
    canvas.paint(body_shape(body, 0.0), Tissue.CORTEX, box)
    canvas.paint(body_shape(body, CORTEX_MM), Tissue.MARROW, box)
    _paint_vein(canvas, rng, body, box)
    if rng.random() < 0.10:
        _paint_haemangioma(canvas, rng, body)
    if rng.random() < 0.12:
        _paint_schmorl(canvas, rng, body)


def _paint_vein(canvas: Canvas, rng: np.random.Generator, body: Body, box: Box) -> None:
    """The basivertebral vein: a wedge into the middle of the back wall."""
    length, width = float(rng.uniform(7, 14)), float(rng.uniform(1.0, 2.2))

    def wedge(x: Field, d: Field, s: Field) -> Field:
        inwards = np.clip(-d / length, 0, 1.8)
        half = width * (1 - inwards)
        spread = np.abs(x) - 2.5 - 4 * (1 - inwards)
        return np.asarray(np.maximum(np.abs(s - body.middle_mm) - half, spread))

    vein = mixed(canvas, {Tissue.VEIN: 0.7, Tissue.FAT: 0.3})
    canvas.paint(soft(wedge, 1.2), vein, box, grain=0.6)


def _paint_haemangioma(canvas: Canvas, rng: np.random.Generator, body: Body) -> None:
    radius = float(rng.uniform(2.5, 6.5))
    centre = np.array(
        [
            rng.uniform(-0.6, 0.6) * body.half_width_mm,
            -body.depth_mm * rng.uniform(0.3, 0.75),
            body.middle_mm + rng.uniform(-0.3, 0.3) * body.height_mm,
        ]
    )

    def ball(x: Field, d: Field, s: Field) -> Field:
        return np.asarray(
            np.sqrt((x - centre[0]) ** 2 + (d - centre[1]) ** 2 + (s - centre[2]) ** 2) - radius
        )

    canvas.paint(
        soft(ball, 1.2),
        mixed(canvas, {Tissue.FAT: 0.45, Tissue.JOINT_FLUID: 0.3, Tissue.MARROW: 0.25}),
        around(centre, radius + 2),
        grain=0.8,
    )


def _paint_schmorl(canvas: Canvas, rng: np.random.Generator, body: Body) -> None:
    """A node of disc in an end plate, with a dark rim."""
    end = body.top_mm if rng.random() < 0.5 else body.bottom_mm
    centre = np.array(
        [
            rng.uniform(-0.4, 0.4) * body.half_width_mm,
            -body.depth_mm * rng.uniform(0.35, 0.75),
            end,
        ]
    )
    radius = np.array([rng.uniform(3, 6), rng.uniform(3, 6), rng.uniform(2.5, 5.0)])

    def node(grow: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            places = zip((x, d, s), centre, radius + grow, strict=True)
            return np.asarray(
                (np.sqrt(sum(((v - c) / r) ** 2 for v, c, r in places)) - 1) * radius.min()
            )

        return distance

    box = around(centre, float(radius.max()) + 2)
    inside = Box(x=box.x, d=box.d, s=(body.bottom_mm + 0.3, body.top_mm - 0.3))
    canvas.paint(node(0.9), Tissue.CORTEX, inside)
    canvas.paint(node(0.0), Tissue.ANNULUS, inside)


def paint_end_plate_changes(
    canvas: Canvas, seed: int, bodies: list[Body], anatomy: Anatomy
) -> None:
    """Modic changes: marrow beside a dry disc turned to oedema (1), fat (2) or sclerosis (3)."""
    by_index = {body.index: body for body in bodies}
    for number, level in enumerate(anatomy.levels):
        rng = generator(seed, Stream.BONES, part=40 + number)
        if rng.random() > 0.45 * (1 - level.hydration):
            continue
        kind = int(rng.choice(3, p=[0.25, 0.65, 0.1]))
        turned = (
            {Tissue.JOINT_FLUID: 0.35, Tissue.MARROW: 0.65},
            {Tissue.FAT: 0.48, Tissue.MARROW: 0.52},
            {Tissue.CORTEX: 0.55, Tissue.MARROW: 0.45},
        )[kind]
        reach = rng.uniform(3, 10, 2)
        middle = float(rng.choice([-0.8, -0.5, -0.25]))
        for which, sign in ((FIRST_GRADED_DISC + number, -1), (FIRST_GRADED_DISC + number - 1, 1)):
            body = by_index[which]
            if rng.random() < 0.25 or body.sacral:
                continue
            edge = body.top_mm if sign < 0 else body.bottom_mm
            depth = float(reach[0 if sign < 0 else 1])

            def band(
                x: Field, d: Field, s: Field, body: Body = body, edge: float = edge,
                sign: int = sign, depth: float = depth, middle: float = middle,
            ) -> Field:  # fmt: skip
                along = np.abs(d - middle * body.depth_mm) / (0.55 * body.depth_mm)
                line = sign * (s - edge) - depth * np.clip(1.1 - along**2, 0, 1)
                return np.asarray(np.maximum(line, body_shape(body, CORTEX_MM + 0.4)(x, d, s)))

            box = Box(
                x=(-body.half_width_mm, body.half_width_mm), d=(-body.depth_mm - 1, 1),
                s=(edge - depth - 2, edge + 1) if sign < 0 else (edge - 1, edge + depth + 2),
            )  # fmt: skip
            canvas.paint(soft(band, 1.4), mixed(canvas, turned), box, grain=0.8)


def soft(shape: SignedDistance, width_mm: float) -> SignedDistance:
    """A shape whose edge fades over a width instead of one voxel."""
    return lambda x, d, s: shape(x, d, s) * (STEP_MM[1] / width_mm)


def mixed(canvas: Canvas, shares: dict[Tissue, float]) -> Float64[np.ndarray, "contrast"]:
    """Signals of a mixture of tissues."""
    parts = [canvas.signals[:, int(tissue)] * share for tissue, share in shares.items()]
    total: Float64[np.ndarray, "contrast"] = np.sum(parts, axis=0).astype(np.float64)
    return total


def around(centre: NDArray[np.float64], reach: float) -> Box:
    """The box within a distance of a place."""
    low, high = centre - reach, centre + reach
    return Box(
        x=(float(low[0]), float(high[0])),
        d=(float(low[1]), float(high[1])),
        s=(float(low[2]), float(high[2])),
    )


def ordered(a: float, b: float) -> tuple[float, float]:
    """Two limits, the smaller first."""
    return (a, b) if a < b else (b, a)
