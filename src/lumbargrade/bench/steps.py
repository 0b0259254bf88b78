"""Training steps per second, and how much of the time the loop waits for data.

What must stay true: the loop is the one that trains, on real batches; nothing but clocks is added.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from lumbargrade.bench.timing import OnStep, Spread, wait_for
from lumbargrade.cache import CachedStudy
from lumbargrade.classifier.dataset import cut_studies
from lumbargrade.classifier.jitter import PointErrors
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.classifier.train import ClassifierTask, training_crop_settings
from lumbargrade.config import ClassifierMember, DetectorMember, FitSettings
from lumbargrade.detector.model import build_detector
from lumbargrade.detector.slices import load_view
from lumbargrade.detector.train import DetectorTask
from lumbargrade.labels import VIEWS, Family, View
from lumbargrade.models import ModelFolder
from lumbargrade.out_of_fold import Landmarks
from lumbargrade.training.checkpoint import CONFIG
from lumbargrade.training.loop import fit
from lumbargrade.training.task import Task

WARM_UP = 2
"""First steps of a run, which are not counted."""

BATCH = 2
FIT = FitSettings(epochs=1, batch_size=BATCH)


@dataclass(frozen=True, slots=True, kw_only=True)
class StepSpeed:
    """Of one network's training."""

    batch_size: int
    steps_per_second: Spread
    waiting_share: Spread
    """Of a step's time, how much the loop waits for its batch."""


class UnvalidatedTask:
    """A task that is trained and not validated."""

    def __init__(self, task: Task[Any]) -> None:
        self.task = task

    def steps_per_epoch(self) -> int:
        """As the task has."""
        return self.task.steps_per_epoch()

    def batches(self, epoch: int) -> Iterable[Any]:
        """The task's."""
        return self.task.batches(epoch)

    def loss(self, model: nn.Module, batch: Any) -> Tensor | Mapping[str, Tensor]:
        """The task's."""
        return self.task.loss(model, batch)

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """Nothing is validated."""
        return {"score": 0.0}

    def selected_by(self, metrics: Mapping[str, float]) -> float:
        """No epoch is better than another."""
        return metrics["score"]


class StepClock:
    """Times a training's steps, and in each of them the wait for the batch."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.waits: list[float] = []
        self.steps: list[float] = []

    def watch(self, batches: Iterator[Any]) -> Iterator[Any]:
        """The batches; the loop comes back for the next one when a step is done."""
        while True:
            start = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            ready = time.perf_counter()
            yield batch
            wait_for(self.device)
            self.waits.append(ready - start)
            self.steps.append(time.perf_counter() - start)

    def speed(self, batch_size: int) -> StepSpeed:
        """Of the steps after the first ones.

        Raises:
            ValueError: there were too few.
        """
        waits, steps = self.waits[WARM_UP:], self.steps[WARM_UP:]
        if not steps:
            raise ValueError(f"more than {WARM_UP} steps are needed, found {len(self.steps)}")
        return StepSpeed(
            batch_size=batch_size,
            steps_per_second=Spread.of([1 / step for step in steps]),
            waiting_share=Spread.of([wait / step for wait, step in zip(waits, steps, strict=True)]),
        )


def step_speeds(
    models: ModelFolder,
    studies: Sequence[CachedStudy],
    landmarks: Mapping[str, Landmarks],
    device: str,
    steps: int,
    *,
    on_step: OnStep,
) -> dict[str, StepSpeed]:
    """Train each network for some steps, with the settings of a model folder's first fold.

    Args:
        models: whose settings.
        studies: to train on; repeated as often as needed.
        landmarks: where the classifier's crops are cut.
        device: cpu, cuda, cuda:N or mps.
        steps: that count.
        on_step: progress.
    """
    count = BATCH * (steps + WARM_UP)
    speeds = {}
    for view in VIEWS:
        member = DetectorMember.from_yaml(models.detectors[view][0] / CONFIG)
        if any(view in study.volumes for study in studies):
            on_step(f"training of {view}")
            speeds[view.value] = _detector_speed(view, member, studies, device, count)
    on_step("training of the classifier")
    classifier = ClassifierMember.from_yaml(models.classifiers[0] / CONFIG)
    speeds["classifier"] = _classifier_speed(classifier, studies, landmarks, device, count)
    return speeds


def _detector_speed(
    view: View, member: DetectorMember, studies: Sequence[CachedStudy], device: str, count: int
) -> StepSpeed:
    settings = member.detector.model_copy(update={"fit": FIT})
    arrays = load_view(studies, view, settings.image_size)
    many = [replace(arrays[number % len(arrays)], study_id=f"{number}") for number in range(count)]
    return _timed_fit(
        build_detector(view, settings), DetectorTask(many, (), settings, seed=0), device
    )


def _classifier_speed(
    member: ClassifierMember,
    studies: Sequence[CachedStudy],
    landmarks: Mapping[str, Landmarks],
    device: str,
    count: int,
) -> StepSpeed:
    wide = training_crop_settings(member.crops, member.classifier)
    crops = cut_studies(studies, landmarks, wide)
    many = [replace(crops[number % len(crops)], study_id=f"{number}") for number in range(count)]
    none = PointErrors(by_family={family: np.zeros((1, 3)) for family in Family})
    task = ClassifierTask(many, (), member, FIT, seed=0, weighted=False, errors=none)
    return _timed_fit(
        GradeClassifier(
            member.classifier, channels=member.crops.channels, slices=member.crops.slices
        ),
        task,
        device,
    )


def _timed_fit(model: nn.Module, task: Task[Any], device: str) -> StepSpeed:
    clock = StepClock(torch.device(device))
    with TemporaryDirectory() as folder:
        fit(
            model, UnvalidatedTask(task), FIT, Path(folder), seed=0,
            device=device, watch=clock.watch,
        )  # fmt: skip
    return clock.speed(BATCH)
