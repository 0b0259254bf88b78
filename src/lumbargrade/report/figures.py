"""The still pictures of a report, for paper and where scripts are off.

What must stay true: a picture shows the very slice that ``grades.json`` names, and its mark stands
at that point.
"""

from dataclasses import dataclass

import numpy as np

from lumbargrade.arrays import Affine
from lumbargrade.geometry import PLANE_OF_VIEW, lps_to_slices, shift_affine, spacing_of
from lumbargrade.labels import TARGETS, Target, View, targets_of_view
from lumbargrade.prediction import Prediction
from lumbargrade.records import PointOnSlice
from lumbargrade.report.overlay import (
    Canvas,
    crop_corners,
    draw_slice,
    slice_name,
    to_data_uri,
    with_box,
    with_point,
)
from lumbargrade.report.scene import slice_of_point
from lumbargrade.report.words import label_stands_left, point_label

CLOSE_UP_MM = 80.0
"""Side of the square around a point; wider than the crop, to show where it lies."""

CLOSE_UP_PX = 240

VIEW_FIGURE_PX = 360
"""Longest side of a whole slice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One picture with its size, so that a page does not jump while it loads."""

    uri: str
    width: int
    height: int
    caption: str
    """Which slice it is: number in the view, instance, plane and tilt."""
    series_id: str


def close_ups(prediction: Prediction) -> tuple[Figure | None, ...]:
    """The surroundings of the 25 points in target order; None where there is no point."""
    return tuple(
        None if point is None else _close_up(prediction, target, point)
        for target, point in zip(TARGETS, prediction.grades.points, strict=True)
    )


def _close_up(prediction: Prediction, target: Target, point: PointOnSlice) -> Figure:
    view = target.condition.view
    volume = prediction.volumes[view]
    index = slice_of_point(prediction, view, point)
    affine = volume.affines[index]
    _, row, column = lps_to_slices(affine[None], point.position_lps_mm)[0]
    pixels, part = cut_square(volume.slices[index], affine, row, column, side_mm=CLOSE_UP_MM)
    canvas = draw_slice(pixels, part, size=CLOSE_UP_PX)
    crop = prediction.crops[target.index]
    if crop is not None:
        canvas = with_box(canvas, crop_corners(crop, part))
    canvas = _mark(canvas, part, point)
    return _figure(canvas, prediction, view, index)


def cut_square(
    pixels: np.ndarray, affine: Affine, row: float, column: float, *, side_mm: float
) -> tuple[np.ndarray, Affine]:
    """Cut whole pixels of a square around a place, black beyond the image.

    Returns:
        The pixels and their affine.
    """
    _, row_mm, column_mm = spacing_of(affine)
    height, width = round(side_mm / row_mm), round(side_mm / column_mm)
    top, left = round(row - height / 2), round(column - width / 2)
    square = np.zeros((height, width), dtype=pixels.dtype)
    rows = slice(max(top, 0), max(min(top + height, pixels.shape[0]), 0))
    columns = slice(max(left, 0), max(min(left + width, pixels.shape[1]), 0))
    part = pixels[rows, columns]
    first_row, first_column = rows.start - top, columns.start - left
    square[first_row : first_row + part.shape[0], first_column : first_column + part.shape[1]] = (
        part
    )
    return square, shift_affine(affine, top, left)


def view_figures(prediction: Prediction, view: View) -> tuple[Figure, ...]:
    """The slices of a view that carry points, in order, each with all of its points."""
    volume = prediction.volumes.get(view)
    if volume is None:
        return ()
    points_of_slice: dict[int, list[tuple[Target, PointOnSlice]]] = {}
    for target in targets_of_view(view):
        point = prediction.grades.points[target.index]
        if point is not None:
            index = slice_of_point(prediction, view, point)
            points_of_slice.setdefault(index, []).append((target, point))
    figures = []
    for index in sorted(points_of_slice):
        canvas = draw_slice(volume.slices[index], volume.affines[index], size=VIEW_FIGURE_PX)
        for target, point in points_of_slice[index]:
            canvas = _mark(canvas, volume.affines[index], point, target)
        figures.append(_figure(canvas, prediction, view, index))
    return tuple(figures)


def _mark(
    canvas: Canvas, affine: Affine, point: PointOnSlice, target: Target | None = None
) -> Canvas:
    _, row, column = lps_to_slices(affine[None], point.position_lps_mm)[0]
    if target is None:
        return with_point(canvas, float(row), float(column))
    return with_point(
        canvas,
        float(row),
        float(column),
        label=point_label(target),
        label_left=label_stands_left(target),
    )


def _figure(canvas: Canvas, prediction: Prediction, view: View, index: int) -> Figure:
    volume = prediction.volumes[view]
    owner = prediction.study.series_of(view)[int(volume.series_index[index])]
    stored = owner.slices[int(volume.slice_index[index])]
    words = [f"slice {index + 1} of {len(volume.slices)}"]
    if stored.instance_number is not None:
        words.append(f"instance {stored.instance_number}")
    if stored.frame_number is not None:
        words.append(f"frame {stored.frame_number}")
    words.append(slice_name(volume.affines[index], PLANE_OF_VIEW[view]))
    return Figure(
        uri=to_data_uri(canvas.picture),
        width=canvas.picture.width,
        height=canvas.picture.height,
        caption=" · ".join(words),
        series_id=owner.series_id,
    )
