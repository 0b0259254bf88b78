"""What the points of sagittal T2 say about where those of the other views are.

What must stay true: a foramen and a recess lie at the height of their level's canal point and on
their own side of it, in the patient's frame; a level that sagittal T2 did not find changes nothing.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Bool, Float32, Float64

from lumbargrade.detector.decode import ScoreMaps, refine
from lumbargrade.detector.targets import cell_to_pixel, channels_of
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import LEVELS, TARGETS, Side, View

LEFT = np.array([1.0, 0.0, 0.0])
"""The patient's left in LPS."""

AHEAD = np.array([0.0, -1.0, 0.0])
"""The patient's front in LPS."""

PULLED_CELLS = 2
"""Weights may have moved a peak by so many cells of the heatmap."""

LEAST_WEIGHT = 0.01
"""A place that geometry speaks against keeps this much of its score, in each direction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Offset:
    """Where a kind of point lies from its level's canal point, in mm."""

    aside_mm: float
    """To its own side."""
    aside_sigma_mm: float
    below_mm: float
    """Along the spine, towards the feet."""
    below_sigma_mm: float
    ahead_mm: float
    """Towards the front, across the spine."""
    ahead_sigma_mm: float


OFFSETS = {
    View.SAGITTAL_T1: Offset(
        aside_mm=16.0,
        aside_sigma_mm=12.0,
        below_mm=-8.0,
        below_sigma_mm=10.0,
        ahead_mm=4.5,
        ahead_sigma_mm=10.0,
    ),
    View.AXIAL_T2: Offset(
        aside_mm=13.0,
        aside_sigma_mm=10.0,
        below_mm=0.0,
        below_sigma_mm=8.0,
        ahead_mm=3.0,
        ahead_sigma_mm=10.0,
    ),
}
"""By view, over the points of 80 phantom studies: 16.0 ± 3.8, −9.5 ± 2.4 and 4.7 ± 2.8 mm on T1,
13.3 ± 3.5, −0.1 ± 2.6 and 3.1 ± 2.7 mm on axial T2; made three to four times as wide, because real
spines differ. The height on T1 lies between that and an earlier phantom's, −7.2 mm."""


def weigh_by_levels(
    maps: ScoreMaps, view: View, levels_lps_mm: Float64[np.ndarray, "5 3"]
) -> ScoreMaps:
    """Lower the scores of places that do not fit where sagittal T2 shows the levels.

    On T1, a slice is weighed by its distance aside, a cell by its height along the spine; on axial
    slices the other way round; a cell of either by how far ahead it lies, too. Each weight is 1 at
    the expected place and never below ``LEAST_WEIGHT``.

    Args:
        maps: of T1 or axial T2; channels hold a side's five levels each.
        view: which.
        levels_lps_mm: canal points, NaN where unknown.
    """
    if view not in OFFSETS or np.isnan(levels_lps_mm).all():
        return maps
    offset = OFFSETS[view]
    along = spine_directions(levels_lps_mm)
    share_maps = len(set(maps.maps)) < len(maps.maps)
    channels = channels_of(view, share_maps=share_maps)
    cells, pointers = _cells(maps), maps.pointers.copy()
    of_map: dict[int, list[Float64[np.ndarray, "slice height width"]]] = {}
    for channel, landmark in enumerate(channels.landmarks):
        target = TARGETS[landmark]
        level = LEVELS.index(target.level)
        middle = levels_lps_mm[level]
        if np.isnan(middle).any():
            of_map.setdefault(maps.maps[channel], []).append(np.ones(1)[:, None, None])
            continue
        aside = LEFT if target.condition.side is Side.LEFT else -LEFT
        aside = aside - (aside @ along[level]) * along[level]
        aside = aside / np.linalg.norm(aside)
        ahead = AHEAD - (AHEAD @ along[level]) * along[level]
        ahead = ahead / np.linalg.norm(ahead)
        off = cells - middle  # (slice, height, width, 3)
        wide = _weight(off @ aside - offset.aside_mm, offset.aside_sigma_mm)
        high = _weight(off @ along[level] - offset.below_mm, offset.below_sigma_mm)
        deep = _weight(off @ ahead - offset.ahead_mm, offset.ahead_sigma_mm)
        across, within = (wide, high) if view is View.SAGITTAL_T1 else (high, wide)
        pointers[:, channel] *= across.max(axis=(1, 2))
        of_map.setdefault(maps.maps[channel], []).append(within * deep)
    heat = maps.heatmaps.copy()
    for index, weights in of_map.items():
        heat[:, index] *= np.max(
            [np.broadcast_to(w, heat[:, index].shape) for w in weights], axis=0
        )
    return replace(maps, heatmaps=heat, pointers=pointers)


