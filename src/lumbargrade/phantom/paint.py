"""Anatomy → a painted volume in the spine's straight frame.

What must stay true: bones, discs and muscles are painted first, then the graded spaces (canal,
recesses, foramina) exactly as they were solved, with nothing over them but their own contents.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.ndimage import zoom

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import (
    SIDE_SIGN,
    Anatomy,
    Foramen,
    LevelAnatomy,
    Recess,
)
from lumbargrade.phantom.canvas import (
    Box,
    Canvas,
    Field,
    SignedDistance,
    box_around,
    ellipsoid,
    rounded_box,
    tube,
)
from lumbargrade.phantom.spine import DISCS, FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue

HALF_WIDTH_MM = 46.0
FRONT_MM, BACK_MM = -44.0, 60.0
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


def paint_spine(
    seed: int, spine: Spine, anatomy: Anatomy, signals: Float64[np.ndarray, "contrast tissue"]
) -> Canvas:
    """Paint the whole spine; ``signals`` holds each contrast's signal of every tissue."""
    rng = generator(seed, Stream.ORGANS)
    bodies = _bodies(rng, spine, anatomy)
    canvas = Canvas(
        Box(
            x=(-HALF_WIDTH_MM, HALF_WIDTH_MM),
            d=(FRONT_MM, BACK_MM),
            s=(float(spine.disc_s_mm[-1]) - 25, float(spine.disc_s_mm[0]) + 30),
        ),
        signals,
    )
    sac = _SacCourse(spine, anatomy)
    _paint_canal_fat(canvas, sac)
    for body in bodies:
        _paint_body(canvas, body)
    _add_texture(seed, canvas)
    for index in range(len(DISCS)):
        _paint_disc(canvas, rng, spine, anatomy, index)
    for body in bodies:
        _paint_arch(canvas, rng, body, sac)
    for level in anatomy.levels:
        _paint_flavum(canvas, level, sac)
        for side in (Side.LEFT, Side.RIGHT):
            _paint_facet(canvas, rng, level.s_mm, level.recess[side], side)
        _paint_bulge(canvas, level)
    for level in anatomy.levels:
        for side in (Side.LEFT, Side.RIGHT):
            _paint_foramen(canvas, rng, level, level.foramen[side], side)
    for side in (Side.LEFT, Side.RIGHT):
        _paint_traversing_roots(canvas, anatomy, side)
    _paint_sac(canvas, rng, spine, sac)
    return canvas


def _bodies(rng: np.random.Generator, spine: Spine, anatomy: Anatomy) -> list[Body]:
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


def _paint_body(canvas: Canvas, body: Body) -> None:
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
            reach = Box(x=_ordered(sign * 4, sign * 46), d=(-22, 10),
                        s=(centre[2] - half[2] - 2, centre[2] + half[2] + 2))  # fmt: skip
            canvas.paint(rounded_box(centre, half, 4.0), Tissue.MARROW, reach)
    else:
        vein = ellipsoid((0, -body.depth_mm * 0.18, body.middle_mm), (6, 5.0, 1.3))
        canvas.paint(vein, Tissue.VEIN, box)


def _ordered(a: float, b: float) -> tuple[float, float]:
    return (a, b) if a < b else (b, a)


def _add_texture(seed: int, canvas: Canvas) -> None:
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


def _paint_disc(
    canvas: Canvas, rng: np.random.Generator, spine: Spine, anatomy: Anatomy, index: int
) -> None:
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


