"""Prepared studies → runs of slices with their labels.

What must stay true: what is drawn for a study follows from (seed, epoch, study) alone, whatever
the order or the company; a run's labels are those of the whole view.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from lumbargrade.config import DetectorAugmentSettings, DetectorSettings
from lumbargrade.detector.augment import (
    draw_warp,
    mirror_left_right,
    vary_brightness,
    warp_images,
    warp_points,
)
from lumbargrade.detector.features import known_levels, slice_features
from lumbargrade.detector.slices import ViewArrays, stack_neighbours, to_unit
from lumbargrade.detector.targets import (
    GRID_PX,
    Channels,
    channels_of,
    heatmaps,
    project,
    sigma_cells,
    slice_weights,
)
from lumbargrade.labels import LEVELS, View

NEAR_WEIGHT = 0.5
"""A slice that shows a labelled point this strongly shows none of its unlabelled neighbours."""

FAR_SIGMAS = 2.0
"""A point this far beyond an image's edge is taught to be absent from it."""

SINGLE_SLICES = 3
"""Slices of a study when single slices are trained on."""

_NO_AUGMENTATION = DetectorAugmentSettings(
    mirror_probability=0,
    affine_probability=0,
    brightness_contrast_probability=0,
    shading_probability=0,
    noise_probability=0,
    blur_probability=0,
    border_probability=0,
    resolution_probability=0,
    curve_probability=0,
    crop_probability=0,
    level_jitter_mm=0,
    level_dropout=0,
)


class DetectorBatch(NamedTuple):
    """Runs of slices, one after the other."""

    images: Float[Tensor, "slice 3 row column"]
    """Each slice between its two neighbours, 0..1."""
    features: Float[Tensor, "slice feature"]
    lengths: Int[Tensor, "run"]
    heatmaps: Float[Tensor, "slice map height width"]
    heatmap_known: Float[Tensor, "slice map"]
    """1 where the labels say everything about a heatmap, else 0."""
    weights: Float[Tensor, "slice channel"]
    """The pointer's target."""
    weights_known: Float[Tensor, "slice channel"]


def study_rng(seed: int, epoch: int, study_id: str) -> np.random.Generator:
    """The generator of everything that is drawn for a study in an epoch."""
    name = int.from_bytes(hashlib.sha256(study_id.encode()).digest()[:8], "big")
    return np.random.default_rng([seed, epoch, name])


def join_runs(runs: Sequence[DetectorBatch]) -> DetectorBatch:
    """One batch of several runs."""
    return DetectorBatch(*(torch.cat(parts) for parts in zip(*runs, strict=True)))


