"""The pictures of a report: each target on its slice, each view with its points.

What must stay true: a picture shows the very slice that ``grades.json`` names, and its mark stands
at that point.
"""

from dataclasses import dataclass

from lumbargrade.arrays import Affine
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import TARGETS, Side, Target, View, targets_of_view
from lumbargrade.prediction import Prediction
from lumbargrade.records import Crop, PointOnSlice
from lumbargrade.report.overlay import (
    Canvas,
    crop_corners,
    draw_crop,
    draw_slice,
    slice_name,
    to_data_uri,
    with_box,
    with_point,
)

FIGURE_PX = 400
"""Longest side of a slice beside a grade."""

VIEW_FIGURE_PX = 440
"""Longest side of a slice in the overview of a view."""

CROP_TILE_PX = 88
"""Side of one slice in the row of a crop's slices."""

_SIDE_LETTER = {Side.LEFT: " L", Side.RIGHT: " R", None: ""}


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One picture with its size, so that a page does not jump while it loads."""

    uri: str
    width: int
    height: int
    caption: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFigures:
    """What was looked at for one target."""

    on_slice: Figure
    crop: Figure | None


def target_figures(prediction: Prediction) -> tuple[TargetFigures | None, ...]:
    """The figures of the 25 targets in order; None where there is no point."""
    return tuple(
        None if point is None else _figures_of(prediction, target, point)
        for target, point in zip(TARGETS, prediction.grades.points, strict=True)
    )


def _figures_of(prediction: Prediction, target: Target, point: PointOnSlice) -> TargetFigures:
    view = target.condition.view
    volume = prediction.volumes[view]
    index = _slice_of_point(prediction, view, point)
    affine = volume.affines[index]
    canvas = draw_slice(volume.slices[index], affine, size=FIGURE_PX)
    crop = prediction.crops[target.index]
    if crop is not None:
        canvas = with_box(canvas, crop_corners(crop, affine))
    canvas = _mark(canvas, volume.affines[index], point)
    return TargetFigures(
        on_slice=_figure(canvas, _slice_caption(prediction, view, index)),
        crop=None if crop is None else _crop_figure(crop),
    )


def _crop_figure(crop: Crop) -> Figure:
    picture = draw_crop(crop, tile=CROP_TILE_PX)
    rows = crop.pixels.shape[1]
    side_mm = float((crop.affine[:3, 1] ** 2).sum() ** 0.5) * rows
    caption = f"What the classifier saw: {len(crop.pixels)} slices, {side_mm:.0f} mm wide"
    return Figure(
        uri=to_data_uri(picture), width=picture.width, height=picture.height, caption=caption
    )


def view_figures(prediction: Prediction, view: View) -> tuple[Figure, ...]:
    """The slices of a view that carry points, in order, each with all of its points."""
    volume = prediction.volumes.get(view)
    if volume is None:
        return ()
    points_of_slice: dict[int, list[tuple[Target, PointOnSlice]]] = {}
    for target in targets_of_view(view):
        point = prediction.grades.points[target.index]
        if point is not None:
            index = _slice_of_point(prediction, view, point)
            points_of_slice.setdefault(index, []).append((target, point))
    figures = []
    for index in sorted(points_of_slice):
        canvas = draw_slice(volume.slices[index], volume.affines[index], size=VIEW_FIGURE_PX)
        for target, point in points_of_slice[index]:
            canvas = _mark(canvas, volume.affines[index], point, target)
        figures.append(_figure(canvas, _slice_caption(prediction, view, index)))
    return tuple(figures)


def _short_name(target: Target) -> str:
    return target.level.spelling + _SIDE_LETTER[target.condition.side]


def _mark(
    canvas: Canvas, affine: Affine, point: PointOnSlice, target: Target | None = None
) -> Canvas:
    _, row, column = lps_to_slices(affine[None], point.position_lps_mm)[0]
    if target is None:
        return with_point(canvas, float(row), float(column))
    # The patient's right is on the left of an axial picture: labels go outwards.
    outwards_left = target.condition.view is View.AXIAL_T2 and target.condition.side is Side.RIGHT
    label = _short_name(target)
    return with_point(canvas, float(row), float(column), label=label, label_left=outwards_left)


def _slice_of_point(prediction: Prediction, view: View, point: PointOnSlice) -> int:
    """Index, in the view's volume, of the stored slice that a point lies on."""
    volume = prediction.volumes[view]
    series = prediction.study.series_of(view)
    wanted = (point.series_uid, point.sop_instance_uid, point.frame_number)
    for index in range(len(volume.slices)):
        owner = series[int(volume.series_index[index])]
        stored = owner.slices[int(volume.slice_index[index])]
        if (owner.series_uid, stored.sop_instance_uid, stored.frame_number) == wanted:
            return index
    raise LookupError(f"{view}: the point's instance {wanted} is not among the view's slices")


def _slice_caption(prediction: Prediction, view: View, index: int) -> str:
    volume = prediction.volumes[view]
    owner = prediction.study.series_of(view)[int(volume.series_index[index])]
    stored = owner.slices[int(volume.slice_index[index])]
    words = [f"slice {index + 1} of {len(volume.slices)}"]
    if stored.instance_number is not None:
        words.append(f"instance {stored.instance_number}")
    if stored.frame_number is not None:
        words.append(f"frame {stored.frame_number}")
    words += [slice_name(volume.affines[index]), f"series {owner.series_id}"]
    return " · ".join(words)


def _figure(canvas: Canvas, caption: str) -> Figure:
    return Figure(
        uri=to_data_uri(canvas.picture),
        width=canvas.picture.width,
        height=canvas.picture.height,
        caption=caption,
    )
