"""Study → ViewVolume: what detector and crops look at, and its square form for the networks.

What must stay true: pixels move only together with their affine, so a position in LPS mm means the
same before and after; brightness is scaled per series, never per slice, over non-zero pixels; a
square is made by padding, so a pixel stays as wide as it is high, in mm.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int, UInt8
from PIL import Image

from lumbargrade.arrays import Affine, Affines, Point
from lumbargrade.geometry import (
    ORDER_DIRECTION,
    PLANE_OF_VIEW,
    Plane,
    canonical_affine,
    canonical_axes,
    resample_affine,
    shift_affine,
    spacing_of,
)
from lumbargrade.labels import View
from lumbargrade.records import InvalidStudyError, Series, Study, ViewVolume

LOW_PERCENTILE = 1.0
HIGH_PERCENTILE = 99.0
"""Of a series' non-zero pixels: what becomes 0 and 255."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SquareVolume:
    """A view's slices padded to squares and resized to one matrix."""

    pixels: UInt8[np.ndarray, "slice size size"]
    affines: Affines
    """Of these pixels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Stack:
    """Slices of one orientation in one series, with the place where they lie along the spine."""

    series_index: int
    slice_indices: tuple[int, ...]
    centre_mm: float


def view_volumes(study: Study) -> dict[View, ViewVolume]:
    """Make the volumes of all views that a study has; a missing view has no entry.

    Raises:
        InvalidStudyError: a series without any brightness difference.
    """
    return {view: view_volume(study, view) for view in View if study.series_of(view)}


def view_volume(study: Study, view: View) -> ViewVolume:
    """Gather a view's slices over all its series, in radiological orientation.

    Stacks follow each other in the view's reading direction (right to left, head to foot) by their
    centres, whichever series they come from; slices keep the order inside their stack.

    Raises:
        InvalidStudyError: the study has no such view, or a series without brightness difference.
    """
    all_series = study.series_of(view)
    if not all_series:
        raise InvalidStudyError(f"study {study.study_id} has no {view.words} series")
    scaled = [scale_to_bytes(series) for series in all_series]
    plane = PLANE_OF_VIEW[view]
    pixels: list[UInt8[np.ndarray, "row column"]] = []
    affines: list[Affine] = []
    origins: list[tuple[int, int, int]] = []
    for stack_id, stack in enumerate(_stacks_in_order(all_series, ORDER_DIRECTION[plane])):
        for slice_index in stack.slice_indices:
            image = scaled[stack.series_index][slice_index]
            affine = all_series[stack.series_index].slices[slice_index].affine
            pixels.append(to_display(image, affine, plane))
            affines.append(canonical_affine(affine, (image.shape[0], image.shape[1]), plane)[0])
            origins.append((stack_id, stack.series_index, slice_index))
    stack_ids, series_index, slice_index_array = np.array(origins, dtype=np.int64).T
    return ViewVolume(
        view=view,
        slices=tuple(pixels),
        affines=np.stack(affines),
        stack_ids=stack_ids,
        series_index=series_index,
        slice_index=slice_index_array,
    )


def _stacks_in_order(all_series: Sequence[Series], direction: Point) -> list[_Stack]:
    """All stacks by their centres along the view's reading direction, however they are tilted."""
    stacks = []
    for series_index, series in enumerate(all_series):
        members: dict[int, list[int]] = {}
        for index, item in enumerate(series.slices):
            members.setdefault(item.stack, []).append(index)
        for indices in members.values():
            centres = [_centre(series.slices[i].affine, series.slices[i].pixels) for i in indices]
            stacks.append(
                _Stack(
                    series_index=series_index,
                    slice_indices=tuple(indices),
                    centre_mm=float(np.mean(centres, axis=0) @ direction),
                )
            )
    return sorted(stacks, key=lambda stack: stack.centre_mm)


def _centre(affine: Affine, pixels: np.ndarray) -> Float64[np.ndarray, "3"]:
    rows, columns = pixels.shape
    centre: Float64[np.ndarray, "3"] = (affine @ [0.0, (rows - 1) / 2, (columns - 1) / 2, 1.0])[:3]
    return centre


def scale_to_bytes(series: Series) -> list[UInt8[np.ndarray, "_ _"]]:
    """Scale a series to 0..255 between two percentiles of its non-zero pixels.

    Raises:
        InvalidStudyError: the percentiles coincide; names the series.
    """
    return scale_pixels_to_bytes(
        [item.pixels for item in series.slices], name=f"series {series.series_uid}"
    )


