"""What a training run leaves on disk: weights, metrics, and a state from which it can go on.

What must stay true: ``weights.safetensors`` appears only when training is complete, in one rename,
so its presence means "done"; whatever is needed to resume lives in ``checkpoint/``, is written
beside its place and renamed, is read with ``weights_only=True``, and goes when training is
complete. No file holds a clock, a host name or a path, so equal runs leave equal bytes.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

WEIGHTS = "weights.safetensors"
METRICS = "metrics.jsonl"
CONFIG = "config.yaml"
CHECKPOINT = "checkpoint"
"""Folder inside a member's folder; its absence beside weights means that training is complete."""

_STATE = "state.pt"
_BEST = "best.safetensors"


def save_weights(weights: Mapping[str, Tensor], path: Path) -> None:
    """Write tensors as safetensors, beside their place and renamed."""
    beside = path.with_name(path.name + ".part")
    on_cpu = {name: tensor.detach().cpu() for name, tensor in weights.items()}
    save_file(
        {
            name: tensor.clone(memory_format=torch.contiguous_format)
            for name, tensor in on_cpu.items()
        },
        beside,
    )
    os.replace(beside, path)


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read safetensors; half-precision tensors (the bundled models) come back as float32."""
    weights: dict[str, Tensor] = load_file(path)
    return {
        name: tensor.float() if tensor.dtype == torch.float16 else tensor
        for name, tensor in weights.items()
    }


def write_metrics(history: Sequence[Mapping[str, float]], folder: Path) -> None:
    """Write ``metrics.jsonl``, one line per epoch."""
    path = folder / METRICS
    beside = path.with_name(path.name + ".part")
    beside.write_text("".join(json.dumps(dict(epoch)) + "\n" for epoch in history))
    os.replace(beside, path)


def read_metrics(folder: Path) -> list[dict[str, float]]:
    """Read ``metrics.jsonl``."""
    return [json.loads(line) for line in (folder / METRICS).read_text().splitlines()]


def is_complete(folder: Path) -> bool:
    """Whether a member was trained to its end."""
    return (folder / WEIGHTS).is_file()


def save_state(state: Mapping[str, Any], folder: Path) -> None:
    """Save the state to resume from; tensors, numbers, strings, lists and dicts only."""
    checkpoint = folder / CHECKPOINT
    checkpoint.mkdir(parents=True, exist_ok=True)
    beside = checkpoint / (_STATE + ".part")
    torch.save(dict(state), beside)
    os.replace(beside, checkpoint / _STATE)


def load_state(folder: Path) -> dict[str, Any] | None:
    """The saved state, tensors on the CPU, or None where there is none."""
    path = folder / CHECKPOINT / _STATE
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def save_best(weights: Mapping[str, Tensor], folder: Path) -> None:
    """Keep the best weights so far, inside ``checkpoint/``."""
    checkpoint = folder / CHECKPOINT
    checkpoint.mkdir(parents=True, exist_ok=True)
    save_weights(weights, checkpoint / _BEST)


def complete(folder: Path) -> None:
    """Move the best weights to ``weights.safetensors`` and remove ``checkpoint/``."""
    if not is_complete(folder):
        os.replace(folder / CHECKPOINT / _BEST, folder / WEIGHTS)
    shutil.rmtree(folder / CHECKPOINT, ignore_errors=True)
