"""Crops that follow a structure from slice to slice, and masks of where it was seen."""

import json
from pathlib import Path

import numpy as np
import pytest

from fake_prepared import fake_landmarks, fake_volume
from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import MASK_SIGMA_MM, cut_crops
from lumbargrade.labels import TARGETS, View
from lumbargrade.out_of_fold import append_landmarks, read_landmarks
from lumbargrade.point_sets import mean_landmarks, shared_crops
from lumbargrade.recipe_settings import Recipe
from lumbargrade.records import Crop, Landmark, Track, ViewVolume
from lumbargrade.settings import ConfigError
from lumbargrade.tracks import mean_track
from test_crops import CANAL_L4_L5, sagittal_volume

FIXED = CropSettings(slices=5, size_px=33, side_mm=33.0)
DYNAMIC = FIXED.model_copy(update={"xy": "dynamic"})
MIDDLE = 4


def dotted(drift_px: tuple[int, int]) -> ViewVolume:
    """Nine slices, 4 mm apart, each with one bright pixel that drifts from slice to slice."""
    images = []
    for step in range(-MIDDLE, MIDDLE + 1):
        image = np.zeros((100, 120), dtype=np.uint8)
        image[50 + drift_px[0] * step, 60 + drift_px[1] * step] = 255
        images.append(image)
    return sagittal_volume(images)


def drifting(drift_px: tuple[int, int], reach: int = 4) -> Landmark:
    """The bright pixel of the middle slice, with its track; one pixel is one millimetre."""
    steps = np.arange(-4, 5)
    offsets = np.column_stack([4.0 * steps, drift_px[1] * steps, -drift_px[0] * steps])
    heights = 0.5 ** np.abs(steps)
    beyond = np.abs(steps) > reach
    offsets[beyond], heights[beyond] = np.nan, 0.0
    return Landmark(
        target=CANAL_L4_L5,
        position_lps_mm=np.array([16.0, 60.0, -50.0]),
        score=0.7,
        track=Track(offsets_lps_mm=offsets, heights=heights),
    )


def crop_of(volume: ViewVolume, landmark: Landmark, settings: CropSettings) -> Crop:
    (crop,) = cut_crops({volume.view: volume}, [landmark], settings)
    assert crop is not None
    return crop


def brightest(planes: np.ndarray) -> list[list[int]]:
    """(row, column) of each slice's brightest pixel."""
    flat = planes.reshape(len(planes), -1).argmax(axis=1)
    return [list(divmod(int(cell), planes.shape[2])) for cell in flat]


@pytest.mark.parametrize("drift", [(0, 0), (2, -3), (-1, 4)])
def test_a_dynamic_crop_keeps_an_oblique_structure_in_the_middle_of_every_slice(
    drift: tuple[int, int],
) -> None:
    volume, landmark = dotted(drift), drifting(drift)
    crop = crop_of(volume, landmark, DYNAMIC)
    assert brightest(crop.pixels) == [[16, 16]] * 5
    fixed = crop_of(volume, landmark, FIXED)
    steps = range(-2, 3)
    assert brightest(fixed.pixels) == [[16 + drift[0] * k, 16 + drift[1] * k] for k in steps]
    np.testing.assert_array_equal(crop.affine, fixed.affine)
    np.testing.assert_array_equal(crop.pixels[2], fixed.pixels[2])


def test_slices_beyond_the_track_take_the_place_of_its_end() -> None:
    drift = (1, 2)
    long = DYNAMIC.model_copy(update={"slices": 9})
    crop = crop_of(dotted(drift), drifting(drift, reach=1), long)
    away = [max(abs(k) - 1, 0) * np.sign(k) for k in range(-4, 5)]
    assert brightest(crop.pixels) == [[16 + k, 16 + 2 * k] for k in away]


def test_a_dynamic_crop_without_a_track_is_refused_not_cut_as_a_fixed_one() -> None:
    bare = Landmark(target=CANAL_L4_L5, position_lps_mm=np.array([16.0, 60, -50]), score=1.0)
    with pytest.raises(ValueError, match=r"spinal_canal_stenosis_l4_l5 has no track.*follow=True"):
        crop_of(dotted((0, 0)), bare, DYNAMIC)


def test_a_mask_shows_where_each_slice_has_the_structure_and_how_surely() -> None:
    drift = (2, -3)
    settings = FIXED.model_copy(update={"mask": True, "slices": 7})
    crop = crop_of(dotted(drift), drifting(drift, reach=2), settings)
    assert crop.mask is not None
    assert crop.mask.shape == crop.pixels.shape
    np.testing.assert_allclose(
        crop.mask.max(axis=(1, 2)), [0, 0.25, 0.5, 1, 0.5, 0.25, 0], atol=1e-6
    )
    shown = slice(1, -1)
    assert brightest(crop.mask[shown]) == brightest(crop.pixels[shown])
    beside = crop.mask[3, 16, 16 + round(MASK_SIGMA_MM)]
    assert beside == pytest.approx(np.exp(-0.5), rel=1e-6)
    followed = crop_of(
        dotted(drift), drifting(drift), settings.model_copy(update={"xy": "dynamic"})
    )
    assert followed.mask is not None
    assert brightest(followed.mask) == [[16, 16]] * 7
    assert crop_of(dotted(drift), drifting(drift), FIXED).mask is None


