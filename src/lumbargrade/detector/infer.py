"""Volumes → landmarks, with trained detectors: sagittal T2 first, then T1, then axial T2.

What must stay true: a point lies on a slice of its own view; a level that no slice of the view
reaches has no point; what sagittal T1 is read for in T2's stead tells the levels, and is no point.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Bool, Float64

from lumbargrade.cache import LANDMARKS
from lumbargrade.config import DetectorMember
from lumbargrade.detector.features import known_levels
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.one_view import find_in_view
from lumbargrade.labels import LEVELS, TARGETS, VIEWS, Flag, View
from lumbargrade.point_confidence import PointConfidence
from lumbargrade.records import Evidence, Landmark, Track, ViewVolume
from lumbargrade.training.checkpoint import CONFIG, WEIGHTS, load_weights


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundPoints:
    """The 25 targets, then the five disc points."""

    positions_lps_mm: Float64[np.ndarray, "30 3"]
    """NaN where there is none."""
    scores: Float64[np.ndarray, "30"]
    covered: Bool[np.ndarray, "30"]
    """False where the view is there but no slice of it reaches the level."""
    conflicts: Bool[np.ndarray, "5"]
    """Levels about which the views disagree."""
    evidence: tuple[Evidence | None, ...]
    tracks: tuple[Track | None, ...]
    """Of the 30; None where there is no point, and everywhere unless they were asked for."""


def load_detector(folder: Path, device: str = "cpu", *, image_size: int | None = None) -> Detector:
    """Load a trained detector, in eval mode.

    Args:
        folder: of the member.
        device: cpu, cuda, cuda:N or mps; ``auto`` takes the fastest there is.
        image_size: rows and columns of the slices it shall be shown; None for as many as in
            training.

    Raises:
        FileNotFoundError: the folder holds no finished member.
        ConfigError: its settings cannot be used.
    """
    member = DetectorMember.from_yaml(folder / CONFIG)
    settings = member.detector
    if image_size is not None:
        settings = settings.model_copy(update={"image_size": image_size})
    detector = build_detector(View(member.view), settings)
    detector.load_state_dict(load_weights(folder / WEIGHTS))
    return detector.eval().to(_device(device))


def _device(name: str) -> torch.device:
    if name != "auto":
        return torch.device(name)
    return torch.accelerator.current_accelerator(check_available=True) or torch.device("cpu")


def find_landmarks(
    detectors: Mapping[View, Detector],
    volumes: Mapping[View, ViewVolume],
    confidence: Mapping[View, PointConfidence] | None = None,
    *,
    follow: bool = False,
) -> tuple[Landmark, ...]:
    """Find the 25 targets of a study, in target order.

    Args:
        detectors: one per view that the study has.
        volumes: the study's views.
        confidence: what a view's evidence is worth; where it is not known, a point's score is that
            of the maps.
        follow: give each point its track over the slices beside its own.

    Returns:
        Landmarks, flagged ``view_missing``, ``level_not_covered`` (both without a position),
        ``low_confidence`` or ``cross_view_conflict`` (all of a level that T1 alone sees elsewhere).

    Raises:
        ValueError: a view has a volume and no detector.
    """
    found = find_points(detectors, volumes, follow=follow)
    landmarks = []
    for target in TARGETS:
        view = target.condition.view
        position, evidence = found.positions_lps_mm[target.index], found.evidence[target.index]
        score = float(found.scores[target.index])
        low = view in detectors and score < detectors[view].settings.low_confidence
        if confidence is not None and view in confidence and evidence is not None:
            # both may say so: where nearly all points were found, what was fitted is nearly flat
            score = confidence[view].probability(evidence)
            low = low or score < confidence[view].flag_below
        landmarks.append(
            Landmark(
                target=target,
                position_lps_mm=None if np.isnan(position).any() else position,
                score=score,
                flags=_flags(
                    position,
                    here=view in volumes,
                    low=low,
                    conflict=bool(found.conflicts[LEVELS.index(target.level)]),
                ),
                evidence=evidence,
                track=found.tracks[target.index],
            )
        )
    return tuple(landmarks)


def disc_landmarks(
    detectors: Mapping[View, Detector], volumes: Mapping[View, ViewVolume]
) -> tuple[Float64[np.ndarray, "5 3"], Float64[np.ndarray, "5"]]:
    """Find the five posterior disc margins on a sagittal T2 view that shows all of them.

    Returns:
        Positions in LPS mm, NaN where there is no such view, and scores 0 to 1.
    """
    view = View.SAGITTAL_T2
    if view not in volumes:
        return np.full((len(LEVELS), 3), np.nan), np.zeros(len(LEVELS))
    unknown = np.full((len(LEVELS), 3), np.nan)
    found = find_in_view(detectors[view], volumes[view], unknown, all_shown=True)
    return found.positions_lps_mm[-len(LEVELS) :], found.scores[-len(LEVELS) :]


def find_points(
    detectors: Mapping[View, Detector],
    volumes: Mapping[View, ViewVolume],
    *,
    follow: bool = False,
) -> FoundPoints:
    """Find the 25 targets and five disc points of a study, with their tracks if asked to follow.

    Raises:
        ValueError: a view has a volume and no detector.
    """
    positions = np.full((LANDMARKS, 3), np.nan)
    stand_in = levels_of_t1(detectors, volumes)
    scores = np.zeros(LANDMARKS)
    covered = np.ones(LANDMARKS, dtype=bool)
    conflicts = np.zeros(len(LEVELS), dtype=bool)
    evidence: list[Evidence | None] = [None] * LANDMARKS
    tracks: list[Track | None] = [None] * LANDMARKS
    for view in VIEWS:
        if view not in volumes:
            continue
        if view not in detectors:
            raise ValueError(f"the study has a {view} view, but there is no detector for it")
        levels = known_levels(positions) if stand_in is None else stand_in
        found = find_in_view(detectors[view], volumes[view], levels, follow=follow)
        conflicts |= found.conflicts
        reached = np.isfinite(found.positions_lps_mm).all(axis=1)
        for channel, landmark in enumerate(detectors[view].channels.landmarks):
            covered[landmark] = reached[channel]
            if reached[channel]:
                positions[landmark] = found.positions_lps_mm[channel]
                scores[landmark] = found.scores[channel]
                evidence[landmark] = found.evidence[channel]
                tracks[landmark] = found.tracks[channel] if follow else None
    return FoundPoints(
        positions_lps_mm=positions,
        scores=scores,
        covered=covered,
        conflicts=conflicts,
        evidence=tuple(evidence),
        tracks=tuple(tracks),
    )


def levels_of_t1(
    detectors: Mapping[View, Detector], volumes: Mapping[View, ViewVolume]
) -> Float64[np.ndarray, "5 3"] | None:
    """Where the detector of sagittal T2 sees the levels on sagittal T1, for a study without T2.

    Its training changes contrast so much that it finds discs and canal on T1, too; where levels
    lie, T1 and axial slices are then told as they are by T2.

    Returns:
        Canal points in LPS mm, NaN of levels that are not shown or of low confidence; None where
        sagittal T2 is there itself, or T1 or the detector is not.
    """
    detector = detectors.get(View.SAGITTAL_T2)
    if View.SAGITTAL_T2 in volumes or View.SAGITTAL_T1 not in volumes or detector is None:
        return None
    unknown = np.full((len(LEVELS), 3), np.nan)
    found = find_in_view(detector, volumes[View.SAGITTAL_T1], unknown)
    sure = found.scores[: len(LEVELS)] >= detector.settings.low_confidence
    return np.where(sure[:, None], found.positions_lps_mm[: len(LEVELS)], np.nan)


def _flags(
    position: Float64[np.ndarray, "3"], *, here: bool, low: bool, conflict: bool
) -> tuple[Flag, ...]:
    if not here:
        flags = [Flag.VIEW_MISSING]
    elif np.isnan(position).any():
        flags = [Flag.LEVEL_NOT_COVERED]
    else:
        flags = [Flag.LOW_CONFIDENCE] if low else []
    return (*flags, Flag.CROSS_VIEW_CONFLICT) if conflict else tuple(flags)