class _SacCourse:
    """The dural sac along the whole canal, from the solved levels."""

    def __init__(self, spine: Spine, anatomy: Anatomy) -> None:
        self.levels = anatomy.levels
        s = np.array([level.s_mm for level in anatomy.levels])
        end = float(spine.disc_s_mm[_SACRUM + 1])
        knots = np.concatenate([[end - 14, end], s[::-1], [spine.disc_s_mm[1], s[0] + 110]])

        def course(values: list[float], tail: tuple[float, float]) -> PchipInterpolator:
            middle = values[::-1]
            return PchipInterpolator(knots, [*tail, *middle, middle[-1], middle[-1]])

        sacs = [level.sac for level in anatomy.levels]
        self.half_width = course([v.half_width_mm for v in sacs], (0.8, 5.0))
        self.half_depth = course([v.half_depth_mm for v in sacs], (0.8, 3.6))
        self.centre_d = course([v.centre_d_mm for v in sacs], (6.0, 7.0))
        self.fat = course([level.posterior_fat_mm for level in anatomy.levels], (1.0, 1.5))
        self.end_mm = end - 14
        self.top_mm = float(s[0] + 110)

    def shape(self, inset: float = 0.0) -> SignedDistance:
        """The sac itself."""

        def distance(x: Field, d: Field, s: Field) -> Field:
            half_width, half_depth = self.half_width(s), self.half_depth(s)
            centre = self.centre_d(s)
            radius = np.hypot(x / half_width, (d - centre) / half_depth)
            result = (radius - 1) * np.minimum(half_width, half_depth)
            for level in self.levels:
                sac = level.sac
                fade = sac.fade(s - level.s_mm)
                near = fade > 0.01
                sin, cos = np.sin(sac.back_angle_rad), np.cos(sac.back_angle_rad)
                support = np.hypot(half_width * sin, half_depth * cos) + centre * cos
                front = centre - half_depth + sac.front_cut_mm * fade - d
                back = np.abs(x) * sin + d * cos - (support - sac.back_cut_mm * fade)
                cut = np.maximum(result, np.maximum(front, back))
                result = np.where(near, cut, result)
            return np.asarray(np.maximum(result, self.end_mm - s) + inset)

        return distance

    def back_wall(self, x: Field, d: Field, s: Field) -> Field:
        """Signed distance behind the canal's posterior wall (two planes), negative in front."""
        angle = 0.72
        support = np.hypot(self.half_width(s) * np.sin(angle), self.half_depth(s) * np.cos(angle))
        support = support + self.centre_d(s) * np.cos(angle)
        return np.asarray(np.abs(x) * np.sin(angle) + d * np.cos(angle) - support - self.fat(s))


def _canal_box(sac: _SacCourse, half_width: float = 24.0) -> Box:
    return Box(x=(-half_width, half_width), d=(-6, 30), s=(sac.end_mm - 4, sac.top_mm))


def _paint_canal_fat(canvas: Canvas, sac: _SacCourse) -> None:
    def shape(x: Field, d: Field, s: Field) -> Field:
        wall = np.maximum(sac.back_wall(x, d, s), np.abs(x) - 21)
        return np.maximum(wall, np.maximum(-4 - d, sac.end_mm - 3 - s))

    canvas.paint(shape, Tissue.FAT, _canal_box(sac))


