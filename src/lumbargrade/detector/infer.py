"""Volumes → landmarks, with trained detectors: sagittal T2 first, then T1, then axial T2.

What must stay true: a point lies on a slice of its own view; a level that no slice of the view
reaches has no point.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64, Int

from lumbargrade.cache import DISC, LANDMARKS
from lumbargrade.config import DetectorMember
from lumbargrade.detector.decode import (
    Candidates,
    ScoreMaps,
    candidates_by_slice,
    candidates_in_plane,
    choose_ordered,
)
from lumbargrade.detector.features import known_levels
from lumbargrade.detector.joint import choose_jointly
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.scores import score_maps
from lumbargrade.geometry import locate
from lumbargrade.labels import LEVELS, TARGETS, VIEWS, Flag, View
from lumbargrade.records import Landmark, ViewVolume
from lumbargrade.training.checkpoint import CONFIG, WEIGHTS, load_weights
from lumbargrade.volumes import image_shapes, square_volume

LEVEL_WINDOW_SPACINGS = 3.0
"""Axial points of a level lie within this many slice spacings of where sagittal T2 shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPoints:
    """The 25 targets, then the five disc points."""

    positions_lps_mm: Float64[np.ndarray, "30 3"]
    """NaN where there is none."""
    scores: Float64[np.ndarray, "30"]
    covered: Bool[np.ndarray, "30"]
    """False where the view is there but no slice of it reaches the level."""


def load_detector(folder: Path, device: str = "cpu") -> Detector:
    """Load a trained detector, in eval mode.

    Args:
        folder: of the member.
        device: cpu, cuda, cuda:N or mps; ``auto`` takes the fastest there is.

    Raises:
        FileNotFoundError: the folder holds no finished member.
        ConfigError: its settings cannot be used.
    """
    member = DetectorMember.from_yaml(folder / CONFIG)
    detector = build_detector(View(member.view), member.detector)
    detector.load_state_dict(load_weights(folder / WEIGHTS))
    return detector.eval().to(_device(device))


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def find_landmarks(
    detectors: Mapping[View, Detector], volumes: Mapping[View, ViewVolume]
) -> tuple[Landmark, ...]:
    """Find the 25 targets of a study, in target order.

    Args:
        detectors: one per view that the study has.
        volumes: the study's views.

    Returns:
        Landmarks, flagged ``view_missing``, ``level_not_covered`` (both without a position) or
        ``low_confidence``.

    Raises:
        ValueError: a view has a volume and no detector.
    """
    found = find_points(detectors, volumes)
    return tuple(
        Landmark(
            target=target,
            position_lps_mm=None if np.isnan(position).any() else position,
            score=float(score),
            flags=_flags(target.condition.view, position, score, detectors, volumes),
        )
        for target, position, score in zip(
            TARGETS, found.positions_lps_mm[:DISC], found.scores[:DISC], strict=True
        )
    )


def disc_landmarks(
    detectors: Mapping[View, Detector], volumes: Mapping[View, ViewVolume]
) -> tuple[Float64[np.ndarray, "5 3"], Float64[np.ndarray, "5"]]:
    """Find the five posterior disc margins on the sagittal T2 view.

    Returns:
        Positions in LPS mm, NaN where there is no such view, and scores 0 to 1.
    """
    sagittal: dict[View, ViewVolume] = {}
    if View.SAGITTAL_T2 in volumes:
        sagittal[View.SAGITTAL_T2] = volumes[View.SAGITTAL_T2]
    found = find_points(detectors, sagittal)
    return found.positions_lps_mm[DISC:], found.scores[DISC:]


def find_points(
    detectors: Mapping[View, Detector], volumes: Mapping[View, ViewVolume]
) -> FoundPoints:
    """Find the 25 targets and five disc points of a study.

    Raises:
        ValueError: a view has a volume and no detector.
    """
    positions = np.full((LANDMARKS, 3), np.nan)
    scores = np.zeros(LANDMARKS)
    covered = np.ones(LANDMARKS, dtype=bool)
    for view in VIEWS:
        if view not in volumes:
            continue
        if view not in detectors:
            raise ValueError(f"the study has a {view} view, but there is no detector for it")
        levels = known_levels(positions)
        found = find_in_view(detectors[view], volumes[view], levels)
        channels = list(detectors[view].channels.landmarks)
        positions[channels], scores[channels] = found.positions_lps_mm, found.scores
        covered[channels] = np.isfinite(found.positions_lps_mm).all(axis=1)
    return FoundPoints(positions_lps_mm=positions, scores=scores, covered=covered)


