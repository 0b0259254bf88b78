import numpy as np
import pytest
import torch

from lumbargrade.detector.decode import (
    Candidates,
    ScoreMaps,
    candidates_by_slice,
    candidates_in_plane,
    choose_ordered,
    refine,
)
from lumbargrade.detector.scores import cut_into_runs
from lumbargrade.detector.targets import cell_to_pixel, heatmaps, sigma_cells
from lumbargrade.geometry import slice_affine


def candidates(*pairs: tuple[float, float]) -> Candidates:
    """(score, z in mm) of each."""
    scores, z = np.array(pairs).T
    positions = np.column_stack([np.zeros(len(z)), np.zeros(len(z)), z])
    return Candidates(scores=scores, slices=np.zeros(len(z), dtype=int), positions_lps_mm=positions)


def test_the_best_candidates_are_taken_where_they_are_in_order() -> None:
    levels = [
        candidates((0.9, 60.0), (0.2, 20.0)),
        candidates((0.8, 25.0), (0.1, 60.0)),
        candidates((0.9, -10.0), (0.3, 25.0)),
    ]
    assert choose_ordered(levels)[0] == [0, 0, 0]


def test_a_level_found_twice_falls_back_to_its_second_best() -> None:
    """Both of the middle levels prefer z = 0; the surer one keeps it."""
    levels = [
        candidates((0.9, 60.0), (0.1, 30.0)),
        candidates((0.6, 0.0), (0.4, 30.0)),
        candidates((0.9, 0.0), (0.1, -30.0)),
        candidates((0.9, -60.0), (0.1, 0.0)),
    ]
    assert choose_ordered(levels)[0] == [0, 1, 0, 0]


def test_swapped_levels_are_put_in_order() -> None:
    levels = [
        candidates((0.6, 0.0), (0.5, 30.0)),
        candidates((0.6, 30.0), (0.5, 0.0)),
    ]
    assert choose_ordered(levels)[0] == [1, 1]


def test_a_stray_peak_beside_the_spine_loses_to_a_weaker_one_in_line() -> None:
    levels = [candidates((0.5, 60.0)), candidates((0.4, 28.0), (0.2, 30.0)), candidates((0.5, 0.0))]
    levels[1].positions_lps_mm[0, 1] = 70.0  # in the fat behind
    assert choose_ordered(levels)[0] == [0, 1, 0]


def test_evenly_spaced_levels_are_preferred_to_slightly_better_scores() -> None:
    levels = [
        candidates((0.5, 60.0)),
        candidates((0.30, 48.0), (0.28, 31.0)),
        candidates((0.5, 0.0)),
        candidates((0.5, -28.0)),
    ]
    assert choose_ordered(levels)[0] == [0, 1, 0, 0]


def test_levels_without_any_order_still_get_an_answer() -> None:
    assert choose_ordered([candidates((0.5, 0.0)), candidates((0.5, 30.0))])[0] == [0, 0]


def test_one_level_takes_its_best() -> None:
    assert choose_ordered([candidates((0.4, 0.0), (0.2, 9.0))])[0] == [0]


def maps_with(peaks: list[tuple[int, int, int, float]], slices: int = 3) -> ScoreMaps:
    """(slice, row, column, value) on 20 x 20 cells of stride 2."""
    heat = np.zeros((slices, 1, 20, 20), dtype=np.float32)
    for index, row, column, value in peaks:
        heat[index, 0, row, column] = value
    return ScoreMaps(
        heatmaps=heat,
        pointers=np.full((slices, 1), 0.5, dtype=np.float32),
        maps=(0,),
        stride=2,
        sigma_cells=0.8,
        affines=np.stack(
            [
                slice_affine((4.0 * k, 0, 0), (0, 1, 0, 0, 0, -1), (1.5, 1.5), 4.0)
                for k in range(slices)
            ]
        ),
    )


@pytest.mark.parametrize("index", [0, 2])
def test_the_first_and_last_slice_can_win(index: int) -> None:
    maps = maps_with([(index, 5, 6, 0.8), (1, 5, 6, 0.7)])
    found = candidates_in_plane(maps, 0)
    assert found.slices[0] == index
    assert found.scores[0] == pytest.approx(0.4)
    pixel = 2 * (np.array([5, 6]) + 0.5) - 0.5
    np.testing.assert_allclose(
        found.positions_lps_mm[0], [4.0 * index, 1.5 * pixel[1], -1.5 * pixel[0]], atol=1e-9
    )


@pytest.mark.parametrize(("row", "column"), [(0, 0), (19, 19), (0, 19)])
def test_peaks_at_the_border_are_found_and_not_wrapped(row: int, column: int) -> None:
    found = candidates_in_plane(maps_with([(1, row, column, 0.9)]), 0)
    pixel = 2 * (np.array([row, column]) + 0.5) - 0.5
    np.testing.assert_allclose(
        found.positions_lps_mm[0], [4.0, 1.5 * pixel[1], -1.5 * pixel[0]], atol=1e-9
    )


def test_separate_peaks_of_a_plane_are_separate_candidates() -> None:
    found = candidates_in_plane(maps_with([(0, 4, 4, 0.9), (0, 4, 5, 0.8), (2, 14, 10, 0.6)]), 0)
    assert found.scores[:2] == pytest.approx([0.45, 0.3])
    np.testing.assert_array_equal(found.slices[:2], [0, 2])


def test_axial_candidates_are_one_per_allowed_slice() -> None:
    maps = maps_with([(0, 4, 4, 0.9), (1, 5, 5, 0.8), (2, 6, 6, 0.7)])
    found = candidates_by_slice(maps, 0, np.array([False, True, True]))
    np.testing.assert_array_equal(found.slices, [1, 2])
    assert found.scores == pytest.approx([0.4, 0.35])


@pytest.mark.parametrize(("count", "longest"), [(10, 64), (64, 64), (65, 64), (192, 64), (9, 4)])
def test_runs_make_up_the_whole_once(count: int, longest: int) -> None:
    kept = []
    for start, stop, keep in cut_into_runs(count, longest):
        assert stop - start == min(count, longest)
        assert 0 <= start <= keep.start < keep.stop <= stop <= count
        kept += list(range(keep.start, keep.stop))
    assert kept == list(range(count))


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("image_size", [128, 160, 224])
def test_points_between_cells_are_recovered_at_any_resolution(stride: int, image_size: int) -> None:
    """Within 0.3 px of the 256 grid, away from the border, for the label's own Gaussian."""
    sigma = sigma_cells(4.0, image_size, stride)
    rng = np.random.default_rng(0)
    places = rng.uniform(0.2, 0.8, (40, 2)) * image_size
    labels = heatmaps(
        torch.from_numpy(places[:, None]).float(),
        torch.ones((40, 1)),
        torch.tensor([0]),
        map_count=1,
        image_size=image_size,
        stride=stride,
        sigma_cells=sigma,
    )
    errors = []
    for place, label in zip(places, labels[:, 0].numpy() * 0.7, strict=True):
        row, column = np.unravel_index(int(label.argmax()), label.shape)
        found = cell_to_pixel(np.array(refine(label, int(row), int(column), sigma)), stride)
        errors.append(np.linalg.norm(found - place) * 256 / image_size)
    assert max(errors) < 0.3
