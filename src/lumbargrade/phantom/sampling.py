"""Fast linear interpolation: two values at once in a volume, and smooth planes on coarse nodes.

What must stay true: the results are those of trilinear and bilinear interpolation in float32,
zero outside the volume; nothing depends on the number of threads.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Complex64, Float32
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter

_CHUNK = 1 << 14
"""Points interpolated at a time, so that temporaries stay in the cache."""


class PairVolume:
    """Colour and coverage of a painted volume, read together."""

    def __init__(
        self, colour: Float32[np.ndarray, "x d s"], coverage: Float32[np.ndarray, "x d s"]
    ) -> None:
        """Copy both; the outermost voxels are cleared, so that clipped places read zero."""
        pairs = np.zeros(colour.shape, np.complex64)
        inner = (slice(1, -1),) * 3
        pairs.real[inner] = colour[inner]
        pairs.imag[inner] = coverage[inner]
        self.shape = colour.shape
        self.flat: Complex64[np.ndarray, "voxel"] = pairs.reshape(-1)

    def at(self, index: Float32[np.ndarray, "3 point"]) -> Complex64[np.ndarray, "point"]:
        """Colour (real part) and coverage (imaginary part) at fractional indices."""
        result = np.empty(index.shape[1], np.complex64)
        for start in range(0, len(result), _CHUNK):
            part = slice(start, start + _CHUNK)
            result[part] = self._trilinear(index[:, part])
        return result

    def _trilinear(self, index: Float32[np.ndarray, "3 n"]) -> Complex64[np.ndarray, "n"]:
        floors, shares = [], []
        for value, size in zip(index, self.shape, strict=True):
            clipped = np.clip(value, np.float32(0), np.float32(size - 1.001))
            floor = clipped.astype(np.intp)
            floors.append(floor)
            shares.append(clipped - floor.astype(np.float32))
        _, depth, height = self.shape
        first = (floors[0] * depth + floors[1]) * height + floors[2]
        a, b, c = shares

        def along_s(corner: NDArray[np.intp]) -> Complex64[np.ndarray, "n"]:
            low = self.flat[corner]
            return np.asarray(low + c * (self.flat[corner + 1] - low))

        def plane(corner: NDArray[np.intp]) -> Complex64[np.ndarray, "n"]:
            low = along_s(corner)
            return np.asarray(low + b * (along_s(corner + height) - low))

        low = plane(first)
        return np.asarray(low + a * (plane(first + depth * height) - low))


_BLOCK = 4
"""Voxels along each side of a block."""


class Occupancy:
    """Where a volume is painted, in blocks: most of a canvas is empty."""

    def __init__(self, coverage: Float32[np.ndarray, "x d s"], reach: Sequence[float]) -> None:
        """Mark the blocks that hold coverage, and those within reach of them.

        Args:
            coverage: of the volume; places where it is zero are empty.
            reach: how far from a place its neighbourhood extends, voxels along each axis.
        """
        blocks = coverage != 0
        for axis in range(3):
            along = np.moveaxis(blocks, axis, 0)
            merged = along[::_BLOCK].copy()
            for k in range(1, _BLOCK):
                part = along[k::_BLOCK]
                merged[: len(part)] |= part
            blocks = np.moveaxis(merged, 0, axis)
        # One voxel more for interpolation, a tenth for rounding.
        steps = [int(np.ceil((voxels + 1.1) / _BLOCK)) for voxels in reach]
        blocks = maximum_filter(blocks, size=[2 * n + 1 for n in steps], mode="constant")
        self.shape = blocks.shape
        self.flat: Bool[np.ndarray, "block"] = np.ascontiguousarray(blocks).reshape(-1)

    def near(self, index: Float32[np.ndarray, "3 point"]) -> Bool[np.ndarray, "point"]:
        """Whether anything can be painted within reach of fractional indices."""
        place: NDArray[np.intp] | int = 0
        for value, size in zip(index, self.shape, strict=True):
            block = np.clip(value * np.float32(1 / _BLOCK), 0, size - 1).astype(np.intp)
            place = place * size + block
        return np.asarray(self.flat[place])


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Every few pixels of an image, for what changes slowly over it."""

    rows: NDArray[np.float64]
    """Places of the nodes in pixels."""
    columns: NDArray[np.float64]
    shape: tuple[int, int]

    def spread(
        self,
        values: NDArray[np.float64],
        window: tuple[slice, slice] = (slice(None), slice(None)),
    ) -> Float32[np.ndarray, "row column"]:
        """Bilinear interpolation of values at the nodes, row by row, to the pixels of a window."""
        image = values.reshape(len(self.rows), len(self.columns)).astype(np.float32)
        first, share = (part[window[1]] for part in _between(self.columns, self.shape[1]))
        image = image[:, first] + share * (image[:, first + 1] - image[:, first])
        first, share = (part[window[0]] for part in _between(self.rows, self.shape[0]))
        return np.asarray(image[first] + share[:, None] * (image[first + 1] - image[first]))

    def window(self, inside: Bool[np.ndarray, "node"]) -> tuple[slice, slice] | None:
        """The pixels between the outermost of some nodes, row by row; None if there are none."""
        grid = inside.reshape(len(self.rows), len(self.columns))
        if not grid.any():
            return None
        rows = self.rows[np.flatnonzero(grid.any(axis=1))[[0, -1]]]
        columns = self.columns[np.flatnonzero(grid.any(axis=0))[[0, -1]]]
        return (
            slice(int(rows[0]), int(np.ceil(rows[1])) + 1),
            slice(int(columns[0]), int(np.ceil(columns[1])) + 1),
        )


def nodes_every(step: float, shape: tuple[int, int]) -> Nodes:
    """Nodes of an image at most ``step`` pixels apart, its corners included."""
    rows, columns = (np.linspace(0, n - 1, max(2, int(np.ceil((n - 1) / step)) + 1)) for n in shape)
    return Nodes(rows=rows, columns=columns, shape=shape)


def _between(
    nodes: NDArray[np.float64], count: int
) -> tuple[NDArray[np.intp], Float32[np.ndarray, "pixel"]]:
    """For every pixel the node before it and the share of the way to the next one."""
    place = np.arange(count) / (nodes[1] - nodes[0])
    first = np.minimum(place.astype(np.intp), len(nodes) - 2)
    return first, (place - first).astype(np.float32)
