"""One process's part of every batch, where several processes train one network together.

What must stay true: the parts make up the batch, each of its studies in one of them; a mean over
the batch divides by the weight of all parts, however unevenly labels lie in them, so that the
processes' losses average to the loss of the whole batch, and their gradients to its gradient.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Which part of each batch is this process's, and sums over all parts."""

    rank: int = 0
    count: int = 1
    """Of the processes."""

    def of(self, items: Sequence[Item]) -> Sequence[Item]:
        """This process's part of a batch's items, neighbours; empty where there are too few."""
        first, end = self.bounds(len(items))
        return items[first:end]

    def bounds(self, length: int) -> tuple[int, int]:
        """Where the part begins and ends."""
        first, end = (-(-length * rank // self.count) for rank in (self.rank, self.rank + 1))
        return first, end

    def total(self, part: Tensor) -> Tensor:
        """A sum over the parts of all processes, each of which must call this; no gradient."""
        if self.count == 1:
            return part
        whole = part.detach().clone()
        torch.distributed.all_reduce(whole)
        return whole

    def mean(self, part: Tensor, weight: Tensor, *, least: float) -> Tensor:
        """What this process adds to (sum of all parts) / (sum of all weights), times ``count``.

        Args:
            part: sum over this process's part of the batch.
            weight: likewise; without gradient.
            least: the weight of the batch counts as at least this.
        """
        return self.count * part / self.total(weight).clamp_min(least)


WHOLE = Share()
"""Of a process that trains alone."""
