import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from fake_prepared import write_prepared
from fake_spine import SIZE, arrays, study
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.config import ClassifierSettings, DetectorSettings, FitSettings
from lumbargrade.detector.infer import load_detector
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.starts import find_starts
from lumbargrade.detector.train import study_errors, train_detector
from lumbargrade.encoder_weights import (
    RECORD,
    StartingWeights,
    claim_weights,
    find_weights,
    pooling_encoder,
    pyramid_encoder,
    recorded_weights,
)
from lumbargrade.labels import View
from lumbargrade.pipeline import Pipeline
from lumbargrade.recipe import run_recipe
from lumbargrade.settings import ConfigError
from test_recipe import TINY as RECIPE

TINY = DetectorSettings(
    encoder="test_resnet",
    encoder_depth=4,
    decoder_channels=(8, 8),
    image_size=SIZE,
    lstm_hidden=8,
    train_slices=4,
    fit=FitSettings(epochs=1, batch_size=1),
)
FIRST_LAYER = "conv1.0.weight"


def weights_file(folder: Path, name: str, encoder: str = "test_resnet") -> Path:
    """What a person saves of a timm network, classifier and all."""
    torch.manual_seed(5)
    weights = timm.create_model(encoder, pretrained=False).state_dict()
    path = folder / name
    if path.suffix == ".safetensors":
        save_file(weights, path)
    else:
        torch.save(weights, path)
    return path


def given(path: Path) -> DetectorSettings:
    return TINY.model_copy(update={"encoder_weights": str(path)})


def encoder_of(detector: Detector) -> dict[str, torch.Tensor]:
    """The weights of a detector's encoder under timm's names."""
    prefix = "encoder.model."
    weights = detector.state_dict().items()
    return {key.removeprefix(prefix): item for key, item in weights if key.startswith(prefix)}


@pytest.mark.parametrize("name", ["own.safetensors", "own.pth"])
def test_a_detectors_encoder_starts_from_a_file(name: str, tmp_path: Path) -> None:
    path = weights_file(tmp_path, name)
    wanted = timm.create_model("test_resnet", checkpoint_path=str(path)).state_dict()
    settings = given(path)
    detector = build_detector(View.SAGITTAL_T2, settings, find_starts(settings))
    loaded = encoder_of(detector)
    assert len(loaded) > 10
    for key, tensor in loaded.items():
        torch.testing.assert_close(tensor, wanted[key], atol=0, rtol=0)


def test_a_classifiers_first_layer_sums_over_the_files_colours(tmp_path: Path) -> None:
    """One grey channel in three equal colours gives the same answer, as timm has it."""
    path = weights_file(tmp_path, "own.safetensors")
    wanted = timm.create_model("test_resnet", checkpoint_path=str(path)).state_dict()
    model = GradeClassifier(
        ClassifierSettings(encoder="test_resnet", lstm_hidden=8),
        find_weights("test_resnet", str(path)),
    )
    loaded = model.encoders[0].state_dict()
    torch.testing.assert_close(loaded[FIRST_LAYER], wanted[FIRST_LAYER].sum(1, keepdim=True))
    torch.testing.assert_close(
        loaded["layer1.0.conv1.weight"], wanted["layer1.0.conv1.weight"], atol=0, rtol=0
    )


def test_a_pointers_own_encoder_starts_from_its_own_file(tmp_path: Path) -> None:
    path = weights_file(tmp_path, "own.pth")
    settings = TINY.model_copy(
        update={"pointer_encoder": "test_resnet", "pointer_encoder_weights": str(path)}
    )
    detector = build_detector(View.SAGITTAL_T2, settings, find_starts(settings))
    wanted = timm.create_model("test_resnet", checkpoint_path=str(path)).state_dict()
    assert torch.equal(detector.own_encoder.state_dict()[FIRST_LAYER], wanted[FIRST_LAYER])
    assert not torch.equal(encoder_of(detector)[FIRST_LAYER], wanted[FIRST_LAYER])


@pytest.mark.parametrize("encoder", ["test_efficientnet", "regnety_002"])
def test_a_file_of_another_network_is_refused(encoder: str, tmp_path: Path) -> None:
    settings = given(weights_file(tmp_path, "other.safetensors", encoder))
    with pytest.raises(ConfigError, match="timm weights of test_resnet"):
        build_detector(View.SAGITTAL_T2, settings, find_starts(settings))


@pytest.mark.parametrize("name", ["bad.safetensors", "bad.pth"])
def test_a_file_that_holds_no_weights_is_refused_by_name(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"no weights at all, but some bytes")
    settings = given(tmp_path / name)
    with pytest.raises(ConfigError, match=f"{name}: not timm weights of test_resnet"):
        build_detector(View.SAGITTAL_T2, settings, find_starts(settings))


