"""A network's answer for one view → its points.

What must stay true: a point lies on a slice of its own view; an axial level that no slice reaches
has no point; on sagittal views, a level is not covered only where the maps are silent and its
neighbours say that it lies outside the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int

from lumbargrade.arrays import Affines
from lumbargrade.detector.cross_view import refine_unweighed, weigh_by_levels
from lumbargrade.detector.decode import (
    CANDIDATES,
    Candidates,
    ScoreMaps,
    candidates_by_slice,
    candidates_in_plane,
    choose_ordered,
)
from lumbargrade.detector.evidence import evidence_of
from lumbargrade.detector.joint import choose_jointly
from lumbargrade.detector.scores import Wanted
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
    """
    weighed = weigh_by_levels(maps, view, levels_lps_mm) if cross_view else maps
    if decoding == "joint" and view is View.SAGITTAL_T2:
        positions, scores = choose_jointly(weighed)
    else:
        windows = axial_windows(affines, shapes, levels_lps_mm) if view is View.AXIAL_T2 else None
        positions, scores = _choose(weighed, windows, alone=decoding == "argmax")
    if weighed is not maps:
        positions = refine_unweighed(maps, positions)
    return ViewPoints(
        positions_lps_mm=positions, scores=scores, evidence=evidence_of(maps, positions)
    )


def _choose(
    maps: ScoreMaps, windows: Bool[np.ndarray, "slice 5"] | None, *, alone: bool
) -> tuple[Float64[np.ndarray, "channel 3"], Float64[np.ndarray, "channel"]]:
    """Positions and scores, five levels at a time or each alone."""
    count = len(maps.maps)
    positions, scores = np.full((count, 3), np.nan), np.zeros(count)
    best = 1 if alone else CANDIDATES
    for first in range(0, count, len(LEVELS)):
        options = _candidates(maps, range(first, first + len(LEVELS)), windows, best)
        if not options:
            continue
        chosen = [0] * len(options) if alone else choose_ordered(list(options.values()))
        for (channel, candidates), index in zip(options.items(), chosen, strict=True):
            positions[channel] = candidates.positions_lps_mm[index]
            scores[channel] = candidates.scores[index]
    return positions, scores


def _candidates(
    maps: ScoreMaps,
    channels: Sequence[int],
    windows: Bool[np.ndarray, "slice 5"] | None,
    best: int,
) -> dict[int, Candidates]:
    """Candidates of five levels; those that no axial slice reaches have none."""
    if windows is None:
        return {channel: candidates_in_plane(maps, channel, best) for channel in channels}
    return {
        channel: candidates_by_slice(maps, channel, allowed, best)
        for channel, allowed in zip(channels, windows.T, strict=True)
        if allowed.any()
    }


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


def outside_the_image(
    positions_lps_mm: Float64[np.ndarray, "level 3"],
    unsure: Bool[np.ndarray, "level"],
    affines: Affines,
    shapes: Int[np.ndarray, "slice 2"],
) -> Bool[np.ndarray, "level"]:
    """Levels at either end of a sagittal view that lie above or below its images.

    A level counts as outside where its score is low, as are those beyond it, and the line through
    the two sure levels next to it leads to a place that no slice covers.

    Args:
        positions_lps_mm: of five levels, head to foot.
        unsure: whose scores are low.
        affines: of the view's slices.
        shapes: their rows and columns.
    """
    outside = np.zeros(len(unsure), dtype=bool)
    sure = np.flatnonzero(~unsure)
    if len(sure) < 2:
        return outside
    for end, beside, beyond in (
        (sure[-1], sure[-2], range(sure[-1] + 1, len(unsure))),
        (sure[0], sure[1], range(sure[0] - 1, -1, -1)),
    ):
        step = (positions_lps_mm[end] - positions_lps_mm[beside]) / abs(end - beside)
        for level in beyond:
            expected = positions_lps_mm[end] + step * abs(level - end)
            outside[level] = not locate(affines, shapes, expected).covered
    return outside
