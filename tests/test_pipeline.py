import json
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from fake_dataset import write_dataset
from fake_records import FakePredictor, make_study
from lumbargrade import pipeline as module
from lumbargrade.batch import find_all_studies, predict_batch
from lumbargrade.calibration import Calibration
from lumbargrade.classifier.infer import Classifier
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.config import (
    ClassifierMember,
    ClassifierSettings,
    DetectorMember,
    DetectorSettings,
)
from lumbargrade.crop_settings import CropSettings
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.dicom import find_studies, read_study
from lumbargrade.ensemble import mean_probabilities
from lumbargrade.labels import TARGETS, VIEWS, Flag, View
from lumbargrade.metric import reweight_for_metric
from lumbargrade.models import (
    CALIBRATION,
    MEMBERS,
    MemberEntry,
    open_models,
    write_confidences,
    write_manifest,
)
from lumbargrade.outputs import grades_document
from lumbargrade.pipeline import UNCERTAIN_BELOW, Pipeline, choose_device
from lumbargrade.point_confidence import DetectorFit, PointConfidence
from lumbargrade.records import Crop, Landmark, Series, ViewVolume
from lumbargrade.settings import ConfigError, Settings
from lumbargrade.training.checkpoint import CONFIG, WEIGHTS, save_weights

DETECTOR = DetectorSettings(
    encoder="test_resnet",
    encoder_depth=4,
    decoder_channels=(16, 8),
    image_size=64,
    lstm_hidden=8,
)
SMALL, LARGE = (CropSettings(size_px=16, side_mm=side) for side in (48.0, 64.0))


