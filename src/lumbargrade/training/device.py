"""Where training runs: the device, its precision, its random numbers.

What must stay true: what torch draws after a resumption is what it would have drawn without one.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor

import lumbargrade.timm_import  # noqa: F401  lightning imports torchvision

if TYPE_CHECKING:
    from lightning.fabric import Fabric


def make_fabric(device: str) -> "Fabric":
    """Lightning Fabric on a device: half precision on a GPU, float32 elsewhere.

    Args:
        device: auto, cpu, cuda, cuda:N or mps.
    """
    from lightning.fabric import Fabric  # takes seconds to import

    name, _, index = device.partition(":")
    accelerator = {"cuda": "gpu"}.get(name, name)
    on_gpu = torch.cuda.is_available() and name in ("auto", "cuda")
    half = "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "16-mixed"
    return Fabric(
        accelerator=accelerator,
        devices=[int(index)] if index else 1,
        precision=half if on_gpu else "32-true",
    )


@contextmanager
def deterministic(*, warn_only: bool) -> Iterator[None]:
    """Deterministic algorithms; those that some devices lack are an error, or a warning."""
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
