import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lumbargrade.config import FitSettings
from lumbargrade.settings import ConfigError
from lumbargrade.training import checkpoint
from lumbargrade.training.average import copy_buffers, update_average
from lumbargrade.training.loop import fit
from lumbargrade.training.stopping import Stop, Stopped
from lumbargrade.training.task import FitResult, Task

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

    def selected_by(self, metrics: Mapping[str, float]) -> float:
        return metrics["score"]

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
    assert result.best_score is not None
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


class StoppingTask(SumTask):
    """Asks to stop while a given step, or a validation, is under way."""

    def __init__(self, stop: Stop, *, at_step: int | None = None) -> None:
        super().__init__()
        self.stop = stop
        self.at_step = at_step
        self.steps = 0

    def loss(self, model: nn.Module, batch: dict[str, Tensor]) -> Tensor:
        self.steps += 1
        if self.steps == self.at_step:
            self.stop.ask(15)
        return super().loss(model, batch)

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        if self.at_step is None:
            self.stop.ask(15)
        return super().validate(model)


@pytest.mark.parametrize("at_step", [1, 3, 5, 8, 20, None])
def test_a_run_stopped_inside_an_epoch_goes_on_from_that_step(
    tmp_path: Path, at_step: int | None
) -> None:
    run(SumTask(), tmp_path / "whole")
    stop = Stop()
    with pytest.raises(Stopped):
        fit(
            small_network(), StoppingTask(stop, at_step=at_step), SETTINGS, tmp_path / "cut",
            seed=7, device="cpu", stop=stop,
        )  # fmt: skip
    done = 5 if at_step is None else at_step
    torch.manual_seed(999)  # another process has drawn other numbers meanwhile
    rest = StoppingTask(Stop(), at_step=10**6)
    run(rest, tmp_path / "cut")
    assert rest.steps == 20 - done
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def test_a_second_request_stops_at_once() -> None:
    def ask_twice_in_a_step() -> None:
        stop = Stop()
        with stop.held():
            stop.ask(15)
            stop.ask(15)

    with pytest.raises(KeyboardInterrupt):
        ask_twice_in_a_step()


def test_a_request_outside_a_step_takes_effect_at_once() -> None:
    with pytest.raises(Stopped) as stopped:
        Stop().ask(2)
    assert stopped.value.signal_number == 2


@pytest.mark.parametrize("written", ["metrics.jsonl", "state.pt"])
def test_a_kill_after_any_file_of_an_epoch_is_healed(
    tmp_path: Path, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last epoch is the best one, so its weights must not be lost, nor its line doubled."""
    scores = [0.5, 0.4, 0.3, 0.2]
    run(SumTask(scores=scores), tmp_path / "whole")
    name = {"metrics.jsonl": "write_metrics", "state.pt": "save_state"}[written]
    original, calls = getattr(checkpoint, name), 0

    def killed(*arguments: object) -> None:
        nonlocal calls
        original(*arguments)
        calls += 1
        if calls == 4:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint, name, killed)
        with pytest.raises(KeyboardInterrupt):
            run(SumTask(scores=scores), tmp_path / "cut")
    run(SumTask(scores=scores), tmp_path / "cut")
    assert files_of(tmp_path / "cut") == files_of(tmp_path / "whole")


def test_other_settings_do_not_take_up_a_state(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(SumTask(stop_after=2), tmp_path)
    longer = SETTINGS.model_copy(update={"epochs": 9})
    with pytest.raises(ConfigError, match="epochs 4, now 9"):
        run(SumTask(), tmp_path, longer)
    with pytest.raises(ConfigError, match="seed 7, now 8"):
        fit(small_network(), SumTask(), SETTINGS, tmp_path, seed=8, device="cpu")


@pytest.mark.parametrize("damage", ["truncated", "flipped", "older"])
def test_a_damaged_state_is_told_and_training_begins_anew(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    run(SumTask(), tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        run(SumTask(stop_after=2), tmp_path / "cut")
    path = tmp_path / "cut" / "checkpoint" / "state.pt"
    content = bytearray(path.read_bytes())
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        weight = checkpoint.load_state(tmp_path / "cut")["model"]["0.weight"]  # type: ignore[index]
        content[content.index(weight.numpy().tobytes())] ^= 1
        path.write_bytes(content)
    else:
        torch.save({"epoch": 2}, path)
    task = SumTask()
    run(task, tmp_path / "cut")
    assert task.epochs_seen == [0, 1, 2, 3]
    assert "training begins anew" in caplog.text
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


def test_average_decay_follows_its_formula_and_buffers_are_copied() -> None:
    averaged, model = nn.BatchNorm1d(2), nn.BatchNorm1d(2)
    with torch.no_grad():
        model.weight.fill_(3.0)
    assert model.running_mean is not None
    model.running_mean.fill_(5.0)
    update_average(averaged, model, 8)  # decay 9/18: half way from 1 to 3
    assert averaged.weight.tolist() == [2.0, 2.0]
    assert averaged.running_mean is not None
    assert averaged.running_mean.tolist() == [0.0, 0.0]
    copy_buffers(averaged, model)
    assert averaged.running_mean.tolist() == [5.0, 5.0]
    update_average(averaged, model, 10**9)  # decay 0.999
    assert averaged.weight.tolist() == pytest.approx([2.001, 2.001])
