import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fake_prepared import write_prepared
from lumbargrade import recipe as module
from lumbargrade.bundle import strip_run
from lumbargrade.cache import load_cached
from lumbargrade.calibration import Calibration
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.competition import read_points, read_submission
from lumbargrade.config import AugmentSettings, ClassifierSettings, DetectorSettings, FitSettings
from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import cut_crops
from lumbargrade.detector.infer import find_landmarks
from lumbargrade.detector.model import build_detector
from lumbargrade.folder_lock import held_folder
from lumbargrade.labels import TARGETS, View
from lumbargrade.models import open_models
from lumbargrade.one_member import train_one_classifier
from lumbargrade.out_of_fold import marked_landmarks, read_landmarks
from lumbargrade.prepared import PreparedStudies, data_sha256, survey
from lumbargrade.recipe import RunSummary, run_recipe
from lumbargrade.recipe_settings import DetectorSet, Recipe, SplitSettings
from lumbargrade.settings import ConfigError
from lumbargrade.training.checkpoint import WEIGHTS, load_weights
from lumbargrade.training.rounding import restored, rounded

RECIPES = Path(__file__).parents[1] / "recipes"

FIT = FitSettings(epochs=1, batch_size=2, learning_rate=1e-3)
DETECTOR = DetectorSettings(
    encoder="test_resnet",
    encoder_depth=4,
    decoder_channels=(16, 8),
    image_size=64,
    lstm_hidden=8,
    train_slices=4,
    fit=FIT,
)
TINY = Recipe(
    name="tiny",
    seed=3,
    data_licence="Apache-2.0",
    split=SplitSettings(detector=0.4, detector_validation=0.1, classifier_validation=0.2),
    sagittal_t2=DETECTOR,
    sagittal_t1=DETECTOR,
    axial_t2=DETECTOR,
    crops=CropSettings(slices=3, size_px=16, side_mm=64.0),
    classifier=ClassifierSettings(
        encoder="test_resnet", lstm_hidden=8, fit=FIT, augment=AugmentSettings(rotate_deg=5.0)
    ),
)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"), 10, without_axial=("4",))


