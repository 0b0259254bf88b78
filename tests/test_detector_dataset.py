from dataclasses import replace

import numpy as np
import pytest
import torch

from fake_spine import PIXEL_MM, SIZE, arrays, landmarks, study
from lumbargrade.config import DetectorAugmentSettings, DetectorSettings, FitSettings
from lumbargrade.detector.augment import (
    draw_warp,
    mirror_left_right,
    vary_brightness,
    warp_images,
    warp_points,
)
from lumbargrade.detector.batches import training_batches
from lumbargrade.detector.dataset import (
    draw_run,
    see_points,
    study_rng,
    training_runs,
    whole_view,
)
from lumbargrade.detector.features import feature_count, slice_features
from lumbargrade.detector.slices import load_view, neighbour_indices
from lumbargrade.detector.targets import project
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import View

SETTINGS = DetectorSettings(image_size=SIZE, train_slices=6, fit=FitSettings(batch_size=2))


def test_neighbours_never_cross_stacks_and_edges_repeat_themselves() -> None:
    stack_ids = np.array([0, 0, 0, 1, 2, 2])
    expected = [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 3], [4, 4, 5], [4, 5, 5]]
    np.testing.assert_array_equal(neighbour_indices(stack_ids), expected)
    for row in neighbour_indices(stack_ids):
        assert len(set(stack_ids[row])) == 1


def test_a_one_slice_stack_is_its_own_neighbour() -> None:
    np.testing.assert_array_equal(neighbour_indices(np.array([0])), [[0, 0, 0]])


@pytest.mark.parametrize("view", list(View))
def test_left_right_mirror_swaps_sides_and_undoes_itself(view: View) -> None:
    shifted = replace(arrays(view), landmarks_lps_mm=landmarks() + np.array([3.0, 0, 0]))
    mirrored = mirror_left_right(shifted)
    left, right = shifted.landmarks_lps_mm[15], shifted.landmarks_lps_mm[20]
    np.testing.assert_allclose(mirrored.landmarks_lps_mm[20], left * [-1, 1, 1])
    np.testing.assert_allclose(mirrored.landmarks_lps_mm[15], right * [-1, 1, 1])
    again = mirror_left_right(mirrored)
    for name in ("pixels", "affines", "stack_ids", "landmarks_lps_mm"):
        np.testing.assert_allclose(getattr(again, name), getattr(shifted, name), atol=1e-9)


