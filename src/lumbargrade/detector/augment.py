"""Varying training images of stage 1: geometry with its points, and brightness.

What must stay true: every draw comes from the generator that is given, and holds for all slices of
a run; points move with the pixels; left and right are exchanged in one place only.
"""

from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, Float64
from torch import Tensor

from lumbargrade.config import DetectorAugmentSettings
from lumbargrade.detector.slices import ViewArrays
from lumbargrade.detector.targets import MIRROR_LANDMARK
from lumbargrade.labels import View

CURVE_PIECES = 5
CURVE_SIGMA = 0.45
"""Of the logarithm of a grey curve's slope in each of its pieces."""

WEAKEST_CROP = 1.2


def mirror_left_right(arrays: ViewArrays) -> ViewArrays:
    """The same study of a patient whose left and right are exchanged; its own inverse.

    Sagittal slices are read in reverse, axial ones have their columns mirrored, x changes its sign
    in affines and points, and left points become right points.
    """
    reflect = np.diag([-1.0, 1.0, 1.0, 1.0])
    affines = reflect @ arrays.affines
    landmarks = (arrays.landmarks_lps_mm * [-1.0, 1.0, 1.0])[MIRROR_LANDMARK]
    if arrays.view is View.AXIAL_T2:
        last = arrays.pixels.shape[2] - 1
        affines[:, :3, 3] += affines[:, :3, 2] * last
        affines[:, :3, 2] *= -1
        return replace(
            arrays,
            pixels=arrays.pixels[:, :, ::-1],
            affines=affines,
            landmarks_lps_mm=landmarks,
        )
    return replace(
        arrays,
        pixels=arrays.pixels[::-1],
        affines=affines[::-1],
        stack_ids=arrays.stack_ids.max() - arrays.stack_ids[::-1],
        landmarks_lps_mm=landmarks,
    )


def draw_warp(
    rng: np.random.Generator, settings: DetectorAugmentSettings, size: int
) -> Float64[np.ndarray, "2 3"]:
    """Draw how an augmented image looks up its pixels in the original.

    Returns:
        (2, 3): (row, column, 1) of the new image → (row, column) of the original, in pixels.
    """
    if settings.crop_probability and rng.random() < settings.crop_probability:
        return _crop(rng, settings, size)
    if rng.random() >= settings.affine_probability:
        return np.eye(2, 3)
    angle = np.deg2rad(rng.uniform(-settings.rotate_deg, settings.rotate_deg))
    scale = np.exp(rng.uniform(np.log(settings.scale_low), np.log(settings.scale_high)))
    stretch = np.exp(rng.normal(0.0, settings.stretch) / 2)
    shift = rng.uniform(-settings.shift, settings.shift, 2) * size
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = turn @ np.diag([1 / stretch, stretch]) / scale
    centre = np.full(2, (size - 1) / 2)
    return np.column_stack([linear, centre + shift - linear @ centre])


def _crop(
    rng: np.random.Generator, settings: DetectorAugmentSettings, size: int
) -> Float64[np.ndarray, "2 3"]:
    """A magnified, turned part of the image, anywhere along the rows and nearer the middle column.

    Its middle strays at most so far that nearly all of it lies inside the image.
    """
    least = min(WEAKEST_CROP, settings.crop_scale)
    scale = np.exp(rng.uniform(np.log(least), np.log(settings.crop_scale)))
    angle = np.deg2rad(rng.uniform(-settings.rotate_deg, settings.rotate_deg))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    room = 0.5 - 0.5 / scale
    shift = rng.uniform(-1.0, 1.0, 2) * [room + 0.05, 0.5 * room] * size
    centre = np.full(2, (size - 1) / 2)
    linear = turn / scale
    return np.column_stack([linear, centre + shift - linear @ centre])


def warp_images(
    images: Float[Tensor, "slice row column"], warp: Float64[np.ndarray, "2 3"]
) -> Float[Tensor, "slice row column"]:
    """Resample square images by a warp; black where it looks outside."""
    if np.array_equal(warp, np.eye(2, 3)):
        return images
    size = images.shape[-1]
    centre = np.full(2, (size - 1) / 2)
    # grid_sample counts (column, row) from the image's centre, in units of half its size
    offset = (warp[:, :2] @ centre + warp[:, 2] - centre) * (2 / size)
    theta = torch.tensor(
        [[warp[1, 1], warp[1, 0], offset[1]], [warp[0, 1], warp[0, 0], offset[0]]],
        dtype=images.dtype,
    )
    grid = F.affine_grid(theta[None], [1, 1, size, size], align_corners=False)
    return F.grid_sample(images[None], grid, mode="bilinear", align_corners=False)[0]


def warp_points(
    points_px: Float64[np.ndarray, "*point 2"], warp: Float64[np.ndarray, "2 3"]
) -> Float64[np.ndarray, "*point 2"]:
    """Where (row, column) points of the original lie in the augmented image."""
    moved: Float64[np.ndarray, "*point 2"] = (points_px - warp[:, 2]) @ np.linalg.inv(warp[:, :2]).T
    return moved


