"""One training: its state, and how a step and an epoch change it.

What must stay true: what happens in an epoch follows from (seed, epoch) and the weights at its
start alone, so a run that was killed and resumed leaves the same bytes as one that was not. The
state is saved after every epoch, and after the step in which the run is asked to stop. The weights
kept are those of the validation's best epoch, as the task judges it. Where several processes train
together, all of them take the same steps, each on its share of the batches; the first one alone
validates, decides and writes.
"""

import copy
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lumbargrade.config import FitSettings
from lumbargrade.training import checkpoint
from lumbargrade.training.ahead import made_ahead
from lumbargrade.training.average import copy_buffers, update_average
from lumbargrade.training.device import random_states, set_random_states, share_batch_norm
from lumbargrade.training.identity import FitIdentity
from lumbargrade.training.ranks import Ranks
from lumbargrade.training.schedule import SchedulePlan, learning_rate_factor
from lumbargrade.training.stopping import Stop, Stopped
from lumbargrade.training.task import SharedTask, Task

logger = logging.getLogger(__name__)

RANK_SEED = 7_368_787_000_003
"""Times the rank, added to the seed of what a process draws from torch's global generator."""

TOLD = ("train_loss", "score")
"""Of an epoch's metrics, what the log tells."""

Watch = Callable[[Iterator[Any]], Iterator[Any]]
"""Stands between the loop and its batches, to measure both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitJob:
    """What is trained: all that a process needs to take part."""

    model: nn.Module
    task: Task[Any]
    settings: FitSettings
    seed: int
    out: Path
    """The member's folder; the first process alone touches it."""
    identity: FitIdentity
    state: Mapping[str, Any] | None
    """To go on from; of the same identity."""


