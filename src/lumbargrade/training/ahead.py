"""The next batches, made by another process while a GPU works on this one.

What must stay true: the batches and their order are the same either way, and nothing is drawn from
torch's global generator.
"""

from collections.abc import Callable, Generator, Iterable, Iterator
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, IterableDataset

Batch = TypeVar("Batch")

Make = Callable[[], Iterable[Batch]]

BATCHES_AHEAD = 4
"""As many wait for the device at most."""


class _Stream(IterableDataset[Batch]):
    def __init__(self, make: Make[Batch]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.make())


def made_ahead(make: Make[Batch], *, pinned: bool) -> Generator[Batch]:
    """Batches from a forked process, which ends with the iterator.

    Args:
        make: begins to make batches, trees of CPU tensors; called in the other process.
        pinned: put them where a CUDA device copies from without waiting.

    Raises:
        Exception: what ``make`` raises, with the other process's traceback.
    """
    loader = DataLoader(
        _Stream(make),
        batch_size=None,
        num_workers=1,
        prefetch_factor=BATCHES_AHEAD,
        collate_fn=_as_it_is,
        pin_memory=pinned,
        multiprocessing_context="fork",  # the studies in memory are shared, not copied
        generator=torch.Generator(),  # else a seed is drawn from the global one
    )
    yield from loader


def _as_it_is(batch: Batch) -> Batch:
    return batch
