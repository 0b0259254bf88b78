from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.special import expit

from fake_spine import SIZE, affines, landmarks, volume
from lumbargrade.config import DetectorSettings
from lumbargrade.detector.evidence import evidence_of
from lumbargrade.detector.infer import find_landmarks
from lumbargrade.detector.model import build_detector
from lumbargrade.labels import TARGETS, Flag, View
from lumbargrade.models import POINT_CONFIDENCE, write_confidences
from lumbargrade.point_confidence import (
    FEWEST_POINTS,
    DetectorFit,
    PointConfidence,
    PointConfidences,
    PointSample,
    fit_detector,
    is_found,
)
from lumbargrade.records import Evidence
from test_detector_decode import maps_with

SURE = PointConfidence(bias=8.0, peak=0.0, pointer=0.0, peak_margin=0.0, pointer_margin=0.0)


def samples(count: int, seed: int = 0) -> list[PointSample]:
    """Points whose chance to be found follows from the pointer and the margin over the plane."""
    rng = np.random.default_rng(seed)
    made = []
    for number in range(count):
        peak, pointer = rng.uniform(0.2, 0.99, 2)
        margin, other = rng.uniform(0, 4, 2)
        chance = expit(-1.5 + np.log(pointer / (1 - pointer)) + margin)
        made.append(
            PointSample(
                study_id=str(number // 10),
                evidence=Evidence(
                    peak=peak, pointer=pointer, peak_margin=margin, pointer_margin=other
                ),
                found=bool(rng.random() < chance),
            )
        )
    return made


def test_probabilities_mean_what_they_say_on_points_not_fitted_on() -> None:
    fit = fit_detector(samples(2000))
    assert fit is not None
    assert fit.points == 2000
    assert fit.calibration_error < 0.03
    unseen = samples(2000, seed=1)
    probability = np.array([fit.confidence.probability(item.evidence) for item in unseen])
    found = np.array([item.found for item in unseen])
    for low, high in ((0.2, 0.5), (0.5, 0.8), (0.8, 0.95), (0.95, 1.0)):
        inside = (probability >= low) & (probability < high)
        assert inside.sum() > 30
        assert found[inside].mean() == pytest.approx(probability[inside].mean(), abs=0.09)


def test_evidence_that_says_nothing_weighs_little_and_none_counts_against_a_point() -> None:
    fit = fit_detector(samples(2000))
    assert fit is not None
    weights = fit.confidence
    assert weights.peak < 0.2 < weights.pointer
    assert weights.pointer_margin < 0.2 < weights.peak_margin
    backwards = [
        PointSample(study_id=item.study_id, evidence=item.evidence, found=not item.found)
        for item in samples(500)
    ]
    against = fit_detector(backwards)
    assert against is not None
    assert min(against.confidence.pointer, against.confidence.peak_margin) == 0.0


@pytest.mark.parametrize("found", [True, False])
def test_points_that_are_all_alike_give_a_probability_short_of_certainty(found: bool) -> None:
    alike = [
        PointSample(study_id=item.study_id, evidence=item.evidence, found=found)
        for item in samples(60)
    ]
    fit = fit_detector(alike)
    assert fit is not None
    probabilities = [fit.confidence.probability(item.evidence) for item in alike]
    assert 0.0 < min(probabilities) <= max(probabilities) < 1.0
    assert (np.mean(probabilities) > 0.9) == found


def test_a_handful_of_points_is_not_fitted() -> None:
    assert fit_detector(samples(FEWEST_POINTS - 1)) is None
    assert fit_detector(samples(FEWEST_POINTS)) is not None


@pytest.mark.parametrize(
    ("offset_mm", "found"),
    [
        ((0.0, 0.0, 0.0), True),
        ((0.0, 3.4, 0.0), True),  # 5 px of the 256 grid are 3.75 mm here
        ((0.0, 3.0, 3.0), False),
        ((4.5, 0.0, 0.0), True),  # the next slice
        ((9.0, 0.0, 0.0), False),
    ],
)
def test_found_means_within_5_px_and_one_slice(
    offset_mm: tuple[float, float, float], found: bool
) -> None:
    grid = affines(View.SAGITTAL_T2)
    truth = landmarks()[2] + [0.3, 0.0, 0.0]
    on_slice = landmarks()[2] + offset_mm
    shapes = np.full((len(grid), 2), SIZE)
    assert is_found(grid, shapes, on_slice, truth) is found


def test_evidence_is_read_at_the_point_and_beside_it() -> None:
    """Stride 2 and 1.5 mm pixels: cells of 3 mm; the second peak lies 15 mm off."""
    maps = maps_with([(1, 5, 6, 0.8), (1, 5, 11, 0.2), (1, 5, 8, 0.7), (2, 5, 6, 0.9)])
    maps.pointers[:, 0] = [0.1, 0.6, 0.5]
    pixel = 2 * (np.array([5, 6]) + 0.5) - 0.5
    point = (maps.affines[1] @ [0.0, *pixel, 1.0])[:3]
    (found,) = evidence_of(maps, point[None])
    assert found is not None
    assert found.peak == pytest.approx(0.8)
    assert found.pointer == pytest.approx(0.6)
    assert found.peak_margin == pytest.approx(np.log(0.8 / 0.2), abs=1e-5)
    assert found.pointer_margin == pytest.approx(np.log(0.6 / 1e-4), abs=1e-5)  # all neighbour it
    assert evidence_of(maps, np.full((1, 3), np.nan)) == (None,)


@pytest.mark.parametrize("low_confidence", [0.0, 0.1])
def test_a_known_confidence_takes_the_scores_place_and_cannot_take_a_flag_away(
    low_confidence: float,
) -> None:
    settings = DetectorSettings(
        encoder="test_resnet", encoder_depth=4, decoder_channels=(8, 8), image_size=SIZE,
        lstm_hidden=8, low_confidence=low_confidence,
    )  # fmt: skip
    torch.manual_seed(0)
    view = View.SAGITTAL_T2
    detectors = {view: build_detector(view, settings).eval()}
    volumes = {view: volume(view)}
    plain = find_landmarks(detectors, volumes)
    sure = find_landmarks(detectors, volumes, {view: SURE})
    doubtful = SURE.model_copy(update={"bias": -0.1})
    unsure = find_landmarks(detectors, volumes, {view: doubtful})
    shown = 0
    for index, target in enumerate(TARGETS):
        if target.condition.view is not view:
            assert sure[index] == plain[index]
            continue
        if plain[index].position_lps_mm is None:  # untrained maps may put a level outside
            assert unsure[index] == sure[index] == plain[index]
            continue
        shown += 1
        assert plain[index].score < 0.1
        maps_say_so = (Flag.LOW_CONFIDENCE,) if low_confidence else ()
        assert plain[index].flags == sure[index].flags == maps_say_so
        assert unsure[index].flags == (Flag.LOW_CONFIDENCE,)
        assert sure[index].score == pytest.approx(expit(8.0))
        assert unsure[index].score == pytest.approx(expit(-0.1))
        np.testing.assert_array_equal(
            np.asarray(sure[index].position_lps_mm), np.asarray(plain[index].position_lps_mm)
        )
    assert shown >= 3


def test_confidences_are_kept_by_detector_and_an_outdated_file_goes(tmp_path: Path) -> None:
    fit = DetectorFit(confidence=SURE, points=20, found=1.0, calibration_error=0.01)
    write_confidences(tmp_path, {"members/a/fold0": fit})
    again = PointConfidences.from_yaml(tmp_path / POINT_CONFIDENCE)
    folders = {View.SAGITTAL_T2: "members/a/fold0", View.AXIAL_T2: "members/b/fold0"}
    assert again.of(folders) == {View.SAGITTAL_T2: SURE}
    write_confidences(tmp_path, {})
    assert not list(tmp_path.iterdir())
