"""A network's answer for one view → its points.

What must stay true: a point lies on a slice of its own view; an axial level that no slice reaches
has no point, nor has a level above or below a sagittal view's images.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Bool, Float64, Int

from lumbargrade.arrays import Affines
from lumbargrade.detector.cross_view import (
    conflicting_levels,
    refine_unweighed,
    weigh_by_levels,
)
from lumbargrade.detector.decode import (
    CANDIDATES,
    Candidates,
    ScoreMaps,
    candidates_by_slice,
    candidates_in_plane,
    choose_ordered,
)
from lumbargrade.detector.evidence import evidence_of
from lumbargrade.detector.joint import choose_jointly, joint_places
from lumbargrade.detector.scores import Wanted
from lumbargrade.detector.shown_levels import LevelChoice, choose_shown, every_level
from lumbargrade.geometry import locate
from lumbargrade.labels import LEVELS, View
from lumbargrade.records import Evidence, Track

LEVEL_WINDOW_SPACINGS = 3.0
"""Axial points of a level lie within this many slice spacings of where sagittal T2 shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewPoints:
    """Points of one view, in channel order."""

    positions_lps_mm: Float64[np.ndarray, "channel 3"]
    """NaN where there is none."""
    scores: Float64[np.ndarray, "channel"]
    evidence: tuple[Evidence | None, ...]
    conflicts: Bool[np.ndarray, "5"]
    """Levels that this view alone would have placed at another level of sagittal T2."""
    tracks: tuple[Track | None, ...] = ()
    """Empty unless asked for."""


def decode_view(
    view: View,
    maps: ScoreMaps,
    shapes: Int[np.ndarray, "slice 2"],
    affines: Affines,
    levels_lps_mm: Float64[np.ndarray, "5 3"],
    *,
    decoding: str = "independent",
    cross_view: bool = False,
    low_confidence: float = 0.0,
    all_shown: bool = False,
) -> ViewPoints:
    """Choose the points of a view.

    Args:
        view: which detector.
        maps: its answer.
        shapes: rows and columns of the slices before they were made square.
        affines: of those.
        levels_lps_mm: where sagittal T2 shows the levels, NaN where unknown.
        decoding: ``independent``, ``joint`` or ``argmax``, as in the detector's settings.
        cross_view: weigh scores by where sagittal T2 lets expect the points.
        low_confidence: as in the detector's settings.
        all_shown: it is known that a sagittal view shows all five levels.
    """
    best = 1 if decoding == "argmax" else CANDIDATES

    def chosen(
        seen: ScoreMaps,
    ) -> tuple[Float64[np.ndarray, "channel 3"], Float64[np.ndarray, "channel"]]:
        if view is View.AXIAL_T2:
            return _choose_axial(seen, axial_windows(affines, shapes, levels_lps_mm), best)
        choose = _sagittal_choice(view, seen, decoding, best)
        if all_shown:
            return every_level(choose)
        return choose_shown(choose, affines, shapes, low_confidence=low_confidence)

    weighed = weigh_by_levels(maps, view, levels_lps_mm) if cross_view else maps
    positions, scores = chosen(weighed)
    alone = positions
    if weighed is not maps:
        positions = refine_unweighed(maps, positions)
        if view is View.SAGITTAL_T1:
            alone, _ = chosen(maps)
    return ViewPoints(
        positions_lps_mm=positions,
        scores=scores,
        evidence=evidence_of(maps, positions),
        conflicts=conflicting_levels(view, alone, levels_lps_mm),
    )


def _sagittal_choice(
    view: View, maps: ScoreMaps, decoding: str, best: int
) -> Callable[[range], LevelChoice | None]:
    """How the points of some levels of a sagittal view are chosen."""
    if decoding == "joint" and view is View.SAGITTAL_T2:
        return partial(choose_jointly, joint_places(maps))
    candidates = [candidates_in_plane(maps, channel, best) for channel in range(len(maps.maps))]
    kinds = [candidates[first : first + len(LEVELS)] for first in _kinds(maps)]
    return partial(_choose_kinds, kinds)


def _kinds(maps: ScoreMaps) -> range:
    """The first channel of each kind of points, five levels each."""
    return range(0, len(maps.maps), len(LEVELS))


def _choose_kinds(kinds: Sequence[Sequence[Candidates]], levels: range) -> LevelChoice:
    """Each kind of points for itself, in order."""
    shown = [kind[levels.start : levels.stop] for kind in kinds]
    chosen = [choose_ordered(kind) for kind in shown]
    picked = [
        list(zip(kind, indices, strict=True))
        for kind, (indices, _) in zip(shown, chosen, strict=True)
    ]
    return LevelChoice(
        positions_lps_mm=np.array([[c.positions_lps_mm[k] for c, k in kind] for kind in picked]),
        scores=np.array([[c.scores[k] for c, k in kind] for kind in picked]),
        worth=sum(worth for _, worth in chosen),
    )


def _choose_axial(
    maps: ScoreMaps, windows: Bool[np.ndarray, "slice 5"], best: int
) -> tuple[Float64[np.ndarray, "channel 3"], Float64[np.ndarray, "channel"]]:
    """Positions and scores, five levels at a time; those that no slice reaches have none."""
    positions, scores = np.full((len(maps.maps), 3), np.nan), np.zeros(len(maps.maps))
    for first in _kinds(maps):
        options = {
            first + level: candidates_by_slice(maps, first + level, allowed, best)
            for level, allowed in enumerate(windows.T)
            if allowed.any()
        }
        if not options:
            continue
        chosen, _ = choose_ordered(list(options.values()))
        for (channel, candidates), index in zip(options.items(), chosen, strict=True):
            positions[channel] = candidates.positions_lps_mm[index]
            scores[channel] = candidates.scores[index]
    return positions, scores


def axial_windows(
    affines: Affines,
    shapes: Int[np.ndarray, "slice 2"],
    levels_lps_mm: Float64[np.ndarray, "5 3"],
) -> Bool[np.ndarray, "slice 5"]:
    """Which axial slices may show which level: those near where sagittal T2 shows it.

    None where no slice reaches it, all where it is unknown.
    """
    windows = np.ones((len(affines), len(LEVELS)), dtype=bool)
    spacing = np.linalg.norm(affines[:, :3, 0], axis=1)
    normals = affines[:, :3, 0] / spacing[:, None]
    for index, level in enumerate(levels_lps_mm):
        if np.isnan(level).any():
            continue
        if not locate(affines, shapes, level).covered:
            windows[:, index] = False
            continue
        distance = np.abs(((level - affines[:, :3, 3]) * normals).sum(axis=1)) / spacing
        windows[:, index] = distance <= LEVEL_WINDOW_SPACINGS
    return windows


def wanted_places(
    view: View,
    shapes: Int[np.ndarray, "slice 2"],
    affines: Affines,
    levels_lps_mm: Float64[np.ndarray, "5 3"],
    channels: int,
    *,
    decoding: str,
    cross_view: bool,
) -> Wanted | None:
    """Which slices' heatmaps :func:`decode_view` looks at; None where it looks at all of them."""
    if cross_view:
        return None
    if view is View.AXIAL_T2:
        windows = axial_windows(affines, shapes, levels_lps_mm)
        return Wanted(
            best=1 if decoding == "argmax" else CANDIDATES,
            allowed=np.tile(windows, channels // len(LEVELS)),
        )
    if decoding != "argmax":
        return None
    return Wanted(best=1, allowed=np.ones((len(affines), channels), dtype=bool))
