"""What the fit loop and a stage agree on: what is trained on, and what training came to.

What must stay true: batches follow from (seed, epoch) alone, and validation changes nothing.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, Self, TypeVar, runtime_checkable

from torch import Tensor, nn

from lumbargrade.training.share import Share

Batch = TypeVar("Batch")

OnEpoch = Callable[[int, int, Mapping[str, float]], None]
"""Told after each epoch: the epoch (from 1), the number planned, and its metrics."""


@runtime_checkable
class Task(Protocol[Batch]):
    """What a stage offers to be trained."""

    def batches(self, epoch: int) -> Iterable[Batch]:
        """The batches of an epoch (from 0), a function of the task's seed and the epoch alone.

        A batch is a tensor or a (named) tuple, list or dict of tensors, on the CPU.
        """

    def steps_per_epoch(self) -> int:
        """How many batches an epoch has."""

    def loss(self, model: nn.Module, batch: Batch) -> Tensor | Mapping[str, Tensor]:
        """The loss of a batch, or several named parts of which ``loss`` is the sum to minimise.

        The model must be called as ``model(...)``, which applies the precision.
        """

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """Metrics of the model (in eval mode), ``score`` among them, a finite number.

        Empty where nothing was held back to judge by.
        """

    def selected_by(self, metrics: Mapping[str, float]) -> float:
        """What chooses the epoch whose weights are kept, lower is better."""


@runtime_checkable
class SharedTask(Task[Batch], Protocol[Batch]):
    """A task that several processes can train together; it must be picklable."""

    def shared(self, share: Share) -> Self:
        """The task of one of the processes: its parts of the batches, its part of their loss.

        The mean of all processes' losses of a batch, and of their gradients, is that of the whole
        batch, to rounding.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What training came to."""

    best_epoch: int
    """From 1."""
    best_score: float | None
    """None where nothing was held back."""
    history: tuple[Mapping[str, float], ...]
    """One entry per epoch, as in ``metrics.jsonl``."""
