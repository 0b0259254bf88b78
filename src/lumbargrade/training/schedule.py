"""How long training lasts and how fast it learns at each step.

What must stay true: without ``max_minutes`` no clock has any influence; with it, the learning
rate still comes down to zero at the end.
"""

import logging
import math
import time
from collections.abc import Callable

from lumbargrade.config import FitSettings

logger = logging.getLogger(__name__)

STEPS_BEFORE_PLANNING = 10
"""With ``max_minutes``, steps after which the time of an epoch is first estimated."""


class SchedulePlan:
    """How many epochs there will be; with ``max_minutes``, as many as fit.

    The plan only ever shrinks, at the latest at the end of an epoch, and the cosine is stretched
    over what remains, so that the learning rate still comes down to zero.
    """

    def __init__(
        self,
        settings: FitSettings,
        steps: int,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.epochs = settings.epochs
        self.steps = steps
        self._limit = None if settings.max_minutes is None else 60.0 * settings.max_minutes
        self._clock = clock
        self._start = clock()
        self._seconds_before = 0.0

    def seconds(self) -> float:
        """Spent so far, over all resumptions; 0 without a limit, since states hold no clocks."""
        spent = self._seconds_before + self._clock() - self._start
        return 0.0 if self._limit is None else spent

    def resume(self, epochs: int, seconds: float) -> None:
        """Take up the plan of a saved state."""
        self.epochs = min(epochs, self.epochs)
        self._seconds_before = seconds

    def after_step(self, step: int) -> None:
        """Plan once after the first steps, before the first epoch has shown its whole cost."""
        if step == STEPS_BEFORE_PLANNING < self.steps:
            self._shrink(0, self.seconds() / step * self.steps)

    def after_epoch(self, epoch: int) -> None:
        """Plan again, with the mean cost of the epochs so far, validation included."""
        self._shrink(epoch, self.seconds() / epoch)

    def _shrink(self, done: int, epoch_seconds: float) -> None:
        if self._limit is None or epoch_seconds <= 0:
            return
        left = self._limit - done * epoch_seconds
        fitting = max(done + math.floor(left / epoch_seconds), done, 1)
        if fitting < self.epochs:
            logger.info(
                "%d epochs instead of %d fit into %.1f minutes",
                fitting, self.epochs, self._limit / 60,
            )  # fmt: skip
            self.epochs = fitting


def learning_rate_factor(step: int, total_steps: int, warmup_fraction: float) -> float:
    """Linear warm-up, then half a cosine down to zero.

    Args:
        step: from 0.
        total_steps: of the whole training.
        warmup_fraction: of ``total_steps``.

    Returns:
        0 to 1, the share of the highest learning rate.
    """
    warmup = warmup_fraction * total_steps
    if step < warmup:
        return (step + 1) / (math.floor(warmup) + 1)
    progress = (step - warmup) / max(total_steps - warmup, 1)
    return 0.5 * (1.0 + math.cos(math.pi * min(progress, 1.0)))
