"""Painted anatomy → MR slices: sampling, shading, k-space, noise.

What must stay true: a slice is sampled at its acquired matrix through its thickness, then
zero-filled in k-space to the stored one, so that resolution, ringing and correlated noise follow
from physics; noise is complex Gaussian before the magnitude, hence Rician.
"""

import numpy as np
from jaxtyping import Bool, Float32
from numpy.typing import NDArray
from scipy.fft import fft2, ifft2, ifftshift
from scipy.ndimage import map_coordinates

from lumbargrade.phantom.body import Body
from lumbargrade.phantom.canvas import STEP_MM, Canvas
from lumbargrade.phantom.protocol import SUB_SLICES, SeriesProtocol
from lumbargrade.phantom.sampling import Occupancy, PairVolume, nodes_every
from lumbargrade.phantom.spine import Spine

Values = NDArray[np.float64]
Pixels = Float32[np.ndarray, "pixel"]
Image = Float32[np.ndarray, "row column"]

NODE_MM = 1.0
"""Between nodes of this distance the surroundings, the spine's frame and the coil's shading are
interpolated; the surroundings' own grid is coarser."""

_MARGIN_MM = 4.0
"""The spine is sampled this far beyond its canvas, and looked for twice as far."""


class Scanner:
    """Samples one patient's signals at any position, for one contrast."""

    def __init__(self, spine: Spine, canvas: Canvas, body: Body, contrast: int) -> None:
        """Bind the anatomy; ``contrast`` is the index into the painted signals."""
        self.spine, self.canvas, self.body, self.contrast = spine, canvas, body, contrast
        self.painted = PairVolume(canvas.colour[contrast], canvas.coverage)
        self.surroundings = body.colour[contrast]
        self.limits = [(axis[0], axis[-1]) for axis in canvas.axes]
        self._occupied: tuple[float, Occupancy] | None = None

    def sample_slice(self, protocol: SeriesProtocol, affine: Values) -> Image:
        """Signal (row, column) of one slice at the acquired matrix, with coil shading."""
        to_canonical = self.spine.rotation.T @ affine[:3, :3]
        origin = self.spine.lps_to_canonical(affine[:3, 3])
        row_mm, column_mm = np.linalg.norm(to_canonical[:, 1:], axis=0)
        nodes = nodes_every(NODE_MM / max(row_mm, column_mm), protocol.acquired)
        grid = (
            origin
            + nodes.rows[:, None, None] * to_canonical[:, 1]
            + nodes.columns[:, None] * to_canonical[:, 2]
        ).reshape(-1, 3)
        index = self.body.index(grid)
        behind = map_coordinates(self.surroundings, index, order=1, output=np.float64)
        x, d, s = self._spine_frame(grid, index[1:])
        gain = nodes.spread(self._shading(protocol, grid, d))
        image = nodes.spread(behind)
        window = nodes.window(self._within((x, d, s), 2 * _MARGIN_MM))
        if window is not None:
            frame = np.stack([nodes.spread(value, window).reshape(-1) for value in (x, d, s)])
            behind_spine = image[window]
            behind_spine[:] = self._sample_spine(
                protocol, frame, to_canonical[:, 0], behind_spine.reshape(-1)
            ).reshape(behind_spine.shape)
        return np.asarray(image * gain)

    def _sample_spine(
        self,
        protocol: SeriesProtocol,
        frame: Float32[np.ndarray, "3 pixel"],
        slice_axis: Values,
        behind: Pixels,
    ) -> Pixels:
        """Mean over the slice's thickness, the painted spine over what is behind it.

        Through the few millimetres of a slice, the spine's frame is taken as straight.
        """
        offsets = ((np.arange(SUB_SLICES) + 0.5) / SUB_SLICES - 0.5) * protocol.thickness_mm
        near = self._occupancy(float(offsets[-1])).near(self.canvas.to_index(tuple(frame)))
        near &= self._within(tuple(frame), _MARGIN_MM)
        x, d, s = frame[:, near]
        normal = (slice_axis / np.linalg.norm(slice_axis)).astype(np.float32)
        x_step, d_step, s_step = self._steps(normal, s)
        painted = np.zeros(len(x), np.complex64)
        for offset in offsets.astype(np.float32):
            places = (x + offset * x_step, d + offset * d_step, s + offset * s_step)
            painted += self.painted.at(self.canvas.to_index(places))
        painted /= len(offsets)
        result = behind.copy()
        result[near] = painted.real + (1 - painted.imag) * behind[near]
        return result

    def _within(
        self, frame: tuple[NDArray[np.floating], ...], margin_mm: float
    ) -> Bool[np.ndarray, "place"]:
        """Which places (x, d, s) lie inside the canvas or no farther than a margin from it."""
        inside = np.ones(len(frame[0]), dtype=bool)
        for value, (low, high) in zip(frame, self.limits, strict=True):
            inside &= (value > low - margin_mm) & (value < high + margin_mm)
        return inside

    def _occupancy(self, reach_mm: float) -> Occupancy:
        """Where the canvas is painted within a distance; kept for the next slice."""
        if self._occupied is None or self._occupied[0] != reach_mm:
            reach = [reach_mm / step for step in STEP_MM]
            self._occupied = reach_mm, Occupancy(self.canvas.coverage, reach)
        return self._occupied[1]

    def _steps(
        self, normal: Float32[np.ndarray, "3"], s: Pixels
    ) -> tuple[Pixels | np.float32, Pixels, Pixels]:
        """How x, d and s change per mm along a canonical direction."""
        if self.spine.curve is not None:
            steps = self.spine.curve.axes_at(s.astype(np.float64)) @ normal
            x_step, d_step, s_step = steps.T.astype(np.float32)
            return x_step, d_step, s_step
        tilt = self.spine.tilt_at(s.astype(np.float64)).astype(np.float32)
        d_step = normal[1] * np.cos(tilt) + normal[2] * np.sin(tilt)
        s_step = normal[2] * np.cos(tilt) - normal[1] * np.sin(tilt)
        return normal[0], d_step, s_step

    def _spine_frame(self, grid: Values, index: Values) -> tuple[Values, Values, Values]:
        """(x, d, s) of canonical positions whose index on the body's grid is known."""
        d = map_coordinates(self.body.depth, index, order=1, mode="nearest")
        s = map_coordinates(self.body.height, index, order=1, mode="nearest")
        return self.spine.coordinates(grid, d, s)

    def _shading(self, protocol: SeriesProtocol, grid: Values, d: Values) -> Values:
        reach = (self.body.back_y_mm - 70 - grid[:, 1]) / 100
        gain = np.exp(-protocol.faults.shading * np.clip(reach, -1.2, 2.5))
        gain = gain * (
            1 - 0.25 * protocol.faults.shading * np.clip(np.abs(grid[:, 2]) / 150, 0, 1.2) ** 2
        )
        band = protocol.faults.saturation_band
        if band is not None:
            inside = (d - band.depth_mm - band.slope * grid[:, 2]) / (band.edge_mm / 2)
            gain = gain * (1 - (1 - band.left) / (1 + np.exp(inside)))
        return np.asarray(gain)


def acquire(
    rng: np.random.Generator,
    image: Image,
    stored: tuple[int, int],
    noise: float,
    ghosting: float,
) -> Float32[np.ndarray, "row_out column_out"]:
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
    noisy = np.empty(image.shape, np.complex64)
    noisy.real = image + np.float32(noise) * real
    noisy.imag = np.float32(noise) * imaginary
    space = fft2(noisy, overwrite_x=True)
    if ghosting:
        line = ifftshift(np.arange(image.shape[0]))[:, None]
        ghosts = 1 + ghosting * np.cos(line * rng.uniform(0.6, 1.6) + rng.uniform(0, 6))
        space *= ghosts.astype(np.float32)
    padded = np.zeros(stored, dtype=np.complex64)
    for rows in _halves(image.shape[0]):
        for columns in _halves(image.shape[1]):
            padded[rows, columns] = space[rows, columns]
    scale = np.float32(np.prod(stored) / np.prod(image.shape))
    return np.asarray(np.abs(ifft2(padded, overwrite_x=True)) * scale)


def _halves(count: int) -> tuple[slice, slice]:
    """Where the frequencies of an axis from 0 up and below 0 stand, from either end."""
    return slice(0, (count + 1) // 2), slice(-(count // 2), None)
