"""What the page's viewer needs to know: slices with their geometry, targets with their places.

What must stay true: positions are patient LPS in mm, the same numbers as in ``grades.json``; pixels
are those of the display (the patient's right or front on the left), at the stored resolution.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from lumbargrade.arrays import Affine, Point
from lumbargrade.geometry import lps_to_slices, normal_of, spacing_of
from lumbargrade.labels import LEVELS, TARGETS, Condition, Target, View
from lumbargrade.prediction import Prediction
from lumbargrade.records import Crop, PointOnSlice, ViewVolume
from lumbargrade.report.overlay import crop_corners_lps_mm
from lumbargrade.report.pixels import EncodedSlices
from lumbargrade.report.words import DISPLAY_VIEWS, label_stands_left, point_label

JsonObject = dict[str, Any]


def scene_document(prediction: Prediction, encoded: EncodedSlices) -> JsonObject:
    """Everything the viewer draws except the pixels; plain JSON, in a fixed order."""
    midline = canal_points(prediction.grades.points)
    return {
        "views": [_view_entry(prediction, view, encoded, midline) for view in DISPLAY_VIEWS],
        "targets": [_target_entry(prediction, target) for target in TARGETS],
    }


def _view_entry(
    prediction: Prediction, view: View, encoded: EncodedSlices, midline: Sequence[Point]
) -> JsonObject:
    volume = prediction.volumes.get(view)
    series: list[JsonObject] = []
    slices: list[JsonObject] = []
    if volume is not None:
        ranges = encoded.ranges[view]
        for owner, values in zip(prediction.study.series_of(view), ranges, strict=True):
            series.append(
                {
                    "name": owner.description or owner.series_id,
                    "range": [values.low, values.high],
                    "window": [values.window_low, values.window_high],
                }
            )
        slices = [
            _slice_entry(prediction, volume, index, midline) for index in range(len(volume.slices))
        ]
    return {"view": view.value, "name": view.heading, "series": series, "slices": slices}


def _slice_entry(
    prediction: Prediction, volume: ViewVolume, index: int, midline: Sequence[Point]
) -> JsonObject:
    affine = volume.affines[index]
    owner = int(volume.series_index[index])
    stored = prediction.study.series_of(volume.view)[owner].slices[int(volume.slice_index[index])]
    rows, columns = np.shape(volume.slices[index])
    return {
        "series": owner,
        "stack": int(volume.stack_ids[index]),
        "instance": stored.instance_number,
        "frame": stored.frame_number,
        "rows": rows,
        "columns": columns,
        "origin": _rounded(affine[:3, 3], 4),
        "down": _rounded(affine[:3, 1], 7),
        "right": _rounded(affine[:3, 2], 7),
        "spacing": round(float(spacing_of(affine)[0]), 3),
        "side": "" if volume.view is View.AXIAL_T2 else side_words(affine, midline),
    }


def _target_entry(prediction: Prediction, target: Target) -> JsonObject:
    point = prediction.grades.points[target.index]
    view = target.condition.view
    entry: JsonObject = {
        "anchor": target.column,
        "view": view.value,
        "label": point_label(target),
        "labelLeft": label_stands_left(target),
        "slice": None,
    }
    if point is None:
        return entry
    index = slice_of_point(prediction, view, point)
    crop = prediction.crops[target.index]
    return entry | {
        "slice": index,
        "position": _rounded(point.position_lps_mm, 4),
        "box": None if crop is None else _box_entry(crop),
    }


def _box_entry(crop: Crop) -> JsonObject:
    return {
        "corners": [_rounded(corner, 4) for corner in crop_corners_lps_mm(crop)],
        "depth": len(crop.pixels) // 2,
    }


def slice_of_point(prediction: Prediction, view: View, point: PointOnSlice) -> int:
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


def canal_points(points: Sequence[PointOnSlice | None]) -> tuple[Point, ...]:
    """Places on the spine's midline in LPS mm: canal points, else half way between two sides."""
    found = [points[target.index] for target in TARGETS if target.condition.side is None]
    if any(found):
        return tuple(point.position_lps_mm for point in found if point is not None)
    pairs = (
        (Condition.LEFT_SUBARTICULAR_STENOSIS, Condition.RIGHT_SUBARTICULAR_STENOSIS),
        (Condition.LEFT_NEURAL_FORAMINAL_NARROWING, Condition.RIGHT_NEURAL_FORAMINAL_NARROWING),
    )
    for pair in pairs:
        halves = []
        for level in LEVELS:
            left, right = (points[Target(condition=c, level=level).index] for c in pair)
            if left is not None and right is not None:
                halves.append((left.position_lps_mm + right.position_lps_mm) / 2)
        if halves:
            return tuple(halves)
    return ()


def side_words(affine: Affine, midline: Sequence[Point]) -> str:
    """Which side of the canal a sagittal slice lies on; empty where no point tells."""
    if not midline:
        return ""
    towards_left = np.sign(normal_of(affine)[0])
    distances = [lps_to_slices(affine[None], point)[0, 0] for point in midline]
    left_mm = -float(np.mean(distances)) * towards_left
    if abs(left_mm) <= spacing_of(affine)[0] / 2:
        return "at the canal"
    return f"{'left' if left_mm > 0 else 'right'} of the canal, {abs(left_mm):.0f} mm"


def _rounded(values: np.ndarray, digits: int) -> list[float]:
    return [round(float(value), digits) for value in values]
