"""Where a found point's structure lies on the slices beside its own: the heatmap's peak on each.

What must stay true: a track stays on its point's stack, and its middle is the point itself; from
one slice to the next it goes to a clear peak nearby, and where there is none it ends.

Source: the "dynamic (x, y)" of the 5th-place solution of the RSNA 2024 competition, which takes the
maximum of every slice; here a peak must be near the one on the slice before, and not too faint.
"""

import math

import numpy as np
from jaxtyping import Float64, Int

from lumbargrade.arrays import Point
from lumbargrade.detector.decode import ScoreMaps, is_peak, refine
from lumbargrade.detector.targets import cell_to_pixel
from lumbargrade.geometry import lps_to_slices
from lumbargrade.records import Track

REACH = 4
"""Slices on either side: those of a crop of five, and two more by which training may move it."""

STEP_MM = 8.0
"""In the plane, a structure moves no farther than this from slice to slice (about 60 degrees)."""

FAINTEST_SHARE = 0.1
"""A fainter peak, as a share of the heatmap at the point, tells nothing; labels two slices away
have a quarter of theirs."""


def track_of(
    maps: ScoreMaps, stack_ids: Int[np.ndarray, "slice"], channel: int, position_lps_mm: Point
) -> Track:
    """Follow a point's structure along its stack.

    Args:
        maps: of the view.
        stack_ids: which stack each of its slices belongs to.
        channel: of the point.
        position_lps_mm: on one of the slices.
    """
    heat = maps.heatmaps[:, maps.maps[channel]]
    own = int(np.abs(lps_to_slices(maps.affines, position_lps_mm)[:, 0]).argmin())
    row, column = _cell_of(maps, own, position_lps_mm)
    middle_height = float(heat[own, row, column])
    offsets: Float64[np.ndarray, "step 3"] = np.full((2 * REACH + 1, 3), np.nan)
    heights: Float64[np.ndarray, "step"] = np.zeros(2 * REACH + 1)
    offsets[REACH], heights[REACH] = 0.0, middle_height
    for way in (-1, 1):
        at = position_lps_mm
        for steps in range(1, REACH + 1):
            index = own + way * steps
            if not 0 <= index < len(heat) or stack_ids[index] != stack_ids[own]:
                break
            found = _peak_near(maps, channel, index, _cell_of(maps, index, at))
            if found is None or found[1] < FAINTEST_SHARE * middle_height:
                break
            at, height = found
            offsets[REACH + way * steps] = at - position_lps_mm
            heights[REACH + way * steps] = height
    return Track(offsets_lps_mm=offsets, heights=heights)


def _cell_of(maps: ScoreMaps, index: int, position_lps_mm: Point) -> tuple[int, int]:
    """The heatmap cell at a position's foot on a slice; the nearest one outside the image."""
    pixel = lps_to_slices(maps.affines[[index]], position_lps_mm)[0, 1:]
    cell = np.rint((pixel + 0.5) / maps.stride - 0.5).astype(int)
    row, column = np.clip(cell, 0, np.array(maps.heatmaps.shape[2:]) - 1).tolist()
    return row, column


def _peak_near(
    maps: ScoreMaps, channel: int, index: int, cell: tuple[int, int]
) -> tuple[Point, float] | None:
    """Position and height of the highest cell near a cell; None where it only leads elsewhere."""
    heat = maps.heatmaps[index, maps.maps[channel]]
    cell_mm = float(np.linalg.norm(maps.affines[index, :3, 2])) * maps.stride
    reach = math.ceil(STEP_MM / cell_mm)
    top, left = (max(place - reach, 0) for place in cell)
    window = heat[top : cell[0] + reach + 1, left : cell[1] + reach + 1]
    row, column = (int(k) for k in np.unravel_index(int(window.argmax()), window.shape))
    row, column = top + row, left + column
    if not is_peak(heat, row, column):
        return None
    place = refine(heat, row, column, maps.sigma_cells)
    pixel = cell_to_pixel(np.array(place), maps.stride)
    at: Point = (maps.affines[index] @ [0.0, *pixel, 1.0])[:3]
    return at, float(heat[row, column])