@pytest.fixture(scope="module")
def finished(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> RunSummary:
    return run_recipe(TINY, cache, tmp_path_factory.mktemp("run"), device="cpu")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_a_run_leaves_the_files_it_promises(finished: RunSummary) -> None:
    members = [f"members/{name}/fold0" for name in (
        "detector_sagittal_t2", "detector_sagittal_t1", "detector_axial_t2", "classifier",
    )]  # fmt: skip
    expected = {"config.yaml", "manifest.json", "calibration.yaml", "split.json"}
    expected |= {"landmarks.jsonl", "points_out_of_fold.csv", "out_of_fold.csv"}
    expected |= {"point_confidence.yaml", "report.html"}
    for member in members:
        expected |= {f"{member}/{name}" for name in (
            "config.yaml", "metrics.jsonl", "weights.safetensors",
        )}  # fmt: skip
    assert set(files_of(finished.out)) == expected
    assert Recipe.from_yaml(finished.out / "config.yaml") == TINY
    calibration = Calibration.from_yaml(finished.out / "calibration.yaml")
    assert calibration.spinal > 0
    np.testing.assert_allclose(np.sum(calibration.without_images or 0, axis=-1), 1.0)
    assert open_models(finished.out).name == "tiny"


def test_points_and_answers_are_those_of_studies_the_detectors_never_saw(
    finished: RunSummary,
) -> None:
    split = finished.split
    unseen = {*split.classifier, *split.classifier_validation}
    assert not unseen & {*split.detector, *split.detector_validation}
    assert set(read_landmarks(finished.out / "landmarks.jsonl")) == unseen
    points = read_points(finished.out / "points_out_of_fold.csv")
    assert {point.study_id for point in points} == unseen
    answers = read_submission(finished.out / "out_of_fold.csv")
    assert {row.split("_")[0] for row in answers.row_ids} == set(split.classifier_validation)
    np.testing.assert_allclose(answers.probabilities.sum(axis=1), 1.0, atol=1e-12)


def test_the_report_tells_the_score_and_who_chose_the_epoch(finished: RunSummary) -> None:
    page = (finished.out / "report.html").read_text()
    assert f"{finished.score.score:.4f}" in page
    count = len(finished.split.classifier_validation)
    assert f"{count} validation studies" in page
    assert "they chose the classifier" in page
    assert "not a medical device" in page
    for absent in ('id="ensembles"', 'id="risk"', 'id="steps"', str(finished.out)):
        assert absent not in page


def test_the_manifest_names_data_versions_and_seed_but_no_clock_or_path(
    finished: RunSummary, cache: Path
) -> None:
    text = (finished.out / "manifest.json").read_text()
    manifest = json.loads(text)
    assert manifest["seed"] == 3
    assert manifest["training_data"]["licence"] == "Apache-2.0"
    assert manifest["training_data"]["sha256"] == data_sha256(list(survey(cache).values()))
    assert set(manifest["versions"]) >= {"lumbargrade", "torch", "timm"}
    assert str(finished.out) not in text
    assert [member["view"] for member in manifest["members"]] == [
        "sagittal_t2", "sagittal_t1", "axial_t2", None,
    ]  # fmt: skip


def test_a_run_that_was_cut_off_ends_in_the_same_bytes(
    finished: RunSummary, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = 0
    find = find_landmarks

    def interrupted(*arguments: object, **options: object) -> object:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise KeyboardInterrupt
        return find(*arguments, **options)  # type: ignore[arg-type]

    out = tmp_path / "cut"
    with monkeypatch.context() as patch:
        patch.setattr(module, "find_landmarks", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_recipe(TINY, cache, out, device="cpu")
    with (out / "landmarks.jsonl").open("a") as file:
        file.write('{"study_id": "cut o')
    summary = run_recipe(TINY, cache, out, device="cpu")
    assert summary.score == finished.score
    assert files_of(out) == files_of(finished.out)


def test_a_folder_takes_one_recipe_and_one_set_of_data(
    finished: RunSummary, cache: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"other settings \(seed\)"):
        run_recipe(TINY.model_copy(update={"seed": 4}), cache, finished.out)
    fewer = tmp_path / "fewer"
    shutil.copytree(cache, fewer)
    shutil.rmtree(fewer / "7")
    with pytest.raises(ConfigError, match="other data"):
        run_recipe(TINY, fewer, finished.out)


def test_what_a_kill_left_in_a_finished_run_is_swept_away(
    finished: RunSummary, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished.out, out)
    member = out / "members/detector_axial_t2/fold0"
    (member / "checkpoint").mkdir()  # killed between the weights' rename and its removal
    (member / "checkpoint" / "state.pt").write_bytes(b"old")
    (out / ".out_of_fold.csv.4711.partial").write_text("half")
    (member / ".weights.safetensors.4711.partial").write_bytes(b"half")
    (out / "manifest.json").unlink()
    run_recipe(TINY, cache, out, device="cpu")
    assert files_of(out) == files_of(finished.out)


def test_two_processes_do_not_train_into_one_folder(
    finished: RunSummary, cache: Path, tmp_path: Path
) -> None:
    with held_folder(tmp_path / "run"), pytest.raises(ConfigError, match="another process"):
        run_recipe(TINY, cache, tmp_path / "run", device="cpu")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "other data"),
        ({"crops": CropSettings(slices=1, size_px=16, side_mm=64.0)}, r"\(crops.slices\)"),
        ({"split": SplitSettings(detector=0.3)}, "other data"),
    ],
)
def test_a_members_folder_takes_one_set_of_settings_and_data(
    cache: Path, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    train_one_classifier(TINY, cache, tmp_path, device="cpu")
    with pytest.raises(ConfigError, match=message):
        train_one_classifier(TINY.model_copy(update=changes), cache, tmp_path, device="cpu")


def test_a_stripped_run_is_a_model_folder_with_rounded_weights(
    finished: RunSummary, tmp_path: Path
) -> None:
    out = tmp_path / "bundle"
    total = strip_run(finished.out, out)
    models = open_models(out)
    assert models.name == "tiny"
    assert not {"out_of_fold.csv", "landmarks.jsonl", "split.json"} & set(files_of(out))
    weights = list(out.rglob(WEIGHTS))
    assert total == sum(path.stat().st_size for path in weights)
    full = load_weights(finished.out / "members/classifier/fold0" / WEIGHTS)
    bundled = load_weights(out / "members/classifier/fold0" / WEIGHTS)
    for name, tensor in restored(rounded(full)).items():
        np.testing.assert_array_equal(bundled[name], tensor)
    with pytest.raises(ConfigError, match="into itself"):
        strip_run(finished.out, finished.out)


def test_an_unfinished_run_is_not_stripped(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with pytest.raises(ConfigError, match=r"manifest\.json"):
        strip_run(tmp_path / "run", tmp_path / "bundle")


@pytest.mark.parametrize("at_found_points", [True, False])
def test_one_classifier_trains_at_found_or_at_marked_points(
    finished: RunSummary, cache: Path, tmp_path: Path, at_found_points: bool
) -> None:
    landmarks = finished.out / "landmarks.jsonl" if at_found_points else None
    out = tmp_path / "classifier"
    score = train_one_classifier(TINY, cache, out, landmarks=landmarks, device="cpu")
    files = files_of(out)
    assert files.pop("split.json")
    answers = files.pop("out_of_fold.csv")
    if at_found_points:
        assert answers == (finished.out / "out_of_fold.csv").read_bytes()
    same = files == files_of(finished.out / "members/classifier/fold0")
    assert same is at_found_points
    assert (score == finished.score) is at_found_points


def test_crops_may_follow_tracks_and_show_masks_in_training_and_answers_alike(
    finished: RunSummary, cache: Path, tmp_path: Path
) -> None:
    crops = CropSettings(slices=3, size_px=16, side_mm=64.0, xy="dynamic", mask=True)
    recipe, out = TINY.model_copy(update={"crops": crops}), tmp_path / "run"
    for view in View:
        member = f"members/detector_{view}"
        shutil.copytree(finished.out / member, out / member)
    summary = run_recipe(recipe, cache, out, device="cpu")
    points = "points_out_of_fold.csv"
    assert (out / points).read_bytes() == (finished.out / points).read_bytes()
    plain = read_landmarks(finished.out / "landmarks.jsonl")
    found = read_landmarks(out / "landmarks.jsonl")
    for study_id, landmarks in found.items():
        for item, bare in zip(landmarks, plain[study_id], strict=True):
            assert bare.track is None
            assert (item.track is None) == (item.position_lps_mm is None)
            assert (item.score, item.flags) == (bare.score, bare.flags)
    weights = load_weights(out / "members/classifier/fold0" / WEIGHTS)
    first = next(value for value in weights.values() if value.ndim == 4)
    assert first.shape[1] == 2
    assert summary.score != finished.score
    alone = tmp_path / "alone"
    score = train_one_classifier(
        recipe, cache, alone, landmarks=out / "landmarks.jsonl", device="cpu"
    )
    assert score == summary.score
    no_tracks = finished.out / "landmarks.jsonl"
    with pytest.raises(ConfigError, match="have no tracks"):
        train_one_classifier(recipe, cache, tmp_path / "bare", landmarks=no_tracks)
    with pytest.raises(ConfigError, match=r"crops.xy: dynamic wants .* give --landmarks"):
        train_one_classifier(recipe, cache, tmp_path / "marked")


def test_landmarks_of_another_split_are_refused(
    finished: RunSummary, cache: Path, tmp_path: Path
) -> None:
    parts = SplitSettings(detector=0.2, detector_validation=0.1, classifier_validation=0.2)
    other = TINY.model_copy(update={"split": parts})
    with pytest.raises(ConfigError, match="holds no points of"):
        train_one_classifier(other, cache, tmp_path, landmarks=finished.out / "landmarks.jsonl")


def test_marked_points_give_crops_and_missing_views_give_none(cache: Path) -> None:
    study = load_cached(cache / "4")
    landmarks = marked_landmarks(study)
    crops = cut_crops(study.volumes, landmarks, TINY.crops)
    exists = [crop is not None for crop in crops]
    assert exists == [i < 15 for i in range(len(TARGETS))]
    assert landmarks[20].flags == ("view_missing",)


def test_studies_are_opened_in_order_of_their_ids(cache: Path) -> None:
    studies = PreparedStudies(cache, ["3", "10", "1"])
    assert [study.study_id for study in studies] == ["1", "10", "3"]
    assert studies[1:].study_ids == ("10", "3")


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_is_valid_and_bears_its_name(path: Path) -> None:
    assert Recipe.from_yaml(path).name == path.stem


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_network_of_a_recipe_can_be_built(path: Path) -> None:
    recipe = Recipe.from_yaml(path)
    sets: list[DetectorSet | Recipe] = [*recipe.detectors.values()] or [recipe]
    classifiers = [item.classifier for item in recipe.classifiers.values()] or [recipe.classifier]
    with torch.device("meta"):
        for view in View:
            for item in sets:
                assert build_detector(view, getattr(item, view.value)).view is view
        for settings in classifiers:
            assert GradeClassifier(settings).settings == settings