def _paint_arch(canvas: Canvas, rng: np.random.Generator, body: Body, sac: _SacCourse) -> None:
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
                wing, Tissue.MARROW, Box(x=_ordered(sign * 16, sign * 46), d=(7, 17),
                                         s=(reach[2] - 6, reach[2] + 6)),
            )  # fmt: skip
    lamina_s = body.middle_mm - height * 0.22
    thickness = float(rng.uniform(5, 7))

    def lamina(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            wall = sac.back_wall(x, d, s)
            plate = np.abs(wall - thickness / 2) - thickness / 2
            ends = np.abs(s - lamina_s + 0.3 * (d - 20)) - height * 0.33
            return np.maximum(np.maximum(plate, ends), np.abs(x) - 17) + inset

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
            return np.maximum(np.abs(x) - half_thickness, q) + inset

        return distance

    box = Box(x=(-5, 5), d=(20, 56), s=(lamina_s - 32, lamina_s + 22))
    canvas.paint(spinous(0.0), Tissue.CORTEX, box)
    canvas.paint(spinous(CORTEX_MM), Tissue.MARROW, box)


def _paint_flavum(canvas: Canvas, level: LevelAnatomy, sac: _SacCourse) -> None:
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
        return np.maximum(np.maximum(behind_sac, wall), np.maximum(ends, np.abs(x) - 15))

    canvas.paint(
        shape, Tissue.FLAVUM, Box(x=(-16, 16), d=(0, 32), s=(level.s_mm - 11, level.s_mm + 11))
    )


def _paint_facet(
    canvas: Canvas, rng: np.random.Generator, s0: float, recess: Recess, side: Side
) -> None:
    """Articular mass whose medial face bounds the recess, with its joint line."""
    sign = SIDE_SIGN[side]
    cos, sin = np.cos(recess.face_angle_rad), np.sin(recess.face_angle_rad)
    size = recess.facet_mm
    v_low = -recess.narrowest_x_mm * sign * sin + recess.narrowest_d_mm * cos - 3.0
    v_mid = v_low + size + 1.0
    extent = float(rng.uniform(9, 11))

    def block(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            u = x * sign * cos + d * sin - recess.face_mm - size
            v = -x * sign * sin + d * cos - v_mid
            flare = 0.06 * np.maximum(np.abs(s - s0) - 2, 0) ** 1.5
            qu, qv = np.abs(u) - size + inset + flare + 2, np.abs(v) - size - 1 + inset + 2
            qs = np.abs(s - s0) - extent + inset + 2
            outside = np.sqrt(
                np.maximum(qu, 0) ** 2 + np.maximum(qv, 0) ** 2 + np.maximum(qs, 0) ** 2
            )
            return np.asarray(outside + np.minimum(np.maximum(np.maximum(qu, qv), qs), 0) - 2)

        return distance

    def joint(x: Field, d: Field, s: Field) -> Field:
        u = x * sign * cos + d * sin - recess.face_mm - size
        v = -x * sign * sin + d * cos - v_mid
        line = u * np.cos(recess.joint_angle_rad) - v * np.sin(recess.joint_angle_rad)
        return np.maximum(np.abs(line), block(1.0)(x, d, s))

    corners = np.array(
        [
            [sign * ((recess.face_mm + u) * cos - v * sin), (recess.face_mm + u) * sin + v * cos, s]
            for u in (0, 2 * size)
            for v in (v_low, v_low + 2 * size + 2)
            for s in (s0 - extent, s0 + extent)
        ]
    )
    box = box_around(corners, 1.5)
    canvas.paint(block(0.0), Tissue.FLAVUM, box)
    canvas.paint(block(recess.flavum_mm), Tissue.CORTEX, box)
    canvas.paint(block(recess.flavum_mm + 0.9), Tissue.MARROW, box)

    def thick(half_width: float) -> SignedDistance:
        return lambda x, d, s: joint(x, d, s) - half_width

    canvas.paint(thick(recess.joint_fluid_mm / 2 + 1.0), Tissue.CORTEX, box)
    canvas.paint(thick(recess.joint_fluid_mm / 2), Tissue.JOINT_FLUID, box)


def _paint_bulge(canvas: Canvas, level: LevelAnatomy) -> None:
    """The disc's posterior margin: a broad bulge, lower towards the sides."""
    half = level.disc_height_mm / 2

    def shape(x: Field, d: Field, s: Field) -> Field:
        fade = np.exp(-(np.maximum(np.abs(s - level.s_mm) - 1.5, 0) ** 2) / (0.7 * half + 1) ** 2)
        margin = -3 + (level.bulge_mm + 3) * fade * (1 - 0.35 * (x / 16) ** 2)
        return np.maximum(np.maximum(d - margin, -6 - d), np.abs(x) - 17)

    canvas.paint(
        shape,
        Tissue.ANNULUS,
        Box(x=(-18, 18), d=(-6, 16), s=(level.s_mm - half - 4, level.s_mm + half + 4)),
    )


def _paint_foramen(
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
        x=_ordered(sign * (foramen.x_mm - 7), sign * (foramen.x_mm + 13)),
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


def _paint_traversing_roots(canvas: Canvas, anatomy: Anatomy, side: Side) -> None:
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


def _paint_sac(canvas: Canvas, rng: np.random.Generator, spine: Spine, sac: _SacCourse) -> None:
    """Dural sac with the cord down to the conus and the roots of the cauda equina behind it."""
    box = _canal_box(sac, 14.0)
    canvas.paint(sac.shape(), Tissue.CSF, box)
    conus = float(spine.graded_s_mm()[0] + rng.normal(4, 10))

    def cord(x: Field, d: Field, s: Field) -> Field:
        radius = 4.3 * np.clip((s - conus) / 25, 0.05, 1) ** 0.5
        middle = sac.centre_d(s) + 0.5
        return np.maximum(np.hypot(x / 1.2, d - middle) - radius, conus - s)

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
        return np.maximum(np.sqrt(nearest) - 0.55, inside(x, d, s))

    canvas.paint(cauda, Tissue.ROOT, Box(x=box.x, d=(0, 24), s=(sac.end_mm, conus + 12)))
