"""Repeated measurements, taken in turns.

What must stay true: what is compared is measured alternately, in one run, so that a machine that
slows down meanwhile slows all of it; the first round is not counted.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Self

import torch

OnStep = Callable[[str], None]
"""Told what is being measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """The median of some measurements, and between which values they lay."""

    median: float
    low: float
    high: float
    repeats: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Self:
        """Of at least one value."""
        return cls(median=median(values), low=min(values), high=max(values), repeats=len(values))


def seconds_of(action: Callable[[], object]) -> float:
    """How long an action takes."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turns(
    measures: Mapping[str, Callable[[], float]], repeats: int
) -> dict[str, tuple[float, ...]]:
    """Measure several things alternately, after a first round that is not counted.

    Args:
        measures: name → what measures it once.
        repeats: rounds that count.

    Returns:
        name → one value per round.
    """
    values: dict[str, list[float]] = {name: [] for name in measures}
    for counted in [False] + [True] * repeats:
        for name, measure in measures.items():
            value = measure()
            if counted:
                values[name].append(value)
    return {name: tuple(several) for name, several in values.items()}


def ratios(of: Sequence[float], to: Sequence[float]) -> Spread:
    """Round by round, how many times as large the first values are as the second."""
    return Spread.of([a / b for a, b in zip(of, to, strict=True)])


def wait_for(device: torch.device) -> None:
    """Wait until an accelerator has done what it was given."""
    if device.type != "cpu":
        torch.accelerator.synchronize(device)