def training_runs(
    arrays: ViewArrays, settings: DetectorSettings, rng: np.random.Generator
) -> list[DetectorBatch]:
    """What one study adds to a batch: a run of slices, or a few single ones."""
    if rng.random() < settings.augment.mirror_probability:
        arrays = mirror_left_right(arrays)
    single = rng.random() < settings.one_slice_probability and arrays.view is View.SAGITTAL_T2
    single = single and len(arrays.pixels) > 1
    shown = see_points(arrays, settings)
    if single and shown.known.any():
        middle = shown.weights[:, shown.known].mean(axis=1)
        choices = np.flatnonzero(middle >= 0.8 * middle.max())
        return [
            _run(arrays, shown, rng.choice(choices, 1), settings, rng) for _ in range(SINGLE_SLICES)
        ]
    return [_run(arrays, shown, draw_run(shown, settings.train_slices, rng), settings, rng)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenPoints:
    """The points of a view's channels as its slices see them."""

    channels: Channels
    local: Float64[np.ndarray, "slice channel 3"]
    weights: Float64[np.ndarray, "slice channel"]
    known: Bool[np.ndarray, "channel"]


def see_points(arrays: ViewArrays, settings: DetectorSettings) -> SeenPoints:
    """Project a study's points into all slices of its view."""
    channels = channels_of(arrays.view, share_maps=settings.share_maps)
    local = project(arrays.affines, arrays.landmarks_lps_mm[list(channels.landmarks)])
    weights, known = slice_weights(
        local, arrays.pixels.shape[1], settings.slice_decay, expanding=settings.expanding_labels
    )
    return SeenPoints(channels=channels, local=local, weights=weights, known=known)


def draw_run(shown: SeenPoints, length: int, rng: np.random.Generator) -> Int[np.ndarray, "run"]:
    """Neighbouring slices, in order, that hold the slice of some labelled point."""
    count = len(shown.weights)
    if count <= length:
        return np.arange(count)
    known = np.flatnonzero(shown.known)
    if known.size:
        anchor = int(shown.weights[:, rng.choice(known)].argmax())
    else:
        anchor = int(rng.integers(count))
    start = int(np.clip(anchor - rng.integers(length), 0, count - length))
    return np.arange(start, start + length)


def whole_view(arrays: ViewArrays, settings: DetectorSettings) -> DetectorBatch:
    """All slices of a study with their labels, as they are."""
    calm = settings.model_copy(update={"augment": _NO_AUGMENTATION})
    shown = see_points(arrays, settings)
    return _run(arrays, shown, np.arange(len(arrays.pixels)), calm, np.random.default_rng(0))


def _run(
    arrays: ViewArrays,
    shown: SeenPoints,
    run: Int[np.ndarray, "run"],
    settings: DetectorSettings,
    rng: np.random.Generator,
) -> DetectorBatch:
    """Augment and label a run of slices."""
    size = settings.image_size
    warp = draw_warp(rng, settings.augment, size)
    images = vary_brightness(warp_images(to_unit(arrays.pixels[run]), warp), rng, settings.augment)
    weights = shown.weights[run]
    positions = warp_points(shown.local[run][..., 1:], warp)
    with np.errstate(invalid="ignore"):
        inside = ((positions >= -0.5) & (positions <= size - 0.5)).all(axis=2)
    visible = shown.known & (inside | (weights == 0)).all(axis=0)
    told = visible
    if settings.augment.teach_absence:
        told = np.where(_far_outside(positions, settings), shown.known, visible)
    lone = len(run) == 1  # a lone slice knows no place in a stack, as a plain image does not
    around = run if lone else np.arange(len(arrays.pixels))
    levels = _seen_levels(arrays, settings, rng)
    features = slice_features(
        arrays.view, arrays.affines[around], arrays.stack_ids[around], size, levels
    )
    maps = torch.tensor(shown.channels.maps)
    labels = heatmaps(
        torch.from_numpy(positions).float(),
        torch.from_numpy(weights * visible).float(),
        maps,
        map_count=shown.channels.map_count,
        image_size=size,
        stride=settings.heatmap_stride,
        sigma_cells=sigma_cells(settings.label_sigma_px, size, settings.heatmap_stride),
    )
    return DetectorBatch(
        images=stack_neighbours(images, arrays.stack_ids[run]),
        features=torch.from_numpy(features if lone else features[run]),
        lengths=torch.tensor([len(run)]),
        heatmaps=labels,
        heatmap_known=torch.from_numpy(_map_known(shown.channels, weights, visible, told)).float(),
        weights=torch.from_numpy(weights * visible).float(),
        weights_known=torch.from_numpy(np.tile(visible, (len(run), 1))).float(),
    )


def _far_outside(
    positions_px: Float64[np.ndarray, "slice channel 2"], settings: DetectorSettings
) -> Bool[np.ndarray, "channel"]:
    """Points that lie so far outside the image on every slice that their labels do not reach in."""
    margin = FAR_SIGMAS * settings.label_sigma_px * settings.image_size / GRID_PX
    with np.errstate(invalid="ignore"):
        outside = (positions_px < -margin) | (positions_px > settings.image_size + margin)
    return np.asarray(outside.any(axis=2).all(axis=0))


def _map_known(
    channels: Channels,
    weights: Float64[np.ndarray, "slice channel"],
    visible: Bool[np.ndarray, "channel"],
    told: Bool[np.ndarray, "channel"],
) -> Bool[np.ndarray, "slice map"]:
    """Where a heatmap's label is complete.

    Told are the points that are visible, and those that are known to be outside the image.

    A map of several points is complete on every slice when all of them are known, else only on
    slices that show a known one strongly: there, the unknown ones are elsewhere.
    """
    known = np.zeros((len(weights), channels.map_count), dtype=bool)
    for index in range(channels.map_count):
        members = [channel for channel, own in enumerate(channels.maps) if own == index]
        strong = (weights[:, members] * visible[members] >= NEAR_WEIGHT).any(axis=1)
        known[:, index] = told[members].all() | (strong & (len(members) > 1))
    return known


def _seen_levels(
    arrays: ViewArrays, settings: DetectorSettings, rng: np.random.Generator
) -> Float64[np.ndarray, "5 3"]:
    """The level positions as a sagittal detector would report them: slightly off, or not at all."""
    augment = settings.augment
    levels = known_levels(arrays.landmarks_lps_mm)
    noise = rng.normal(0.0, 1.0, levels.shape) * augment.level_jitter_mm
    dropped = rng.random(len(LEVELS)) < augment.level_dropout / 3
    if rng.random() < augment.level_dropout:
        dropped[:] = True
    return np.where(dropped[:, None], np.nan, levels + noise)
