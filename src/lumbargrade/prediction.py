"""What the pipeline hands to the writers: the grades, and everything they were read from.

What must stay true: a target has a point exactly when it is flagged neither ``view_missing`` nor
``level_not_covered``; column, row and position of a point describe one place on one stored slice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lumbargrade.geometry import locate
from lumbargrade.labels import Flag, View
from lumbargrade.records import (
    Crop,
    Grades,
    Landmark,
    PointOnSlice,
    Series,
    SliceImage,
    Study,
    ViewVolume,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """The grades of one study with the evidence behind them; rows in target order."""

    study: Study
    grades: Grades
    landmarks: tuple[Landmark, ...]
    crops: tuple[Crop | None, ...]
    """None where a target has no point."""
    volumes: Mapping[View, ViewVolume]
    """All stored slices of the views; a missing one has no entry."""
    seen: Mapping[View, ViewVolume]
    """What detectors and crops see: the same, but averages of thin slices, see
    :func:`lumbargrade.thick_slices.thick_study`."""
    sop_instances_sha256: str
    """Names the DICOM instances that the study was read from."""


def place_landmarks(
    study: Study, landmarks: Sequence[Landmark]
) -> tuple[tuple[Landmark, ...], tuple[PointOnSlice | None, ...]]:
    """Put every landmark on the stored slice that shows it best.

    Args:
        study: holds the stored slices.
        landmarks: 25, in target order, positions in LPS mm.

    Returns:
        The landmarks, without a position and flagged where no stored slice of their view covers
        it, and the points, None for those.
    """
    stored = {view: _stored_slices(study, view) for view in View}
    placed = [_place(stored[item.target.condition.view], item) for item in landmarks]
    return tuple(item for item, _ in placed), tuple(point for _, point in placed)


def _stored_slices(study: Study, view: View) -> list[tuple[Series, SliceImage]]:
    return [(series, item) for series in study.series_of(view) for item in series.slices]


def _place(
    stored: list[tuple[Series, SliceImage]], landmark: Landmark
) -> tuple[Landmark, PointOnSlice | None]:
    if not stored:
        return _without_position(landmark, Flag.VIEW_MISSING), None
    if landmark.position_lps_mm is None:
        return _without_position(landmark, Flag.LEVEL_NOT_COVERED), None
    location = locate(
        np.stack([item.affine for _, item in stored]),
        np.array([item.pixels.shape for _, item in stored]),
        landmark.position_lps_mm,
    )
    if not location.covered:
        return _without_position(landmark, Flag.LEVEL_NOT_COVERED), None
    series, item = stored[location.slice_index]
    on_slice = item.affine @ np.array([0.0, location.row, location.column, 1.0])
    point = PointOnSlice(
        series_uid=series.series_uid,
        series_id=series.series_id,
        sop_instance_uid=item.sop_instance_uid,
        instance_number=item.instance_number,
        frame_number=item.frame_number,
        column=location.column,
        row=location.row,
        position_lps_mm=on_slice[:3],
        score=landmark.score,
    )
    return landmark, point


def _without_position(landmark: Landmark, flag: Flag) -> Landmark:
    flags = tuple(
        known
        for known in landmark.flags
        if known not in (Flag.VIEW_MISSING, Flag.LEVEL_NOT_COVERED, Flag.LOW_CONFIDENCE)
    )
    return replace(landmark, position_lps_mm=None, score=0.0, flags=(flag, *flags), track=None)
