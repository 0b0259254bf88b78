import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_spine import SIZE, affines, landmarks
from lumbargrade.cache import DISC, LANDMARKS
from lumbargrade.detector.decode import refine
from lumbargrade.detector.targets import (
    MIRROR_LANDMARK,
    cell_to_pixel,
    channels_of,
    heatmaps,
    project,
    repair_swapped_sides,
    sigma_cells,
    slice_weights,
)
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import Condition, Level, Target, View
from lumbargrade.volumes import letterbox


def encode(position: np.ndarray, size: int, stride: int) -> np.ndarray:
    return (
        heatmaps(
            torch.tensor(position, dtype=torch.float32)[None, None],
            torch.ones(1, 1),
            torch.zeros(1, dtype=torch.long),
            map_count=1,
            image_size=size,
            stride=stride,
            sigma_cells=sigma_cells(4.0, size, stride),
        )[0, 0]
        .double()
        .numpy()
    )


@pytest.mark.parametrize("stride", [1, 2, 4])
@pytest.mark.parametrize("size", [160, 256])
def test_encode_decode_is_below_half_a_pixel(stride: int, size: int) -> None:
    rng = np.random.default_rng(0)
    for position in rng.uniform(12, size - 13, (40, 2)):
        heatmap = encode(position, size, stride)
        assert heatmap.max() == pytest.approx(1.0, abs=1e-6)
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        cell = refine(heatmap, int(row), int(column), sigma_cells(4.0, size, stride))
        found = cell_to_pixel(np.array(cell), stride)
        assert np.abs(found - position).max() < 0.5


@pytest.mark.parametrize("stride", [1, 2, 4])
@settings(max_examples=60)
@given(position=st.tuples(st.floats(8, 151), st.floats(8, 151)))
def test_no_position_decodes_half_a_pixel_off(stride: int, position: tuple[float, float]) -> None:
    """Between cells, on their centres and on their edges."""
    heatmap = encode(np.array(position), 160, stride)
    row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
    cell = refine(heatmap, int(row), int(column), sigma_cells(4.0, 160, stride))
    assert np.abs(cell_to_pixel(np.array(cell), stride) - position).max() < 0.5


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_points_at_the_border_decode_inside_the_image(stride: int) -> None:
    for position in ([0.0, 0.0], [159.0, 80.0], [80.0, 159.4]):
        heatmap = encode(np.array(position), 160, stride)
        row, column = np.unravel_index(heatmap.argmax(), heatmap.shape)
        cell = refine(heatmap, int(row), int(column), sigma_cells(4.0, 160, stride))
        assert np.abs(cell_to_pixel(np.array(cell), stride) - position).max() < 0.75 * stride


def test_label_sigma_in_mm_follows_the_letterbox() -> None:
    """4 px of 256 on a square of 330 mm are 5.16 mm, whatever the stored matrix."""
    affine = slice_affine((0, 0, 0), (0, 1, 0, 0, 0, -1), (0.75, 0.6), 4.5)
    _, square = letterbox(np.zeros((440, 300), dtype=np.uint8), affine, 160)
    heatmap = encode(np.array([80.0, 80.0]), 160, 1)
    row = heatmap[80] / heatmap[80].sum()
    sigma_px = np.sqrt((row * (np.arange(160) - 80.0) ** 2).sum())
    pixel_mm = np.linalg.norm(square[:3, 2])
    assert sigma_px * pixel_mm == pytest.approx(4 / 256 * 440 * 0.75, rel=0.01)


@pytest.mark.parametrize("nearest", [0, 6, 12])
def test_the_nearest_slice_has_weight_one_at_the_edges_too(nearest: int) -> None:
    grid = affines(View.SAGITTAL_T2)
    point = (grid[nearest] @ [0.0, 30.0, 30.0, 1.0])[:3]
    weights, shown = slice_weights(project(grid, point[None]), SIZE, 0.5)
    expected = np.where(
        np.abs(np.arange(13) - nearest) <= 2, 0.5 ** np.abs(np.arange(13) - nearest), 0
    )
    np.testing.assert_allclose(weights[:, 0], expected, atol=1e-9)
    assert weights[nearest, 0] == 1.0
    assert shown.all()


