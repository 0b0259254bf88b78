"""Random changes of crops while the classifier trains: drawn on the CPU, applied where it trains.

What must stay true: what is drawn for a study follows from (seed, epoch, study id) alone; left and
right are exchanged for crops, conditions and labels together; no study loses all of its crops.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from lumbargrade.classifier.dataset import CropBatch, StudyCrops, study_rng
from lumbargrade.classifier.jitter import REACH_MM, REACH_SLICES, PointErrors
from lumbargrade.config import AugmentSettings
from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import MIRROR_AXIS, PIXEL_SCALE
from lumbargrade.labels import MIRROR_TARGET, TARGETS, VIEW_OF_TARGET, VIEWS, View

BLUR_PX = (0.4, 1.5)
"""Smallest and largest standard deviation of the blur, in pixels of the crop."""

BLUR_REACH_PX = 4
"""Half the width of the blur's kernel: where a Gaussian of the largest one has come to 3 %."""


class Changes(NamedTuple):
    """What was drawn for each study of a batch; tensors, so that a batch can hold it."""

    mirror: Tensor
    """(study,) bool: exchange the patient's left and right."""
    hidden: Tensor
    """(study, 25) bool: hide this crop."""
    slice_offset: Tensor
    """(study, 25) int64, at most as many as the margins hold."""
    theta: Tensor
    """(study, 25, 2, 3): output square → input square, both −1..1, (column, row)."""
    gain: Tensor
    """(study, 25)."""
    offset: Tensor
    """(study, 25)."""
    blur_px: Tensor
    """(study, 25) standard deviation of a Gaussian, 0 where the crop stays sharp."""


def margin_px(crops: CropSettings, settings: AugmentSettings) -> int:
    """Pixels to cut beyond the crop on every side, so that shifts and rotations stay inside."""
    angle = np.deg2rad(settings.rotate_deg)
    corner = np.cos(angle) + np.sin(angle)
    half = crops.size_px / 2
    reach_mm = REACH_MM if settings.jitter_from_found else 2 * settings.point_jitter_mm
    smallest_mm = min(crops.for_view(view).side_mm for view in VIEWS)
    shift = reach_mm / (smallest_mm / crops.size_px)
    return int(np.ceil(half * corner * (1 + settings.scale) - half + shift))


def margin_slices(settings: AugmentSettings) -> int:
    """Slices to cut beyond the crop at either end, for the slice jitter."""
    return REACH_SLICES if settings.jitter_from_found else 1


def draw_changes(
    studies: Sequence[StudyCrops],
    crops: CropSettings,
    settings: AugmentSettings,
    *,
    seed: int,
    epoch: int,
    errors: PointErrors | None = None,
) -> Changes:
    """Draw the changes of every study of a batch.

    Args:
        studies: of the batch.
        crops: what the network sees.
        settings: what to change and how often.
        seed: of the training.
        epoch: of the training.
        errors: to draw the jitter from; None for the settings' own.
    """
    drawn = [
        _draw(study_rng(seed, epoch, study.study_id), study, crops, settings, errors)
        for study in studies
    ]
    return Changes(*(torch.from_numpy(np.stack(parts)) for parts in zip(*drawn, strict=True)))


def _draw(
    rng: np.random.Generator,
    study: StudyCrops,
    crops: CropSettings,
    settings: AugmentSettings,
    errors: PointErrors | None,
) -> tuple[np.ndarray, ...]:
    count = len(TARGETS)
    turned = rng.random(count) < settings.affine_probability
    angle = np.deg2rad(settings.rotate_deg) * rng.uniform(-1, 1, count) * turned
    scale = 1 + settings.scale * rng.uniform(-1, 1, count) * turned
    flips = np.where(
        rng.random((2, count)) < [[settings.horizontal_flip], [settings.vertical_flip]], -1.0, 1.0
    )
    wide = study.pixels.shape[-1]
    shift_mm = rng.normal(0, settings.point_jitter_mm, (2, count))
    if errors is not None:
        found = errors.draw(rng)
        shift_mm = found[:, :0:-1].T
    side_mm = np.array([crops.for_view(view).side_mm for view in VIEWS])[VIEW_OF_TARGET]
    shift_px = shift_mm * crops.size_px / side_mm
    zoom = scale * crops.size_px / wide
    cosine, sine = zoom * np.cos(angle), zoom * np.sin(angle)
    theta = np.array(
        [
            [cosine * flips[0], -sine * flips[1], 2 * shift_px[0] / wide],
            [sine * flips[0], cosine * flips[1], 2 * shift_px[1] / wide],
        ]
    )
    jitter = rng.random(count) < settings.slice_jitter_probability
    lit = rng.random(count) < settings.brightness_contrast_probability
    return (
        np.array(rng.random() < settings.mirror_probability),
        _hidden(rng, study, settings.view_dropout),
        np.where(jitter, rng.choice([-1, 1], count), 0)
        if errors is None
        else found[:, 0].astype(np.int64),
        np.moveaxis(theta, -1, 0).astype(np.float32),
        (1 + settings.contrast * rng.uniform(-1, 1, count) * lit).astype(np.float32),
        (settings.brightness * rng.uniform(-1, 1, count) * lit).astype(np.float32),
        _blur(rng, count, settings).astype(np.float32),
    )


def _blur(rng: np.random.Generator, count: int, settings: AugmentSettings) -> np.ndarray:
    blurred = rng.random(count) < settings.blur_probability
    widths: np.ndarray = rng.uniform(*BLUR_PX, count) * blurred
    return widths


