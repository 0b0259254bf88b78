"""The grid of what surrounds the spine: fine near the spine, coarse farther away.

What must stay true: a voxel is fat to some share and one other tissue for the rest, times a gain
for texture; so edges against fat, which most edges are, lie finer than the grid.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, UInt8
from numpy.typing import NDArray

from lumbargrade.phantom.tissue import Tissue

Field = NDArray[np.float32]
Window = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """Positions along one canonical axis in mm, finer between two limits than outside them."""

    reach: tuple[float, float]
    """Lowest position; the highest is at or a little below the second."""
    fine: tuple[float, float]
    step: float
    coarse_step: float

    def positions(self) -> Field:
        """Every position, growing."""
        low, high = self.fine
        below = np.arange(1, 1 + int((low - self.reach[0]) / self.coarse_step))[::-1]
        inside = np.arange(1 + round((high - low) / self.step))
        above = np.arange(1, 1 + int((self.reach[1] - high) / self.coarse_step))
        return np.concatenate(
            [low - below * self.coarse_step, low + inside * self.step,
             high + above * self.coarse_step]
        ).astype(np.float32)  # fmt: skip

    def to_index(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Fractional index of positions in mm."""
        low, high = self.fine
        inside = np.clip(value, low, high)
        first = int((low - self.reach[0]) / self.coarse_step)
        return np.asarray(first + (inside - low) / self.step + (value - inside) / self.coarse_step)


AXES = (
    Axis(reach=(-205.0, 205.0), fine=(-105.0, 105.0), step=2.1, coarse_step=5.0),
    Axis(reach=(-200.0, 176.0), fine=(-99.2, 112.0), step=1.6, coarse_step=3.2),
    Axis(reach=(-206.0, 206.0), fine=(-135.0, 135.0), step=1.8, coarse_step=3.6),
)
"""Canonical x, y and z."""


def to_index(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fractional grid index, (axis, n), of canonical positions in mm, (n, 3)."""
    return np.stack([axis.to_index(points[:, i]) for i, axis in enumerate(AXES)])


class Fields:
    """Tissue, share of fat and gain of every voxel."""

    def __init__(self, rng: np.random.Generator) -> None:
        """Start as fat all over; ``rng`` draws the textures."""
        self.x, self.y, self.z = (axis.positions() for axis in AXES)
        shape = (len(self.x), len(self.y), len(self.z))
        self.tissue: UInt8[np.ndarray, "x y z"] = np.full(shape, int(Tissue.MUSCLE), np.uint8)
        self.fat: Float32[np.ndarray, "x y z"] = np.ones(shape, np.float32)
        self.gain: Float32[np.ndarray, "x y z"] = np.ones(shape, np.float32)
        grid = self.x, self.y, self.z
        self.fibres = smooth_noise(rng, grid, (3.2, 3.2, 15.0))
        """Noise of unit spread, stretched from head to foot."""
        self.patches = smooth_noise(rng, grid, (8.0, 8.0, 10.0))
        """Noise of unit spread, about as large in every direction."""

    def window(
        self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float]
    ) -> Window:
        """Index ranges of the voxels between limits in mm."""
        a, b, c = (
            slice(*map(int, np.searchsorted(axis, limits)))
            for axis, limits in zip((self.x, self.y, self.z), (x, y, z), strict=True)
        )
        return a, b, c

    def around(self, centre: tuple[float, float, float], reach: Field) -> Window:
        """Index ranges of the voxels within some reach of a centre, in mm along x, y, z."""
        x, y, z = ((c - float(r), c + float(r)) for c, r in zip(centre, reach, strict=True))
        return self.window(x, y, z)

    def axes(self, window: Window) -> tuple[Field, Field, Field]:
        """Positions of a window in mm, broadcastable as (x, y, z)."""
        return (
            self.x[window[0], None, None],
            self.y[None, window[1], None],
            self.z[None, None, window[2]],
        )

    def put(
        self, window: Window, inside_mm: Field, tissue: Tissue, *, fat: Field | float = 0.0,
        gain: Field | float = 1.0, edge_mm: float = 2.2,
    ) -> None:  # fmt: skip
        """Fill a shape with a tissue; at its rim it mixes with the fat around it over ``edge_mm``.

        Args:
            window: where the shape may be.
            inside_mm: depth below its surface, positive inside; of the window's shape.
            tissue: what it is made of.
            fat: share of fat inside.
            gain: texture inside.
            edge_mm: width of the soft edge, inside the shape.
        """
        where = inside_mm > 0
        rim = self.fat[window] * (1 - np.clip(inside_mm / np.float32(edge_mm), 0, 1))
        self.tissue[window][where] = int(tissue)
        softened = 1 + (np.asarray(gain, np.float32) - 1) * (1 - rim)
        np.copyto(self.fat[window], np.maximum(rim, np.asarray(fat, np.float32)), where=where)
        np.copyto(self.gain[window], softened, where=where)

    def darken(self, window: Window, distance_mm: Field, width_mm: float, share: float) -> None:
        """A thin dark sheet where a distance is zero."""
        self.gain[window] *= 1 - np.float32(share) * np.exp(-((distance_mm / width_mm) ** 2))

    def colour(self, signals: NDArray[np.float64]) -> Float32[np.ndarray, "contrast x y z"]:
        """Signals of every contrast; ``signals`` is (contrast, tissue)."""
        result = np.empty((len(signals), *self.fat.shape), np.float32)
        for row, out in zip(signals.astype(np.float32), result, strict=True):
            np.take(row, self.tissue, out=out, mode="clip")
            out += self.fat * (row[Tissue.FAT] - out)
            out *= self.gain
        return result


def smooth_noise(
    rng: np.random.Generator, axes: tuple[Field, Field, Field], scale_mm: tuple[float, float, float]
) -> Field:
    """Smooth noise of unit spread at the grid of some axes; features span about ``scale_mm``.

    White noise on a coarse lattice, through cubic B-splines. Sums of four terms rather than matrix
    products: those would differ with the number of threads and stall on a busy machine.
    """
    first, weights = zip(
        *(_spline(v.ravel(), scale) for v, scale in zip(axes, scale_mm, strict=True)), strict=True
    )
    knots = [int(knot[-1]) + 4 for knot in first]
    field = rng.standard_normal(knots, dtype=np.float32)
    spread = np.prod([np.sqrt((w**2).sum(axis=1).mean()) for w in weights])
    field /= np.float32(spread)
    for axis in (0, 1):
        shape = [1, 1, 1]
        shape[axis] = -1
        field = sum(
            (np.take(field, first[axis] + k, axis) * weights[axis][:, k].reshape(shape))
            for k in range(4)
        )
    result = np.empty((*field.shape[:2], len(first[2])), np.float32)
    for plane, out in zip(field, result, strict=True):
        np.multiply(plane[:, first[2]], weights[2][:, 0], out=out)
        for k in range(1, 4):
            out += plane[:, first[2] + k] * weights[2][:, k]
    return result


def _spline(positions: Field, scale: float) -> tuple[NDArray[np.int64], Field]:
    """First of the four knots ``scale`` mm apart around each position, and their weights."""
    place = (positions - positions[0]) / np.float32(scale)
    first = np.floor(place).astype(np.int64)
    t = (place - first)[:, None]
    weights = np.concatenate(
        [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3], axis=1
    )
    return first, np.asarray(weights / 6, np.float32)
