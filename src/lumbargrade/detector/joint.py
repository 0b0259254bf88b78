"""Canal and disc points of sagittal T2 chosen together: one spine that both kinds of maps agree on.

What must stay true: levels come out strictly from head to foot, whatever the maps say; a canal
point lies behind the disc point of its level; one map's doubt about a place weighs only so much.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float32, Float64, Int

from lumbargrade.detector.decode import (
    CANDIDATES,
    ScoreMaps,
    best_over_slices,
    best_path,
    is_peak,
    pair_cost,
    peak_cells,
    refine,
    triple_cost,
)
from lumbargrade.detector.shown_levels import LevelChoice
from lumbargrade.detector.targets import cell_to_pixel
from lumbargrade.geometry import HEAD_TO_FOOT
from lumbargrade.labels import LEVELS

FLOOR = 1e-2
"""Scores below count as this: a map that is silent at a place cannot outvote all others."""

GAP_SIGMA = 0.2
"""Of the logarithm of one gap over its neighbour; 0.15 over 142 public mid-sagittal slices."""

BEHIND_MM = (1.0, 16.0)
"""How far behind a disc's margin its canal point lies, whatever the image's true size (5 to 8)."""

ASIDE_MM = 7.0
"""How far above or below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plane:
    """One channel's best score at each place of the plane."""

    channel: int
    best: Float32[np.ndarray, "height width"]
    slices: Int[np.ndarray, "height width"]
    """Which have it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Places of one level: its canal point and its disc point."""

    scores: Float64[np.ndarray, "place 2"]
    positions_lps_mm: Float64[np.ndarray, "place 2 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JointPlaces:
    """Where the points of sagittal T2 may be."""

    maps: ScoreMaps
    planes: tuple[tuple[_Plane, _Plane], ...]
    """Of each level's canal and disc."""
    at_peaks: tuple[Pairs, ...]
    """By level."""


def joint_places(maps: ScoreMaps) -> JointPlaces:
    """Gather the places of all five levels.

    A level's places are the peaks of either of its maps, each with the best place of the other map
    near where it must be.

    Args:
        maps: canal channels first, then disc channels, each from head to foot.
    """
    planes = tuple(
        (_plane(maps, level), _plane(maps, level + len(LEVELS))) for level in range(len(LEVELS))
    )
    peaks = tuple(_pairs_at_peaks(maps, both) for both in planes)
    return JointPlaces(maps=maps, planes=planes, at_peaks=peaks)


def choose_jointly(places: JointPlaces, levels: range) -> LevelChoice | None:
    """Choose the canal and disc points of some levels together.

    Of their places, those are taken that have the best sum of log-scores, less the costs of uneven
    gaps and of steps aside, among all that are in order. Where no choice among the peaks of all
    five levels is in order, every row of the maps is a place.

    Args:
        places: of all five levels.
        levels: consecutive, at least two.

    Returns:
        Canal points, then disc points; None where no choice of fewer than five levels is in order.

    Raises:
        ValueError: the maps have too few rows for five levels.
    """
    options = places.at_peaks[levels.start : levels.stop]
    found = _choose(options)
    if found is None and len(levels) < len(LEVELS):
        return None
    if found is None:
        options = tuple(_pairs_by_row(places.maps, both) for both in places.planes)
        found = _choose(options)
    if found is None:
        rows = len(places.maps.heatmaps[0, 0])
        raise ValueError(f"{rows} rows of heatmap for {len(LEVELS)} levels")
    chosen, worth = found
    picked = list(zip(options, chosen, strict=True))
    return LevelChoice(
        positions_lps_mm=np.stack([pairs.positions_lps_mm[k] for pairs, k in picked], axis=1),
        scores=np.stack([pairs.scores[k] for pairs, k in picked], axis=1),
        worth=worth,
    )


def _plane(maps: ScoreMaps, channel: int) -> _Plane:
    best, slices = best_over_slices(maps, channel)
    return _Plane(channel=channel, best=best, slices=slices)


def _choose(levels: Sequence[Pairs]) -> tuple[list[int], float] | None:
    """The best place of each level and what the choice is worth; None where none is in order."""
    logs = [np.log(np.maximum(pairs.scores, FLOOR)).sum(axis=1) for pairs in levels]
    steps = [
        lower.positions_lps_mm[None] - upper.positions_lps_mm[:, None]
        for upper, lower in pairwise(levels)
    ]  # (upper, lower, kind, 3)
    disordered = [(step @ HEAD_TO_FOOT <= 0).any(axis=2) for step in steps]
    costs = [
        np.where(wrong, np.inf, pair_cost(step[:, :, 1]))
        for wrong, step in zip(disordered, steps, strict=True)
    ]
    bends = [
        triple_cost(upper[:, :, 1], lower[:, :, 1], GAP_SIGMA) for upper, lower in pairwise(steps)
    ]
    chosen, worth = best_path(logs, costs, bends)
    pairs = zip(chosen[:-1], chosen[1:], disordered, strict=True)
    return None if any(wrong[upper, lower] for upper, lower, wrong in pairs) else (chosen, worth)


def _pairs_at_peaks(maps: ScoreMaps, planes: Sequence[_Plane]) -> Pairs:
    """The peaks of a level's canal and disc maps, each with its partner."""
    places = [
        _partnered(maps, planes, kind, (int(row), int(column)))
        for kind in (0, 1)
        for row, column in peak_cells(planes[kind].best, CANDIDATES)
    ]
    return _pairs(maps, planes, np.array(places), refined=True)


def _pairs_by_row(maps: ScoreMaps, planes: Sequence[_Plane]) -> Pairs:
    """One place in every row: the disc map's best cell, and the canal map's best behind it."""
    columns = planes[1].best.argmax(axis=1)
    places = [
        _partnered(maps, planes, 1, (row, int(column)), rows=0)
        for row, column in enumerate(columns)
    ]
    return _pairs(maps, planes, np.array(places), refined=False)


def _partnered(
    maps: ScoreMaps,
    planes: Sequence[_Plane],
    kind: int,
    cell: tuple[int, int],
    rows: int | None = None,
) -> list[tuple[int, int]]:
    """A cell of one kind of map, and the other kind's best cell near it.

    Args:
        maps: of the view.
        planes: of the level's canal and disc.
        kind: 0 for a canal cell, 1 for a disc cell.
        cell: (row, column).
        rows: how many rows away the partner may be; None for ``ASIDE_MM``.

    Returns:
        (row, column) of the canal, of the disc.
    """
    other = planes[1 - kind].best
    cell_mm = float(np.linalg.norm(maps.affines[0, :3, 2])) * maps.stride
    reach = int(np.ceil(ASIDE_MM / cell_mm)) if rows is None else rows
    nearest, farthest = int(BEHIND_MM[0] // cell_mm), int(np.ceil(BEHIND_MM[1] / cell_mm))
    columns = (nearest, farthest) if kind == 1 else (-farthest, -nearest)  # the back is right
    top, bottom = _within(cell[0] - reach, cell[0] + reach, other.shape[0])
    left, right = _within(cell[1] + columns[0], cell[1] + columns[1], other.shape[1])
    window = other[top : bottom + 1, left : right + 1]
    row, column = np.unravel_index(int(window.argmax()), window.shape)
    partner = (top + int(row), left + int(column))
    return [partner, cell] if kind == 1 else [cell, partner]


def _within(first: int, last: int, count: int) -> tuple[int, int]:
    """A range of indices, cut to those that exist; at least one."""
    return min(max(first, 0), count - 1), max(min(last, count - 1), 0)


def _pairs(
    maps: ScoreMaps, planes: Sequence[_Plane], cells: Int[np.ndarray, "place 2 2"], *, refined: bool
) -> Pairs:
    """Scores and positions of (canal, disc) cells."""
    scores = np.zeros((len(cells), 2))
    positions = np.zeros((len(cells), 2, 3))
    for kind, plane in enumerate(planes):
        for place, (row, column) in enumerate(cells[:, kind].tolist()):
            index = int(plane.slices[row, column])
            scores[place, kind] = plane.best[row, column]
            at = (float(row), float(column))
            heat = maps.heatmaps[index, maps.maps[plane.channel]]
            if refined and is_peak(heat, row, column):
                at = refine(heat, row, column, maps.sigma_cells)
            pixel = cell_to_pixel(np.array(at), maps.stride)
            positions[place, kind] = (maps.affines[index] @ [0.0, *pixel, 1.0])[:3]
    return Pairs(scores=scores, positions_lps_mm=positions)
