"""A volume in the spine's straight frame, on which tissues are painted with soft edges.

What must stay true: painting is compositing ("over"), later strokes cover earlier ones, and an edge
is anti-aliased over one voxel, so that boundaries lie where they were solved, finer than the grid.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64
from numpy.typing import NDArray

from lumbargrade.phantom.tissue import Tissue

Field = NDArray[np.float64]
MARROW = int(Tissue.MARROW)
SignedDistance = Callable[[Field, Field, Field], Field]
"""(x, d, s), broadcastable, in mm → signed distance in mm, negative inside."""

STEP_MM = (0.62, 0.42, 0.6)
"""Voxel size along x, d and s."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """Where a stroke may paint: limits in mm."""

    x: tuple[float, float]
    d: tuple[float, float]
    s: tuple[float, float]


class Canvas:
    """Premultiplied signals and coverage over a grid of (x, d, s)."""

    def __init__(self, box: Box, signals: Float64[np.ndarray, "contrast tissue"]) -> None:
        """Start empty; ``signals`` holds every contrast's signal of every tissue."""
        self.axes = tuple(
            np.arange(low, high + step, step)
            for (low, high), step in zip((box.x, box.d, box.s), STEP_MM, strict=True)
        )
        self.signals = signals.astype(np.float32)
        self.marrow: Float32[np.ndarray, "contrast block_x block_d block_s"] | None = None
        """Unevenness that marrow is painted with, repeated in all directions; none before it is
        set."""
        shape = tuple(len(axis) for axis in self.axes)
        self.colour: Float32[np.ndarray, "contrast x d s"] = np.zeros(
            (len(signals), *shape), np.float32
        )
        self.coverage: Float32[np.ndarray, "x d s"] = np.zeros(shape, np.float32)

    def paint(
        self,
        shape: SignedDistance,
        tissue: int | Float64[np.ndarray, "contrast"],
        box: Box,
        *,
        grain: float = 0.0,
    ) -> None:
        """Paint the inside of a shape, within a box.

        Args:
            shape: what to paint.
            tissue: with which tissue, or with which signals.
            box: in which part of the volume.
            grain: share of marrow's unevenness that shows in given signals; all of it in marrow.
        """
        window = self.window(box)
        x, d, s = (axis[part] for axis, part in zip(self.axes, window, strict=True))
        if not (len(x) and len(d) and len(s)):
            return
        distance = shape(x[:, None, None], d[None, :, None], s[None, None, :])
        alpha = np.asarray(distance * (-1 / STEP_MM[1]), np.float32)
        alpha += np.float32(0.5)
        np.clip(alpha, 0, 1, out=alpha)
        window, alpha = _without_rim(window, np.broadcast_to(alpha, (len(x), len(d), len(s))))
        signals = self.signals[:, tissue] if isinstance(tissue, int) else tissue
        keep = 1 - alpha
        if isinstance(tissue, int):
            grain = 1.0 if tissue == MARROW else 0.0
        block = _repeated(self.marrow, window) if self.marrow is not None and grain else None
        for contrast, (colour, signal) in enumerate(zip(self.colour, signals, strict=True)):
            part = colour[window]
            part *= keep
            painted = alpha * np.float32(signal)
            if block is not None:
                painted *= 1 + np.float32(grain) * block[contrast]
            part += painted
        part = self.coverage[window]
        part *= keep
        part += alpha

    def window(self, box: Box) -> tuple[slice, slice, slice]:
        """Index ranges of the voxels inside a box."""
        x, d, s = (
            slice(*map(int, np.searchsorted(axis, limits)))
            for axis, limits in zip(self.axes, (box.x, box.d, box.s), strict=True)
        )
        return x, d, s

    def to_index(self, places: tuple[Float32[np.ndarray, "n"], ...]) -> Float32[np.ndarray, "3 n"]:
        """Fractional grid index of places (x, d, s) in mm."""
        return np.stack(
            [
                (value - np.float32(axis[0])) / np.float32(step)
                for value, axis, step in zip(places, self.axes, STEP_MM, strict=True)
            ]
        )


Window = tuple[slice, slice, slice]


def _repeated(
    block: Float32[np.ndarray, "contrast block_x block_d block_s"], window: Window
) -> Float32[np.ndarray, "contrast x d s"]:
    """What a block that repeats in all directions is in a window."""
    x, d, s = (
        np.arange(part.start, part.stop) % size
        for part, size in zip(window, block.shape[1:], strict=True)
    )
    return np.asarray(block[:, x[:, None, None], d[:, None], s])


def _without_rim(
    window: Window, alpha: Float32[np.ndarray, "x d s"]
) -> tuple[Window, Float32[np.ndarray, "x_used d_used s_used"]]:
    """The part of a window, and of the coverage in it, outside which nothing is painted."""
    parts = []
    for axis in range(3):
        other = tuple(k for k in range(3) if k != axis)
        used = np.flatnonzero(alpha.any(axis=other))
        parts.append(slice(int(used[0]), int(used[-1]) + 1) if len(used) else slice(0, 0))
    inner = (parts[0], parts[1], parts[2])
    moved = [
        slice(whole.start + part.start, whole.start + part.stop)
        for whole, part in zip(window, inner, strict=True)
    ]
    return (moved[0], moved[1], moved[2]), alpha[inner]


def ellipsoid(
    centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> SignedDistance:
    """An ellipsoid's approximate signed distance."""

    def shape(x: Field, d: Field, s: Field) -> Field:
        radius = np.sqrt(
            ((x - centre[0]) / radii[0]) ** 2
            + ((d - centre[1]) / radii[1]) ** 2
            + ((s - centre[2]) / radii[2]) ** 2
        )
        return np.asarray((radius - 1) * min(radii))

    return shape


def rounded_box(
    centre: tuple[float, float, float], half: tuple[float, float, float], corner: float
) -> SignedDistance:
    """A rounded box's signed distance."""

    def shape(x: Field, d: Field, s: Field) -> Field:
        q = [np.abs(v - c) - h + corner for v, c, h in zip((x, d, s), centre, half, strict=True)]
        outside = np.sqrt(sum(np.maximum(v, 0) ** 2 for v in q))
        return np.asarray(
            outside + np.minimum(np.maximum(np.maximum(q[0], q[1]), q[2]), 0) - corner
        )

    return shape


def tube(points: Float64[np.ndarray, "n 3"], radius: float) -> SignedDistance:
    """A round tube along a polyline of (x, d, s) points."""

    def shape(x: Field, d: Field, s: Field) -> Field:
        nearest: Field | None = None
        for start, end in pairwise(points):
            along = end - start
            length2 = float(along @ along)
            t = (
                (x - start[0]) * along[0] + (d - start[1]) * along[1] + (s - start[2]) * along[2]
            ) / length2
            t = np.clip(t, 0, 1)
            square = (
                (x - start[0] - t * along[0]) ** 2
                + (d - start[1] - t * along[1]) ** 2
                + (s - start[2] - t * along[2]) ** 2
            )
            nearest = square if nearest is None else np.minimum(nearest, square)
        return np.asarray(np.sqrt(np.asarray(nearest)) - radius)

    return shape


def box_around(points: Float64[np.ndarray, "n 3"], margin: float) -> Box:
    """The box that holds some points and a margin around them."""
    low, high = points.min(axis=0) - margin, points.max(axis=0) + margin
    return Box(
        x=(float(low[0]), float(high[0])),
        d=(float(low[1]), float(high[1])),
        s=(float(low[2]), float(high[2])),
    )
