"""Several detectors' points of one study: their mean, and which of them share a crop.

What must stay true: points share a crop only where that crop's middle slice is the same and they
lie within the given distance on it; a target's mean is over the sets that have a point there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from lumbargrade.config import CropSettings
from lumbargrade.crops import pitch_mm
from lumbargrade.geometry import Location, locate, spacing_of
from lumbargrade.labels import TARGETS, View
from lumbargrade.records import Landmark, ViewVolume
from lumbargrade.volumes import image_shapes


def mean_landmarks(sets: Sequence[Sequence[Landmark]]) -> tuple[Landmark, ...]:
    """Average the sets' points, per target, in LPS mm.

    Args:
        sets: for each set, 25 landmarks in target order.

    Returns:
        25 landmarks; scores are means, flags are the first set's that has a point, or the first's.
    """
    landmarks = []
    for same_target in zip(*sets, strict=True):
        found = [item for item in same_target if item.position_lps_mm is not None]
        first = (found or same_target)[0]
        positions = [item.position_lps_mm for item in found if item.position_lps_mm is not None]
        landmarks.append(
            Landmark(
                target=first.target,
                position_lps_mm=np.mean(positions, axis=0) if positions else None,
                score=float(np.mean([item.score for item in found or same_target])),
                flags=first.flags,
            )
        )
    return tuple(landmarks)


def shared_crops(
    volumes: Mapping[View, ViewVolume],
    sets: Sequence[Sequence[Landmark]],
    settings: CropSettings,
    merge_px: float,
) -> Int[np.ndarray, "set 25"]:
    """For each set and target, the first set whose crop may stand for it.

    Args:
        volumes: the study's views.
        sets: for each set, 25 landmarks in target order.
        settings: how crops are cut.
        merge_px: points nearer than this, in pixels of the crop, share one.
    """
    same_as: Int[np.ndarray, "set 25"] = np.tile(np.arange(len(sets))[:, None], (1, len(TARGETS)))
    shapes = {view: image_shapes(volume) for view, volume in volumes.items()}
    for target in TARGETS:
        kept: list[tuple[int, Location]] = []
        for index, landmarks in enumerate(sets):
            position = landmarks[target.index].position_lps_mm
            if position is None:
                continue
            volume = volumes[target.condition.view]
            place = locate(volume.affines, shapes[volume.view], position)
            near = (i for i, other in kept if _apart_px(volume, place, other, settings) < merge_px)
            same_as[index, target.index] = first = next(near, index)
            if first == index:
                kept.append((index, place))
    return same_as


def _apart_px(
    volume: ViewVolume, place: Location, other: Location, settings: CropSettings
) -> float:
    """Distance in pixels of the crop; infinite on different slices."""
    if place.slice_index != other.slice_index:
        return float("inf")
    spacing_mm = spacing_of(volume.affines[place.slice_index])[1:]
    pitch = pitch_mm(volume.slices[place.slice_index].shape, spacing_mm, settings)
    offset = np.array([place.row - other.row, place.column - other.column])
    return float(np.linalg.norm(offset * spacing_mm / pitch))
