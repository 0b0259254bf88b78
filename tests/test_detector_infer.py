from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from fake_spine import LEVEL_Z_MM, SIZE, landmarks, study, volume
from lumbargrade.config import DetectorAugmentSettings, DetectorSettings, FitSettings
from lumbargrade.detector import infer
from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.detector.infer import disc_landmarks, find_landmarks, load_detector
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.one_view import find_in_view
from lumbargrade.detector.scores import score_maps
from lumbargrade.detector.targets import channels_of
from lumbargrade.detector.train import train_detector
from lumbargrade.detector.view_points import ViewPoints, decode_view
from lumbargrade.labels import TARGETS, Flag, View
from lumbargrade.records import InvalidStudyError, ViewVolume
from lumbargrade.training.checkpoint import METRICS, read_metrics
from lumbargrade.volumes import image_shapes, square_volume

Detectors = dict[View, Detector]

TINY = DetectorSettings(
    encoder_depth=3,
    decoder_channels=(16,),
    heatmap_stride=4,
    image_size=SIZE,
    lstm_hidden=16,
    train_slices=6,
    label_sigma_px=8.0,
    augment=DetectorAugmentSettings(shift=0.02, scale_low=0.95, scale_high=1.05),
    fit=FitSettings(epochs=2, batch_size=2, learning_rate=2e-3),
)


@pytest.fixture(scope="module")
def detectors() -> Detectors:
    torch.manual_seed(0)
    return {view: build_detector(view, TINY).eval() for view in View}


def test_targets_come_in_order_with_positions_in_the_volume(detectors: Detectors) -> None:
    volumes = {view: volume(view) for view in View}
    found = find_landmarks(detectors, volumes)
    assert [item.target for item in found] == list(TARGETS)
    for item in found:
        if item.position_lps_mm is not None:
            assert 0 < item.score <= 1
            assert np.abs(item.position_lps_mm).max() < 200


def test_a_missing_view_is_flagged_and_the_others_are_found(detectors: Detectors) -> None:
    found = find_landmarks(detectors, {View.SAGITTAL_T1: volume(View.SAGITTAL_T1)})
    for item in found:
        if item.target.condition.view is View.SAGITTAL_T1:
            assert item.position_lps_mm is not None
        else:
            assert item.flags == (Flag.VIEW_MISSING,)
            assert item.position_lps_mm is None
            assert item.score == 0.0


def test_untrained_answers_are_flagged_low_confidence(detectors: Detectors) -> None:
    found = find_landmarks(detectors, {View.SAGITTAL_T2: volume(View.SAGITTAL_T2)})
    assert all(item.flags == (Flag.LOW_CONFIDENCE,) for item in found[:5])


def test_a_volume_without_a_detector_is_an_error(detectors: Detectors) -> None:
    only_t1 = {View.SAGITTAL_T1: detectors[View.SAGITTAL_T1]}
    with pytest.raises(ValueError, match="no detector for it"):
        find_landmarks(only_t1, {View.AXIAL_T2: volume(View.AXIAL_T2)})


def test_one_sagittal_slice_gives_five_disc_points_from_head_to_foot(detectors: Detectors) -> None:
    whole = volume(View.SAGITTAL_T2)
    middle = len(whole.slices) // 2
    lone = type(whole)(
        view=whole.view,
        slices=[whole.slices[middle]],
        affines=whole.affines[[middle]],
        stack_ids=np.zeros(1, dtype=int),
        series_index=np.zeros(1, dtype=int),
        slice_index=np.zeros(1, dtype=int),
    )
    positions, scores = disc_landmarks(detectors, {View.SAGITTAL_T2: lone})
    assert positions.shape == (5, 3)
    assert np.isfinite(positions).all()
    assert (scores > 0).all()
    np.testing.assert_allclose(positions[:, 0], whole.affines[middle][0, 3], atol=1e-9)


@pytest.mark.parametrize("score", [0.9, 0.01])
def test_without_t2_its_detector_reads_the_levels_from_t1_where_it_is_sure(
    detectors: Detectors, monkeypatch: pytest.MonkeyPatch, score: float
) -> None:
    real, told = find_in_view, {}

    def find(detector: Detector, seen: ViewVolume, levels: np.ndarray, **how: bool) -> ViewPoints:
        told[detector.view, seen.view] = levels
        found = real(detector, seen, levels, **how)
        if detector.view is View.SAGITTAL_T2:
            return replace(
                found,
                positions_lps_mm=landmarks()[[*range(5), *range(25, 30)]],
                scores=np.full(10, score),
            )
        return found

    monkeypatch.setattr(infer, "find_in_view", find)
    seen = {view: volume(view) for view in (View.SAGITTAL_T1, View.AXIAL_T2)}
    found = find_landmarks(detectors, seen)
    assert all(item.position_lps_mm is None for item in found[:5])
    assert all(Flag.VIEW_MISSING in item.flags for item in found[:5])
    expected = landmarks()[:5] if score > 0.5 else np.full((5, 3), np.nan)
    for view in seen:
        np.testing.assert_array_equal(told[view, view], expected)
    told.clear()
    find_landmarks(detectors, {view: volume(view) for view in View})
    assert (View.SAGITTAL_T2, View.SAGITTAL_T1) not in told


