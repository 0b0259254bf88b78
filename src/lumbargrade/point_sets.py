"""Several detectors' points of one study: their mean, and which of them share a crop.

What must stay true: points share a crop only where that crop's middle slice is the same and they
lie within the given distance on it (on all its slices, where crops follow tracks), and never where
crops hold masks; a target's mean is over the sets that have a point there.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Int

from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import pitch_mm, stack_neighbours
from lumbargrade.geometry import locate, spacing_of
from lumbargrade.labels import TARGETS, View
from lumbargrade.records import Landmark, ViewVolume
from lumbargrade.tracks import mean_track, slice_centres
from lumbargrade.volumes import image_shapes


def mean_landmarks(sets: Sequence[Sequence[Landmark]]) -> tuple[Landmark, ...]:
    """Average the sets' points, per target, in LPS mm.

    Args:
        sets: for each set, 25 landmarks in target order.

    Returns:
        25 landmarks; scores are means, flags are the first set's that has a point, or the first's;
        tracks are means step by step, each counted from its own set's slice.
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
                track=mean_track([item.track for item in found]),
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
    if settings.mask:
        return same_as  # no two detectors' masks are the same
    shapes = {view: image_shapes(volume) for view, volume in volumes.items()}
    for target in TARGETS:
        kept: list[tuple[int, int]] = []
        for index, landmarks in enumerate(sets):
            landmark = landmarks[target.index]
            if landmark.position_lps_mm is None:
                continue
            volume = volumes[target.condition.view]
            middle = locate(volume.affines, shapes[volume.view], landmark.position_lps_mm)
            same_slice = (k for k, other in kept if other == middle.slice_index)
            near = (
                k
                for k in same_slice
                if _apart_px(volume, middle.slice_index, landmark, sets[k][target.index], settings)
                < merge_px
            )
            same_as[index, target.index] = first = next(near, index)
            if first == index:
                kept.append((index, middle.slice_index))
    return same_as


def _apart_px(
    volume: ViewVolume, middle: int, landmark: Landmark, other: Landmark, settings: CropSettings
) -> float:
    """Distance of two crops with one middle slice, in their pixels; the largest of their slices."""
    settings, dynamic = settings.for_view(volume.view), settings.xy == "dynamic"
    around = stack_neighbours(volume.stack_ids, middle, settings.slices if dynamic else 1)
    shown = [index for index in around if index is not None]
    affines = volume.affines[shown]
    centres = [slice_centres(affines, item, dynamic=dynamic) for item in (landmark, other)]
    apart = []
    for index, offset in zip(shown, centres[0] - centres[1], strict=True):
        spacing_mm = spacing_of(volume.affines[index])[1:]
        pitch = pitch_mm(volume.slices[index].shape, spacing_mm, settings)
        apart.append(float(np.linalg.norm(offset * spacing_mm / pitch)))
    return max(apart)
