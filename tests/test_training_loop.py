import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lumbargrade.config import FitSettings
from lumbargrade.training import checkpoint
from lumbargrade.training.loop import (
    FitResult,
    Task,
    fit,
    update_average,
)

SETTINGS = FitSettings(epochs=4, learning_rate=0.02)


class SumTask:
    """Learn the sum of four numbers; a stage in miniature."""

    def __init__(self, *, scores: list[float] | None = None, stop_after: int | None = None) -> None:
        self.scores = scores
        self.stop_after = stop_after
        self.epochs_seen: list[int] = []

    def steps_per_epoch(self) -> int:
        return 5

    def batches(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        if epoch == self.stop_after:
            raise KeyboardInterrupt
        self.epochs_seen.append(epoch)
        generator = torch.Generator().manual_seed(epoch)
        for _ in range(5):
            x = torch.randn(8, 4, generator=generator)
            yield {"x": x, "sum": x.sum(dim=1, keepdim=True)}

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        return nn.functional.mse_loss(model(batch["x"]), batch["sum"])

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        if self.scores is not None:
            return {"score": self.scores[self.epochs_seen[-1]]}
        x = torch.arange(12.0).reshape(3, 4) / 12
        return {"score": float(((model(x) - x.sum(dim=1, keepdim=True)) ** 2).mean())}


def small_network() -> nn.Module:
    """With dropout and batch norm: both carry state that resuming must not lose."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 1)
    )


def run(task: Task[dict[str, Tensor]], out: Path, settings: FitSettings = SETTINGS) -> FitResult:
    return fit(small_network(), task, settings, out, seed=7, device="cpu")


def files_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_training_lowers_the_score_and_leaves_two_files(tmp_path: Path) -> None:
    result = run(SumTask(), tmp_path, FitSettings(epochs=12, learning_rate=0.05))
    assert result.best_score < 0.1 * result.history[0]["score"]
    assert set(files_of(tmp_path)) == {"weights.safetensors", "metrics.jsonl"}


def test_resumed_equals_uninterrupted_byte_for_byte(tmp_path: Path) -> None:
    run(SumTask(), tmp_path / "whole")
    for stop_after in (1, 3):
        with pytest.raises(KeyboardInterrupt):
            run(SumTask(stop_after=stop_after), tmp_path / "cut")
    assert (tmp_path / "cut" / checkpoint.CHECKPOINT).is_dir()
    task = SumTask()
    run(task, tmp_path / "cut")
    assert task.epochs_seen == [3]
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def test_a_trained_member_is_not_trained_again(tmp_path: Path) -> None:
    first = run(SumTask(), tmp_path)
    before = files_of(tmp_path)
    task = SumTask()
    assert run(task, tmp_path) == first
    assert task.epochs_seen == []
    assert files_of(tmp_path) == before


def test_the_best_epoch_is_kept_not_the_last(tmp_path: Path) -> None:
    result = run(SumTask(scores=[0.5, 0.2, 0.3, 0.4]), tmp_path / "long")
    assert (result.best_epoch, result.best_score) == (2, 0.2)
    run(SumTask(scores=[0.9, 0.9, 0.9, 0.1]), tmp_path / "other")
    best = checkpoint.load_weights(tmp_path / "long" / checkpoint.WEIGHTS)
    last = checkpoint.load_weights(tmp_path / "other" / checkpoint.WEIGHTS)
    assert not torch.equal(best["0.weight"], last["0.weight"])


def test_fit_leaves_the_saved_weights_in_the_model(tmp_path: Path) -> None:
    model = small_network()
    fit(model, SumTask(scores=[0.1, 0.2, 0.3, 0.4]), SETTINGS, tmp_path, seed=7, device="cpu")
    saved = checkpoint.load_weights(tmp_path / checkpoint.WEIGHTS)
    assert all(torch.equal(saved[name], value) for name, value in model.state_dict().items())
    assert not model.training


def test_metrics_hold_one_line_per_epoch_and_no_clock(tmp_path: Path) -> None:
    result = run(SumTask(), tmp_path)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["epoch"] for line in lines] == [1, 2, 3, 4]
    assert set(lines[0]) == {"epoch", "learning_rate", "train_loss", "score"}
    assert lines == list(result.history)


def test_a_score_that_is_not_finite_stops_training(tmp_path: Path) -> None:
    with pytest.raises(FloatingPointError, match="validation score is nan after epoch 1"):
        run(SumTask(scores=[float("nan")] * 4), tmp_path)


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    model = small_network()
    model[0].requires_grad_(False)  # type: ignore[index]
    before = model.state_dict()["0.weight"].clone()
    fit(model, SumTask(), SETTINGS, tmp_path, seed=7, device="cpu")
    assert torch.equal(model.state_dict()["0.weight"], before)


def test_progress_is_told_after_each_epoch(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    fit(
        small_network(), SumTask(), SETTINGS, tmp_path, seed=7, device="cpu",
        on_epoch=lambda epoch, planned, metrics: told.append((epoch, planned)),
    )  # fmt: skip
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_average_decay_follows_its_formula_and_copies_buffers() -> None:
    averaged, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight.fill_(3.0)
    assert model.running_mean is not None
    model.running_mean.fill_(5.0)
    update_average(averaged, model, 8)  # decay 9/18: half way from 1 to 3
    assert averaged.weight.tolist() == [2.0, 2.0]
    assert averaged.running_mean is not None
    assert averaged.running_mean.tolist() == [5.0, 5.0]
    update_average(averaged, model, 10**9)  # decay 0.999
    assert averaged.weight.tolist() == pytest.approx([2.001, 2.001])
