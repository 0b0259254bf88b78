from dataclasses import replace

import numpy as np
import pytest

from fake_spine import PIXEL_MM, SIZE, affines, landmarks
from lumbargrade.detector.cross_view import (
    LEAST_WEIGHT,
    conflicting_levels,
    spine_directions,
    weigh_by_levels,
)
from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.detector.targets import channels_of
from lumbargrade.detector.view_points import ViewPoints, decode_view
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import TARGETS, View

STRIDE = 2
UNKNOWN = np.full((5, 3), np.nan)
ABOVE_MM = 7.0
"""T1 points lie this far above their level's canal point."""


def expected() -> np.ndarray:
    """The 25 points where geometry expects them, on the fake spine's canal points."""
    points = landmarks()[:25]
    points[5:15, 2] += ABOVE_MM
    return points


def maps_of(view: View, blobs: list[tuple[int, np.ndarray, float]], *, pointer: float) -> ScoreMaps:
    """Blobs of (channel, position, height); every slice shows every point alike."""
    grid = affines(view)
    channels = channels_of(view, share_maps=True)
    cells = SIZE // STRIDE
    heat = np.full((len(grid), channels.map_count, cells, cells), 1e-4, dtype=np.float32)
    rows, columns = np.ogrid[:cells, :cells]
    for channel, position, height in blobs:
        local = lps_to_slices(grid, position)
        index = int(np.abs(local[:, 0]).argmin())
        row, column = (local[index, 1:] + 0.5) / STRIDE - 0.5
        blob = height * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 2)
        own = channels.maps[channel]
        heat[index, own] = np.maximum(heat[index, own], blob)
    return ScoreMaps(
        heatmaps=heat,
        pointers=np.full((len(grid), 10), pointer, dtype=np.float32),
        maps=channels.maps,
        stride=STRIDE,
        sigma_cells=1.0,
        affines=grid,
    )


def found(maps: ScoreMaps, view: View, levels: np.ndarray, *, cross_view: bool) -> ViewPoints:
    shapes = np.full((len(maps.affines), 2), SIZE)
    return decode_view(view, maps, shapes, maps.affines, levels, cross_view=cross_view)


def truth_of(view: View) -> np.ndarray:
    return expected()[list(channels_of(view, share_maps=True).landmarks)]


def test_a_foramen_is_kept_on_its_own_side() -> None:
    """T1 shows both sides in one map; the right ones are brighter and the pointer is undecided."""
    truth = truth_of(View.SAGITTAL_T1)
    left = [TARGETS[k + 5].condition.side == "left" for k in range(10)]
    blobs = [(k, truth[k], 0.5 if left[k] else 0.9) for k in range(10)]
    maps = maps_of(View.SAGITTAL_T1, blobs, pointer=0.5)
    without = found(maps, View.SAGITTAL_T1, landmarks()[:5], cross_view=False).positions_lps_mm
    assert (without[left][:, 0] < 0).all()
    weighed = found(maps, View.SAGITTAL_T1, landmarks()[:5], cross_view=True).positions_lps_mm
    assert np.linalg.norm(weighed - truth, axis=1).max() < PIXEL_MM


def test_foramina_one_level_off_are_put_at_their_own_level() -> None:
    truth = truth_of(View.SAGITTAL_T1)
    shifted = [(k, truth[k] + [0, 0, 31.0], 0.9) for k in range(10)]
    blobs = [(k, truth[k], 0.4) for k in range(10)] + shifted
    maps = maps_of(View.SAGITTAL_T1, blobs, pointer=0.9)
    weighed = found(maps, View.SAGITTAL_T1, landmarks()[:5], cross_view=True)
    assert np.abs(weighed.positions_lps_mm[:, 2] - truth[:, 2]).max() < PIXEL_MM
    assert weighed.conflicts[1:].all()  # the highest would lie outside the image


@pytest.mark.parametrize("cross_view", [False, True])
@pytest.mark.parametrize(("sides", "conflicts"), [((True, True), True), ((True, False), False)])
def test_a_level_that_t1_sees_elsewhere_on_both_sides_is_in_conflict(
    cross_view: bool, sides: tuple[bool, bool], conflicts: bool
) -> None:
    truth = truth_of(View.SAGITTAL_T1)
    shown = truth.copy()
    for side, elsewhere in enumerate(sides):
        shown[2 + 5 * side, 2] += 20.0 if elsewhere else 0.0
    maps = maps_of(View.SAGITTAL_T1, [(k, shown[k], 0.9) for k in range(10)], pointer=0.1)
    for channel, point in enumerate(truth):
        maps.pointers[np.abs(lps_to_slices(maps.affines, point)[:, 0]).argmin(), channel] = 0.9
    points = found(maps, View.SAGITTAL_T1, landmarks()[:5], cross_view=cross_view)
    np.testing.assert_array_equal(points.conflicts, [False, False, conflicts, False, False])


