"""Several processes that train one network: the first decides, the others lend it their devices.

What must stay true: the first process alone reads and writes files, validates, shows progress and
is asked to stop; the others do the steps that it tells them, and end when it does. Every message
is sent by the first and awaited by all others at the same place.
"""

import os
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from lumbargrade.training.device import Group, make_fabric
from lumbargrade.training.share import Share
from lumbargrade.training.stopping import Stopped

if TYPE_CHECKING:
    from lightning.fabric import Fabric

PATIENCE = timedelta(days=7)
"""How long the others wait for the first, which prepares data and answers studies by itself.
Whoever dies is noticed by ``torchrun``, which ends the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The processes that train together, seen by one of them."""

    fabric: "Fabric"
    share: Share

    @classmethod
    def join(cls, device: str) -> Self:
        """Meet the other processes that ``torchrun`` started, if it started this one.

        Args:
            device: auto, cpu, cuda, cuda:N or mps.

        Raises:
            ConfigError: several processes cannot share the device.
        """
        group = launched_group()
        fabric = make_fabric(device, group)
        if group is not None:
            fabric.launch()
        return cls(fabric=fabric, share=Share(rank=fabric.global_rank, count=fabric.world_size))

    @property
    def is_first(self) -> bool:
        """Whether this process decides; so does one that trains alone."""
        return self.share.rank == 0

    def leave(self) -> None:
        """Take leave of the others; the first tells them that there is nothing left to do."""
        if self.is_first:
            self.tell(None)
        torch.distributed.destroy_process_group()

    @property
    def is_alone(self) -> bool:
        """Whether there are no others."""
        return self.share.count == 1

    def tell(self, message: object) -> None:
        """Send the others what they wait for; to be called by the first alone."""
        if not self.is_alone:
            torch.distributed.broadcast_object_list([message], src=0, device=torch.device("cpu"))

    def hear(self) -> Any:
        """Wait for what the first tells.

        Raises:
            Stopped: it was asked to stop.
            RuntimeError: it is gone.
        """
        message = [None]
        torch.distributed.broadcast_object_list(message, src=0, device=torch.device("cpu"))
        if isinstance(message[0], Stopped):
            raise message[0]
        return message[0]

    def agreed(self, value: Any) -> Any:
        """What the first says, heard by the others; theirs does not count."""
        if self.is_first:
            self.tell(value)
            return value
        return self.hear()

    def mean(self, value: Tensor) -> Tensor:
        """Over all processes."""
        return self.share.total(value) / self.share.count

    def gather(self, item: object) -> list[Any]:
        """Everyone's item, in the order of their ranks, for the first; nothing for the others."""
        if self.is_alone:
            return [item]
        items: list[Any] | None = [None] * self.share.count if self.is_first else None
        torch.distributed.gather_object(item, items)
        return items or []


def launched_group() -> Group | None:
    """The processes that ``torchrun`` started, where it started several, this one among them."""
    if not torch.distributed.is_available() or not torch.distributed.is_torchelastic_launched():
        return None
    world, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "LOCAL_WORLD_SIZE"))
    return Group(local=local, machines=world // local, patience=PATIENCE) if world > 1 else None
