"""Following a structure from slice to slice in a detector's heatmaps."""

import numpy as np
import pytest

from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.detector.targets import cell_to_pixel
from lumbargrade.detector.track import REACH, track_of
from lumbargrade.geometry import slice_affine

SLICE_MM, PIXEL_MM, STRIDE = 4.0, 1.5, 2
CELL_MM = PIXEL_MM * STRIDE
SLICES, MIDDLE = 9, 4


def oblique(
    cells: np.ndarray, heights: np.ndarray | None = None, *, size: int = 40
) -> tuple[ScoreMaps, np.ndarray]:
    """Heatmaps with one Gaussian at (row, column) cells on each slice, and their places in mm."""
    count = len(cells)
    heights = 0.8 * 0.7 ** np.abs(np.arange(count) - MIDDLE) if heights is None else heights
    grid = np.arange(size)
    heat = [
        height
        * np.exp(-0.5 * (grid[:, None] - row) ** 2)
        * np.exp(-0.5 * (grid[None] - column) ** 2)
        for (row, column), height in zip(cells, heights, strict=True)
    ]
    affines = np.stack(
        [
            slice_affine((SLICE_MM * k, 0, 0), (0, 1, 0, 0, 0, -1), (PIXEL_MM, PIXEL_MM), SLICE_MM)
            for k in range(count)
        ]
    )
    maps = ScoreMaps(
        heatmaps=np.stack(heat)[:, None].astype(np.float32),
        pointers=np.ones((count, 1), dtype=np.float32),
        maps=(0,),
        stride=STRIDE,
        sigma_cells=1.0,
        affines=affines,
    )
    pixels = cell_to_pixel(cells, STRIDE)
    places = np.column_stack([SLICE_MM * np.arange(count), pixels[:, 1], -pixels[:, 0]])
    places[:, 1:] *= PIXEL_MM
    return maps, places


def drifting(rows: float, columns: float) -> np.ndarray:
    steps = np.arange(SLICES) - MIDDLE
    return np.column_stack([20.0 + rows * steps, 18.0 + columns * steps])


@pytest.mark.parametrize("drift", [(0.0, 0.0), (0.0, 1.3), (-1.5, 0.7)])
def test_a_structure_that_runs_obliquely_is_followed_within_a_fifth_of_a_cell(
    drift: tuple[float, float],
) -> None:
    maps, places = oblique(drifting(*drift))
    track = track_of(maps, np.zeros(SLICES, dtype=int), 0, places[MIDDLE])
    assert track.offsets_lps_mm.shape == (2 * REACH + 1, 3)
    expected = places - places[MIDDLE]
    np.testing.assert_allclose(track.offsets_lps_mm, expected, atol=0.2 * CELL_MM)
    np.testing.assert_allclose(track.offsets_lps_mm[:, 0], expected[:, 0], atol=1e-9)
    assert (track.offsets_lps_mm[REACH] == 0).all()
    assert (np.abs(track.heights - 0.8 * 0.7 ** np.abs(np.arange(-4, 5))) < 0.2).all()


def test_a_track_ends_where_the_heatmap_is_faint() -> None:
    heights = np.array([0.5, 0.5, 0.05, 0.4, 0.8, 0.4, 0.2, 0.09, 0.07])
    maps, places = oblique(drifting(0, 0), heights)
    track = track_of(maps, np.zeros(SLICES, dtype=int), 0, places[MIDDLE])
    told = np.isfinite(track.offsets_lps_mm).all(axis=1)
    assert told.tolist() == [False, False, False, True, True, True, True, True, False]
    assert track.heights[~told].max() == 0


def test_a_track_does_not_jump_to_another_structure() -> None:
    cells = drifting(0, 0)
    cells[MIDDLE + 1 :, 1] += 10  # 30 mm aside
    maps, places = oblique(cells)
    track = track_of(maps, np.zeros(SLICES, dtype=int), 0, places[MIDDLE])
    assert np.isnan(track.offsets_lps_mm[REACH + 1 :]).all()
    assert np.isfinite(track.offsets_lps_mm[:REACH]).all()


@pytest.mark.parametrize(
    ("own", "stack_ids", "told"),
    [
        (0, [0] * 9, range(4, 9)),
        (8, [0] * 9, range(5)),
        (4, [0, 0, 0, 1, 1, 2, 2, 2, 2], (3, 4)),
    ],
)
def test_a_track_stays_on_its_stack(own: int, stack_ids: list[int], told: range) -> None:
    maps, places = oblique(drifting(0, 0.5), np.full(SLICES, 0.8))
    track = track_of(maps, np.array(stack_ids), 0, places[own])
    assert np.flatnonzero(np.isfinite(track.offsets_lps_mm).all(axis=1)).tolist() == list(told)


@pytest.mark.parametrize("cell", [(0, 0), (39, 39)])
def test_a_structure_at_the_images_corner_is_followed_without_wrapping(
    cell: tuple[int, int],
) -> None:
    maps, places = oblique(np.tile(np.array(cell, dtype=float), (SLICES, 1)))
    track = track_of(maps, np.zeros(SLICES, dtype=int), 0, places[MIDDLE])
    away = np.linalg.norm(track.offsets_lps_mm[:, 1:], axis=1)
    assert away.max() < CELL_MM