def test_the_mean_track_is_over_the_sets_that_tell_something_at_a_step() -> None:
    one, two = drifting((2, 0)).track, drifting((4, 2), reach=1).track
    mean = mean_track([one, None, two])
    assert mean is not None
    steps = np.arange(-4, 5)
    told = np.abs(steps) <= 1
    rows = np.where(told, 3, 2) * steps
    np.testing.assert_allclose(mean.offsets_lps_mm[:, 2], -rows)
    np.testing.assert_allclose(mean.offsets_lps_mm[:, 1], np.where(told, 1, 0) * steps)
    np.testing.assert_allclose(mean.offsets_lps_mm[:, 0], 4 * steps)
    assert mean.heights[MIDDLE] == 1.0
    assert mean.heights[MIDDLE + 2] == 0.125
    assert mean_track([None, None]) is None
    never = drifting((0, 0), reach=0).track
    still = mean_track([never, never])
    assert still is not None
    assert np.isnan(still.offsets_lps_mm).all(axis=1).tolist() == [k != MIDDLE for k in range(9)]


def study_landmarks(drift: tuple[float, float, float]) -> list[Landmark]:
    """The 25 points of a fake study; along the stack, the structure drifts so far a slice."""
    landmarks = []
    for target in TARGETS:
        along = (0, 0, -5.0) if target.condition.view is View.AXIAL_T2 else (5.0, 0, 0)
        offsets = np.arange(-4, 5)[:, None] * (np.array(along) + np.array(drift))
        landmarks.append(
            Landmark(
                target=target,
                position_lps_mm=fake_landmarks()[target.index],
                score=0.5,
                track=Track(offsets_lps_mm=offsets, heights=np.linspace(0, 1, 9)),
            )
        )
    return landmarks


def test_sets_share_a_crop_only_where_all_its_slices_are_the_same() -> None:
    volumes = {view: fake_volume(view, np.random.default_rng(0)) for view in View}
    crops = CropSettings(slices=3, size_px=16, side_mm=64.0)  # 4 mm a pixel
    sets = [study_landmarks((0, 0, 0)), study_landmarks((0, 5.0, 0))]
    assert (shared_crops(volumes, sets, crops, 1.0)[1] == 0).all()
    dynamic = crops.model_copy(update={"xy": "dynamic"})
    assert (shared_crops(volumes, sets, dynamic, 1.0)[1] == 1).all()
    assert (shared_crops(volumes, sets, dynamic, 1.5)[1] == 0).all()
    masked = crops.model_copy(update={"mask": True})
    assert (shared_crops(volumes, [sets[0], sets[0]], masked, 1.5)[1] == 1).all()


def test_landmarks_keep_their_tracks_exactly_and_have_none_in_the_file_without(
    tmp_path: Path,
) -> None:
    followed = study_landmarks((0.1, 0.2, 0.3))
    track = followed[3].track
    assert track is not None
    track.offsets_lps_mm[0] = np.nan
    bare = [
        Landmark(target=item.target, position_lps_mm=item.position_lps_mm, score=item.score)
        for item in followed
    ]
    file = tmp_path / "landmarks.jsonl"
    append_landmarks(file, "1", tuple(followed))
    append_landmarks(file, "2", tuple(bare))
    again = read_landmarks(file)
    for item, kept in zip(followed, again["1"], strict=True):
        assert item.track is not None
        assert kept.track is not None
        np.testing.assert_array_equal(kept.track.offsets_lps_mm, item.track.offsets_lps_mm)
        np.testing.assert_array_equal(kept.track.heights, item.track.heights)
    assert all(item.track is None for item in again["2"])
    lines = file.read_text().splitlines()
    assert ["tracks" in json.loads(line) for line in lines] == [True, False]


def test_points_first_averages_positions_and_tracks() -> None:
    (mean, *_) = mean_landmarks([study_landmarks((0, 2, 0)), study_landmarks((0, 4, 0))])
    assert mean.track is not None
    np.testing.assert_allclose(mean.track.offsets_lps_mm[:, 1], 3.0 * np.arange(-4, 5))


def test_settings_that_are_off_leave_no_trace_in_files_and_hashes() -> None:
    assert set(CropSettings().model_dump()) == {"slices", "size_px", "side_mm", "grid_px"}
    on = CropSettings.from_dict({"xy": "dynamic", "mask": True})
    assert CropSettings.from_dict(on.model_dump()) == on
    assert CropSettings.from_dict(CropSettings().model_dump()) == CropSettings()
    assert (CropSettings().follow, on.follow) == (False, True)
    assert CropSettings.from_dict({"mask": True}).shape == (2, 5, 64, 64)


@pytest.mark.parametrize("crops", [{"xy": "dynamic"}, {"mask": True}])
def test_marked_points_have_no_tracks_so_recipes_may_not_mix_them(crops: dict[str, object]) -> None:
    assert Recipe.from_dict({"name": "a", "crops": crops}).follow
    for other in (
        {"grade_marked_points": True},
        {"classifier": {"augment": {"jitter_from_found": True}}},
    ):
        assert not Recipe.from_dict({"name": "a", **other}).follow
        with pytest.raises(ConfigError, match="marked points, which have none"):
            Recipe.from_dict({"name": "a", "crops": crops, **other})
    members = {"folds": 2, "classifiers": {"plain": {}, "other": {"crops": crops}}}
    assert Recipe.from_dict({"name": "a", **members}).follow
    jitter = {"classifier": {"augment": {"jitter_from_found": True}}}
    with pytest.raises(ConfigError, match="marked points, which have none"):
        Recipe.from_dict({"name": "a", **members, **jitter})
