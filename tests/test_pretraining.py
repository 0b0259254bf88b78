"""A detector trained on plain slices, and the detectors that start from it."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from fake_spine import study
from lumbargrade.cli import app
from lumbargrade.cli.pretrain_detector import USUAL_FIT
from lumbargrade.config import DetectorSettings, ExtraSlicesSettings, FitSettings
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.starts import PRETRAINING, TRUNK, find_starts
from lumbargrade.detector.train import train_detector
from lumbargrade.encoder_weights import recorded_weights
from lumbargrade.extra_slices import read_extra_slices
from lumbargrade.labels import View
from lumbargrade.pretraining import pretrain_detector
from lumbargrade.settings import ConfigError
from lumbargrade.training.checkpoint import METRICS, WEIGHTS, load_weights, read_metrics
from lumbargrade.training.stopping import Stopped
from test_extra_slices import write_slices
from test_recipe import DETECTOR, TINY

FIT = FitSettings(epochs=2, batch_size=2, learning_rate=1e-3)
SETTINGS = DETECTOR.model_copy(
    update={"extra_slices": ExtraSlicesSettings(pretrain=FIT, licence="CC BY 4.0")}
)


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_slices(tmp_path_factory.mktemp("slices"), 4)


@pytest.fixture(scope="module")
def pretrained(slices: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("pretrained") / "coordinates"
    pretrain_detector(SETTINGS, slices, out, device="cpu")
    return out


def starting(view: View, pretrained: Path, settings: DetectorSettings = DETECTOR) -> Detector:
    from_it = settings.model_copy(update={"start_from": str(pretrained)})
    torch.manual_seed(7)
    return build_detector(view, from_it, find_starts(from_it))


def test_the_folder_says_what_it_was_trained_on(slices: Path, pretrained: Path) -> None:
    facts = json.loads((pretrained / PRETRAINING).read_text())
    assert facts["slices"] == 4
    assert facts["licence"] == "CC BY 4.0"
    assert facts["sha256"] == read_extra_slices(slices, ExtraSlicesSettings()).sha256
    epochs = read_metrics(pretrained)
    assert len(epochs) == FIT.epochs
    assert all(epoch["train_loss"] > 0 for epoch in epochs)
    assert not any("score" in epoch for epoch in epochs)  # nothing is held back
    assert {path.name for path in pretrained.iterdir()} == {
        "config.yaml", METRICS, PRETRAINING, WEIGHTS,
    }  # fmt: skip


@pytest.mark.parametrize("view", list(View))
def test_each_views_detector_starts_with_the_trunk_and_its_own_view_with_all(
    view: View, pretrained: Path
) -> None:
    found = load_weights(pretrained / WEIGHTS)
    torch.manual_seed(7)
    fresh = build_detector(view, DETECTOR).state_dict()
    own = starting(view, pretrained).state_dict()
    for name, tensor in own.items():
        from_start = name.startswith(TRUNK) or view is View.SAGITTAL_T2
        assert torch.equal(tensor, found[name] if from_start else fresh[name]), name


def test_other_labels_take_what_fits(pretrained: Path) -> None:
    """A transformer for a pointer, say, begins anew on top of the same trunk."""
    other = DETECTOR.model_copy(update={"pointer": "transformer", "lstm_hidden": 16})
    found, own = (
        load_weights(pretrained / WEIGHTS),
        starting(View.SAGITTAL_T2, pretrained, other).state_dict(),
    )
    assert torch.equal(own["heatmap_head.weight"], found["heatmap_head.weight"])
    assert all(torch.equal(own[name], found[name]) for name in own if name.startswith(TRUNK))
    assert any(name not in found for name in own if name.startswith("pointer."))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"decoder_channels": (8, 8)}, r"decoder_channels is \(8, 8\) here, \(16, 8\) there"),
        ({"encoder": "test_efficientnet"}, "encoder is test_efficientnet here"),
        ({"network": "3d"}, "network is 3d here"),
        ({"encoder_weights": "some.pth"}, "set encoder_weights to none"),
    ],
)
def test_a_detector_of_another_build_is_refused(
    changes: dict[str, object], message: str, pretrained: Path
) -> None:
    other = DETECTOR.model_copy(update={**changes, "start_from": str(pretrained)})
    with pytest.raises(ConfigError, match=message):
        find_starts(other)


def test_a_folder_without_a_detector_is_refused(tmp_path: Path) -> None:
    lost = DETECTOR.model_copy(update={"start_from": str(tmp_path)})
    with pytest.raises(ConfigError, match=r"holds no weights\.safetensors"):
        find_starts(lost)


def test_a_folder_is_not_begun_with_settings_that_cannot_be_met(
    slices: Path, pretrained: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    lost = SETTINGS.model_copy(update={"start_from": str(tmp_path)})
    nothing = SETTINGS.model_copy(
        update={"extra_slices": SETTINGS.extra_slices.model_copy(update={"sources": ("osf",)})}
    )
    for wrong in (lost, nothing):
        with pytest.raises(ConfigError):
            pretrain_detector(wrong, slices, out, device="cpu")
    pretrain_detector(SETTINGS, slices, out, device="cpu")
    assert (out / WEIGHTS).read_bytes() == (pretrained / WEIGHTS).read_bytes()

    def train(start: Path) -> None:
        settings = DETECTOR.model_copy(update={"start_from": str(start), "fit": FIT})
        studies = [study("1"), study("2", (0.0, 0.0, 5.0))]
        member = tmp_path / "member"
        train_detector(View.SAGITTAL_T1, settings, studies, studies[:1], member, 0, device="cpu")

    with pytest.raises(ConfigError, match="start_from"):
        train(tmp_path)
    train(pretrained)


def test_training_starts_from_it_remembers_it_and_refuses_another(
    slices: Path, pretrained: Path, tmp_path: Path
) -> None:
    settings = DETECTOR.model_copy(update={"start_from": str(pretrained), "fit": FIT})
    studies = [study("1"), study("2", (0.0, 0.0, 5.0))]

    def train(out: Path, start: DetectorSettings = settings) -> bytes:
        train_detector(View.SAGITTAL_T1, start, studies, studies[:1], out, 0, device="cpu")
        return (out / WEIGHTS).read_bytes()

    plain = settings.model_copy(update={"start_from": "none"})
    assert train(tmp_path / "a") != train(tmp_path / "b", plain)
    (facts,) = recorded_weights([tmp_path / "a"])["encoder_weights"]
    assert (facts["source"], facts["licence"]) == ("coordinates", "CC BY 4.0")

    replaced = tmp_path / "coordinates"
    pretrain_detector(SETTINGS, slices, replaced, seed=1, device="cpu")
    moved = settings.model_copy(update={"start_from": str(replaced)})
    begun = tmp_path / "c"

    def stop_at_once(*_: object) -> None:
        raise Stopped(15)

    with pytest.raises(Stopped):
        train_detector(
            View.SAGITTAL_T1, moved, studies, studies[:1], begun, 0,
            device="cpu", on_epoch=stop_at_once,
        )  # fmt: skip
    (replaced / WEIGHTS).write_bytes((pretrained / WEIGHTS).read_bytes())
    with pytest.raises(ConfigError, match="was begun with encoder weights coordinates"):
        train(begun, moved)


def test_a_pretraining_cut_off_goes_on_to_the_same_bytes_on_the_same_slices_alone(
    slices: Path, pretrained: Path, tmp_path: Path
) -> None:
    def stop_at_once(*_: object) -> None:
        raise Stopped(15)

    out = tmp_path / "cut"
    with pytest.raises(Stopped):
        pretrain_detector(SETTINGS, slices, out, device="cpu", on_epoch=stop_at_once)
    with pytest.raises(ConfigError, match="begun on other slices"):
        pretrain_detector(SETTINGS, write_slices(tmp_path / "other", 3), out, device="cpu")
    pretrain_detector(SETTINGS, slices, out, device="cpu")
    assert (out / WEIGHTS).read_bytes() == (pretrained / WEIGHTS).read_bytes()


def two_sources(folder: Path) -> Path:
    write_slices(folder, 3)
    table = folder / "coords_pretrain.csv"
    (folder / "data" / "processed_test_jpgs").rename(folder / "data" / "processed_one_jpgs")
    lines = table.read_text().replace(",test,", ",one,").splitlines()
    other = folder / "data" / "processed_two_jpgs"
    other.mkdir()
    (folder / "data" / "processed_one_jpgs" / "2_t2.png").rename(other / "2_t2.png")
    moved = [
        line.replace(",one,", ",two,") if line.startswith("2_t2.png") else line for line in lines
    ]
    table.write_text("\n".join(moved) + "\n")
    return folder


@pytest.mark.parametrize(
    ("sources", "images"), [((), 3), (("one",), 2), (("two",), 1), (("two", "one"), 3)]
)
def test_collections_are_chosen_by_name(
    sources: tuple[str, ...], images: int, tmp_path: Path
) -> None:
    folder = two_sources(tmp_path)
    chosen = read_extra_slices(folder, ExtraSlicesSettings(sources=sources))
    assert len(chosen.images) == images


def test_a_collection_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="names osf, found one, two"):
        read_extra_slices(two_sources(tmp_path), ExtraSlicesSettings(sources=("one", "osf")))


def write_recipe(folder: Path) -> list[str]:
    path = folder / "recipe.yaml"
    TINY.model_copy(update={"sagittal_t2": SETTINGS}).to_yaml(path)
    return ["--recipe", str(path)]


def without_recipe(_: Path) -> list[str]:
    values = {
        "encoder": "test_resnet", "encoder_depth": 4, "decoder_channels": "[16, 8]",
        "image_size": 64, "lstm_hidden": 8, "extra_slices.pretrain.epochs": 1,
    }  # fmt: skip
    return [word for key, value in values.items() for word in ("--set", f"{key}={value}")]


def test_a_recipe_that_says_nothing_of_slices_trains_on_them_as_usual(
    slices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[DetectorSettings] = []
    monkeypatch.setattr(
        "lumbargrade.pretraining.pretrain_detector",
        lambda settings, *_, **__: given.append(settings),
    )
    TINY.to_yaml(tmp_path / "recipe.yaml")
    words = ["pretrain-detector", str(slices), "--out", str(tmp_path / "out")]
    result = CliRunner().invoke(app, [*words, "--recipe", str(tmp_path / "recipe.yaml")])
    assert result.exit_code == 0, result.output
    assert given[0].extra_slices.pretrain == USUAL_FIT
    assert given[0].encoder == TINY.sagittal_t2.encoder


@pytest.mark.parametrize("options", [write_recipe, without_recipe])
def test_the_command_trains_with_or_without_a_recipe(
    options: Callable[[Path], list[str]], tmp_path: Path
) -> None:
    folder, out = two_sources(tmp_path / "slices"), tmp_path / "out"
    words = ["pretrain-detector", str(folder), "--out", str(out), "--source", "one"]
    result = CliRunner().invoke(app, [*words, *options(tmp_path), "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert json.loads((out / PRETRAINING).read_text())["slices"] == 2
    assert "start_from=" in result.stderr
