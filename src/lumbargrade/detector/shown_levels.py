"""Which levels a sagittal view shows: all of them, or all but one or two at either end.

What must stay true: a level is left out only where the line through the two shown ones next to it
leads above or below the images, and only where something is surely shown; all kinds of points of a
view leave out the same levels.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int

from lumbargrade.arrays import Affines, Point
from lumbargrade.detector.decode import FLOOR
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import LEVELS

FEWEST_SHOWN = 3
"""Two levels say where the next one must lie, the third that these are levels."""

FEWEST_SURE = 2
"""Maps that are sure of fewer levels say nothing, neither of those that are shown."""

ABSENT_SHARE = 0.5
"""A level that is left out counts as this share of the usual score of those that are shown."""

EDGE_MM = 3.0
"""A place this near the upper or lower edge of the images, or beyond, is outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelChoice:
    """Points of consecutive levels, of every kind that a view has."""

    positions_lps_mm: Float64[np.ndarray, "kind level 3"]
    scores: Float64[np.ndarray, "kind level"]
    worth: float
    """Sum of the log-scores, less what the places cost."""


def choose_shown(
    choose: Callable[[range], LevelChoice | None],
    affines: Affines,
    shapes: Int[np.ndarray, "slice 2"],
    *,
    low_confidence: float,
) -> tuple[Float64[np.ndarray, "channel 3"], Float64[np.ndarray, "channel"]]:
    """Choose points and, at once, which levels have one.

    Levels left out take part in the comparison with ``ABSENT_SHARE`` of the geometric mean of the
    shown ones' scores each, so it does not matter how high a network's scores are in general.

    Args:
        choose: the best points of some levels; None where there are none.
        affines: of the view's slices, rows from head to foot.
        shapes: their rows and columns.
        low_confidence: a level whose scores are lower, by the mean of kinds, is not sure.

    Returns:
        Positions in LPS mm, NaN of levels that are not shown, and scores, in channel order.

    Raises:
        ValueError: there are no points even of all levels.
    """
    every = range(len(LEVELS))
    best, shown = choose(every), every
    if best is None:
        raise ValueError("no points of all levels to choose from")
    most = best.worth
    for first in every:
        for stop in range(first + FEWEST_SHOWN, len(LEVELS) + 1):
            levels = range(first, stop)
            if levels == every:
                continue
            choice = choose(levels)
            if choice is None or _sure_levels(choice, low_confidence) < FEWEST_SURE:
                continue
            if not _leads_outside(choice, levels, affines, shapes):
                continue
            worth = choice.worth + (len(every) - len(levels)) * _absent_worth(choice)
            if worth > most:
                best, shown, most = choice, levels, worth
    return _in_channels(best, shown)


def every_level(
    choose: Callable[[range], LevelChoice | None],
) -> tuple[Float64[np.ndarray, "channel 3"], Float64[np.ndarray, "channel"]]:
    """Choose points of all levels, as where it is known that all are shown.

    Raises:
        ValueError: there are none.
    """
    levels = range(len(LEVELS))
    choice = choose(levels)
    if choice is None:
        raise ValueError("no points of all levels to choose from")
    return _in_channels(choice, levels)


def _in_channels(
    choice: LevelChoice, shown: range
) -> tuple[Float64[np.ndarray, "channel 3"], Float64[np.ndarray, "channel"]]:
    kinds = len(choice.scores)
    positions = np.full((kinds, len(LEVELS), 3), np.nan)
    scores = np.zeros((kinds, len(LEVELS)))
    positions[:, shown] = choice.positions_lps_mm
    scores[:, shown] = choice.scores
    return positions.reshape(-1, 3), scores.reshape(-1)


def _sure_levels(choice: LevelChoice, low_confidence: float) -> int:
    return int((choice.scores.mean(axis=0) >= low_confidence).sum())


def _absent_worth(choice: LevelChoice) -> float:
    """Of one level left out, all its kinds together."""
    usual = np.log(np.maximum(choice.scores, FLOOR)).mean()
    return float(len(choice.scores) * (np.log(ABSENT_SHARE) + usual))


def _leads_outside(
    choice: LevelChoice, levels: range, affines: Affines, shapes: Int[np.ndarray, "slice 2"]
) -> bool:
    """Whether the nearest level left out at either end must lie outside, by the mean of kinds."""
    places = choice.positions_lps_mm
    above = 2 * places[:, 0] - places[:, 1]
    below = 2 * places[:, -1] - places[:, -2]
    upper = [_edges_mm(place, affines, shapes)[0] for place in above]
    lower = [_edges_mm(place, affines, shapes)[1] for place in below]
    return bool(
        (levels.start == 0 or np.mean(upper) < EDGE_MM)
        and (levels.stop == len(LEVELS) or np.mean(lower) < EDGE_MM)
    )


def _edges_mm(
    place: Point, affines: Affines, shapes: Int[np.ndarray, "slice 2"]
) -> tuple[float, float]:
    """How far the upper edge of the nearest slice lies above a place, and the lower one below."""
    local = lps_to_slices(affines, place)
    index = int(np.abs(local[:, 0]).argmin())
    row_mm = float(np.linalg.norm(affines[index, :3, 1]))
    row, rows = float(local[index, 1]), int(shapes[index, 0])
    return (row + 0.5) * row_mm, (rows - 0.5 - row) * row_mm
