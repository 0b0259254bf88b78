"""What a training run leaves on disk: weights, metrics, and a state from which it can go on.

What must stay true: ``weights.safetensors`` appears only when training is complete, in one rename,
so its presence means "done"; whatever is needed to resume, the best weights so far included, lives
in one file in ``checkpoint/``, so that its parts cannot be of different moments; it is read with
``weights_only=True``, and goes when training is complete. No file holds a clock, a host name or a
path, so equal runs leave equal bytes.
"""

import json
import logging
import pickle
import shutil
import zipfile
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from lumbargrade.atomic_files import make_folder, write_beside
from lumbargrade.settings import ConfigError
from lumbargrade.training.rounding import restored

WEIGHTS = "weights.safetensors"
METRICS = "metrics.jsonl"
CONFIG = "config.yaml"
CHECKPOINT = "checkpoint"
"""Folder inside a member's folder; its absence beside weights means that training is complete."""

_STATE = "state.pt"
_STATE_SCHEMA = "lumbargrade/training-state/2"

logger = logging.getLogger(__name__)


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, whole.

    Raises:
        WriteError: the disk is full, say; what was there before stays.
    """
    on_cpu = {name: tensor.detach().cpu() for name, tensor in weights.items()}
    content = save(
        {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in on_cpu.items()
        }
    )
    write_beside(path, content, synced=True)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read safetensors; rounded tensors (the bundled models) come back as float32.

    Raises:
        FileNotFoundError: there is no such file.
        ConfigError: it is damaged, or no such file at all.
    """
    try:
        tensors = load_file(path)
    except SafetensorError as error:
        raise ConfigError(f"{path} holds no weights that can be read: {error}") from error
    return restored(tensors)


def write_metrics(history: Sequence[Mapping[str, float]], folder: Path) -> None:
    """Write ``metrics.jsonl``, one line per epoch, as a whole."""
    lines = "".join(json.dumps(dict(epoch)) + "\n" for epoch in history)
    write_beside(folder / METRICS, lines)


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Read ``metrics.jsonl``."""
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def is_complete(folder: Path) -> bool:
    """Whether a member was trained to its end."""
    return (folder / WEIGHTS).is_file()


def save_state(state: Mapping[str, Any], folder: Path) -> None:
    """Save the state to resume from; tensors, numbers, strings, lists and dicts only.

    Raises:
        WriteError: the disk is full, say; the earlier state stays.
    """
    checkpoint = folder / CHECKPOINT
    make_folder(checkpoint)
    content = BytesIO()
    torch.save({**state, "schema": _STATE_SCHEMA}, content)
    write_beside(checkpoint / _STATE, content.getvalue(), synced=True)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The saved state, tensors on the CPU, or None where there is none that can be used.

    A state that is damaged or of another version is told of and not used: training from the
    beginning leads to the same result.
    """
    path = folder / CHECKPOINT / _STATE
    if not path.is_file():
        return None
    try:
        state = _read_state(path)
    except (zipfile.BadZipFile, EOFError, RuntimeError, pickle.UnpicklingError) as error:
        logger.warning("%s is damaged (%s): training begins anew", path, error)
        return None
    if state.get("schema") != _STATE_SCHEMA:
        logger.warning(
            "%s: expected %s, found %s: training begins anew",
            path, _STATE_SCHEMA, state.get("schema"),
        )  # fmt: skip
        return None
    return state


def _read_state(path: Path) -> dict[str, Any]:
    """Read a state after checking all of it: torch's own reader lets flipped bits pass."""
    with zipfile.ZipFile(path) as archive:
        damaged = archive.testzip()
    if damaged is not None:
        raise zipfile.BadZipFile(f"the checksum of {damaged} is wrong")
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def complete(folder: Path, weights: Mapping[str, Tensor]) -> None:
    """Write ``weights.safetensors``, then remove what was needed to resume."""
    save_weights(weights, folder / WEIGHTS)
    remove_state(folder)


def remove_state(folder: Path) -> None:
    """Remove ``checkpoint/``, where a kill left it beside finished weights or it is outdated."""
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
