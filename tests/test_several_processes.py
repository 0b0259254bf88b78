"""Training in several processes that ``torchrun`` starts, on the CPU, against training in one."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from documented import ROOT
from fake_prepared import write_prepared
from lumbargrade.config import DetectorSettings
from lumbargrade.detector.model import build_detector
from lumbargrade.labels import View
from lumbargrade.settings import ConfigError
from lumbargrade.training.checkpoint import load_state, load_weights
from lumbargrade.training.device import Group, make_fabric, share_batch_norm
from lumbargrade.training.ranks import PATIENCE, launched_group
from test_training_loop import files_of

TESTS = ROOT / "tests"

RECIPE = """
name: tiny
seed: 3
crops: {slices: 3, size_px: 16, side_mm: 64.0}
split: {detector: 0.3, detector_validation: 0.2, classifier_validation: 0.2}
sagittal_t2: {encoder: test_resnet, encoder_depth: 4, decoder_channels: [16, 8], image_size: 64,
  lstm_hidden: 8, train_slices: 4, fit: {epochs: 2, batch_size: 2, learning_rate: 1.0e-3}}
classifier:
  encoder: test_resnet
  lstm_hidden: 8
  dropout: 0.0
  fit: {epochs: 2, batch_size: 3, learning_rate: 1.0e-3}
  weighted_fit: {epochs: 1, batch_size: 2, learning_rate: 1.0e-3}
"""

WEIGHT_TOLERANCE = 2e-5
"""Root mean square between the weights of one process and of two, which round sums in another
order. Single weights may lie farther apart: where a gradient is nearly zero, Adam turns its last
digits into a part of a step (1e-3)."""

METRIC_TOLERANCE = 1e-4
"""Of losses and scores; the AUC jumps where two answers are nearly equal, and is left out."""

PATIENCE_S = 3000
"""The machine may be busy."""

ALONE = [sys.executable, "-W", "ignore"]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("data") / "prepared", 12)


def two_processes() -> list[str]:
    return [*ALONE, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts commands; those that a failed test leaves behind are ended."""
    started: list[subprocess.Popen[str]] = []
    paths = [str(ROOT / "src"), str(TESTS), os.environ.get("PYTHONPATH", "")]

    def begin(launcher: list[str], *words: object) -> "subprocess.Popen[str]":
        process = subprocess.Popen(
            [*launcher, str(TESTS / "frozen_norm.py"), *map(str, words), "--device", "cpu"],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)},
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.terminate()  # torchrun ends its processes, too
            process.communicate(timeout=PATIENCE_S)


def finish(process: "subprocess.Popen[str]") -> str:
    stdout, stderr = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 0, stderr
    assert stdout == ""
    return stderr


def check_close(one: Path, two: Path) -> None:
    assert files_of(one).keys() == files_of(two).keys()
    members = sorted(path.parent for path in one.rglob("weights.safetensors"))
    assert members
    for member in members:
        other = two / member.relative_to(one)
        expected, found = (load_weights(of / "weights.safetensors") for of in (member, other))
        differences = [(found[name] - weight).float() for name, weight in expected.items()]
        flat = torch.cat([difference.flatten() for difference in differences])
        assert float(flat.square().mean().sqrt()) < WEIGHT_TOLERANCE
        lines = [(of / "metrics.jsonl").read_text().splitlines() for of in (member, other)]
        for pair in zip(*lines, strict=True):
            alone, shared = ({**json.loads(line), "auc": None} for line in pair)
            assert shared == pytest.approx(alone, abs=METRIC_TOLERANCE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "words",
    [("train-detector", "--view", "sagittal_t2"), ("train-classifier",)],
    ids=lambda words: words[0],
)
def test_two_processes_come_to_the_weights_of_one(
    words: tuple[str, ...], recipe: Path, data: Path, tmp_path: Path, start: Start
) -> None:
    """With batches of two and a last one of one study; cut and mixed across the processes."""
    command, *options = words
    processes = [
        start(launcher, command, recipe, *options, "--data", data, "--out", tmp_path / name)
        for launcher, name in ((ALONE, "one"), (two_processes(), "two"))
    ]
    shown = [finish(process) for process in processes]
    assert shown[1].count("epoch 2 of 2: score") == shown[0].count("epoch 2 of 2: score")
    check_close(tmp_path / "one", tmp_path / "two")


@pytest.mark.slow
def test_two_processes_stopped_by_a_signal_go_on_to_the_same_bytes(
    recipe: Path, data: Path, tmp_path: Path, start: Start
) -> None:
    words = ("train-classifier", recipe, "--set", "classifier.dropout=0.2", "--data", data, "--out")
    whole = start(two_processes(), *words, tmp_path / "whole")
    cut = start(two_processes(), *words, tmp_path / "cut")
    state = tmp_path / "cut" / "first_step" / "checkpoint" / "state.pt"
    while not state.exists():
        assert cut.poll() is None
        time.sleep(0.005)
    cut.send_signal(signal.SIGTERM)
    _, shown = cut.communicate(timeout=PATIENCE_S)
    assert cut.returncode != 0
    assert "Stopped by SIGTERM" in shown
    assert shown.count("the same command goes on") == 1
    saved = load_state(tmp_path / "cut" / "first_step") or load_state(tmp_path / "cut")
    assert saved is not None
    assert len(saved["random_of_others"]) == 1
    assert not torch.equal(saved["random"]["cpu"], saved["random_of_others"][0]["cpu"])
    finish(whole)
    finish(start(two_processes(), *words, tmp_path / "cut"))
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


@pytest.mark.slow
def test_settings_that_several_processes_refuse_are_said_once(
    recipe: Path, data: Path, tmp_path: Path, start: Start
) -> None:
    process = start(
        two_processes(), "train-classifier", recipe, "--data", data, "--out", tmp_path / "out",
        "--set", "classifier.fit.batch_size=1",
    )  # fmt: skip
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 1
    assert shown.count("batch_size 1 cannot be shared by 2 processes") == 1


def test_batch_norm_of_a_group_of_gpus_is_shared_and_answers_as_before() -> None:
    settings = DetectorSettings(
        encoder="regnety_002", encoder_depth=4, decoder_channels=(16, 8), lstm_hidden=8
    )
    model = build_detector(View.SAGITTAL_T2, settings).eval()
    images = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    before, names = model.look(images)[0], model.state_dict().keys()
    norms = [part for part in model.modules() if isinstance(part, _BatchNorm)]
    shared = share_batch_norm(model, torch.device("cuda"))
    found = [part for part in shared.modules() if isinstance(part, _BatchNorm)]
    assert len(found) == len(norms) >= 20
    assert all(isinstance(part, nn.SyncBatchNorm) for part in found)
    assert shared is model
    assert model.state_dict().keys() == names
    torch.testing.assert_close(model.look(images)[0], before)  # activations inside are kept


def test_batch_norm_of_processes_on_cpus_stays_and_that_is_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    assert share_batch_norm(model, torch.device("cpu")) is model
    assert type(model[1]) is nn.BatchNorm1d
    assert "the result differs from that of one process" in caplog.text


def test_a_process_by_itself_belongs_to_no_group() -> None:
    assert launched_group() is None


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_a_group_cannot_share_one_device(device: str) -> None:
    with pytest.raises(ConfigError, match="torchrun started 6 processes"):
        make_fabric(device, Group(local=3, machines=2, patience=PATIENCE))
