import os
import signal
from collections.abc import Mapping
from pathlib import Path

import pytest
from torch import Tensor, nn

from fake_prepared import write_prepared
from lumbargrade.classifier import train as classifier_train
from lumbargrade.classifier.train import ClassifierTask, TrainingBatch
from lumbargrade.cli import main

TINY = """
name: tiny
crops: {slices: 3, size_px: 16, side_mm: 64.0}
split: {detector: 0.2, detector_validation: 0.1, classifier_validation: 0.3}
classifier:
  encoder: test_resnet
  lstm_hidden: 8
  fit: {epochs: 3, batch_size: 2}
"""


def run_cli(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr("sys.argv", ["lumbargrade", *map(str, arguments)])
    with pytest.raises(SystemExit) as stop:
        main()
    return int(stop.value.code or 0)


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def test_train_classifier_leaves_a_member_and_nothing_on_stdout(
    tmp_path: Path,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    data = write_prepared(tmp_path / "prepared", 10)
    out = tmp_path / "member"
    code = run_cli(
        monkeypatch, "train-classifier", recipe, "--data", data, "--out", out,
        "--set", "classifier.fit.epochs=1", "--device", "cpu",
    )  # fmt: skip
    assert code == 0
    assert len((out / "metrics.jsonl").read_text().splitlines()) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "subarticular" in captured.err


def test_an_unknown_setting_names_the_allowed_ones_and_exits_with_2(
    tmp_path: Path,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    code = run_cli(
        monkeypatch, "train", recipe, "--data", tmp_path, "--out", tmp_path / "run",
        "--set", "classifier.fit.epoch=1",
    )  # fmt: skip
    assert code == 2
    assert "classifier.fit.epoch" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_data_without_studies_exit_with_3(
    tmp_path: Path, recipe: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    code = run_cli(
        monkeypatch, "train", recipe, "--data", tmp_path / "empty", "--out", tmp_path / "run"
    )
    assert code == 3


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_stops_training_after_a_step_and_the_same_command_goes_on(
    tmp_path: Path,
    recipe: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    number: signal.Signals,
    exit_code: int,
) -> None:
    data = write_prepared(tmp_path / "prepared", 10)
    command = ["train-classifier", recipe, "--data", data, "--device", "cpu", "--out"]
    assert run_cli(monkeypatch, *command, tmp_path / "whole") == 0
    steps = 0

    class SignalledTask(ClassifierTask):
        def loss(self, model: nn.Module, batch: TrainingBatch) -> Tensor | Mapping[str, Tensor]:
            nonlocal steps
            steps += 1
            if steps == 6:
                os.kill(os.getpid(), number)
            return super().loss(model, batch)

    monkeypatch.setattr(classifier_train, "ClassifierTask", SignalledTask)
    before = signal.getsignal(number)
    capsys.readouterr()
    assert run_cli(monkeypatch, *command, tmp_path / "cut") == exit_code
    assert signal.getsignal(number) is before
    message = capsys.readouterr().err
    assert f"Stopped by {number.name}" in message
    assert "the same command goes on" in message
    assert "Traceback" not in message
    assert not (tmp_path / "cut" / "weights.safetensors").exists()
    assert run_cli(monkeypatch, *command, tmp_path / "cut") == 0
    assert steps == 12  # 7 studies in batches of 2 for 3 epochs: none was done twice
    files = [path for path in (tmp_path / "whole").iterdir() if path.is_file()]
    assert {path.name for path in files} == {path.name for path in (tmp_path / "cut").iterdir()}
    for path in files:
        assert path.read_bytes() == (tmp_path / "cut" / path.name).read_bytes(), path.name
