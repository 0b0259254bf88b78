"""Crops that follow an oblique structure: one place in the plane for each slice.

What must stay true: without a track, every slice is centred on the foot of the landmark itself; a
slice on which the detector tells nothing takes the place of the nearest slice that does.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int

from lumbargrade.arrays import Affines
from lumbargrade.geometry import lps_to_slices
from lumbargrade.records import Landmark, Track

OWN_SLICE = 0.5
"""A place of a track belongs to slices whose planes are nearer than this, in slice spacings."""


def slice_centres(
    affines: Affines, landmark: Landmark, *, dynamic: bool
) -> Float64[np.ndarray, "slice 2"]:
    """(row, column) of each slice around which a crop is cut, in pixels.

    Args:
        affines: of slices of the landmark's stack.
        landmark: with a position and, where ``dynamic``, a track.
        dynamic: follow the track; else the landmark's foot point on each slice.
    """
    if not dynamic:
        return lps_to_slices(affines, _position(landmark))[:, 1:]
    centres, _, _ = _nearest_places(affines, landmark)
    return centres


def slice_marks(
    affines: Affines, landmark: Landmark
) -> tuple[Float64[np.ndarray, "slice 2"], Float64[np.ndarray, "slice"]]:
    """Where each slice shows the structure, (row, column) in pixels, and how surely, 0 to 1."""
    centres, steps, own = _nearest_places(affines, landmark)
    return centres, np.where(own, _track(landmark).heights[steps], 0.0)


def mean_track(tracks: Sequence[Track | None]) -> Track | None:
    """Average tracks step by step, over those that tell something there; None without any."""
    known = [track for track in tracks if track is not None]
    if not known:
        return None
    offsets = np.stack([track.offsets_lps_mm for track in known])  # (track, step, 3)
    told = np.isfinite(offsets).all(axis=2)
    count = told.sum(axis=0)[:, None]
    total = np.where(told[..., None], offsets, 0.0).sum(axis=0)
    return Track(
        offsets_lps_mm=np.where(count > 0, total / np.maximum(count, 1), np.nan),
        heights=np.mean([track.heights for track in known], axis=0),
    )


def _nearest_places(
    affines: Affines, landmark: Landmark
) -> tuple[Float64[np.ndarray, "slice 2"], Int[np.ndarray, "slice"], Bool[np.ndarray, "slice"]]:
    """The foot of each slice's nearest place, the step of that place, whether it is its own."""
    offsets = _track(landmark).offsets_lps_mm
    told = np.flatnonzero(np.isfinite(offsets).all(axis=1))
    places = _position(landmark) + offsets[told]
    local = np.stack([lps_to_slices(affines, place) for place in places])  # (place, slice, 3)
    distance = np.abs(local[..., 0])
    nearest = distance.argmin(axis=0)
    slices = np.arange(len(affines))
    spacing = np.linalg.norm(affines[:, :3, 0], axis=1)
    own = distance[nearest, slices] < OWN_SLICE * spacing
    return local[nearest, slices, 1:], told[nearest], own


def _position(landmark: Landmark) -> Float64[np.ndarray, "3"]:
    if landmark.position_lps_mm is None:
        raise ValueError(f"{landmark.target.column} has no position")
    return landmark.position_lps_mm


def _track(landmark: Landmark) -> Track:
    if landmark.track is None:
        raise ValueError(
            f"{landmark.target.column} has no track: crops that follow the detector's heatmaps "
            "need points found with follow=True"
        )
    return landmark.track