def refine_unweighed(
    maps: ScoreMaps, positions_lps_mm: Float64[np.ndarray, "channel 3"]
) -> Float64[np.ndarray, "channel 3"]:
    """Put points that were chosen by weighed scores where the network's own heatmaps have them.

    Weights that rise to one side would pull a point to that side.

    Args:
        maps: as the network gave them.
        positions_lps_mm: of the chosen points, NaN where there is none.
    """
    refined = positions_lps_mm.copy()
    for channel, position in enumerate(positions_lps_mm):
        if np.isnan(position).any():
            continue
        local = lps_to_slices(maps.affines, position)
        index = int(np.abs(local[:, 0]).argmin())
        heat = maps.heatmaps[index, maps.maps[channel]]
        cell = np.rint((local[index, 1:] + 0.5) / maps.stride - 0.5).astype(int)
        row, column = np.clip(cell, 0, np.array(heat.shape) - 1).tolist()
        for _ in range(PULLED_CELLS):
            row, column = _uphill(heat, row, column)
        pixel = cell_to_pixel(np.array(refine(heat, row, column, maps.sigma_cells)), maps.stride)
        refined[channel] = (maps.affines[index] @ [0.0, *pixel, 1.0])[:3]
    return refined


def _uphill(heat: Float32[np.ndarray, "height width"], row: int, column: int) -> tuple[int, int]:
    """The highest of a cell and those around it."""
    top, left = max(row - 1, 0), max(column - 1, 0)
    around = heat[top : row + 2, left : column + 2]
    up, across = np.unravel_index(int(around.argmax()), around.shape)
    return top + int(up), left + int(across)


def conflicting_levels(
    view: View,
    alone_lps_mm: Float64[np.ndarray, "channel 3"],
    levels_lps_mm: Float64[np.ndarray, "5 3"],
) -> Bool[np.ndarray, "5"]:
    """Which levels sagittal T1, asked alone, sees at the height of another level of sagittal T2.

    Args:
        view: whose points these are; axial slices are told the levels, so they contradict none.
        alone_lps_mm: the view's points, chosen without the other view, NaN where there is none.
        levels_lps_mm: canal points, NaN where unknown.

    Returns:
        True where both sides' points (or the only one) lie more than half the usual distance of
        two levels above or below where they are expected.
    """
    conflicts = np.zeros(len(LEVELS), dtype=bool)
    known = np.flatnonzero(np.isfinite(levels_lps_mm).all(axis=1))
    if view is not View.SAGITTAL_T1 or len(known) < 2:
        return conflicts
    along = spine_directions(levels_lps_mm)
    gaps = np.diff(levels_lps_mm[known], axis=0) / np.diff(known)[:, None]
    half_mm = np.median(np.linalg.norm(gaps, axis=1)) / 2
    landmarks = channels_of(view, share_maps=True).landmarks
    levels = np.array([LEVELS.index(TARGETS[landmark].level) for landmark in landmarks])
    off_mm = ((alone_lps_mm - levels_lps_mm[levels]) * along[levels]).sum(axis=1)
    elsewhere = np.abs(off_mm - OFFSETS[view].below_mm) > half_mm  # False where NaN
    for level in known.tolist():
        found = (levels == level) & np.isfinite(off_mm)
        conflicts[level] = found.any() and elsewhere[found].all()
    return conflicts


def spine_directions(levels_lps_mm: Float64[np.ndarray, "5 3"]) -> Float64[np.ndarray, "5 3"]:
    """Which way the spine runs at each level, towards the feet: from the known levels beside it.

    Straight down where no two levels are known.
    """
    known = np.flatnonzero(np.isfinite(levels_lps_mm).all(axis=1))
    directions = np.tile(np.array([0.0, 0.0, -1.0]), (len(LEVELS), 1))
    if len(known) < 2:
        return directions
    for level in range(len(LEVELS)):
        above = known[known < level][-1:] if (known < level).any() else known[:1]
        below = known[known > level][:1] if (known > level).any() else known[-1:]
        step = levels_lps_mm[below[0]] - levels_lps_mm[above[0]]
        if np.linalg.norm(step) > 0:
            directions[level] = step / np.linalg.norm(step)
    return directions


def _cells(maps: ScoreMaps) -> Float64[np.ndarray, "slice height width 3"]:
    """Where the heatmaps' cells lie, in LPS mm."""
    height, width = maps.heatmaps.shape[2:]
    rows = (np.arange(height) + 0.5) * maps.stride - 0.5
    columns = (np.arange(width) + 0.5) * maps.stride - 0.5
    along_rows = maps.affines[:, None, None, :3, 1] * rows[:, None, None]
    along_columns = maps.affines[:, None, None, :3, 2] * columns[:, None]
    cells: Float64[np.ndarray, "slice height width 3"] = (
        maps.affines[:, None, None, :3, 3] + along_rows + along_columns
    )
    return cells


def _weight(error_mm: Float64[np.ndarray, "..."], sigma_mm: float) -> Float64[np.ndarray, "..."]:
    weight: Float64[np.ndarray, "..."] = np.maximum(
        np.exp(-0.5 * (error_mm / sigma_mm) ** 2), LEAST_WEIGHT
    )
    return weight
