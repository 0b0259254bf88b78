import multiprocessing
import os
from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor

from lumbargrade.training.ahead import made_ahead

Batch = Mapping[str, Tensor]


def numbered(count: int) -> Iterator[Batch]:
    for number in range(count):
        drawn = torch.randn(3, 2, generator=torch.Generator().manual_seed(number))
        yield {"x": drawn, "made_by": torch.tensor(os.getpid())}


def test_another_process_makes_the_same_batches_in_the_same_order() -> None:
    before = torch.get_rng_state()
    found = list(made_ahead(lambda: numbered(9), pinned=False))
    assert torch.equal(torch.get_rng_state(), before)
    assert [batch["x"].tolist() for batch in found] == [
        batch["x"].tolist() for batch in numbered(9)
    ]
    assert os.getpid() not in {int(batch["made_by"]) for batch in found}


def test_the_other_process_ends_with_the_iterator() -> None:
    batches = made_ahead(lambda: numbered(10_000), pinned=False)
    next(batches)
    assert multiprocessing.active_children()
    batches.close()
    assert not multiprocessing.active_children()


def test_what_goes_wrong_there_is_raised_here() -> None:
    def broken() -> Iterator[Batch]:
        yield from numbered(1)
        raise FloatingPointError("study 100007 has no finite pixel")

    batches = made_ahead(broken, pinned=False)
    next(batches)
    with pytest.raises(FloatingPointError, match="study 100007 has no finite pixel"):
        next(batches)