def axial_maps(slices: np.ndarray) -> tuple[ScoreMaps, np.ndarray]:
    """Perfect answers for the recesses, but every slice claims to be every level."""
    grid = volume(View.AXIAL_T2).affines[slices]
    channels = channels_of(View.AXIAL_T2, share_maps=True)
    heat = np.full((len(grid), 2, 16, 16), 0.01, dtype=np.float32)
    heat[:, :, 9, 8] = 0.9
    pointers = np.full((len(grid), 10), 0.5, dtype=np.float32)
    return (
        ScoreMaps(
            heatmaps=heat,
            pointers=pointers,
            maps=channels.maps,
            stride=4,
            sigma_cells=1.0,
            affines=grid,
        ),
        grid,
    )


def test_levels_that_no_axial_slice_reaches_have_no_point() -> None:
    every = volume(View.AXIAL_T2).affines
    reached = np.flatnonzero(every[:, 2, 3] < LEVEL_Z_MM[0] - 6.0)
    maps, grid = axial_maps(reached)
    shapes = np.full((len(grid), 2), SIZE)
    found = decode_view(View.AXIAL_T2, maps, shapes, grid, landmarks()[:5])
    np.testing.assert_array_equal(np.isnan(found.positions_lps_mm[:, 0]), [True, *[False] * 4] * 2)
    assert (found.scores[[0, 5]] == 0).all()


def test_axial_points_stay_near_where_the_sagittal_view_shows_their_level() -> None:
    maps, grid = axial_maps(np.arange(len(volume(View.AXIAL_T2).affines)))
    shapes = np.full((len(grid), 2), SIZE)
    found = decode_view(View.AXIAL_T2, maps, shapes, grid, landmarks()[:5])
    distance = np.abs(found.positions_lps_mm[:, 2] - np.tile(LEVEL_Z_MM, 2))
    assert (distance <= 3 * 4.5 + 1e-9).all()


def test_a_level_outside_the_image_area_is_not_covered() -> None:
    maps, grid = axial_maps(np.arange(len(volume(View.AXIAL_T2).affines)))
    shapes = np.full((len(grid), 2), SIZE)
    levels = landmarks()[:5].copy()
    levels[3, 1] += 400.0
    found = decode_view(View.AXIAL_T2, maps, shapes, grid, levels)
    np.testing.assert_array_equal(
        np.isnan(found.positions_lps_mm[:, 0]), [False, False, False, True, False] * 2
    )


def test_without_a_sagittal_view_levels_are_ordered_head_to_foot() -> None:
    maps, grid = axial_maps(np.arange(len(volume(View.AXIAL_T2).affines)))
    for level, z in enumerate(LEVEL_Z_MM):
        nearest = int(np.abs(grid[:, 2, 3] - z).argmin())
        maps.pointers[nearest, [level, level + 5]] = 0.9
    found = decode_view(
        View.AXIAL_T2, maps, np.full((len(grid), 2), SIZE), grid, np.full((5, 3), np.nan)
    )
    height = found.positions_lps_mm[:5, 2]
    assert (np.diff(height) < 0).all()
    assert np.abs(height - LEVEL_Z_MM).max() < 4.5


def test_long_views_are_answered_in_overlapping_runs(detectors: Detectors) -> None:
    seen = volume(View.AXIAL_T2)
    detector = build_detector(View.AXIAL_T2, TINY.model_copy(update={"max_slices": 12})).eval()
    square = square_volume(seen, SIZE)
    maps = score_maps(detector, square, seen.stack_ids, landmarks()[:5])
    assert maps.pointers.shape == (len(seen.slices), 10)
    assert (maps.pointers > 0).all()
    assert image_shapes(seen).shape == (len(seen.slices), 2)


def test_training_keeps_its_files_and_the_detector_can_be_loaded(tmp_path: Path) -> None:
    training = [study(str(k), (2.0 * k, 0.0, 3.0 * k)) for k in range(3)]
    folder = train_detector(
        View.SAGITTAL_T2, TINY, training, [study("9", (1.0, 2.0, 0.0))], tmp_path / "m", 0
    )
    history = read_metrics(folder)
    assert len(history) == 2
    assert {"score", "within_5px", "exact_slice", "train_loss"} <= history[-1].keys()
    assert sorted(path.name for path in folder.iterdir()) == [
        "config.yaml",
        METRICS,
        "weights.safetensors",
    ]
    again = train_detector(
        View.SAGITTAL_T2, TINY, training[::-1], [study("9", (1.0, 2.0, 0.0))], tmp_path / "n", 0
    )
    assert (folder / "weights.safetensors").read_bytes() == (
        again / "weights.safetensors"
    ).read_bytes()
    detector = load_detector(folder)
    assert detector.view is View.SAGITTAL_T2
    assert detector.settings == TINY


def test_training_without_the_view_is_an_error(tmp_path: Path) -> None:
    lame = study("1")
    other = type(lame)(
        study_id="1",
        study_uid="1",
        sop_instances_sha256="",
        source_sha256="",
        volumes={View.SAGITTAL_T2: lame.volumes[View.SAGITTAL_T2]},
        references={},
        truth=lame.truth,
    )
    with pytest.raises(InvalidStudyError, match="none of the training studies has axial_t2 images"):
        train_detector(View.AXIAL_T2, TINY, [other], [other], tmp_path, 0)
