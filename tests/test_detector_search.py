"""Skipping slices: the same points as with every slice segmented."""

from typing import Any

import numpy as np
import pytest
import torch

from fake_spine import SIZE, landmarks, volume
from lumbargrade.config import DetectorSettings
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.one_view import can_skip_slices, find_in_view
from lumbargrade.detector.scores import (
    Wanted,
    score_maps,
    score_maps_of_best,
    slices_that_could_win,
)
from lumbargrade.detector.view_points import decode_view, wanted_places
from lumbargrade.labels import View
from lumbargrade.records import ViewVolume
from lumbargrade.volumes import image_shapes, square_volume

TINY = DetectorSettings(
    encoder="test_resnet",
    encoder_depth=4,
    decoder_channels=(8, 8),
    image_size=SIZE,
    lstm_hidden=8,
    pointer_peaks=False,
    decoding="argmax",
)
UNKNOWN = np.full((5, 3), np.nan)


def decided(view: View, seed: int, *, high: bool = False, **changes: Any) -> Detector:
    """A random network whose pointer and heatmaps differ much between slices.

    With ``high``, every slice has a peak near 1, as where a network finds what it looks for.
    """
    torch.manual_seed(seed)
    detector = build_detector(view, TINY.model_copy(update=changes)).eval()
    with torch.no_grad():
        detector.get_parameter("pointer.head.weight").mul_(15.0 if high else 40.0)
        detector.get_parameter("heatmap_head.weight").mul_(300.0)
        detector.get_parameter("heatmap_head.bias").fill_(5.0 if high else 0.0)
    return detector


def segmented(detector: Detector, seen: ViewVolume, levels: np.ndarray) -> float:
    """Share of the slices whose heatmaps are made."""
    wanted = wanted_places(
        detector.view, image_shapes(seen), seen.affines, levels, 10,
        decoding=detector.settings.decoding, cross_view=False,
    )  # fmt: skip
    assert wanted is not None
    square = square_volume(seen, SIZE)
    maps = score_maps_of_best(detector, square, seen.stack_ids, levels, wanted)
    return float(maps.heatmaps.any(axis=(1, 2, 3)).mean())


CASES = {
    "T2, argmax": (View.SAGITTAL_T2, UNKNOWN, {}),
    "T1, argmax, own encoder": (View.SAGITTAL_T1, UNKNOWN, {"pointer_encoder": "test_resnet"}),
    "axial, argmax": (View.AXIAL_T2, UNKNOWN, {}),
    "axial, argmax, known levels": (View.AXIAL_T2, landmarks()[:5], {}),
    "axial, ordered, known levels": (View.AXIAL_T2, landmarks()[:5], {"decoding": "independent"}),
    "axial, ordered, transformer": (
        View.AXIAL_T2, UNKNOWN, {"decoding": "independent", "pointer": "transformer"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_points_are_those_of_the_full_volume(
    case: tuple[View, np.ndarray, dict[str, Any]], seed: int
) -> None:
    """Slices, cells and scores agree exactly up to how the last float is rounded."""
    view, levels, changes = case
    detector, seen = decided(view, seed, **changes), volume(view)
    found = find_in_view(detector, seen, levels)
    square = square_volume(seen, SIZE)
    maps = score_maps(detector, square, seen.stack_ids, levels)
    full = decode_view(
        view, maps, image_shapes(seen), seen.affines, levels, decoding=detector.settings.decoding
    )
    np.testing.assert_allclose(found.positions_lps_mm, full.positions_lps_mm, atol=1e-3)
    np.testing.assert_allclose(found.scores, full.scores, rtol=1e-5)
    for ours, theirs in zip(found.evidence, full.evidence, strict=True):
        if ours is not None and theirs is not None:
            assert ours.peak == pytest.approx(theirs.peak, rel=1e-5)
            assert ours.pointer_margin == pytest.approx(theirs.pointer_margin, abs=1e-4)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_slices_are_skipped(case: tuple[View, np.ndarray, dict[str, Any]]) -> None:
    """Noise of 13 or 32 slices; ordered decoding wants twelve of them for every level."""
    view, levels, changes = case
    detectors = [decided(view, seed, high=True, **changes) for seed in range(2)]
    shares = [segmented(detector, volume(view), levels) for detector in detectors]
    assert min(shares) < (1.0 if changes.get("decoding") == "independent" else 0.8)


def test_slices_far_from_every_level_are_never_segmented() -> None:
    """A stack of 32 slices, and one level that is known: 3 spacings on either side of it."""
    levels = np.broadcast_to(landmarks()[2], (5, 3)).copy()
    share = segmented(
        decided(View.AXIAL_T2, 0, decoding="independent"), volume(View.AXIAL_T2), levels
    )
    assert share <= 7 / len(volume(View.AXIAL_T2).slices)


@pytest.mark.parametrize("best", [1, 3])
@pytest.mark.parametrize("seed", range(10))
def test_the_best_slices_of_random_scores_are_all_found(seed: int, best: int) -> None:
    rng = np.random.default_rng(seed)
    pointers = (rng.random((30, 4)) ** 4).astype(np.float32)
    peaks = rng.random((30, 4)).astype(np.float32)
    peaks[rng.random((30, 4)) < 0.2] = 1.0  # heatmaps may be saturated
    wanted = Wanted(best=best, allowed=rng.random((30, 4)) < 0.7)
    scores = np.where(wanted.allowed, peaks * pointers, -np.inf)
    known, done = np.full((30, 4), -np.inf), np.zeros(30, dtype=bool)
    while (turn := slices_that_could_win(pointers, known, done, wanted)).size:
        assert not done[turn].any()
        known[turn], done[turn] = scores[turn], True
    order = np.argsort(-scores, axis=0, kind="stable")[:best]
    assert done[order].all()
    assert done.sum() < 30 or best == 3


def test_a_pointer_that_is_told_peaks_cannot_be_asked_first() -> None:
    torch.manual_seed(0)
    told = build_detector(View.SAGITTAL_T2, TINY.model_copy(update={"pointer_peaks": True}))
    assert not can_skip_slices(told)
    assert can_skip_slices(decided(View.SAGITTAL_T2, 0))


def test_ordered_decoding_of_sagittal_views_needs_every_slice() -> None:
    seen = volume(View.SAGITTAL_T1)
    for decoding in ("independent", "joint"):
        assert (
            wanted_places(
                View.SAGITTAL_T1, image_shapes(seen), seen.affines, UNKNOWN, 10,
                decoding=decoding, cross_view=False,
            )
            is None
        )  # fmt: skip