@pytest.fixture
def stages(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Both stages replaced: points where the fake body has them, grades that a member names."""
    calls: dict[str, Any] = {"crops": []}

    def find(
        detectors: Any,
        volumes: Mapping[View, ViewVolume],
        confidence: Any = None,
        *,
        follow: bool = False,
    ) -> tuple[Landmark, ...]:
        calls["follow"] = follow
        calls["seen"] = volumes
        landmarks = FakePredictor().run(make_study()).landmarks
        return tuple(replace(item, score=detectors[View.SAGITTAL_T2].score) for item in landmarks)

    def grade(classifier: Any, crops: Sequence[Crop | None]) -> np.ndarray:
        calls["crops"].append(crops)
        answers: np.ndarray = classifier.answers
        return answers

    monkeypatch.setattr(module, "find_landmarks", find)
    monkeypatch.setattr(module, "grade_crops", grade)
    return calls


def answers(seed: int) -> np.ndarray:
    drawn: np.ndarray = np.random.default_rng(seed).dirichlet((1, 1, 1), size=25)
    return drawn


def detectors(score: float) -> dict[View, Any]:
    return {View.SAGITTAL_T2: Mock(spec=Detector, score=score)}


def classifier(crops: CropSettings, seed: int) -> Any:
    return Mock(spec=Classifier, crops=crops, answers=answers(seed))


def make_pipeline(**changes: Any) -> Pipeline:
    fields: dict[str, Any] = {
        "detectors": (detectors(0.8),),
        "classifiers": (classifier(SMALL, 0),),
        "calibration": Calibration(),
        "models_hash": "hash",
        "models_name": "name",
    }
    return Pipeline(**(fields | changes))


def test_q_follows_from_p_and_both_sum_to_one(stages: dict[str, Any]) -> None:
    grades = make_pipeline().predict(make_study())
    np.testing.assert_allclose(grades.probabilities, answers(0), atol=1e-12)
    np.testing.assert_array_equal(
        grades.metric_probabilities, reweight_for_metric(grades.probabilities)
    )
    np.testing.assert_allclose(grades.metric_probabilities.sum(axis=1), 1.0, atol=1e-12)


def test_the_canal_alone_is_softened_by_its_temperature(stages: dict[str, Any]) -> None:
    soft = make_pipeline(calibration=Calibration(spinal=2.0)).predict(make_study())
    expected = np.sqrt(answers(0)[:5])
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(soft.probabilities[:5], expected, atol=1e-12)
    np.testing.assert_allclose(soft.probabilities[5:], answers(0)[5:], atol=1e-12)


def test_rows_without_a_majority_are_flagged_uncertain(stages: dict[str, Any]) -> None:
    grades = make_pipeline().predict(make_study())
    flagged = np.array([Flag.UNCERTAIN in flags for flags in grades.flags])
    np.testing.assert_array_equal(flagged, grades.probabilities.max(axis=1) < UNCERTAIN_BELOW)
    assert 0 < flagged.sum() < 25


def test_a_point_is_null_exactly_with_its_two_flags(stages: dict[str, Any]) -> None:
    study = make_study(views=(View.SAGITTAL_T2, View.AXIAL_T2))
    prediction = make_pipeline().run(study)
    for target, point, flags in zip(
        TARGETS, prediction.grades.points, prediction.grades.flags, strict=True
    ):
        absent = {Flag.VIEW_MISSING, Flag.LEVEL_NOT_COVERED} & set(flags)
        assert (point is None) == bool(absent)
        assert (prediction.crops[target.index] is None) == bool(absent)
        if target.condition.view is View.SAGITTAL_T1:
            assert Flag.VIEW_MISSING in flags


def test_every_detector_meets_every_classifier_and_answers_are_averaged(
    stages: dict[str, Any],
) -> None:
    members = tuple(
        classifier(settings, seed) for seed, settings in enumerate((SMALL, SMALL, LARGE))
    )
    pipeline = make_pipeline(detectors=(detectors(0.8), detectors(0.3)), classifiers=members)
    prediction = pipeline.run(make_study())
    np.testing.assert_allclose(
        prediction.grades.probabilities,
        mean_probabilities([answers(seed) for seed in range(3)]),
        atol=1e-12,
    )
    assert len(stages["crops"]) == 6
    assert len({id(crops) for crops in stages["crops"]}) == 4  # cut once per detector and settings
    assert {point.score for point in prediction.grades.points if point is not None} == {0.8}


def test_detectors_follow_structures_where_any_classifier_asks_for_it(
    stages: dict[str, Any],
) -> None:
    make_pipeline().predict(make_study())
    assert stages["follow"] is False
    masked = SMALL.model_copy(update={"mask": True})
    with pytest.raises(ValueError, match="has no track"):  # the stand-in gives none
        make_pipeline(classifiers=(classifier(SMALL, 0), classifier(masked, 1))).run(make_study())
    assert stages["follow"] is True


def test_thin_slices_are_seen_as_averages_and_reported_as_stored(stages: dict[str, Any]) -> None:
    """Slices of 1 mm: the detectors see a quarter of them, points name stored ones."""
    thick = make_study()
    thin = replace(
        thick, series=tuple(_with_thin_slices(series, times=6) for series in thick.series)
    )
    prediction = make_pipeline().run(thin)
    for view, volume in prediction.volumes.items():
        stored = sum(len(series.slices) for series in thin.series_of(view))
        assert len(volume.slices) == stored
        seen = len(stages["seen"][view].slices)
        assert seen == stored if view is View.AXIAL_T2 else seen <= stored / 4
        entry = grades_document(prediction)["views"][view.value]
        assert entry["slices"] == sum(item["slices"] for item in entry["series"]) == seen
    uids = {item.sop_instance_uid for series in thin.series for item in series.slices}
    found = [point for point in prediction.grades.points if point is not None]
    assert len(found) > 20
    assert {point.sop_instance_uid for point in found} <= uids
    crop = next(crop for crop in prediction.crops if crop is not None)
    assert np.linalg.norm(crop.affine[:3, 0]) == pytest.approx(4.0)


def _with_thin_slices(series: Series, *, times: int) -> Series:
    """The same picture on so many slices instead of each."""
    slices = []
    for item in series.slices:
        for part in range(times):
            affine = item.affine.copy()
            affine[:3, 0] /= times
            affine[:3, 3] += affine[:3, 0] * (part - (times - 1) / 2)
            uid = f"{item.sop_instance_uid}.{part}"
            thickness_mm = float(np.linalg.norm(affine[:3, 0]))
            slices.append(
                replace(item, affine=affine, sop_instance_uid=uid, thickness_mm=thickness_mm)
            )
    return replace(series, slices=tuple(slices))


def test_the_same_study_gives_the_same_answer_twice(stages: dict[str, Any]) -> None:
    first, second = (make_pipeline().predict(make_study()) for _ in range(2))
    np.testing.assert_array_equal(first.probabilities, second.probabilities)
    assert first.flags == second.flags


@pytest.fixture(scope="module")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder whose networks have random weights."""
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    members = []
    for view in VIEWS:
        settings = DetectorMember(view=view.value, seed=0, detector=DETECTOR)
        entry = MemberEntry(path=f"{MEMBERS}/{view}/fold0", stage="detector", view=view)
        save_member(folder / entry.path, settings, build_detector(view, DETECTOR))
        members.append(entry)
    grader = ClassifierMember(
        crops=SMALL, classifier=ClassifierSettings(encoder="test_resnet", lstm_hidden=8)
    )
    entry = MemberEntry(path=f"{MEMBERS}/grades/fold0", stage="classifier")
    save_member(folder / entry.path, grader, GradeClassifier(grader.classifier))
    Calibration(foraminal=1.5).to_yaml(folder / CALIBRATION)
    write_manifest(folder, name="untrained", members=[*members, entry], facts={})
    return folder


def save_member(folder: Path, settings: Settings, model: torch.nn.Module) -> None:
    folder.mkdir(parents=True)
    settings.to_yaml(folder / CONFIG)
    save_weights(model.state_dict(), folder / WEIGHTS)


def test_files_become_grades_with_any_weights(untrained: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "in", "101")
    pipeline = Pipeline.load(untrained, "cpu")
    assert pipeline.calibration.foraminal == 1.5
    first, second = (predict_into(pipeline, tmp_path / "in", tmp_path / name) for name in "ab")
    assert first == second
    document = json.loads(first["101/grades.json"])
    assert document["models"] == {"hash": open_models(untrained).hash, "name": "untrained"}
    assert document["views"]["sagittal_t1"]["slices"] == 12
    for row in document["grades"]:
        assert sum(row["probabilities"].values()) == pytest.approx(1.0, abs=1e-12)
        absent = {"view_missing", "level_not_covered"} & set(row["flags"])
        assert (row["point"] is None) == bool(absent)


def test_scores_are_probabilities_where_the_models_say_what_their_evidence_is_worth(
    untrained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "models"
    shutil.copytree(untrained, folder)
    sure = PointConfidence(bias=8.0, peak=0.0, pointer=0.0, peak_margin=0.0, pointer_margin=0.0)
    fit = DetectorFit(confidence=sure, points=20, found=1.0, calibration_error=0.0)
    write_confidences(folder, {f"{MEMBERS}/sagittal_t2/fold0": fit})
    assert open_models(folder).hash != open_models(untrained).hash
    points = Pipeline.load(folder, "cpu").predict(make_study()).points
    scores = {target: point.score for target, point in zip(TARGETS, points, strict=True) if point}
    for target, score in scores.items():
        certain = target.condition.view is View.SAGITTAL_T2
        assert (score == pytest.approx(0.99966, abs=1e-5)) == certain
    assert len(scores) >= 5


def predict_into(pipeline: Pipeline, paths: Path, out: Path) -> dict[str, bytes]:
    predict_batch(
        lambda: pipeline, find_all_studies([paths]), out, models_hash=pipeline.models_hash
    )
    files = sorted(path for path in out.rglob("*") if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", ["gpu", "cuda:", "cuda:x", "cpu:0", "cuda:99", ""])
def test_a_device_that_is_not_there_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=repr(name)):
        choose_device(name)


def test_auto_names_a_device_that_is_there() -> None:
    assert choose_device(choose_device("auto"))
    assert choose_device("cpu") == "cpu"


def test_importing_the_package_loads_neither_torch_nor_pydicom() -> None:
    code = (
        "import sys, lumbargrade\n"
        "assert not {'torch', 'pydicom', 'numpy'} & set(sys.modules)\n"
        "from lumbargrade import find_studies, read_study\n"
        "assert 'torch' not in sys.modules\n"
        "assert {'Pipeline', 'find_studies', 'read_study'} <= set(dir(lumbargrade))\n"
        "assert not hasattr(lumbargrade, 'nothing')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_damaged_weights_are_named(untrained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "models"
    shutil.copytree(untrained, folder)
    weights = next(iter(open_models(folder).classifiers)) / WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(ConfigError, match=f"{weights} holds no weights that can be read"):
        Pipeline.load(folder, "cpu")


def test_models_and_studies_can_be_given_as_strings(untrained: Path, tmp_path: Path) -> None:
    write_dataset(tmp_path / "in", "101")
    pipeline = Pipeline.load(str(untrained), "cpu")
    (files,) = find_studies(str(tmp_path / "in"))
    grades = pipeline.predict(read_study(str(tmp_path / "in")))
    assert grades.study_id == files.study_id == "101"
    with pytest.raises(ConfigError, match="neither a folder nosuch nor bundled models"):
        Pipeline.load("nosuch", "cpu")


def test_a_study_without_images_is_answered_by_the_grades_shares_where_they_are_known(
    stages: dict[str, Any],
) -> None:
    shares = tuple(tuple(row) for row in answers(5).tolist())
    known = make_pipeline(calibration=Calibration(spinal=2.0, without_images=shares))
    np.testing.assert_allclose(known.answers_without_images(), reweight_for_metric(answers(5)))
    assert stages["crops"] == []
    make_pipeline(calibration=Calibration(spinal=2.0)).answers_without_images()
    assert stages["crops"] == [[None] * len(TARGETS)]
