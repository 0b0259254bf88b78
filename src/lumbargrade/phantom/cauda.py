"""The dural sac's contents: fluid within dura, the cord down to the conus, and the cauda equina.

What must stay true: the fluid's outline is the solved sac; cord and roots stay inside it.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.phantom.canvas import STEP_MM, Box, Canvas, Field, SignedDistance, ellipsoid
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.spaces import PAINT_PART, canal_box
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue

DURA_MM = 0.3
_CONTENTS_PART = PAINT_PART + 6
_WINDOW = (4, 5)
"""Voxels along x and d around a strand in which its distance is kept."""

Strand = tuple[Float64[np.ndarray, "s"], Float64[np.ndarray, "s"], float]
"""x and d at every height, and the radius; not a number where the strand is not."""


def paint_sac(canvas: Canvas, seed: int, spine: Spine, sac: SacCourse) -> None:
    """Dura, fluid, the cord with its grey matter, and the roots of the cauda equina."""
    rng = generator(seed, Stream.CANAL, part=_CONTENTS_PART)
    box = canal_box(sac, 16.0)
    x, d, s = (axis[part] for axis, part in zip(canvas.axes, canvas.window(box), strict=True))
    distance = sac.shape()(x[:, None, None], d[None, :, None], s[None, None, :])
    ligament, fat = (canvas.signals[:, t] for t in (Tissue.FLAVUM, Tissue.FAT))
    dura = (ligament + 0.4 * (fat - ligament)).astype(np.float64)
    canvas.paint(lambda *_: distance - DURA_MM, dura, box)
    canvas.paint(lambda *_: distance, Tissue.CSF, box)
    discs = spine.disc_s_mm
    conus = float(np.clip(rng.normal(discs[2] + 10, 11), discs[2] - 14, discs[1] + 14))
    conus += spine.form.landmarks_mm
    if rng.random() < 0.3:
        _paint_flow_voids(canvas, rng, sac, distance, conus)
    _paint_cord(canvas, rng, sac, conus)
    room = _Room(x, d, distance < -0.5)
    strands = _cauda_equina(rng, sac, s, conus, room)
    field = _distance_to_strands(x, d, strands, distance.shape)
    canvas.paint(lambda *_: np.maximum(field, distance + 0.3), Tissue.ROOT, box)


def _paint_cord(canvas: Canvas, rng: np.random.Generator, sac: SacCourse, conus: float) -> None:
    """The cord, tapering to the conus, brighter grey matter in its middle."""
    size, place = float(rng.uniform(3.8, 4.6)), float(rng.uniform(-0.1, 0.2))

    def cord(x: Field, d: Field, s: Field) -> Field:
        radius = size * np.clip((s - conus) / 32, 0.02, 1) ** 0.6
        middle = sac.centre_d(s) + place * sac.half_depth(s)
        return np.asarray(np.maximum(np.hypot(x / 1.2, d - middle) - radius, conus - s))

    def grey(x: Field, d: Field, s: Field) -> Field:
        radius = size * np.clip((s - conus) / 32, 0.02, 1) ** 0.6
        middle = sac.centre_d(s) + place * sac.half_depth(s)
        horns = np.hypot((np.abs(x) - 0.3 * radius) / 0.7, (d - middle) / 1.6) - 0.28 * radius
        return np.asarray(np.maximum(horns, conus + 6 - s))

    box = Box(x=(-8, 8), d=(0, 24), s=(conus, sac.top_mm))
    canvas.paint(cord, Tissue.CORD, box)
    cord_signal, fluid = (canvas.signals[:, t] for t in (Tissue.CORD, Tissue.CSF))
    canvas.paint(grey, (cord_signal + 0.12 * (fluid - cord_signal)).astype(np.float64), box)


def _paint_flow_voids(
    canvas: Canvas,
    rng: np.random.Generator,
    sac: SacCourse,
    distance: Field,
    conus: float,
) -> None:
    """Faint dark clouds where fluid moves, in front of and behind the lower cord."""
    fluid, void = (canvas.signals[:, t] for t in (Tissue.CSF, Tissue.VESSEL))
    whole = canal_box(sac, 16.0)
    for _ in range(int(rng.integers(2, 6))):
        middle = float(np.clip(conus + rng.uniform(-25, 55), sac.end_mm + 20, sac.top_mm - 20))
        depth = float(sac.centre_d(middle) + rng.uniform(0.2, 0.9) * sac.half_depth(middle))
        cloud = ellipsoid(
            (float(rng.normal(0, 3)), depth, middle),
            (float(rng.uniform(1.5, 3)), float(rng.uniform(0.8, 1.6)), float(rng.uniform(3, 9))),
        )
        mixed = fluid + float(rng.uniform(0.15, 0.35)) * (void - fluid)
        reach = replace(whole, s=(middle - 10, middle + 10))
        start = canvas.window(whole)[2].start
        part = canvas.window(reach)[2]
        inside = distance[..., part.start - start : part.stop - start]
        canvas.paint(_within(cloud, inside), mixed.astype(np.float64), reach)


def _within(shape: SignedDistance, inside: Field) -> SignedDistance:
    """A shape cut by distances that are known on the grid."""
    return lambda x, d, s: np.asarray(np.maximum(shape(x, d, s), inside))


class _Room:
    """Where the sac is at every height: its extents, so that strands crowd where it narrows."""

    def __init__(self, x: Field, d: Field, inside: NDArray[np.bool_]) -> None:
        across = np.asarray(inside.any(axis=1))
        along = np.asarray(inside.any(axis=0))
        self.any = across.any(axis=0)
        self.right, self.left = x[across.argmax(axis=0)], x[-1 - across[::-1].argmax(axis=0)]
        self.front, self.back = d[along.argmax(axis=0)], d[-1 - along[::-1].argmax(axis=0)]

    def place(self, across: Field, along: Field) -> tuple[Field, Field]:
        """X and d of positions from -1 to 1 across and along the sac."""
        x = (self.left + self.right) / 2 + across * (self.left - self.right) / 2
        return x, (self.front + self.back) / 2 + along * (self.back - self.front) / 2

    def tightness(self) -> Field:
        """0 where the sac is at its deepest, towards 1 where it has no depth."""
        depth = np.where(self.any, self.back - self.front, 0.0)
        return np.asarray(1 - depth / max(float(depth.max()), 1.0))


def _cauda_equina(
    rng: np.random.Generator, sac: SacCourse, s: Field, conus: float, room: _Room
) -> list[Strand]:
    """Rootlets that settle behind in a crescent and turn to the front and side before they exit."""
    exits = [level.s_mm - 10 for level in sac.levels] + [sac.end_mm + 12, sac.end_mm + 6]
    settled, spread = float(rng.uniform(0.45, 0.7)), float(rng.uniform(0.75, 1.1))
    near = np.convolve(room.tightness(), np.ones(61) / 61, mode="same")
    strands: list[Strand] = []
    for rank, leaves in enumerate(exits):
        for sign in (-1.0, 1.0):
            for _ in range(int(rng.integers(2, 4))):
                outer = 1 - (rank + rng.uniform(0, 1)) / (len(exits) + 1)
                angle = sign * outer * spread * 1.2 + rng.normal(0, 0.06)
                radius = float(np.clip(settled + rng.normal(0, 0.17), 0.15, 0.85))
                wave = rng.normal(0, 0.035) + rng.normal(0, 0.12) * near
                phase, period = rng.uniform(0, 6), rng.uniform(2.5, 7)
                sway = wave * np.sin(s / period + phase)
                start = np.clip((conus + 14 - s) / 40, 0, 1)
                leave = np.clip((leaves + 26 - s) / 24, 0, 1) ** 2
                across = np.sin(angle) * radius * (0.45 + 0.55 * start)
                along = np.cos(angle) * radius * (0.3 + 0.7 * start)
                across = across + leave * (sign * 0.8 - across) + sway
                along = along + leave * (-0.45 - along) + sway
                x, d = room.place(across, along)
                gone = (s < leaves) | (s > conus + 18) | ~room.any
                x[gone] = np.nan
                strands.append((x, d, float(rng.uniform(0.4, 0.62))))
    x, d = room.place(np.full_like(s, rng.normal(0, 0.05)), np.full_like(s, 0.8))
    x[(s > conus) | ~room.any] = np.nan
    return [*strands, (x, d, 0.45)]


def _distance_to_strands(
    x: Field, d: Field, strands: list[Strand], shape: tuple[int, ...]
) -> Float64[np.ndarray, "x d s"]:
    """Distance from the nearest strand's surface, in its neighbourhood; 9 mm elsewhere."""
    field = np.full(shape, 9.0)
    ix, jd = np.meshgrid(*(np.arange(-n, n + 1) for n in _WINDOW), indexing="ij")
    for px, pd, radius in strands:
        k = np.flatnonzero(np.isfinite(px))
        i = np.rint((px[k] - x[0]) / STEP_MM[0]).astype(int)[:, None, None] + ix
        j = np.rint((pd[k] - d[0]) / STEP_MM[1]).astype(int)[:, None, None] + jd
        i, j = np.clip(i, 0, len(x) - 1), np.clip(j, 0, len(d) - 1)
        away = np.hypot(x[i] - px[k][:, None, None], d[j] - pd[k][:, None, None]) - radius
        where = (i, j, np.broadcast_to(k[:, None, None], i.shape))
        field[where] = np.minimum(field[where], away)
    return field
