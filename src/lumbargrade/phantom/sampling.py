"""Fast linear interpolation: two values at once in a volume, and smooth planes on coarse nodes.

What must stay true: the results are those of trilinear and bilinear interpolation in float32,
zero outside the volume; nothing depends on the number of threads.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Complex64, Float32
from numpy.typing import NDArray

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


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodes:
    """Every few pixels of an image, for what changes slowly over it."""

    rows: NDArray[np.float64]
    """Places of the nodes in pixels."""
    columns: NDArray[np.float64]
    shape: tuple[int, int]

    def spread(self, values: NDArray[np.float64]) -> Float32[np.ndarray, "row column"]:
        """Bilinear interpolation of values at the nodes, row by row, to every pixel."""
        image = values.reshape(len(self.rows), len(self.columns)).astype(np.float32)
        first, share = _between(self.columns, self.shape[1])
        image = image[:, first] + share * (image[:, first + 1] - image[:, first])
        first, share = _between(self.rows, self.shape[0])
        return np.asarray(image[first] + share[:, None] * (image[first + 1] - image[first]))


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