class FitRun:
    """One training run: its state, and how a step and an epoch change it."""

    def __init__(
        self, job: FitJob, ranks: Ranks, stop: Stop, *, watch: Watch | None = None
    ) -> None:
        self.watch = watch
        self.settings, self.out, self.seed = job.settings, job.out, job.seed
        self.ranks, self.fabric, self.stop = ranks, ranks.fabric, stop
        self.task = job.task if ranks.is_alone else _part(job.task, ranks)
        self.model = job.model
        if not ranks.is_alone:
            self.model = share_batch_norm(job.model, self.fabric.device)
        optimizer = torch.optim.AdamW(
            [parameter for parameter in self.model.parameters() if parameter.requires_grad],
            lr=job.settings.learning_rate,
            weight_decay=job.settings.weight_decay,
        )
        self.averaged = copy.deepcopy(self.model).to(self.fabric.device)
        self.wrapped, self.optimizer = self.fabric.setup(self.model, optimizer)
        self.plan = SchedulePlan(job.settings, self.task.steps_per_epoch())
        self.identity = job.identity
        self.epoch = 0
        self.step = 0
        self.best_judged = math.inf
        self.best: dict[str, Tensor] = {}
        self.history: list[dict[str, float]] = []
        self.rate = 0.0
        self.position = 0  # steps done in this epoch
        self.sums: dict[str, Tensor] = {}

    def train_one_epoch(self) -> dict[str, float]:
        """Train, average, validate, save; returns the epoch's metrics."""
        try:
            self._train_steps()
            validated = self._validate()
        except Stopped as stopped:  # between two steps, or in validation, which changes nothing
            if self.ranks.is_first:
                self.ranks.tell(stopped)
            self._save()
            logger.info("stopped in epoch %d after step %d", self.epoch + 1, self.position)
            raise
        with self.stop.held():
            return self._end_epoch(validated)

    def _train_steps(self) -> None:
        """Take the steps of this epoch that are left."""
        if self.position == 0:
            self._seed()
        self.wrapped.train()
        for batch in self._batches_left():
            with self.stop.held():
                self.plan.epochs = self.ranks.agreed(self.plan.epochs)
                self._train_step(batch)

    def _batches_left(self) -> Iterator[Any]:
        task, epoch, position = self.task, self.epoch, self.position

        def make() -> Iterator[Any]:
            return islice(task.batches(epoch), position, None)

        on_gpu = self.fabric.device.type == "cuda"  # else the network takes every core itself
        batches = made_ahead(make, pinned=True) if on_gpu else make()
        return batches if self.watch is None else self.watch(batches)

    def _seed(self) -> None:
        own = RANK_SEED * self.ranks.share.rank  # others' dropout is not the first one's
        torch.manual_seed(1_000_003 * self.seed + self.epoch + own)

    def _train_step(self, batch: Any) -> None:
        self.rate = self._set_learning_rate()
        parts = _named_parts(self.task.loss(self.wrapped, self.fabric.to_device(batch)))
        self.optimizer.zero_grad()
        self.fabric.backward(parts["loss"])
        self.fabric.clip_gradients(
            self.wrapped,
            self.optimizer,
            max_norm=self.settings.gradient_clip,
            error_if_nonfinite=False,
        )
        self.optimizer.step()
        update_average(self.averaged, self.model, self.step if self.settings.ema else None)
        self.step += 1
        self.position += 1
        self.plan.after_step(self.step)
        for name, part in parts.items():
            value = part.detach().float()
            self.sums[name] = self.sums[name] + value if name in self.sums else value

    def _end_epoch(self, validated: Mapping[str, float]) -> dict[str, float]:
        if self.ranks.is_first:
            self.ranks.tell(validated)
        self.epoch += 1
        self._join_sums()
        losses = {
            f"train_{name}": float(part) / self.plan.steps for name, part in self.sums.items()
        }
        metrics = {"epoch": self.epoch, "learning_rate": self.rate, **losses, **validated}
        self.history.append(metrics)
        self.position, self.sums = 0, {}
        judged = self.task.selected_by(metrics)
        if judged < self.best_judged:
            self.best_judged = judged
            self.best = _copied(self.averaged.state_dict())
        self.plan.after_epoch(self.epoch)
        self.plan.epochs = self.ranks.agreed(self.plan.epochs)
        if self.ranks.is_first:
            checkpoint.write_metrics(self.history, self.out)
        self._save()
        told = [f"{name} {metrics[name]:.4f}" for name in TOLD if name in metrics]
        logger.info("epoch %d of %d: %s", self.epoch, self.plan.epochs, ", ".join(told))
        return metrics

    def resume(self, state: Mapping[str, Any]) -> None:
        """Take up a saved state."""
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.epoch, self.step, self.position = state["epoch"], state["step"], state["position"]
        self.best_judged, self.best = state["best_judged"], state["best"]
        self.history, self.rate = state["history"], state["rate"]
        self.sums = {name: part.to(self.fabric.device) for name, part in state["sums"].items()}
        self.plan.resume(state["planned_epochs"], state["seconds"])
        self._resume_random([state["random"], *state.get("random_of_others", [])])
        logger.info(
            "going on after epoch %d of %d, step %d", self.epoch, self.plan.epochs, self.position
        )

    def _resume_random(self, states: list[Mapping[str, Tensor]]) -> None:
        rank = self.ranks.share.rank
        if rank < len(states):
            set_random_states(states[rank], self.fabric.device)
        else:  # fewer processes made the state
            self._seed()

    def _set_learning_rate(self) -> float:
        factor = learning_rate_factor(
            self.step, self.plan.epochs * self.plan.steps, self.settings.warmup_fraction
        )
        rate = self.settings.learning_rate * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _validate(self) -> Mapping[str, float]:
        if not self.ranks.is_first:
            heard: Mapping[str, float] = self.ranks.hear()
            return heard
        copy_buffers(self.averaged, self.model)
        self.averaged.eval()
        with torch.no_grad(), self.fabric.autocast():
            metrics = self.task.validate(self.averaged)
        if not math.isfinite(metrics.get("score", 0.0)):
            raise FloatingPointError(
                f"{self.out}: validation score is {metrics['score']} after epoch {self.epoch + 1}"
            )
        return metrics

    def _join_sums(self) -> None:
        """Losses over all processes, which go on adding their own to the common mean."""
        self.sums = {name: self.ranks.mean(part) for name, part in self.sums.items()}

    def _save(self) -> None:
        self._join_sums()
        random = self.ranks.gather(random_states(self.fabric.device))
        if not self.ranks.is_first:
            return
        checkpoint.save_state(
            {
                "identity": self.identity.document(),
                "model": self.model.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
                "random": random[0],
                "random_of_others": random[1:],
                "epoch": self.epoch,
                "step": self.step,
                "position": self.position,
                "sums": self.sums,
                "rate": self.rate,
                "best_judged": self.best_judged,
                "best": self.best,
                "history": self.history,
                "planned_epochs": self.plan.epochs,
                "seconds": self.plan.seconds(),
            },
            self.out,
        )


def _part(task: Task[Any], ranks: Ranks) -> SharedTask[Any]:
    if not isinstance(task, SharedTask):
        raise TypeError(f"{type(task).__name__} cannot be shared by several processes")
    return task.shared(ranks.share)


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def _named_parts(loss: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {"loss": loss} if isinstance(loss, Tensor) else loss
