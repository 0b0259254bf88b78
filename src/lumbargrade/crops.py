"""Crops around the landmarks, in true geometry: mm decide, never pixels.

What must stay true: a crop shows the same number of mm whatever the image's pixel size (unless
``grid_px`` asks for the reference's crops); its slices come from one stack; what lies outside the
image is zero and what lies outside the stack is absent, nothing is stretched or repeated.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float32, Float64

from lumbargrade.arrays import Affine, Point
from lumbargrade.crop_settings import CropSettings, ViewSides
from lumbargrade.geometry import Location, locate, spacing_of
from lumbargrade.labels import View
from lumbargrade.records import Crop, Landmark, ViewVolume
from lumbargrade.tracks import slice_centres, slice_marks

PIXEL_SCALE = 255.0
"""A volume's brightest pixel, which becomes 1.0 in a crop."""

MASK_SIGMA_MM = 4.0
"""Of the Gaussians of a mask: about the width of the labels that taught the detector."""

MIRROR_AXIS = {View.SAGITTAL_T2: -3, View.SAGITTAL_T1: -3, View.AXIAL_T2: -1}
"""The axis of (…, slice, row, column) that runs between the patient's right and left, per view."""


def cut_crops(
    volumes: Mapping[View, ViewVolume], landmarks: Sequence[Landmark], settings: CropSettings
) -> list[Crop | None]:
    """Cut one crop per landmark.

    The middle slice is the one that shows the landmark best; its neighbours are those of the same
    stack. Each slice is sampled around the landmark's foot point on it (``xy: dynamic``: around
    where its track has the structure), along its own rows and columns.

    Args:
        volumes: the study's views; one that is missing has no entry.
        landmarks: where to cut, in LPS mm.
        settings: number of slices (odd), size in pixels and in mm or on the image's grid.

    Returns:
        One entry per landmark; None where it has no position.

    Raises:
        ValueError: a landmark has a position on a view that is not among the volumes, or no track
            where the settings want one.
    """
    return [_cut(volumes, landmark, settings) for landmark in landmarks]


def wider(settings: CropSettings, *, margin_px: int, margin_slices: int) -> CropSettings:
    """Settings of crops of the same pixel size in mm, larger on every side, to be jittered."""
    size = settings.size_px + 2 * margin_px
    grown = size / settings.size_px
    sides = {
        view: None if side_mm is None else side_mm * grown
        for view, side_mm in settings.view_side_mm.model_dump().items()
    }
    return settings.model_copy(
        update={
            "slices": settings.slices + 2 * margin_slices,
            "size_px": size,
            "side_mm": settings.side_mm * grown,
            "view_side_mm": ViewSides(**sides),
        }
    )


def _cut(
    volumes: Mapping[View, ViewVolume], landmark: Landmark, settings: CropSettings
) -> Crop | None:
    view = landmark.target.condition.view
    if landmark.position_lps_mm is None:
        return None
    if view not in volumes:
        raise ValueError(f"{landmark.target.column} has a position, but the study has no {view}")
    volume, settings = volumes[view], settings.for_view(view)
    shapes = np.array([image.shape for image in volume.slices])
    middle = locate(volume.affines, shapes, landmark.position_lps_mm)
    indices = stack_neighbours(volume.stack_ids, middle.slice_index, settings.slices)
    present = np.array([index is not None for index in indices])
    shown = [index for index in indices if index is not None]
    centres = slice_centres(volume.affines[shown], landmark, dynamic=settings.xy == "dynamic")
    pixels = np.zeros((settings.slices, settings.size_px, settings.size_px), dtype=np.float32)
    for k, index, centre in zip(np.flatnonzero(present), shown, centres, strict=True):
        pixels[k] = sample_plane(
            volume.slices[index], centre, spacing_of(volume.affines[index])[1:], settings
        )
    mask = None
    if settings.mask:
        mask = np.zeros_like(pixels)
        mask[present] = _mask(volume, shown, centres, landmark, settings)
    return Crop(
        target=landmark.target,
        pixels=pixels,
        slice_present=present,
        affine=_crop_affine(volume, middle, settings),
        mask=mask,
    )


def _mask(
    volume: ViewVolume,
    shown: Sequence[int],
    centres: Float64[np.ndarray, "slice 2"],
    landmark: Landmark,
    settings: CropSettings,
) -> Float32[np.ndarray, "slice row column"]:
    """On each slice a Gaussian where the detector sees the structure, as high as its heatmap."""
    marks, heights = slice_marks(volume.affines[shown], landmark)
    samples = np.arange(settings.size_px) - (settings.size_px - 1) / 2
    planes = []
    for index, offset_px, height in zip(shown, marks - centres, heights, strict=True):
        spacing_mm = spacing_of(volume.affines[index])[1:]
        pitch = pitch_mm(volume.slices[index].shape, spacing_mm, settings)
        away_mm = samples * pitch[:, None] - (offset_px * spacing_mm)[:, None]  # (axis, sample)
        along = np.exp(-0.5 * (away_mm / MASK_SIGMA_MM) ** 2)
        planes.append(height * np.outer(along[0], along[1]))
    return np.stack(planes).astype(np.float32)


