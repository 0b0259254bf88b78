"""The one fit loop, for every network here, on Lightning Fabric.

What must stay true: weights are complete when ``weights.safetensors`` is there; the same call goes
on where an earlier one was cut off. Where ``torchrun`` started several processes, the first one
calls :func:`fit` and the others :func:`assist`, once, for all its calls.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from lumbargrade.config import FitSettings
from lumbargrade.settings import ConfigError
from lumbargrade.training import checkpoint
from lumbargrade.training.device import deterministic
from lumbargrade.training.fit_run import FitJob, FitRun, Watch
from lumbargrade.training.identity import FitIdentity
from lumbargrade.training.ranks import Ranks
from lumbargrade.training.stopping import Stop, Stopped
from lumbargrade.training.task import FitResult, OnEpoch, Task


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
    watch: Watch | None = None,
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
        watch: stands between the loop and its batches.

    Raises:
        FloatingPointError: a score is not finite.
        ConfigError: the folder holds the state of a run with other settings, or more processes
            share the training than a batch has studies.
        Stopped: the run was asked to stop; the same call goes on from that step.
    """
    out.mkdir(parents=True, exist_ok=True)
    if checkpoint.is_complete(out):
        return _finish(model, task, out)
    ranks = Ranks.join(device)
    count = ranks.share.count
    identity = FitIdentity.of(settings, seed=seed, steps=task.steps_per_epoch(), processes=count)
    state = checkpoint.load_state(out)
    if state is not None:
        identity.check(state["identity"], out)
    if settings.batch_size < count:
        raise ConfigError(
            f"{out}: fit.batch_size {settings.batch_size} cannot be shared by {count} processes: "
            f"start fewer, or set fit.batch_size to at least {count}"
        )
    job = FitJob(
        model=model, task=task, settings=settings, seed=seed, out=out, identity=identity,
        state=state,
    )  # fmt: skip
    ranks.tell(job)
    checkpoint.complete(out, _train(job, ranks, stop or Stop(), on_epoch, watch))
    return _finish(model, task, out)


def assist(ranks: Ranks) -> None:
    """Take part in every :func:`fit` of the first process, until it says that there are no more.

    Args:
        ranks: as one of the others sees them.

    Raises:
        RuntimeError: the first process is gone.
    """
    while (job := ranks.hear()) is not None:
        try:
            _train(job, ranks, Stop(), None, None)
        except Stopped:
            return


def _train(
    job: FitJob, ranks: Ranks, stop: Stop, on_epoch: OnEpoch | None, watch: Watch | None
) -> Mapping[str, Tensor]:
    """Epochs, until all are done; returns the weights of the best."""
    with deterministic(warn_only=ranks.fabric.device.type != "cpu"):
        run = FitRun(job, ranks, stop, watch=watch)
        if job.state is not None:
            run.resume(job.state)
        while run.epoch < run.plan.epochs:
            metrics = run.train_one_epoch()
            if on_epoch is not None:
                on_epoch(run.epoch, run.plan.epochs, metrics)
    return run.best


def _finish(model: nn.Module, task: Task[Any], out: Path) -> FitResult:
    checkpoint.remove_state(out)
    model.load_state_dict(checkpoint.load_weights(out / checkpoint.WEIGHTS))
    model.eval()
    history = checkpoint.read_metrics(out)
    best = min(history, key=task.selected_by)
    return FitResult(
        best_epoch=int(best["epoch"]), best_score=best.get("score"), history=tuple(history)
    )