def test_weights_fall_with_plane_distance_not_with_the_index() -> None:
    """A gap of three spacings between neighbours, and a tilted slice through the point."""
    flat = [slice_affine((-90, -90, z), (1, 0, 0, 0, 1, 0), (3, 3), 4.0) for z in (10.0, -2.0)]
    tilt = np.deg2rad(20)
    tilted = slice_affine(
        (-90, -90 * np.cos(tilt), -90 * np.sin(tilt)),
        (1, 0, 0, 0, np.cos(tilt), np.sin(tilt)),
        (3, 3),
        4.0,
    )
    point = np.array([[0.0, 5.0, 10.0]])
    weights, _ = slice_weights(project(np.stack([*flat, tilted]), point), SIZE, 0.5)
    distance = abs(5.0 * -np.sin(tilt) + 10.0 * np.cos(tilt)) / 4.0
    np.testing.assert_allclose(weights[:, 0], [1.0, 0.0, 0.5**distance], atol=1e-9)


def test_points_that_no_slice_reaches_and_unlabelled_ones_are_not_shown() -> None:
    grid = affines(View.AXIAL_T2)
    points = np.array([[0.0, 0.0, 90.0], [0.0, 0.0, 0.0], [400.0, 0.0, 0.0], [np.nan] * 3])
    weights, shown = slice_weights(project(grid, points), SIZE, 0.5)
    np.testing.assert_array_equal(shown, [False, True, False, False])
    assert weights[:, 2:].sum() == 0


def test_plain_labels_mark_the_nearest_slice_alone() -> None:
    grid = affines(View.SAGITTAL_T2)
    points = np.array([(grid[k] @ [offset, 30, 30, 1.0])[:3] for k, offset in ((3, 0.3), (12, 0))])
    expanding, shown = slice_weights(project(grid, points), SIZE, 0.5)
    plain, still_shown = slice_weights(project(grid, points), SIZE, 0.5, expanding=False)
    np.testing.assert_array_equal(plain, expanding == 1.0)
    np.testing.assert_array_equal(plain.sum(axis=0), shown)
    np.testing.assert_array_equal(shown, still_shown)


def test_channels_cover_all_thirty_points_once() -> None:
    channels = [channels_of(view, share_maps=True) for view in View]
    assert [len(item.landmarks) for item in channels] == [10, 10, 10]
    assert sorted(index for item in channels for index in item.landmarks) == list(range(LANDMARKS))
    assert [item.map_count for item in channels] == [10, 5, 2]
    assert [channels_of(view, share_maps=False).map_count for view in View] == [10, 10, 10]
    assert channels[0].landmarks[5:] == tuple(range(DISC, LANDMARKS))


def test_sides_of_a_foraminal_level_share_a_map_and_levels_of_a_recess_side_do() -> None:
    def map_of(view: View, condition: Condition, level: Level) -> int:
        channels = channels_of(view, share_maps=True)
        target = Target(condition=condition, level=level)
        return channels.maps[channels.landmarks.index(target.index)]

    left, right = (
        Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
        Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
    )
    assert map_of(View.SAGITTAL_T1, left, Level.L3_L4) == map_of(
        View.SAGITTAL_T1, right, Level.L3_L4
    )
    left, right = Condition.LEFT_SUBARTICULAR_STENOSIS, Condition.RIGHT_SUBARTICULAR_STENOSIS
    maps = {side: {map_of(View.AXIAL_T2, side, level) for level in Level} for side in (left, right)}
    assert len(maps[left]) == len(maps[right]) == 1
    assert maps[left] != maps[right]


def test_swapped_sides_are_exchanged_and_right_ones_left_alone() -> None:
    truth = landmarks()
    np.testing.assert_array_equal(repair_swapped_sides(truth), truth)
    swapped = truth.copy()
    swapped[[7, 12]] = truth[[12, 7]]
    swapped[20] = np.nan
    repaired = repair_swapped_sides(swapped)
    np.testing.assert_array_equal(repaired[[7, 12]], truth[[7, 12]])
    assert np.isnan(repaired[20]).all()
    np.testing.assert_array_equal(repaired[15], truth[15])


def test_points_that_share_a_map_take_the_maximum() -> None:
    positions = torch.tensor([[[20.0, 20.0], [60.0, 60.0]]])
    labels = heatmaps(
        positions,
        torch.tensor([[1.0, 0.5]]),
        torch.tensor([0, 0]),
        map_count=1,
        image_size=80,
        stride=1,
        sigma_cells=2.0,
    )[0, 0]
    assert labels[20, 20] == 1.0
    assert labels[60, 60] == 0.5
    assert labels[40, 40] < 1e-6


def test_mirrored_landmarks_keep_canal_and_disc_in_place() -> None:
    np.testing.assert_array_equal(MIRROR_LANDMARK[:5], np.arange(5))
    np.testing.assert_array_equal(MIRROR_LANDMARK[5:10], np.arange(10, 15))
    np.testing.assert_array_equal(MIRROR_LANDMARK[15:20], np.arange(20, 25))
    np.testing.assert_array_equal(MIRROR_LANDMARK[25:], np.arange(25, 30))
