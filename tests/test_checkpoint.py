from pathlib import Path

import pytest
import torch

from kill import files_no_larger_than
from lumbargrade.atomic_files import WriteError
from lumbargrade.training import checkpoint


def test_weights_are_read_back_bit_for_bit(tmp_path: Path) -> None:
    weights = {"a": torch.randn(3, 4), "b": torch.arange(5)}
    checkpoint.save_weights(weights, tmp_path / "w.safetensors")
    loaded = checkpoint.load_weights(tmp_path / "w.safetensors")
    assert all(torch.equal(loaded[name], value) for name, value in weights.items())
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_half_precision_weights_come_back_as_float32(tmp_path: Path) -> None:
    checkpoint.save_weights({"a": torch.full((2,), 0.5).half()}, tmp_path / "w.safetensors")
    loaded = checkpoint.load_weights(tmp_path / "w.safetensors")["a"]
    assert loaded.dtype == torch.float32
    assert loaded.tolist() == [0.5, 0.5]


def test_equal_weights_leave_equal_bytes(tmp_path: Path) -> None:
    weights = {"b": torch.ones(3), "a": torch.zeros(2, 2).t()}
    checkpoint.save_weights(weights, tmp_path / "1.safetensors")
    checkpoint.save_weights(dict(reversed(weights.items())), tmp_path / "2.safetensors")
    assert (tmp_path / "1.safetensors").read_bytes() == (tmp_path / "2.safetensors").read_bytes()


def test_state_survives_and_is_read_without_pickled_code(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = {"epoch": 3, "best": 0.25, "model": {"w": torch.ones(2)}, "history": [{"score": 1.0}]}
    checkpoint.save_state(state, tmp_path)
    loaded = checkpoint.load_state(tmp_path)
    assert loaded is not None
    assert (loaded["epoch"], loaded["history"]) == (3, [{"score": 1.0}])
    assert [path.name for path in (tmp_path / "checkpoint").iterdir()] == ["state.pt"]
    torch.save({"bad": Path("x")}, tmp_path / "checkpoint" / "state.pt")
    assert checkpoint.load_state(tmp_path) is None
    assert "weights_only" in caplog.text


def test_no_state_is_none(tmp_path: Path) -> None:
    assert checkpoint.load_state(tmp_path) is None


def test_completion_writes_the_weights_and_removes_the_checkpoint(tmp_path: Path) -> None:
    checkpoint.save_state({"epoch": 1}, tmp_path)
    assert not checkpoint.is_complete(tmp_path)
    checkpoint.complete(tmp_path, {"a": torch.ones(1)})
    assert checkpoint.is_complete(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["weights.safetensors"]
    checkpoint.remove_state(tmp_path)  # a second call finds nothing to do


def test_metrics_are_read_back(tmp_path: Path) -> None:
    history = [{"epoch": 1, "score": 0.1}, {"epoch": 2, "score": 1 / 3}]
    checkpoint.write_metrics(history, tmp_path)
    assert checkpoint.read_metrics(tmp_path) == history


def test_a_full_disk_names_the_file_and_keeps_the_earlier_state_and_weights(tmp_path: Path) -> None:
    weights = tmp_path / "w.safetensors"
    checkpoint.save_state({"epoch": 1}, tmp_path)
    checkpoint.save_weights({"a": torch.ones(2)}, weights)
    large = torch.zeros(10_000)
    with files_no_larger_than(2000):
        with pytest.raises(WriteError, match=r"state\.pt cannot be written"):
            checkpoint.save_state({"epoch": 2, "model": {"a": large}}, tmp_path)
        with pytest.raises(WriteError, match=r"w\.safetensors cannot be written"):
            checkpoint.save_weights({"a": large}, weights)
    state = checkpoint.load_state(tmp_path)
    assert state is not None
    assert state["epoch"] == 1
    assert checkpoint.load_weights(weights)["a"].tolist() == [1.0, 1.0]
    names = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert names == {"state.pt", "w.safetensors"}