def _flags(
    view: View,
    position: Float64[np.ndarray, "3"],
    score: float,
    detectors: Mapping[View, Detector],
    volumes: Mapping[View, ViewVolume],
) -> tuple[Flag, ...]:
    if view not in volumes:
        return (Flag.VIEW_MISSING,)
    if np.isnan(position).any():
        return (Flag.LEVEL_NOT_COVERED,)
    if score < detectors[view].settings.low_confidence:
        return (Flag.LOW_CONFIDENCE,)
    return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPoints:
    """Points of one view, in channel order."""

    positions_lps_mm: Float64[np.ndarray, "channel 3"]
    scores: Float64[np.ndarray, "channel"]


def find_in_view(
    detector: Detector, volume: ViewVolume, levels_lps_mm: Float64[np.ndarray, "5 3"]
) -> ViewPoints:
    """Find the points of one view.

    Args:
        detector: of this view.
        volume: the view.
        levels_lps_mm: where sagittal T2 shows the levels, NaN where unknown.
    """
    square = square_volume(volume, detector.settings.image_size)
    maps = score_maps(detector, square, volume.stack_ids, levels_lps_mm)
    return decode_view(
        detector.view,
        maps,
        image_shapes(volume),
        volume.affines,
        levels_lps_mm,
        jointly=detector.settings.decoding == "joint",
    )


def decode_view(
    view: View,
    maps: ScoreMaps,
    shapes: Int[np.ndarray, "slice 2"],
    affines: Float64[np.ndarray, "slice 4 4"],
    levels_lps_mm: Float64[np.ndarray, "5 3"],
    *,
    jointly: bool = False,
) -> ViewPoints:
    """Choose the points of a view, five levels at a time or, on sagittal T2, all together.

    Args:
        view: which detector.
        maps: its answer.
        shapes: rows and columns of the slices before they were made square.
        affines: of those.
        levels_lps_mm: where sagittal T2 shows the levels, NaN where unknown; used on axial slices.
        jointly: canal and disc points together (sagittal T2 alone).
    """
    if jointly and view is View.SAGITTAL_T2:
        positions, scores = choose_jointly(maps)
        return ViewPoints(positions_lps_mm=positions, scores=scores)
    count = len(maps.maps)
    positions, scores = np.full((count, 3), np.nan), np.zeros(count)
    for first in range(0, count, len(LEVELS)):
        channels = range(first, first + len(LEVELS))
        if view is View.AXIAL_T2:
            options = _axial_candidates(maps, channels, shapes, affines, levels_lps_mm)
        else:
            options = {channel: candidates_in_plane(maps, channel) for channel in channels}
        if not options:
            continue
        chosen = choose_ordered(list(options.values()))
        for (channel, candidates), index in zip(options.items(), chosen, strict=True):
            positions[channel] = candidates.positions_lps_mm[index]
            scores[channel] = candidates.scores[index]
    return ViewPoints(positions_lps_mm=positions, scores=scores)


def _axial_candidates(
    maps: ScoreMaps,
    channels: Sequence[int],
    shapes: Int[np.ndarray, "slice 2"],
    affines: Float64[np.ndarray, "slice 4 4"],
    levels_lps_mm: Float64[np.ndarray, "5 3"],
) -> dict[int, Candidates]:
    """Candidates of the levels that the axial slices reach, near where sagittal T2 shows them."""
    options = {}
    spacing = np.linalg.norm(affines[:, :3, 0], axis=1)
    everywhere = np.ones(len(affines), dtype=bool)
    for channel, level in zip(channels, levels_lps_mm, strict=True):
        if np.isnan(level).any():
            options[channel] = candidates_by_slice(maps, channel, everywhere)
            continue
        if not locate(affines, shapes, level).covered:
            continue
        normals = affines[:, :3, 0] / spacing[:, None]
        distance = np.abs(((level - affines[:, :3, 3]) * normals).sum(axis=1)) / spacing
        near = distance <= LEVEL_WINDOW_SPACINGS
        options[channel] = candidates_by_slice(maps, channel, near)
    return options
