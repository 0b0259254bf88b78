"""Where training runs: devices, precision, random numbers.

What must stay true: what torch draws after a resumption is what it would have drawn without one.
"""

import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

import lumbargrade.timm_import  # noqa: F401  lightning imports torchvision
from lumbargrade.settings import ConfigError

if TYPE_CHECKING:
    from lightning.fabric import Fabric

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Processes that train one network together, with a device each."""

    local: int
    """How many on each machine."""
    machines: int
    patience: timedelta
    """How long one waits for another."""


def make_fabric(device: str, group: Group | None = None) -> "Fabric":
    """Lightning Fabric on a device: half precision on a GPU, float32 elsewhere.

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
        group: this process is one of these; None where it is alone.

    Raises:
        ConfigError: a group cannot share the device.
    """
    from lightning.fabric import Fabric  # takes seconds to import
    from lightning.fabric.strategies import DDPStrategy

    name, _, index = device.partition(":")
    if group is not None and (index or name == "mps"):
        raise ConfigError(
            f"--device {device} is one device, but torchrun started "
            f"{group.local * group.machines} processes: give cpu, cuda or auto"
        )
    accelerator = {"cuda": "gpu"}.get(name, name)
    on_gpu = torch.cuda.is_available() and name in ("auto", "cuda")
    half = "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "16-mixed"
    precision = half if on_gpu else "32-true"
    if group is None:
        devices = [int(index)] if index else 1
        return Fabric(accelerator=accelerator, devices=devices, precision=precision)
    return Fabric(
        accelerator=accelerator,
        devices=group.local,
        num_nodes=group.machines,
        precision=precision,
        strategy=DDPStrategy(
            process_group_backend="cpu:gloo,cuda:nccl" if on_gpu else "gloo",
            timeout=group.patience,
            find_unused_parameters=True,  # a batch may hold no label of a whole family
        ),
    )


def share_batch_norm(model: nn.Module, device: torch.device) -> nn.Module:
    """Let batch norm see the whole batch of a group; only GPUs can.

    On other devices each process normalises by its own part, which is said.
    """
    norms = [part for part in model.modules() if isinstance(part, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return model
    if device.type != "cuda":
        logger.warning(
            "batch norm sees each process's part of a batch alone on %s: the result differs from "
            "that of one process",
            device.type,
        )
        return model
    from timm.layers import convert_sync_batchnorm  # knows timm's own batch norms, too

    shared: nn.Module = convert_sync_batchnorm(model)
    return shared


@contextmanager
def deterministic(*, warn_only: bool) -> Iterator[None]:
    """Deterministic algorithms; those that some devices lack are an error, or a warning."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # what cuBLAS wants for it
    before = torch.are_deterministic_algorithms_enabled()
    warned_before = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned_before)


def random_states(device: torch.device) -> dict[str, Tensor]:
    """The state of torch's global generators, of the CPU and of the device."""
    states = {"cpu": torch.get_rng_state()}
    if device.type != "cpu":
        states[device.type] = torch.get_device_module(device).get_rng_state()
    return states


def set_random_states(states: Mapping[str, Tensor], device: torch.device) -> None:
    """Take up what :func:`random_states` gave; a device that had none keeps its own."""
    torch.set_rng_state(states["cpu"])
    if device.type != "cpu" and device.type in states:
        torch.get_device_module(device).set_rng_state(states[device.type])
