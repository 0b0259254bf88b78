"""Training killed from outside, resumed, and compared byte by byte with training that was not."""

import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from lumbargrade.phantom.dataset import write_dataset
from test_training_loop import SumTask, files_of, run

TESTS = Path(__file__).parent

RECIPE = """
name: killed
seed: 5
split: {detector: 0.3, detector_validation: 0.1, classifier_validation: 0.25}
sagittal_t2: &detector
  encoder: test_resnet
  encoder_depth: 4
  decoder_channels: [16, 8]
  image_size: 64
  lstm_hidden: 8
  train_slices: 4
  fit: {epochs: 2, batch_size: 1, learning_rate: 1.0e-3}
sagittal_t1: *detector
axial_t2: *detector
crops: {slices: 3, size_px: 32, side_mm: 42.0}
classifier:
  encoder: test_resnet
  lstm_hidden: 8
  fit: {epochs: 3, batch_size: 1, learning_rate: 1.0e-3}
  weighted_fit: {epochs: 1, batch_size: 1, learning_rate: 1.0e-3}
"""

Moment = Callable[[Path], bool]


def test_a_fit_killed_inside_an_epoch_ends_in_the_same_bytes(tmp_path: Path) -> None:
    run(SumTask(), tmp_path / "whole")
    code = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from test_training_loop import SumTask, run\n"
        "class HangingTask(SumTask):\n"
        "    def loss(self, model, batch):\n"
        "        if self.epochs_seen == [0, 1, 2]:\n"
        "            print('in the third epoch', flush=True)\n"
        "            time.sleep(600)\n"
        "        return super().loss(model, batch)\n"
        "run(HangingTask(), Path(sys.argv[1]))\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, str(tmp_path / "cut")]
    with subprocess.Popen(command, cwd=TESTS, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "in the third epoch\n"
        process.kill()
    task = SumTask()
    run(task, tmp_path / "cut")
    assert task.epochs_seen == [2, 3]
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def appears(pattern: str) -> Moment:
    """A file is written, beside those that are there when this is first asked."""
    before: list[set[tuple[Path, int]]] = []

    def is_new(out: Path) -> bool:
        found = set()
        for path in out.glob(pattern):
            with suppress(FileNotFoundError):
                found.add((path, path.stat().st_mtime_ns))
        before.append(found)
        return bool(found - before[0])

    return is_new


def after(seconds: float) -> Moment:
    end: list[float] = []

    def passed(_: Path) -> bool:
        end.append(time.monotonic() + seconds)
        return time.monotonic() > end[0]

    return passed


MOMENTS: list[tuple[signal.Signals, Moment]] = [
    (signal.SIGKILL, appears("config.yaml")),
    (signal.SIGKILL, appears("prepared/.*.partial")),
    (signal.SIGTERM, appears("prepared/*/study.json")),
    (signal.SIGKILL, appears("members/detector_sagittal_t2/fold0/checkpoint/.*.partial")),
    (signal.SIGTERM, appears("members/detector_sagittal_t2/fold0/checkpoint/state.pt")),
    (signal.SIGKILL, appears("members/detector_sagittal_t1/fold0/metrics.jsonl")),
    (signal.SIGINT, appears("members/detector_axial_t2/fold0/checkpoint/state.pt")),
    (signal.SIGKILL, appears("landmarks.jsonl")),
    (signal.SIGTERM, appears("points_out_of_fold.csv")),
    (signal.SIGKILL, appears("members/classifier/fold0/first_step/weights.safetensors")),
    (signal.SIGKILL, appears("members/classifier/fold0/weights.safetensors")),
    (signal.SIGKILL, appears("calibration.yaml")),
    (signal.SIGTERM, appears("out_of_fold.csv")),
]


def train(recipe: Path, data: Path, out: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "lumbargrade", "train", recipe, "--data", data, "--out", out,
         "--device", "cpu"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def stop_at(process: "subprocess.Popen[str]", out: Path, number: int, moment: Moment) -> bool:
    """Send a signal at a moment; False where the process was done before."""
    while not moment(out):
        if process.poll() is not None:
            return False
        time.sleep(0.001)
    process.send_signal(number)
    return True


def check_end(process: "subprocess.Popen[str]", number: int, *, was_sent: bool) -> None:
    stdout, stderr = process.communicate(timeout=900)
    assert stdout == ""
    assert "Traceback" not in stderr, stderr
    if not was_sent:
        assert process.returncode == 0, stderr
    elif number == signal.SIGKILL:
        assert process.returncode == -signal.SIGKILL
    else:
        assert process.returncode in (128 + number, 0), stderr
        assert process.returncode == 0 or "the same command goes on" in stderr


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "killed.yaml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("studies")
    write_dataset(out, studies=8, seed=40, workers=2)
    return out


@dataclass(frozen=True)
class Whole:
    out: Path
    seconds: float


@pytest.fixture(scope="module")
def whole(recipe: Path, studies: Path, tmp_path_factory: pytest.TempPathFactory) -> Whole:
    out = tmp_path_factory.mktemp("whole") / "run"
    start = time.monotonic()
    check_end(train(recipe, studies, out), 0, was_sent=False)
    return Whole(out, time.monotonic() - start)


@pytest.mark.slow
def test_a_run_stopped_at_every_step_ends_in_the_same_bytes(
    recipe: Path, studies: Path, whole: Whole, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    stopped = 0
    for number, moment in MOMENTS:
        process = train(recipe, studies, out)
        was_sent = stop_at(process, out, number, moment)
        check_end(process, number, was_sent=was_sent)
        stopped += was_sent
    assert stopped >= 10
    check_end(train(recipe, studies, out), 0, was_sent=False)
    assert files_of(out) == files_of(whole.out)


@pytest.mark.slow
def test_a_run_killed_at_random_times_ends_in_the_same_bytes(
    recipe: Path, studies: Path, whole: Whole, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    rng = random.Random(0)
    killed = 0
    for _ in range(4):
        process = train(recipe, studies, out)
        moment = after(rng.uniform(0.3, 0.7) * whole.seconds)
        was_sent = stop_at(process, out, signal.SIGKILL, moment)
        check_end(process, signal.SIGKILL, was_sent=was_sent)
        killed += was_sent
    assert killed >= 1
    check_end(train(recipe, studies, out), 0, was_sent=False)
    assert files_of(out) == files_of(whole.out)
