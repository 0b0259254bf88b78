"""The one fit loop, for every network here, on Lightning Fabric.

What must stay true: what happens in an epoch follows from (seed, epoch) and the weights at its
start alone, so a run that was killed and resumed leaves the same bytes as one that was not. The
state is saved after every epoch, and after the step in which the run is asked to stop. The weights
kept are those of the validation's best epoch, as the task judges it.
"""

import copy
import logging
import math
from collections.abc import Mapping
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lumbargrade.config import FitSettings
from lumbargrade.training import checkpoint
from lumbargrade.training.average import update_average
from lumbargrade.training.device import (
    deterministic,
    make_fabric,
    random_states,
    set_random_states,
)
from lumbargrade.training.identity import FitIdentity
from lumbargrade.training.schedule import SchedulePlan, learning_rate_factor
from lumbargrade.training.stopping import Stop, Stopped
from lumbargrade.training.task import FitResult, OnEpoch, Task

if TYPE_CHECKING:
    from lightning.fabric import Fabric

logger = logging.getLogger(__name__)


def fit(
    model: nn.Module,
    task: Task[Any],
    settings: FitSettings,
    out: Path,
    *,
    seed: int,
    device: str = "auto",
    on_epoch: OnEpoch | None = None,
    stop: Stop | None = None,
) -> FitResult:
    """Train a model, or go on with it, or take note that it is trained.

    AdamW, warm-up and cosine per step, clipped gradients, moving-average weights. The model ends
    with the weights of its best epoch, which are also saved to ``out/weights.safetensors``.

    Args:
        model: to be trained in place; parameters with ``requires_grad`` False stay.
        task: batches, loss and validation.
        settings: how long and how fast.
        out: the member's folder; created.
        seed: of dropout and whatever else draws from torch's global generator.
        device: auto, cpu, cuda, cuda:N or mps.
        on_epoch: progress.
        stop: asks the run to stop after a step.

    Raises:
        FloatingPointError: a score is not finite.
        ConfigError: the folder holds the state of a run with other settings.
        Stopped: the run was asked to stop; the same call goes on from that step.
    """
    out.mkdir(parents=True, exist_ok=True)
    if checkpoint.is_complete(out):
        return _finish(model, task, out)
    fabric = make_fabric(device)
    with deterministic(warn_only=fabric.device.type != "cpu"):
        run = _Run(model, task, settings, out, fabric=fabric, seed=seed, stop=stop or Stop())
        run.resume()
        while run.epoch < run.plan.epochs:
            metrics = run.train_one_epoch()
            if on_epoch is not None:
                on_epoch(run.epoch, run.plan.epochs, metrics)
    checkpoint.complete(out, run.best)
    return _finish(model, task, out)


def _finish(model: nn.Module, task: Task[Any], out: Path) -> FitResult:
    checkpoint.remove_state(out)
    model.load_state_dict(checkpoint.load_weights(out / checkpoint.WEIGHTS))
    model.eval()
    history = checkpoint.read_metrics(out)
    best = min(history, key=task.selected_by)
    return FitResult(
        best_epoch=int(best["epoch"]), best_score=best["score"], history=tuple(history)
    )


class _Run:
    """One training run: its state, and how a step and an epoch change it."""

    def __init__(
        self,
        model: nn.Module,
        task: Task[Any],
        settings: FitSettings,
        out: Path,
        *,
        fabric: "Fabric",
        seed: int,
        stop: Stop,
    ) -> None:
        self.task, self.settings, self.out, self.fabric, self.seed, self.stop = (
            task, settings, out, fabric, seed, stop,
        )  # fmt: skip
        self.model = model
        optimizer = torch.optim.AdamW(
            [parameter for parameter in model.parameters() if parameter.requires_grad],
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        self.averaged = copy.deepcopy(model).to(fabric.device)
        self.wrapped, self.optimizer = fabric.setup(model, optimizer)
        self.plan = SchedulePlan(settings, task.steps_per_epoch())
        self.identity = FitIdentity.of(settings, seed=seed, steps=self.plan.steps)
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
        except Stopped:  # between two steps, or in validation, which changes nothing
            self._save()
            logger.info("stopped in epoch %d after step %d", self.epoch + 1, self.position)
            raise
        with self.stop.held():
            return self._end_epoch(validated)

    def _train_steps(self) -> None:
        """Take the steps of this epoch that are left."""
        if self.position == 0:
            torch.manual_seed(1_000_003 * self.seed + self.epoch)
        self.wrapped.train()
        for batch in islice(self.task.batches(self.epoch), self.position, None):
            with self.stop.held():
                self._train_step(batch)

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
        self.epoch += 1
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
        checkpoint.write_metrics(self.history, self.out)
        self._save()
        logger.info("epoch %d of %d: score %.4f", self.epoch, self.plan.epochs, metrics["score"])
        return metrics

    def resume(self) -> None:
        """Take up the saved state, if there is one.

        Raises:
            ConfigError: it is of a run with other settings.
        """
        state = checkpoint.load_state(self.out)
        if state is None:
            return
        self.identity.check(state["identity"], self.out)
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.epoch, self.step, self.position = state["epoch"], state["step"], state["position"]
        self.best_judged, self.best = state["best_judged"], state["best"]
        self.history, self.rate = state["history"], state["rate"]
        self.sums = {name: part.to(self.fabric.device) for name, part in state["sums"].items()}
        self.plan.resume(state["planned_epochs"], state["seconds"])
        set_random_states(state["random"], self.fabric.device)
        logger.info(
            "going on after epoch %d of %d, step %d", self.epoch, self.plan.epochs, self.position
        )

    def _set_learning_rate(self) -> float:
        factor = learning_rate_factor(
            self.step, self.plan.epochs * self.plan.steps, self.settings.warmup_fraction
        )
        rate = self.settings.learning_rate * factor
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _validate(self) -> Mapping[str, float]:
        self.averaged.eval()
        with torch.no_grad(), self.fabric.autocast():
            metrics = self.task.validate(self.averaged)
        if not math.isfinite(metrics["score"]):
            raise FloatingPointError(
                f"{self.out}: validation score is {metrics['score']} after epoch {self.epoch + 1}"
            )
        return metrics

    def _save(self) -> None:
        checkpoint.save_state(
            {
                "identity": self.identity.document(),
                "model": self.model.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
                "random": random_states(self.fabric.device),
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


def _copied(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}


def _named_parts(loss: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {"loss": loss} if isinstance(loss, Tensor) else loss