@pytest.mark.parametrize("view", list(View))
def test_mirrored_pixels_lie_where_the_mirrored_geometry_says(view: View) -> None:
    """The brightness at x in the original is the brightness at −x in the mirrored study."""
    original = arrays(view)
    mirrored = mirror_left_right(original)
    for index in (0, len(original.pixels) // 2):
        row, column = 20, 41
        position = (original.affines[index] @ [0, row, column, 1])[:3] * [-1, 1, 1]
        local = np.stack([lps_to_slices(mirrored.affines, position)])[0]
        found = int(np.abs(local[:, 0]).argmin())
        assert abs(local[found, 0]) < 1e-9
        there = mirrored.pixels[found][round(local[found, 1]), round(local[found, 2])]
        assert there == original.pixels[index][row, column]


@pytest.mark.parametrize("view", list(View))
def test_mirrored_slices_stay_in_reading_order(view: View) -> None:
    mirrored = mirror_left_right(arrays(view))
    along = mirrored.affines[:, 2, 3] * -1 if view is View.AXIAL_T2 else mirrored.affines[:, 0, 3]
    assert (np.diff(along) > 0).all()
    columns = mirrored.affines[0][:3, 2]
    np.testing.assert_allclose(np.abs(columns), columns, atol=1e-12)  # still right to left, front


def test_warped_points_move_with_the_pixels() -> None:
    rng = np.random.default_rng(3)
    settings = DetectorAugmentSettings(affine_probability=1.0)
    rows, columns = np.mgrid[:128, :128]
    for _ in range(10):
        warp = draw_warp(rng, settings, 128)
        point = rng.uniform(45, 83, 2)
        blob = np.exp(-((rows - point[0]) ** 2 + (columns - point[1]) ** 2) / (2 * 4.0**2))
        moved = warp_images(torch.tensor(blob, dtype=torch.float32)[None], warp)[0].numpy()
        centre = np.array([(moved * rows).sum(), (moved * columns).sum()]) / moved.sum()
        assert np.abs(centre - warp_points(point, warp)).max() < 0.15


def test_brightness_changes_keep_the_range_and_repeat_with_the_generator() -> None:
    images = torch.from_numpy(arrays(View.SAGITTAL_T2).pixels / np.float32(255))
    settings = DetectorAugmentSettings(
        shading_probability=1,
        noise_probability=1,
        blur_probability=1,
        border_probability=1,
        brightness_contrast_probability=1,
    )
    first, second = (vary_brightness(images, np.random.default_rng(5), settings) for _ in range(2))
    assert torch.equal(first, second)
    assert float(first.min()) >= 0
    assert float(first.max()) <= 1
    assert not torch.equal(first, images)


def test_a_run_is_contiguous_and_shows_a_labelled_point() -> None:
    shown = see_points(arrays(View.AXIAL_T2), SETTINGS)
    starts = set()
    for seed in range(60):
        run = draw_run(shown, 6, np.random.default_rng(seed))
        assert len(run) == 6
        assert (np.diff(run) == 1).all()
        assert run[0] >= 0
        assert run[-1] < len(shown.weights)
        assert (shown.weights[run] == 1.0).any()
        starts.add(int(run[0]))
    assert len(starts) > 8


def test_a_short_view_is_used_whole() -> None:
    shown = see_points(arrays(View.SAGITTAL_T1), SETTINGS)
    np.testing.assert_array_equal(
        draw_run(shown, 40, np.random.default_rng(0)), np.arange(len(shown.weights))
    )


def test_batches_follow_from_seed_epoch_and_study_not_from_the_order_given() -> None:
    loaded = [arrays(View.SAGITTAL_T1, study_id) for study_id in ("30", "4", "100")]
    first = list(training_batches(loaded, SETTINGS, seed=1, epoch=2))
    second = list(training_batches(loaded[::-1], SETTINGS, seed=1, epoch=2))
    other = list(training_batches(loaded, SETTINGS, seed=1, epoch=3))
    assert [len(batch.lengths) for batch in first] == [2, 1]
    for a, b in zip(first, second, strict=True):
        for ours, theirs in zip(a, b, strict=True):
            assert torch.equal(ours, theirs)
    assert not torch.equal(first[0].images, other[0].images)


def test_what_is_drawn_for_a_study_does_not_depend_on_its_company() -> None:
    alone = study_rng(0, 1, "7").normal(size=4)
    np.testing.assert_array_equal(alone, study_rng(0, 1, "7").normal(size=4))
    assert not np.array_equal(alone, study_rng(0, 1, "8").normal(size=4))
    assert not np.array_equal(alone, study_rng(0, 2, "7").normal(size=4))


def test_single_slices_carry_no_place_in_a_stack() -> None:
    settings = SETTINGS.model_copy(update={"one_slice_probability": 1.0})
    runs = training_runs(arrays(View.SAGITTAL_T2), settings, np.random.default_rng(0))
    assert [run.lengths.tolist() for run in runs] == [[1]] * 3
    for run in runs:
        assert torch.equal(run.images[:, 0], run.images[:, 1])
        assert torch.equal(run.images[:, 0], run.images[:, 2])
        np.testing.assert_allclose(run.features[0, :3], 0, atol=1e-9)
        assert run.features[0, 6:8].tolist() == [1.0, 1.0]
        assert float(run.weights.max()) == 1.0


def test_unlabelled_points_of_a_shared_map_hide_only_where_they_may_be() -> None:
    full = arrays(View.AXIAL_T2)
    points = landmarks()
    points[16] = np.nan  # left L2/L3
    known = whole_view(replace(full, landmarks_lps_mm=points), SETTINGS)
    slice_of = {
        index: int(np.abs(project(full.affines, points[[index]])[:, 0, 0]).argmin())
        for index in (15, 17)
    }
    assert known.heatmap_known[slice_of[15], 0] == 1  # a labelled left level is right here
    assert known.heatmap_known[slice_of[17] - 4, 0] == 0  # between: may be the missing one
    assert (known.heatmap_known[:, 1] == 1).all()  # all right ones are labelled
    assert (known.weights_known[:, 1] == 0).all()
    assert (known.weights_known[:, 0] == 1).all()


def test_points_outside_an_augmented_image_are_not_taught() -> None:
    settings = SETTINGS.model_copy(
        update={
            "augment": DetectorAugmentSettings(
                affine_probability=1, scale_low=2.5, scale_high=2.5, shift=0.3
            ),
            "one_slice_probability": 0.0,
        }
    )
    hidden = 0
    for seed in range(8):
        (run,) = training_runs(arrays(View.SAGITTAL_T2), settings, np.random.default_rng(seed))
        lost = run.weights_known[0] == 0
        hidden += int(lost.sum())
        assert float(run.weights[:, lost].sum()) == 0
        assert float(run.heatmaps[:, lost].sum()) == 0
    assert hidden > 0


def test_axial_features_tell_the_distance_to_each_level_or_that_it_is_unknown() -> None:
    seen = arrays(View.AXIAL_T2)
    levels = landmarks()[:5].copy()
    levels[1] = np.nan
    features = slice_features(View.AXIAL_T2, seen.affines, seen.stack_ids, SIZE, levels)
    assert features.shape == (len(seen.pixels), feature_count(View.AXIAL_T2))
    signed, near, known = features[:, 9:14], features[:, 14:19], features[:, 19:24]
    assert (signed[:, 1] == 0).all()
    assert (near[:, 1] == 0).all()
    np.testing.assert_array_equal(known[0], [1, 0, 1, 1, 1])
    nearest = int(np.abs(seen.affines[:, 2, 3] - levels[2, 2]).argmin())
    assert near[:, 2].argmax() == nearest
    assert signed[0, 2] < 0 < signed[-1, 2]  # the level lies towards the feet of the first slice


def test_features_do_not_depend_on_which_way_normals_point() -> None:
    seen = arrays(View.AXIAL_T2)
    turned = seen.affines.copy()
    turned[:, :3, 0] *= -1
    a, b = (
        slice_features(View.AXIAL_T2, grid, seen.stack_ids, SIZE, landmarks()[:5])
        for grid in (seen.affines, turned)
    )
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_studies_are_loaded_in_order_of_their_ids_and_without_absent_views() -> None:
    studies = [study("9"), study("10"), study("3")]
    partial = replace(studies[1], volumes={View.SAGITTAL_T2: studies[1].volumes[View.SAGITTAL_T2]})
    loaded = load_view([studies[0], partial, studies[2]], View.SAGITTAL_T1, 48)
    assert [item.study_id for item in loaded] == ["3", "9"]
    assert loaded[0].pixels.shape[1:] == (48, 48)
    pixel_mm = np.linalg.norm(loaded[0].affines[0][:3, 1])
    assert pixel_mm == pytest.approx(PIXEL_MM * SIZE / 48)


def test_a_grey_curve_keeps_dark_darker_than_bright_from_black_to_white() -> None:
    ramp = torch.linspace(0, 1, 4096).reshape(1, 64, 64)
    settings = DetectorAugmentSettings(
        shading_probability=0,
        noise_probability=0,
        blur_probability=0,
        border_probability=0,
        brightness_contrast_probability=0,
        curve_probability=1,
    )
    curves = [vary_brightness(ramp, np.random.default_rng(seed), settings) for seed in range(20)]
    for curve in curves:
        assert (curve.flatten().diff() > 0).all()
        assert float(curve.min()) == 0
        assert float(curve.max()) == pytest.approx(1, abs=1e-6)
    middle = [float(curve.flatten()[2048]) for curve in curves]
    assert max(middle) - min(middle) > 0.2


def test_lost_detail_keeps_points_in_their_place() -> None:
    settings = DetectorAugmentSettings(
        shading_probability=0,
        noise_probability=0,
        blur_probability=0,
        border_probability=0,
        brightness_contrast_probability=0,
        resolution_probability=1,
    )
    rows, columns = np.mgrid[:128, :128]
    point = np.array([50.3, 71.8])
    blob = np.exp(-((rows - point[0]) ** 2 + (columns - point[1]) ** 2) / (2 * 3.0**2))
    image = torch.tensor(blob, dtype=torch.float32)[None]
    peaks = []
    for seed in range(20):
        coarse = vary_brightness(image, np.random.default_rng(seed), settings)[0].numpy()
        centre = np.array([(coarse * rows).sum(), (coarse * columns).sum()]) / coarse.sum()
        assert np.abs(centre - point).max() < 0.1
        peaks.append(coarse.max())
    assert min(peaks) < 0.95 * blob.max()


@pytest.mark.parametrize("teach_absence", [False, True])
def test_levels_outside_a_magnified_part_are_taught_as_absent_or_not_at_all(
    teach_absence: bool,
) -> None:
    settings = SETTINGS.model_copy(
        update={
            "augment": DetectorAugmentSettings(
                crop_probability=1, crop_scale=2.5, teach_absence=teach_absence
            ),
            "one_slice_probability": 0.0,
        }
    )
    absent = present = 0
    for seed in range(12):
        (run,) = training_runs(arrays(View.SAGITTAL_T2), settings, np.random.default_rng(seed))
        empty = run.heatmaps.amax(dim=(0, 2, 3)) == 0
        absent += int((run.heatmap_known[0, empty] == 1).sum())
        present += int((~empty).sum())
        assert (run.heatmap_known[0, ~empty] == 1).all()
        assert (run.weights_known[0, empty] == 0).all()
    assert present > 20
    assert (absent > 5) == teach_absence
