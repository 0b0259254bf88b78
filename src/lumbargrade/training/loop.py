"""The one fit loop, for every network here, on Lightning Fabric.

What must stay true: what happens in an epoch follows from (seed, epoch) and the weights at its
start alone, so a run that was killed and resumed leaves the same bytes as one that was not. The
weights kept are those of the epoch with the lowest validation score.
"""

import copy
import logging
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from torch import Tensor, nn

import lumbargrade.timm_import  # noqa: F401  lightning imports torchvision
from lumbargrade.config import FitSettings
from lumbargrade.training import checkpoint
from lumbargrade.training.schedule import SchedulePlan, learning_rate_factor

if TYPE_CHECKING:
    from lightning.fabric import Fabric

logger = logging.getLogger(__name__)

Batch = TypeVar("Batch")

OnEpoch = Callable[[int, int, Mapping[str, float]], None]
"""Told after each epoch: the epoch (from 1), the number planned, and its metrics."""


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
        """Metrics of the model (in eval mode); must hold ``score``, lower is better."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FitResult:
    """What training came to."""

    best_epoch: int
    """From 1."""
    best_score: float
    history: tuple[Mapping[str, float], ...]
    """One entry per epoch, as in ``metrics.jsonl``."""


def fit(
    model: nn.Module,
    task: Task[Any],
    settings: FitSettings,
    out: Path,
    *,
    seed: int,
    device: str = "auto",
    on_epoch: OnEpoch | None = None,
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

    Raises:
        FloatingPointError: a score is not finite.
    """
    out.mkdir(parents=True, exist_ok=True)
    if checkpoint.is_complete(out):
        return _finish(model, out)
    fabric = _make_fabric(device)
    with _deterministic(warn_only=fabric.device.type != "cpu"):
        run = _Run(model, task, settings, out, fabric=fabric, seed=seed)
        run.resume()
        while run.epoch < run.plan.epochs:
            metrics = run.train_one_epoch()
            if on_epoch is not None:
                on_epoch(run.epoch, run.plan.epochs, metrics)
    return _finish(model, out)


def _finish(model: nn.Module, out: Path) -> FitResult:
    checkpoint.complete(out)
    model.load_state_dict(checkpoint.load_weights(out / checkpoint.WEIGHTS))
    model.eval()
    history = checkpoint.read_metrics(out)
    best = min(history, key=lambda metrics: metrics["score"])
    return FitResult(
        best_epoch=int(best["epoch"]), best_score=best["score"], history=tuple(history)
    )


class _Run:
    """One training run: the state between epochs, and how an epoch changes it."""

    def __init__(
        self,
        model: nn.Module,
        task: Task[Any],
        settings: FitSettings,
        out: Path,
        *,
        fabric: "Fabric",
        seed: int,
    ) -> None:
        self.task, self.settings, self.out, self.fabric, self.seed = (
            task, settings, out, fabric, seed,
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
        self.epoch = 0
        self.step = 0
        self.best_score = math.inf
        self.history: list[dict[str, float]] = []

    def train_one_epoch(self) -> dict[str, float]:
        """Train, average, validate, save; returns the epoch's metrics."""
        torch.manual_seed(1_000_003 * self.seed + self.epoch)
        self.wrapped.train()
        sums: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=self.fabric.device))
        rate = 0.0
        for batch in self.task.batches(self.epoch):
            rate = self._set_learning_rate()
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
            self.plan.after_step(self.step)
            for name, part in parts.items():
                sums[name] += part.detach().float()
        self.epoch += 1
        losses = {f"train_{name}": float(part) / self.plan.steps for name, part in sums.items()}
        metrics = {"epoch": self.epoch, "learning_rate": rate, **losses, **self._validate()}
        self.history.append(metrics)
        self.plan.after_epoch(self.epoch)
        self._save(metrics["score"])
        logger.info("epoch %d of %d: score %.4f", self.epoch, self.plan.epochs, metrics["score"])
        return metrics

    def resume(self) -> None:
        """Take up the state of the last whole epoch, if there is one."""
        state = checkpoint.load_state(self.out)
        if state is None:
            return
        self.model.load_state_dict(state["model"])
        self.averaged.load_state_dict(state["averaged"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.fabric.strategy.precision.load_state_dict(state["precision"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.best_score, self.history = state["best_score"], state["history"]
        self.plan.resume(state["planned_epochs"], state["seconds"])
        logger.info("resuming after epoch %d of %d", self.epoch, self.plan.epochs)

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
                f"{self.out}: validation score is {metrics['score']} after epoch {self.epoch}"
            )
        return metrics

    def _save(self, score: float) -> None:
        if score < self.best_score:
            self.best_score = score
            checkpoint.save_best(self.averaged.state_dict(), self.out)
        checkpoint.write_metrics(self.history, self.out)
        checkpoint.save_state(
            {
                "model": self.model.state_dict(),
                "averaged": self.averaged.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "precision": self.fabric.strategy.precision.state_dict(),
                "epoch": self.epoch,
                "step": self.step,
                "best_score": self.best_score,
                "history": self.history,
                "planned_epochs": self.plan.epochs,
                "seconds": self.plan.seconds(),
            },
            self.out,
        )


def update_average(averaged: nn.Module, model: nn.Module, step: int | None) -> None:
    """Move averaged weights towards the model's; buffers (batch norm) are copied.

    The decay min(0.999, (1 + t) / (10 + t)) lets short runs forget their initial weights.

    Args:
        averaged: changed in place.
        model: the model in training.
        step: t, from 0; None copies the weights.
    """
    decay = 0.0 if step is None else min(0.999, (1 + step) / (10 + step))
    with torch.no_grad():
        pairs = zip(averaged.parameters(), model.parameters(), strict=True)
        for average, parameter in pairs:
            if parameter.requires_grad:
                average.lerp_(parameter, 1.0 - decay)
        for kept, buffer in zip(averaged.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)


def _named_parts(loss: Tensor | Mapping[str, Tensor]) -> Mapping[str, Tensor]:
    return {"loss": loss} if isinstance(loss, Tensor) else loss


def _make_fabric(device: str) -> "Fabric":
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
def _deterministic(*, warn_only: bool) -> Iterator[None]:
    """Deterministic algorithms; those that some devices lack are an error, or a warning."""
    before = torch.are_deterministic_algorithms_enabled()
    warned_before = torch.is_deterministic_algorithms_warn_only_enabled()
    torch.use_deterministic_algorithms(True, warn_only=warn_only)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before, warn_only=warned_before)
