"""Training of the sagittal T2 detector on single slices alone, before or instead of studies.

What must stay true: no slice chooses the epoch, the last one is kept; channels that no slice marks
stay as they were made.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
from torch import Tensor, nn

from lumbargrade.config import DetectorSettings, FitSettings
from lumbargrade.detector.batches import shared_batch
from lumbargrade.detector.dataset import DetectorBatch
from lumbargrade.detector.loss import detector_loss
from lumbargrade.detector.model import Detector
from lumbargrade.detector.slices import ViewArrays
from lumbargrade.training.loop import fit
from lumbargrade.training.share import WHOLE, Share
from lumbargrade.training.stopping import Stop
from lumbargrade.training.task import OnEpoch


class SlicesTask:
    """Batches and loss of a training on single slices."""

    def __init__(
        self,
        slices: Sequence[ViewArrays],
        settings: DetectorSettings,
        fit_settings: FitSettings,
        *,
        seed: int,
    ) -> None:
        self.slices = sorted(slices, key=lambda item: item.study_id)
        self.settings = settings
        self.batch_size = fit_settings.batch_size
        self.seed = seed
        self.share = WHOLE

    def steps_per_epoch(self) -> int:
        """Batches that cover the slices once."""
        return -(-len(self.slices) // self.batch_size)

    def batches(self, epoch: int) -> Iterator[DetectorBatch]:
        """Every slice once, augmented, in an order drawn for the epoch."""
        order = np.random.default_rng([self.seed, epoch]).permutation(len(self.slices))
        for start in range(0, len(order), self.batch_size):
            picked = [self.slices[index] for index in order[start : start + self.batch_size]]
            yield shared_batch(
                [(item, item.study_id) for item in picked], self.settings, self.share,
                seed=self.seed, epoch=epoch,
            )  # fmt: skip

    def loss(self, model: nn.Module, batch: DetectorBatch) -> Mapping[str, Tensor]:
        """As for studies."""
        output = model(batch.images, batch.features, batch.lengths)
        return detector_loss(output, batch, self.share)

    def shared(self, share: Share) -> Self:
        """The same training, of which this process has a share."""
        task = copy.copy(self)
        task.share = share
        return task

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """Nothing is held back to judge by."""
        return {}

    def selected_by(self, metrics: Mapping[str, float]) -> float:
        """The later, the better."""
        return -metrics["epoch"]


def train_on_slices(
    detector: Detector,
    slices: Sequence[ViewArrays],
    fit_settings: FitSettings,
    out: Path,
    seed: int,
    *,
    device: str = "auto",
    on_epoch: OnEpoch | None = None,
    stop: Stop | None = None,
) -> None:
    """Train a detector in place on single slices, or go on with it.

    Args:
        detector: of sagittal T2.
        slices: views of one slice with their points.
        fit_settings: how long and how fast; a batch is so many slices.
        out: a folder for the weights and the state.
        seed: of order and augmentation.
        device: auto, cpu, cuda, cuda:N or mps.
        on_epoch: progress.
        stop: asks the training to stop after a step.

    Raises:
        ConfigError: the folder holds the state of a training with other settings.
        Stopped: the training was asked to stop; the same call goes on.
    """
    task = SlicesTask(slices, detector.settings, fit_settings, seed=seed)
    fit(detector, task, fit_settings, out, seed=seed, device=device, on_epoch=on_epoch, stop=stop)
