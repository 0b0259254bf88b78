from dataclasses import replace

import numpy as np
import pytest

from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.detector.joint import choose_jointly, joint_places
from lumbargrade.detector.targets import cell_to_pixel
from lumbargrade.detector.view_points import decode_view
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import View

CELLS = 40
STRIDE = 4
PIXEL_MM = 290 / (CELLS * STRIDE)
ROWS = np.array([6, 11, 16, 21, 26, 31])
"""Six discs; the true levels are the last five."""
COLUMN = 18
BEHIND = 1

Blobs = list[tuple[int, int, int, float]]
"""(channel, row, column, height)."""


def maps_of(blobs: Blobs, slices: int = 1) -> ScoreMaps:
    heat = np.full((slices, 10, CELLS, CELLS), 1e-5, dtype=np.float32)
    row, column = np.mgrid[:CELLS, :CELLS]
    for channel, at_row, at_column, height in blobs:
        squared = (row - at_row) ** 2 + (column - at_column) ** 2
        heat[slices // 2, channel] = np.maximum(
            heat[slices // 2, channel], height * np.exp(-squared / 2)
        )
    affine = slice_affine((0.0, 0.0, 0.0), (0, 1, 0, 0, 0, -1), (PIXEL_MM, PIXEL_MM), 4.8)
    return ScoreMaps(
        heatmaps=heat,
        pointers=np.ones((slices, 10), dtype=np.float32),
        maps=tuple(range(10)),
        stride=STRIDE,
        sigma_cells=1.0,
        affines=np.stack([affine] * slices),
    )


def spine(canal: float, disc: float, first: int = 1) -> Blobs:
    """All ten points, at the discs from ``first`` on."""
    canals = [(k, int(ROWS[first + k]), COLUMN + BEHIND, canal) for k in range(5)]
    return canals + [(5 + k, int(ROWS[first + k]), COLUMN, disc) for k in range(5)]


def rows_found(maps: ScoreMaps, *, jointly: bool) -> np.ndarray:
    """Heatmap rows of the ten points."""
    shapes = np.full((len(maps.heatmaps), 2), CELLS * STRIDE)
    found = decode_view(
        View.SAGITTAL_T2,
        maps,
        shapes,
        maps.affines,
        np.full((5, 3), np.nan),
        decoding="joint" if jointly else "independent",
        all_shown=True,
    )
    return (-found.positions_lps_mm[:, 2] / PIXEL_MM + 0.5) / STRIDE - 0.5


def test_a_stronger_false_peak_one_level_off_is_corrected() -> None:
    """The disc map of L4/L5 prefers the place of L3/L4; the other maps know better."""
    maps = maps_of([*spine(0.7, 0.5), (8, int(ROWS[3]), COLUMN, 0.9)])
    assert maps.heatmaps[0, 8].argmax() // CELLS == ROWS[3]
    rows = rows_found(maps, jointly=True)
    np.testing.assert_allclose(rows, np.tile(ROWS[1:], 2), atol=0.2)


def test_disc_maps_that_are_all_one_level_off_follow_surer_canal_maps() -> None:
    """Each for itself, the discs stay shifted; together, they are put in front of the canal."""
    maps = maps_of([*spine(0.8, 0.3), *spine(0.05, 0.6, first=0)])
    discs = slice(5, 10)
    np.testing.assert_allclose(rows_found(maps, jointly=False)[discs], ROWS[:5], atol=0.2)
    np.testing.assert_allclose(rows_found(maps, jointly=True)[discs], ROWS[1:], atol=0.2)


def test_one_map_that_is_silent_at_its_place_does_not_shift_the_spine() -> None:
    blobs = [blob for blob in spine(0.6, 0.6) if blob[0] != 5]
    maps = maps_of([*blobs, *spine(0.1, 0.1, first=0)])
    rows = rows_found(maps, jointly=True)
    np.testing.assert_allclose(rows, np.tile(ROWS[1:], 2), atol=1.1)


@pytest.mark.parametrize("zoom", [0.7, 1.0, 1.4])
def test_the_true_size_of_the_image_does_not_matter(zoom: float) -> None:
    maps = maps_of([*spine(0.7, 0.5), (8, int(ROWS[3]), COLUMN, 0.9)])
    scaled = replace(maps, affines=maps.affines * np.array([1, zoom, zoom, 1]))
    rows = rows_found(scaled, jointly=True) / zoom
    assert np.abs(rows - np.tile(ROWS[1:], 2)).max() < 0.5


@pytest.mark.parametrize("seed", range(30))
def test_levels_are_in_order_whatever_the_maps_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    blobs = [
        (channel, int(rng.integers(CELLS)), int(rng.integers(CELLS)), float(rng.uniform(0.2, 1)))
        for channel in range(10)
        for _ in range(3)
    ]
    rows = rows_found(maps_of(blobs), jointly=True)
    assert (np.diff(rows[:5]) > 0).all()
    assert (np.diff(rows[5:]) > 0).all()


@pytest.mark.parametrize("row", [0, 20, CELLS - 1])
def test_levels_are_in_order_where_all_maps_have_the_same_single_peak(row: int) -> None:
    """No choice of peaks is in order here; flat maps have no others."""
    maps = maps_of([(channel, row, COLUMN, 0.9) for channel in range(10)])
    rows = rows_found(maps, jointly=True)
    assert (np.diff(rows[:5]) > 0).all()
    assert (np.diff(rows[5:]) > 0).all()


def test_points_come_from_the_slice_that_shows_them_best() -> None:
    maps = maps_of(spine(0.7, 0.6), slices=5)
    shifted = maps.affines.copy()
    shifted[:, 0, 3] = np.arange(5) * 4.8
    choice = choose_jointly(joint_places(replace(maps, affines=shifted)), range(5))
    assert choice is not None
    positions, scores = choice.positions_lps_mm.reshape(-1, 3), choice.scores.ravel()
    np.testing.assert_allclose(positions[:, 0], 2 * 4.8)
    np.testing.assert_allclose(scores, np.repeat([0.7, 0.6], 5), atol=1e-6)
    columns = positions[:, 1] / PIXEL_MM
    assert np.abs(columns[5:] - cell_to_pixel(np.array([float(COLUMN)]), STRIDE)).max() < 0.5


def test_too_few_rows_are_an_error() -> None:
    maps = maps_of(spine(0.7, 0.6))
    flat = replace(maps, heatmaps=maps.heatmaps[:, :, :3])
    with pytest.raises(ValueError, match="3 rows of heatmap for 5 levels"):
        choose_jointly(joint_places(flat), range(5))