def _hidden(rng: np.random.Generator, study: StudyCrops, probability: float) -> np.ndarray:
    hidden: np.ndarray = (rng.random(len(VIEWS)) < probability)[VIEW_OF_TARGET]
    left = study.slice_present.any(axis=1) & ~hidden
    return hidden if left.any() else np.zeros_like(hidden)


def apply_changes(
    batch: CropBatch, changes: Changes, crops: CropSettings
) -> tuple[Tensor, CropBatch]:
    """Change wider crops into crops of the final size.

    Args:
        batch: crops with margins.
        changes: what to do with each.
        crops: the size of the result.

    Returns:
        (study, 25, slice, row, column) float32 0..1, with a channel axis before the slices where
        there are masks, and the batch with its labels and present slices as they are now (its
        pixels are still the wide ones).
    """
    batch = _mirror_some(batch, changes.mirror)
    batch = _jitter_slices(batch, changes.slice_offset, crops.slices)
    size_px = crops.size_px
    batch = batch._replace(slice_present=batch.slice_present & ~changes.hidden[..., None])
    planes = batch.pixels.flatten(0, 1).flatten(1, -3)  # (crop, plane, row, column)
    grid = functional.affine_grid(
        changes.theta.flatten(0, 1), [*planes.shape[:2], size_px, size_px], False
    )
    moved = functional.grid_sample(planes.float() / PIXEL_SCALE, grid, "bilinear", "zeros", False)
    moved = moved.reshape(*batch.pixels.shape[:-2], size_px, size_px)
    if moved.ndim == 5:
        return _relight(moved, changes), batch
    images, masks = moved.unbind(dim=2)  # brightness and blur are of the image alone
    return torch.stack([_relight(images, changes), masks], dim=2), batch


def _relight(
    images: Float[Tensor, "study 25 slice row column"], changes: Changes
) -> Float[Tensor, "study 25 slice row column"]:
    images = _blur_some(images, changes.blur_px)
    gain, offset = changes.gain[..., None, None, None], changes.offset[..., None, None, None]
    return ((images - 0.5) * gain + 0.5 + offset).clamp(0, 1)


def mirror_study(batch: CropBatch) -> CropBatch:
    """Exchange the patient's left and right: crops, present slices, conditions, labels."""
    partner = torch.from_numpy(MIRROR_TARGET).to(batch.pixels.device)
    pixels, present = batch.pixels[:, partner], batch.slice_present[:, partner]
    sagittal = torch.tensor([target.condition.view is not View.AXIAL_T2 for target in TARGETS])
    sagittal = sagittal.to(pixels.device)
    return CropBatch(
        pixels=torch.where(
            sagittal.reshape(-1, *[1] * (pixels.ndim - 2)),
            pixels.flip(MIRROR_AXIS[View.SAGITTAL_T1]),
            pixels.flip(MIRROR_AXIS[View.AXIAL_T2]),
        ),
        slice_present=torch.where(sagittal[:, None], present.flip(-1), present),
        labels=batch.labels[:, partner],
    )


def _mirror_some(batch: CropBatch, mirror: Tensor) -> CropBatch:
    mirrored = mirror_study(batch)
    return CropBatch(
        *(
            torch.where(mirror.reshape(-1, *[1] * (own.ndim - 1)), other, own)
            for own, other in zip(batch, mirrored, strict=True)
        )
    )


def _jitter_slices(batch: CropBatch, offset: Tensor, slices: int) -> CropBatch:
    pixels = batch.pixels
    margin = (pixels.shape[-3] - slices) // 2
    index = torch.arange(slices, device=offset.device) + margin + offset[..., None]
    present = batch.slice_present.gather(2, index)
    lost = ~present.any(dim=2) & batch.slice_present.any(dim=2)
    index = torch.where(lost[..., None], index - offset[..., None], index)
    channels = pixels.shape[2:-3]
    taken = index.reshape(*index.shape[:2], *[1] * len(channels), slices, 1, 1)
    return batch._replace(
        pixels=pixels.gather(-3, taken.expand(*pixels.shape[:-3], -1, *pixels.shape[-2:])),
        slice_present=batch.slice_present.gather(2, index),
    )


def _blur_some(
    images: Float[Tensor, "study 25 slice row column"], width_px: Float[Tensor, "study 25"]
) -> Float[Tensor, "study 25 slice row column"]:
    """Blur the crops whose width is above 0 with a Gaussian, borders repeated."""
    chosen = width_px > 0
    if not bool(chosen.any()):
        return images
    sharp = images[chosen]  # (crop, slice, row, column)
    at = torch.arange(-BLUR_REACH_PX, BLUR_REACH_PX + 1, device=images.device)
    kernel = torch.exp(-0.5 * (at / width_px[chosen][:, None]) ** 2)
    kernel = kernel / kernel.sum(dim=1, keepdim=True)  # (crop, tap)
    crops, slices = sharp.shape[:2]
    taps = kernel.repeat_interleave(slices, dim=0)[:, None, None]  # (crop · slice, 1, 1, tap)
    planes = sharp.flatten(0, 1)[None]  # (1, crop · slice, row, column)
    padded = functional.pad(planes, [BLUR_REACH_PX] * 4, mode="replicate")
    along_rows = functional.conv2d(padded, taps, groups=crops * slices)
    both = functional.conv2d(along_rows, taps.transpose(2, 3), groups=crops * slices)
    blurred = images.clone()
    blurred[chosen] = both.reshape(sharp.shape)
    return blurred