def test_without_two_levels_of_the_other_view_there_is_no_conflict() -> None:
    truth = truth_of(View.SAGITTAL_T1)
    higher = truth + np.array([0.0, 0.0, 40.0])
    levels = np.where(np.arange(5)[:, None] == 1, landmarks()[:5], np.nan)
    assert not conflicting_levels(View.SAGITTAL_T1, higher, levels).any()
    assert conflicting_levels(View.SAGITTAL_T1, higher, landmarks()[:5]).all()
    assert not conflicting_levels(View.AXIAL_T2, higher, landmarks()[:5]).any()


@pytest.mark.parametrize("view", [View.SAGITTAL_T1, View.AXIAL_T2])
def test_points_where_geometry_expects_them_stay(view: View) -> None:
    truth = truth_of(view)
    maps = maps_of(view, [(k, truth[k], 0.9) for k in range(10)], pointer=0.1)
    for channel, point in enumerate(truth):
        maps.pointers[np.abs(lps_to_slices(maps.affines, point)[:, 0]).argmin(), channel] = 0.9
    before, after = (
        found(maps, view, landmarks()[:5], cross_view=on).positions_lps_mm for on in (False, True)
    )
    assert np.linalg.norm(after - before, axis=1).max() < 1e-6
    assert np.linalg.norm(after - truth, axis=1).max() < PIXEL_MM


def test_a_recess_on_the_other_side_of_the_sac_loses() -> None:
    truth = truth_of(View.AXIAL_T2)
    blobs = [(k, truth[k], 0.5) for k in range(10)]
    blobs += [(k, truth[k] * [-1, 1, 1], 0.9) for k in range(10)]
    maps = maps_of(View.AXIAL_T2, blobs, pointer=0.5)
    weighed = found(maps, View.AXIAL_T2, landmarks()[:5], cross_view=True).positions_lps_mm
    assert (np.sign(weighed[:, 0]) == np.sign(truth[:, 0])).all()


@pytest.mark.parametrize("view", list(View))
def test_unknown_levels_change_nothing(view: View) -> None:
    truth = np.zeros((10, 3))
    maps = maps_of(view if view is not View.SAGITTAL_T2 else View.SAGITTAL_T1, [], pointer=0.3)
    assert weigh_by_levels(maps, view, UNKNOWN) is maps
    assert len(truth) == 10


def test_one_unknown_level_keeps_its_own_scores() -> None:
    levels = landmarks()[:5].copy()
    levels[2] = np.nan
    maps = maps_of(View.SAGITTAL_T1, [], pointer=0.5)
    weighed = weigh_by_levels(maps, View.SAGITTAL_T1, levels)
    np.testing.assert_array_equal(weighed.pointers[:, [2, 7]], 0.5)
    np.testing.assert_array_equal(weighed.heatmaps[:, 2], maps.heatmaps[:, 2])
    assert (weighed.pointers[:, 0] < 0.5).any()


def test_no_place_loses_more_than_the_least_weight_in_each_direction() -> None:
    maps = maps_of(View.AXIAL_T2, [], pointer=0.5)
    maps = replace(maps, heatmaps=np.ones_like(maps.heatmaps))
    weighed = weigh_by_levels(maps, View.AXIAL_T2, landmarks()[:5])
    assert weighed.heatmaps.min() >= LEAST_WEIGHT**2 - 1e-6
    assert weighed.heatmaps.max() <= 1.0
    assert weighed.pointers.min() >= 0.5 * LEAST_WEIGHT - 1e-6


def test_the_spine_runs_from_level_to_level() -> None:
    levels = np.stack([[0.0, 5.0 * k, -30.0 * k] for k in range(5)])
    levels[3] = np.nan
    step = np.array([0.0, 5.0, -30.0])
    np.testing.assert_allclose(
        spine_directions(levels), np.tile(step / np.linalg.norm(step), (5, 1)), atol=1e-12
    )
    np.testing.assert_allclose(spine_directions(UNKNOWN)[:, 2], -1.0)