def stack_neighbours(stack_ids: np.ndarray, middle: int, count: int) -> list[int | None]:
    """Indices of ``count`` slices around a slice, None where its stack has none.

    Args:
        stack_ids: (slice,) which stack each slice belongs to; a stack's slices are contiguous.
        middle: index of the middle slice.
        count: odd.
    """
    wanted = range(middle - count // 2, middle - count // 2 + count)
    return [
        index if 0 <= index < len(stack_ids) and stack_ids[index] == stack_ids[middle] else None
        for index in wanted
    ]


def sample_plane(
    image: np.ndarray,
    centre: Float64[np.ndarray, "2"],
    spacing_mm: Float64[np.ndarray, "2"],
    settings: CropSettings,
) -> Float32[np.ndarray, "row column"]:
    """Sample a square around a point of one slice, bilinear and anti-aliased.

    Args:
        image: (row, column) uint8.
        centre: row and column of the square's centre, in pixels.
        spacing_mm: between rows, between columns.
        settings: the square's size.

    Returns:
        (size_px, size_px), 0..1, zero outside the image.
    """
    step = pitch_mm(image.shape, spacing_mm, settings) / spacing_mm
    rows, row_weights = _weights(image.shape[0], centre[0], step[0], settings.size_px)
    columns, column_weights = _weights(image.shape[1], centre[1], step[1], settings.size_px)
    part = image[rows, columns].astype(np.float32)
    square: Float32[np.ndarray, "row column"] = row_weights @ part @ column_weights.T
    np.clip(square / np.float32(PIXEL_SCALE), 0.0, 1.0, out=square)
    return square


def pitch_mm(
    shape: tuple[int, ...], spacing_mm: Float64[np.ndarray, "2"], settings: CropSettings
) -> Float64[np.ndarray, "2"]:
    """Mm from sample to sample along rows and columns of a crop from an image of a shape.

    With ``grid_px``, the image is taken as resized to a square of that many pixels, whatever its
    own proportions, as the reference does; rows and columns then differ.
    """
    if settings.grid_px is None:
        return np.full(2, settings.side_mm / settings.size_px)
    pitch: Float64[np.ndarray, "2"] = np.array(shape) * spacing_mm / settings.grid_px
    return pitch


def _weights(
    length: int, centre: float, step: float, count: int
) -> tuple[slice, Float32[np.ndarray, "sample pixel"]]:
    """Which pixels of an axis matter, and how much each counts in every of ``count`` samples.

    Samples are ``step`` pixels apart. A sample is a triangle-weighted mean of pixels, one pixel or
    one sampling step wide, whichever is larger; pixels outside the image count as zero.
    """
    samples = centre + (np.arange(count) - (count - 1) / 2) * step
    reach = max(step, 1.0)
    first, last = int(np.floor(samples[0] - reach)), int(np.ceil(samples[-1] + reach))
    pixels = np.arange(first, last + 1)
    weights = np.maximum(0.0, 1.0 - np.abs(pixels - samples[:, None]) / reach)
    weights /= weights.sum(axis=1, keepdims=True)
    inside = slice(min(max(first, 0), length), min(max(last + 1, 0), length))
    return inside, weights[:, inside.start - first : inside.stop - first].astype(np.float32)


def _crop_affine(volume: ViewVolume, middle: Location, settings: CropSettings) -> Affine:
    """(slice, row, column, 1) → LPS mm of the middle slice; slices grow in the stack's order."""
    source = volume.affines[middle.slice_index]
    spacing_mm = spacing_of(source)[1:]
    shape = volume.slices[middle.slice_index].shape
    affine: Affine = source.copy()
    affine[:3, 1:3] *= pitch_mm(shape, spacing_mm, settings) / spacing_mm
    if _runs_against(volume, middle.slice_index):
        affine[:3, 0] *= -1
    centre: Point = source[:3] @ np.array([0.0, middle.row, middle.column, 1.0])
    affine[:3, 3] = centre - (affine[:3, 1] + affine[:3, 2]) * (settings.size_px - 1) / 2
    return affine


def _runs_against(volume: ViewVolume, index: int) -> bool:
    """Whether the stack of a slice is ordered against that slice's own normal."""
    stack = np.flatnonzero(volume.stack_ids == volume.stack_ids[index])
    span = volume.affines[stack[-1], :3, 3] - volume.affines[stack[0], :3, 3]
    return bool(span @ volume.affines[index, :3, 0] < 0)