def test_a_path_that_is_no_file_is_refused() -> None:
    with pytest.raises(ConfigError, match="expected none, pretrained or a file of timm weights"):
        find_weights("test_resnet", "nowhere.pth")


def test_weights_for_an_encoder_that_is_not_there_are_refused() -> None:
    lost = TINY.model_copy(update={"pointer_encoder_weights": "pretrained"})
    with pytest.raises(ConfigError, match="but no pointer_encoder"):
        find_starts(lost)


def test_timms_own_weights_come_from_the_hub_with_their_licence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = weights_file(tmp_path, "model.safetensors")
    asked = []

    def download(name: str, file: str) -> str:
        asked.append((name, file))
        return str(path)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    found = find_weights("test_resnet", "pretrained")
    assert found is not None
    assert asked == [(found.source, "model.safetensors")]
    assert found.source.startswith("timm/test_resnet.")
    assert found.licence == "apache-2.0"
    assert len(found.sha256) == 64


def test_a_hub_out_of_reach_is_told_with_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def download(name: str, file: str) -> str:
        raise FileNotFoundError(name, file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    with pytest.raises(ConfigError, match="give the file's path as encoder_weights, or set"):
        find_weights("test_resnet", "pretrained")


def test_a_trained_detector_remembers_its_start_and_never_needs_the_file_again(
    tmp_path: Path,
) -> None:
    path = weights_file(tmp_path, "own.safetensors")
    settings = given(path).model_copy(update={"encoder_weights_licence": "CC0"})
    parts = [study("1")], [study("2")]
    folder = train_detector(View.SAGITTAL_T2, settings, *parts, tmp_path / "member", 0)
    record = json.loads((folder / RECORD).read_text())
    assert [(item["source"], item["licence"]) for item in record] == [("own.safetensors", "CC0")]
    assert recorded_weights([folder, tmp_path]) == {"encoder_weights": record}
    path.unlink()
    assert len(study_errors(load_detector(folder), arrays(View.SAGITTAL_T2))) == 10
    again = train_detector(View.SAGITTAL_T2, settings, *parts, folder, 0)  # it is done
    assert again == folder


def test_members_without_starting_weights_leave_no_record(tmp_path: Path) -> None:
    claim_weights(tmp_path, [None, None])
    assert not list(tmp_path.iterdir())
    assert recorded_weights([tmp_path]) == {}


def test_going_on_with_another_file_is_refused(tmp_path: Path) -> None:
    begun = StartingWeights(
        encoder="test_resnet", path=tmp_path, source="a.pth", sha256="0" * 64, licence="CC0"
    )
    claim_weights(tmp_path, [begun])
    claim_weights(tmp_path, [begun])
    with pytest.raises(ConfigError, match=r"begun with encoder weights a.pth"):
        claim_weights(tmp_path, [None])


def test_a_runs_manifest_names_where_its_encoders_started(tmp_path: Path) -> None:
    path = weights_file(tmp_path, "own.safetensors")
    given_file = {"encoder_weights": str(path), "encoder_weights_licence": "CC0"}
    recipe = RECIPE.model_copy(
        update={
            name: getattr(RECIPE, name).model_copy(update=given_file)
            for name in ("sagittal_t1", "classifier")
        }
    )
    out = run_recipe(recipe, write_prepared(tmp_path / "data", 10), tmp_path / "run").out
    text = (out / "manifest.json").read_text()
    (entry,) = json.loads(text)["encoder_weights"]
    assert (entry["source"], entry["licence"]) == ("own.safetensors", "CC0")
    assert str(tmp_path) not in text
    path.unlink()
    assert len(Pipeline.load(out, "cpu").classifiers) == 1


def test_a_pooling_encoder_says_how_wide_its_vectors_are_behind_a_hidden_layer() -> None:
    encoder, width = pooling_encoder("mobilenetv4_conv_small_035", channels=1)
    assert encoder.eval()(torch.zeros(1, 1, 32, 32)).shape == (1, width)


@pytest.mark.parametrize("name", ["tf_efficientnet_lite0", "mobilenetv3_small_050", "regnety_002"])
def test_an_encoder_holds_nothing_behind_its_deepest_stage(name: str) -> None:
    torch.manual_seed(0)
    encoder = pyramid_encoder(name, channels=3, depth=4)
    deeper = pyramid_encoder(name, channels=3, depth=5)
    kept = encoder.state_dict()
    whole = deeper.state_dict()
    assert kept.keys() < whole.keys()
    deeper.load_state_dict(whole | kept)
    if name != "regnety_002":  # timm itself never made more of it
        encoder.load_state_dict(whole | kept)
    images = torch.rand(2, 3, 64, 64)
    features = encoder.eval()(images)
    for found, expected in zip(features, deeper.eval()(images), strict=False):
        assert torch.equal(found, expected)
    sum(feature.sum() for feature in features[1:]).backward()
    assert all(weight.grad is not None for weight in encoder.parameters())