def scale_pixels_to_bytes(
    slices: Sequence[np.ndarray], *, name: str
) -> list[UInt8[np.ndarray, "_ _"]]:
    """Scale slices together to 0..255 between two percentiles of their non-zero pixels.

    Raises:
        InvalidStudyError: the percentiles coincide; names what was given.
    """
    non_zero = np.concatenate([pixels[pixels != 0] for pixels in slices])
    low, high = (
        np.percentile(non_zero, [LOW_PERCENTILE, HIGH_PERCENTILE]) if non_zero.size else (0.0, 0.0)
    )
    if not high > low:
        raise InvalidStudyError(
            f"{name}: no brightness to see, its {LOW_PERCENTILE:g}th and "
            f"{HIGH_PERCENTILE:g}th percentiles over non-zero pixels are both {low:g}"
        )
    return [_to_bytes(pixels, float(low), float(high)) for pixels in slices]


def _to_bytes(pixels: np.ndarray, low: float, high: float) -> UInt8[np.ndarray, "row column"]:
    unit = (pixels.astype(np.float32) - np.float32(low)) / np.float32(high - low)
    scaled: UInt8[np.ndarray, "row column"] = np.rint(np.clip(unit, 0, 1) * 255).astype(np.uint8)
    return scaled


def to_display(pixels: np.ndarray, affine: Affine, plane: Plane) -> np.ndarray:
    """Turn a slice's pixels into its plane's display; ``canonical_affine`` goes with it."""
    transpose, flip_rows, flip_columns = canonical_axes(affine, plane)
    turned = pixels.T if transpose else pixels
    turned = turned[::-1] if flip_rows else turned
    turned = turned[:, ::-1] if flip_columns else turned
    return np.ascontiguousarray(turned)


def square_volume(volume: ViewVolume, size: int) -> SquareVolume:
    """Letterbox all slices of a volume to one square matrix.

    Args:
        volume: slices may differ in size.
        size: rows and columns of the result.
    """
    pairs = [
        letterbox(np.asarray(pixels), affine, size)
        for pixels, affine in zip(volume.slices, volume.affines, strict=True)
    ]
    return SquareVolume(
        pixels=np.stack([pixels for pixels, _ in pairs]),
        affines=np.stack([affine for _, affine in pairs]),
    )


def letterbox(
    pixels: UInt8[np.ndarray, "row column"], affine: Affine, size: int
) -> tuple[UInt8[np.ndarray, "size size"], Affine]:
    """Fit a slice into a square without stretching it, black beside it, and follow its affine.

    The longer side in mm fills the square; shrinking averages over the pixels it covers, so that
    nothing aliases.

    Args:
        pixels: one slice; its pixels need not be square.
        affine: of these pixels.
        size: rows and columns of the result.

    Returns:
        The square, and its affine: isotropic in the plane, same plane.
    """
    rows, columns = pixels.shape
    _, row_mm, column_mm = spacing_of(affine)
    side_mm = max(rows * row_mm, columns * column_mm)
    new_rows = min(size, max(1, round(rows * row_mm / side_mm * size)))
    new_columns = min(size, max(1, round(columns * column_mm / side_mm * size)))
    # The grid is cut to whole pixels by choosing the source box, so that no axis is stretched.
    pixel_mm = side_mm / size
    box_rows, box_columns = new_rows * pixel_mm / row_mm, new_columns * pixel_mm / column_mm
    top, left = (rows - box_rows) / 2, (columns - box_columns) / 2
    resized = _resize(pixels, (new_rows, new_columns), (top, left, box_rows, box_columns))
    pad_rows, pad_columns = (size - new_rows) // 2, (size - new_columns) // 2
    square = np.zeros((size, size), dtype=np.uint8)
    square[pad_rows : pad_rows + new_rows, pad_columns : pad_columns + new_columns] = resized
    boxed = shift_affine(affine, top, left)
    scaled = resample_affine(boxed, new_rows / box_rows, new_columns / box_columns)
    return square, shift_affine(scaled, -pad_rows, -pad_columns)


def _resize(
    pixels: np.ndarray, shape: tuple[int, int], box: tuple[float, float, float, float]
) -> np.ndarray:
    """Resize a box (top, left, rows, columns; edges, not centres) with Pillow's antialiasing."""
    top, left, rows, columns = box
    margin = max(0, int(np.ceil(max(-top, -left, 0.0))))
    if margin:  # the box may reach half a new pixel beyond the image
        pixels = np.pad(pixels, margin, mode="edge")
        top, left = top + margin, left + margin
    image = Image.fromarray(pixels)
    resized = image.resize(
        (shape[1], shape[0]),
        resample=Image.Resampling.BILINEAR,
        box=(left, top, left + columns, top + rows),
    )
    return np.asarray(resized)


def slice_spacings(affines: Affines) -> Float64[np.ndarray, "slice"]:
    """Distance between neighbouring slices in mm, slice by slice."""
    spacing: Float64[np.ndarray, "slice"] = np.linalg.norm(affines[:, :3, 0], axis=1)
    return spacing


def image_shapes(volume: ViewVolume) -> Int[np.ndarray, "slice 2"]:
    """Rows and columns of each slice."""
    return np.array([np.shape(pixels) for pixels in volume.slices], dtype=np.int64)