def vary_brightness(
    images: Float[Tensor, "slice row column"],
    rng: np.random.Generator,
    settings: DetectorAugmentSettings,
) -> Float[Tensor, "slice row column"]:
    """Shading, grey curve, gamma, brightness and contrast, blur, lost detail, noise, black bands.

    Args:
        images: 0..1.
        rng: of all draws.
        settings: how often.

    Returns:
        0..1, scaled like any series: its brightest percentile is white.
    """
    if rng.random() < settings.shading_probability:
        images = _to_percentile(images * _shading(rng, images.shape[-1]))
    if settings.curve_probability and rng.random() < settings.curve_probability:
        images = _grey_curve(images, rng)
    if rng.random() < settings.brightness_contrast_probability:
        gamma = np.exp(rng.normal(0.0, 0.35))
        contrast, brightness = np.exp(rng.normal(0.0, 0.2)), rng.normal(0.0, 0.05)
        images = (images.clamp_min(1e-4) ** gamma * contrast + brightness).clamp(0, 1)
    if rng.random() < settings.blur_probability:
        images = _blur(images, float(rng.uniform(0.4, 1.2)))
    if settings.resolution_probability and rng.random() < settings.resolution_probability:
        images = _coarsen(images, np.exp(rng.uniform(0, np.log(settings.coarsest), 2)))
    if rng.random() < settings.noise_probability:
        noise = rng.standard_normal(images.shape, dtype=np.float32) * rng.uniform(0.01, 0.06)
        images = (images + torch.from_numpy(noise)).clamp(0, 1)
    if rng.random() < settings.border_probability:
        images = _blacken_band(images, rng)
    return images


def _shading(rng: np.random.Generator, size: int) -> Float[Tensor, "row column"]:
    """A smooth positive field: a few soft blobs, and a fall-off away from one side."""
    coarse = torch.from_numpy(rng.normal(0.0, rng.uniform(0.0, 0.5), (1, 1, 4, 4)))
    blobs = F.interpolate(coarse, (size, size), mode="bicubic", align_corners=True)[0, 0]
    axis = torch.linspace(-0.5, 0.5, size, dtype=torch.float64)
    slope = rng.normal([0.0, 0.5], [0.4, 1.2])  # nats across the image; coils lie behind the back
    return torch.exp(blobs + slope[0] * axis[:, None] + slope[1] * axis[None]).float()


def _grey_curve(images: Tensor, rng: np.random.Generator) -> Tensor:
    """A rising piecewise linear curve through 0 and 1, steeper in some greys than in others."""
    steps = np.exp(rng.normal(0.0, CURVE_SIGMA, CURVE_PIECES))
    knots = torch.from_numpy(np.concatenate([[0.0], np.cumsum(steps / steps.sum())])).float()
    place = images.clamp(0, 1) * CURVE_PIECES
    piece = place.long().clamp_max(CURVE_PIECES - 1)
    return torch.lerp(knots[piece], knots[piece + 1], place - piece)


def _coarsen(images: Tensor, width_px: Float64[np.ndarray, "2"]) -> Tensor:
    """Average over pixels of another height and width, and interpolate back."""
    size = images.shape[-1]
    rows, columns = (max(8, round(size / float(width))) for width in width_px)
    # "area" would take windows of unequal size, which moves what is shown
    small = F.interpolate(images[:, None], (rows, columns), mode="bilinear", antialias=True)
    return F.interpolate(small, (size, size), mode="bilinear", align_corners=False)[:, 0]


def _to_percentile(images: Tensor) -> Tensor:
    sample = images.reshape(-1)[::31]
    sample = sample[sample > 0]
    if sample.numel() == 0:
        return images
    rank = max(1, int(0.99 * sample.numel()))
    white = sample.kthvalue(rank).values.clamp_min(1e-3)
    return (images / white).clamp(0, 1)


def _blur(images: Tensor, sigma_px: float) -> Tensor:
    offsets = torch.arange(-3, 4, dtype=images.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma_px) ** 2)
    kernel = kernel / kernel.sum()
    rows = F.conv2d(images[:, None], kernel[None, None, :, None], padding=(3, 0))
    return F.conv2d(rows, kernel[None, None, None, :], padding=(0, 3))[:, 0]


def _blacken_band(images: Tensor, rng: np.random.Generator) -> Tensor:
    size = images.shape[-1]
    width = int(rng.uniform(0.02, 0.2) * size)
    images = images.clone()
    side = rng.integers(4)
    if side == 0:
        images[:, :width] = 0
    elif side == 1:
        images[:, size - width :] = 0
    elif side == 2:
        images[:, :, :width] = 0
    else:
        images[:, :, size - width :] = 0
    return images
