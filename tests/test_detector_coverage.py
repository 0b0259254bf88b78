"""Levels that a view does not show have no point."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fake_spine import LEVEL_Z_MM, PIXEL_MM, SIZE, landmarks, volume
from lumbargrade.config import DetectorSettings
from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.detector.infer import disc_landmarks, find_landmarks
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import LEVELS, Family, Flag, View
from lumbargrade.records import Landmark, ViewVolume
from lumbargrade.volumes import SquareVolume

TINY = DetectorSettings(
    encoder="test_resnet",
    encoder_depth=4,
    decoder_channels=(8, 8),
    image_size=SIZE,
    lstm_hidden=8,
    share_maps=False,
)


def cut(seen: ViewVolume, first_row: int, last_row: int) -> ViewVolume:
    """The same slices with fewer rows, still SIZE wide."""
    affines = seen.affines.copy()
    affines[:, :3, 3] += affines[:, :3, 1] * first_row
    slices = [np.asarray(pixels)[first_row:last_row] for pixels in seen.slices]
    return replace(seen, slices=slices, affines=affines)


def answer(
    detector: Detector, square: SquareVolume, stack_ids: np.ndarray, levels: np.ndarray
) -> ScoreMaps:
    """What a perfect network says: each point where it is, nothing where it is not shown."""
    points = landmarks()[list(detector.channels.landmarks)]
    cells = SIZE // TINY.heatmap_stride
    heat = np.full((len(square.affines), 10, cells, cells), 1e-4, dtype=np.float32)
    pointers = np.full((len(square.affines), 10), 1e-2, dtype=np.float32)
    rows, columns = np.ogrid[:cells, :cells]
    for channel, point in enumerate(points):
        local = lps_to_slices(square.affines, point)
        index = int(np.abs(local[:, 0]).argmin())
        row, column = (local[index, 1:] + 0.5) / TINY.heatmap_stride - 0.5
        shown = square.pixels[index, :, SIZE // 2] > 0  # letterboxed rows are black
        inside = 0 <= local[index, 1] < SIZE and shown[int(local[index, 1])]
        if inside and abs(local[index, 0]) < 4.5:
            blob = 0.9 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 2)
            heat[index, channel] = np.maximum(heat[index, channel], blob)
            pointers[index, channel] = 0.9
    return ScoreMaps(
        heatmaps=heat,
        pointers=pointers,
        maps=detector.channels.maps,
        stride=TINY.heatmap_stride,
        sigma_cells=1.0,
        affines=square.affines,
    )


@pytest.fixture
def detectors(monkeypatch: pytest.MonkeyPatch) -> dict[View, Detector]:
    torch.manual_seed(0)
    monkeypatch.setattr("lumbargrade.detector.one_view.score_maps", answer)
    return {view: build_detector(view, TINY).eval() for view in View}


def row_of(z_mm: float) -> int:
    return round((SIZE - 1) / 2 - z_mm / PIXEL_MM)


def uncovered(found: tuple[Landmark, ...], family: Family) -> set[str]:
    """Spellings of the levels that are flagged; all sides must agree."""
    flagged = [
        item.target
        for item in found
        if item.target.condition.family is family and Flag.LEVEL_NOT_COVERED in item.flags
    ]
    sides = len({target.condition for target in flagged}) or 1
    levels = {target.level.spelling for target in flagged}
    assert len(flagged) == sides * len(levels)
    return levels


def test_a_spine_that_is_shown_whole_is_covered_whole(detectors: dict[View, Detector]) -> None:
    found = find_landmarks(detectors, {view: volume(view) for view in View})
    assert not [item for item in found if Flag.LEVEL_NOT_COVERED in item.flags]


@pytest.mark.parametrize("view", [View.SAGITTAL_T2, View.SAGITTAL_T1])
def test_a_sagittal_view_that_ends_above_the_sacrum_does_not_cover_l5_s1(
    view: View, detectors: dict[View, Detector]
) -> None:
    """The lowest row lies midway between L4/L5 and L5/S1."""
    last = row_of((LEVEL_Z_MM[3] + LEVEL_Z_MM[4]) / 2)
    found = find_landmarks(detectors, {view: cut(volume(view), 0, last)})
    family = Family.CANAL if view is View.SAGITTAL_T2 else Family.FORAMINAL
    assert uncovered(found, family) == {"L5/S1"}
    for item in found:
        if item.target.condition.family is family and item.target.level != LEVELS[-1]:
            assert item.position_lps_mm is not None
            assert np.linalg.norm(item.position_lps_mm - landmarks()[item.target.index]) < 4.6


def test_a_sagittal_view_that_begins_below_l1_l2_does_not_cover_it(
    detectors: dict[View, Detector],
) -> None:
    first = row_of((LEVEL_Z_MM[0] + LEVEL_Z_MM[1]) / 2)
    found = find_landmarks(
        detectors, {View.SAGITTAL_T2: cut(volume(View.SAGITTAL_T2), first, SIZE)}
    )
    assert uncovered(found, Family.CANAL) == {"L1/L2"}


def test_the_disc_points_of_plain_images_are_given_all_the_same(
    detectors: dict[View, Detector],
) -> None:
    last = row_of((LEVEL_Z_MM[3] + LEVEL_Z_MM[4]) / 2)
    lowered = cut(volume(View.SAGITTAL_T2), 0, last)
    positions, _ = disc_landmarks(detectors, {View.SAGITTAL_T2: lowered})
    assert np.isfinite(positions).all()


@pytest.mark.parametrize(
    ("first", "last", "missing"),
    [
        (10, 32, {"L1/L2"}),
        (0, 24, {"L5/S1"}),
        (8, 24, {"L1/L2", "L5/S1"}),
        (0, 32, set()),
    ],
)
def test_an_axial_stack_that_misses_levels_covers_the_others(
    first: int, last: int, missing: set[str], detectors: dict[View, Detector]
) -> None:
    """Slices 4.5 mm apart from z = 72 mm down; levels at 62, 31, 0, −29, −56 mm."""
    whole = volume(View.AXIAL_T2)
    part = replace(
        whole,
        slices=list(whole.slices)[first:last],
        affines=whole.affines[first:last],
        stack_ids=np.asarray(whole.stack_ids)[first:last],
        series_index=np.asarray(whole.series_index)[first:last],
        slice_index=np.asarray(whole.slice_index)[first:last],
    )
    found = find_landmarks(
        detectors, {View.SAGITTAL_T2: volume(View.SAGITTAL_T2), View.AXIAL_T2: part}
    )
    assert uncovered(found, Family.SUBARTICULAR) == missing
