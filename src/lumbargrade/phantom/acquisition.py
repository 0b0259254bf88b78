"""Painted anatomy → MR slices: sampling, shading, k-space, noise.

What must stay true: a slice is sampled at its acquired matrix through its thickness, then
zero-filled in k-space to the stored one, so that resolution, ringing and correlated noise follow
from physics; noise is complex Gaussian before the magnitude, hence Rician.
"""

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.fft import fft2, fftshift, ifft2, ifftshift
from scipy.ndimage import map_coordinates

from lumbargrade.phantom.body import Body
from lumbargrade.phantom.canvas import Canvas
from lumbargrade.phantom.protocol import SUB_SLICES, SeriesProtocol
from lumbargrade.phantom.spine import Spine

Values = NDArray[np.float64]

SATURATION_DEPTH_MM = -58.0
"""In front of this depth a saturation band takes most of the signal."""


class Scanner:
    """Samples one patient's signals at any position, for one contrast."""

    def __init__(self, spine: Spine, canvas: Canvas, body: Body, contrast: int) -> None:
        """Bind the anatomy; ``contrast`` is the index into the painted signals."""
        self.spine, self.canvas, self.body = spine, canvas, body
        self.colour = canvas.colour[contrast]
        self.surroundings = body.colour[contrast]
        self.limits = [(axis[0], axis[-1]) for axis in canvas.axes]

    def sample_slice(self, protocol: SeriesProtocol, affine: Values) -> Values:
        """Signal (row, column) of one slice at the acquired matrix, with coil shading."""
        rows, columns = protocol.acquired
        to_canonical = self.spine.rotation.T @ affine[:3, :3]
        origin = self.spine.lps_to_canonical(affine[:3, 3])
        grid = (
            origin
            + np.arange(rows)[:, None, None] * to_canonical[:, 1]
            + np.arange(columns)[:, None] * to_canonical[:, 2]
        ).reshape(-1, 3)
        index = self.body.index(grid)
        image = map_coordinates(self.surroundings, index, order=1, output=np.float64)
        x, d, s = self._spine_frame(grid, index[1:])
        near = np.ones(len(grid), dtype=bool)
        for value, (low, high) in zip((x, d, s), self.limits, strict=True):
            near &= (value > low - 4) & (value < high + 4)
        if near.any():
            image[near] = self._sample_spine(
                protocol, (x[near], d[near], s[near]), to_canonical[:, 0], image[near]
            )
        return np.asarray((image * self._shading(protocol, grid, d)).reshape(rows, columns))

    def _sample_spine(
        self,
        protocol: SeriesProtocol,
        frame: tuple[Values, Values, Values],
        slice_axis: Values,
        behind: Values,
    ) -> Values:
        """Mean over the slice's thickness, the painted spine over what is behind it.

        Through the few millimetres of a slice, the spine's frame is taken as straight.
        """
        x, d, s = frame
        normal = slice_axis / np.linalg.norm(slice_axis)
        tilt = self.spine.tilt_at(s)
        d_step = normal[1] * np.cos(tilt) + normal[2] * np.sin(tilt)
        s_step = normal[2] * np.cos(tilt) - normal[1] * np.sin(tilt)
        offsets = ((np.arange(SUB_SLICES) + 0.5) / SUB_SLICES - 0.5) * protocol.thickness_mm
        total = np.zeros(len(x))
        for offset in offsets:
            index = self.canvas.to_index(
                x + offset * normal[0], d + offset * d_step, s + offset * s_step
            )
            colour = map_coordinates(self.colour, index, order=1, output=np.float64)
            coverage = map_coordinates(self.canvas.coverage, index, order=1, output=np.float64)
            total += colour + (1 - coverage) * behind
        return total / len(offsets)

    def _spine_frame(self, grid: Values, index: Values) -> tuple[Values, Values, Values]:
        d = map_coordinates(self.body.depth, index, order=1, mode="nearest")
        s = map_coordinates(self.body.height, index, order=1, mode="nearest")
        return grid[:, 0] - np.interp(s, self.spine.s_mm, self.spine.bend_mm), d, s

    def _shading(self, protocol: SeriesProtocol, grid: Values, d: Values) -> Values:
        reach = (self.body.back_y_mm - 70 - grid[:, 1]) / 100
        gain = np.exp(-protocol.faults.shading * np.clip(reach, -1.2, 2.5))
        gain = gain * (
            1 - 0.25 * protocol.faults.shading * np.clip(np.abs(grid[:, 2]) / 150, 0, 1.2) ** 2
        )
        if protocol.faults.saturation_band:
            gain = gain * (1 - 0.85 / (1 + np.exp((d - SATURATION_DEPTH_MM) / 4)))
        return np.asarray(gain)


def acquire(
    rng: np.random.Generator,
    image: Float64[np.ndarray, "row column"],
    stored: tuple[int, int],
    noise: float,
    ghosting: float,
) -> Float64[np.ndarray, "row_out column_out"]:
    """Noise, ghosts and zero-filling: sampled signal → magnitude at the stored matrix.

    Pixel (0, 0) keeps its position; the field of view stays the same.

    Args:
        rng: noise and ghost phases.
        image: signal at the acquired matrix.
        stored: rows and columns of the result, no fewer than acquired.
        noise: standard deviation of real and imaginary noise, in signal units.
        ghosting: strength of motion ghosts along the rows.
    """
    real, imaginary = rng.standard_normal((2, *image.shape), dtype=np.float32)
    noisy = (image + noise * (real + 1j * imaginary)).astype(np.complex64)
    space = fftshift(fft2(noisy))
    if ghosting:
        line = np.arange(image.shape[0])[:, None]
        space = space * (1 + ghosting * np.cos(line * rng.uniform(0.6, 1.6) + rng.uniform(0, 6)))
    padded = np.zeros(stored, dtype=np.complex64)
    start = [n // 2 - m // 2 for n, m in zip(stored, image.shape, strict=True)]
    padded[start[0] : start[0] + image.shape[0], start[1] : start[1] + image.shape[1]] = space
    scale = np.prod(stored) / np.prod(image.shape)
    magnitude: Float64[np.ndarray, "row_out column_out"] = np.abs(ifft2(ifftshift(padded))) * scale
    return magnitude
