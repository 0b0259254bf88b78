"""Training of one classifier: plain cross-entropy, then, if asked for, new heads on the metric.

To compare, step 1 can train on the metric too (``weighted_from_start``), and step 2 can train
everything (``weighted_fit_frozen: false``).

What must stay true: training crops carry margins to be jittered in, validation crops are cut and
graded exactly as at inference; the order in which studies are given does not matter.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor, nn

from lumbargrade.agreement import severity_auc
from lumbargrade.classifier import augment
from lumbargrade.classifier.augment import Changes
from lumbargrade.classifier.dataset import (
    CropBatch,
    StudyCrops,
    grade_prior,
    shared_studies,
    shuffled_groups,
    stacked_labels,
    to_batch,
)
from lumbargrade.classifier.infer import probabilities
from lumbargrade.classifier.jitter import PointErrors
from lumbargrade.classifier.loss import cross_entropy, metric_loss, smooth, soft_targets
from lumbargrade.classifier.mix import Mix, apply_mix, draw_mix
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.config import ClassifierMember, ClassifierSettings, FitSettings
from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import wider
from lumbargrade.encoder_weights import StartingWeights, claim_weights, find_weights
from lumbargrade.labels import GRADE_WEIGHTS, GRADES, MISSING_GRADE
from lumbargrade.metric import competition_metric, reweight_for_metric
from lumbargrade.records import InvalidStudyError
from lumbargrade.run_folder import claim_settings
from lumbargrade.training.checkpoint import is_complete
from lumbargrade.training.loop import fit
from lumbargrade.training.share import WHOLE, Share
from lumbargrade.training.stopping import Stop
from lumbargrade.training.task import FitResult, OnEpoch

FIRST_STEP = "first_step"
"""Folder inside the member's folder for step 1, where there is a step 2."""

VALIDATION_STUDIES_AT_ONCE = 4


class TrainingBatch(NamedTuple):
    """Wide crops, and what was drawn for them."""

    crops: CropBatch
    changes: Changes
    mix: Mix


class ClassifierTask:
    """Batches, loss and validation of one training step (of two)."""

    def __init__(
        self,
        training: Sequence[StudyCrops],
        validation: Sequence[StudyCrops],
        member: ClassifierMember,
        fit_settings: FitSettings,
        *,
        seed: int,
        weighted: bool,
        errors: PointErrors | None = None,
    ) -> None:
        if member.classifier.augment.jitter_from_found and errors is None:
            raise ValueError("jitter_from_found needs the detectors' errors")
        self.errors = errors if member.classifier.augment.jitter_from_found else None
        self.training = training
        self.validation = sorted(validation, key=lambda study: study.study_id)
        self.crops = member.crops
        self.augment = member.classifier.augment
        self.label_smoothing = 0.0 if weighted else member.classifier.label_smoothing
        if weighted:  # the any-severe term has no meaning for mixed studies
            self.augment = self.augment.model_copy(
                update={"cutmix_probability": 0.0, "mixup_probability": 0.0}
            )
        self.select_by = "score" if weighted else member.classifier.select_by
        self.batch_size = fit_settings.batch_size
        self.seed = seed
        self.weighted = weighted
        self.mirrored = member.classifier.answer_mirrored
        self.share = WHOLE

    def steps_per_epoch(self) -> int:
        """Batches that cover the training studies once."""
        return -(-len(self.training) // self.batch_size)

    def batches(self, epoch: int) -> Iterator[TrainingBatch]:
        """Every training study once."""
        groups = shuffled_groups(self.training, self.batch_size, seed=self.seed, epoch=epoch)
        for group in groups:
            studies = shared_studies(group, self.share, with_next=self._mixes)
            yield TrainingBatch(
                to_batch(studies),
                augment.draw_changes(
                    studies,
                    self.crops,
                    self.augment,
                    seed=self.seed,
                    epoch=epoch,
                    errors=self.errors,
                ),
                draw_mix(studies, self.crops, self.augment, seed=self.seed, epoch=epoch),
            )

    def loss(self, model: nn.Module, batch: TrainingBatch) -> Tensor | Mapping[str, Tensor]:
        """Augment where the batch lies, grade, compare."""
        with torch.no_grad():
            images, crops = augment.apply_changes(batch.crops, batch.changes, self.crops)
            targets = soft_targets(crops.labels)
            present = crops.slice_present
            if self._mixes:
                images, targets = apply_mix(images, crops, batch.mix)
                if self.share.count > 1:  # the last one was there to be mixed with
                    images, targets, present = images[:-1], targets[:-1], present[:-1]
            targets = smooth(targets, self.label_smoothing)
        logits = model(images, present)
        judge = metric_loss if self.weighted else cross_entropy
        return judge(logits, targets, self.share)

    @property
    def _mixes(self) -> bool:
        return self.augment.cutmix_probability > 0 or self.augment.mixup_probability > 0

    def shared(self, share: Share) -> Self:
        """The same training, of which this process has a share."""
        task = copy.copy(self)
        task.share = share
        return task

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """The competition metric of q (``score``), and the plain log-loss of p."""
        labels = stacked_labels(self.validation)
        answers = np.concatenate(
            [
                probabilities(
                    model, to_batch(studies), weighted=self.weighted, mirrored=self.mirrored
                )
                for studies in _groups(self.validation, VALIDATION_STUDIES_AT_ONCE)
            ]
        )
        parts = competition_metric(labels, reweight_for_metric(answers))
        auc = severity_auc(labels, answers)
        return {
            **({} if auc is None else {"auc": auc}),
            "score": parts.score,
            "spinal": parts.spinal,
            "foraminal": parts.foraminal,
            "subarticular": parts.subarticular,
            "any_severe_spinal": parts.any_severe_spinal,
            "log_loss": log_loss(labels, answers),
        }

    def selected_by(self, metrics: Mapping[str, float]) -> float:
        """The score, the log-loss or 1 − AUC, as the settings say; step 2 goes by the score."""
        if self.select_by != "auc":
            return metrics[self.select_by]
        if "auc" not in metrics:
            raise InvalidStudyError(
                "select_by: auc needs validation studies in which some cell (condition and level) "
                "holds both severe and other grades; use more of them, or select_by: score"
            )
        return 1.0 - metrics["auc"]


def training_crop_settings(crops: CropSettings, settings: ClassifierSettings) -> CropSettings:
    """How the crops of training studies are cut: with margins to be jittered in."""
    return wider(
        crops,
        margin_px=augment.margin_px(crops, settings.augment),
        margin_slices=augment.margin_slices(settings.augment),
    )


def train_classifier(
    settings: ClassifierSettings,
    crops: CropSettings,
    training: Sequence[StudyCrops],
    validation: Sequence[StudyCrops],
    out: Path,
    seed: int,
    *,
    device: str = "auto",
    on_epoch: OnEpoch | None = None,
    stop: Stop | None = None,
    errors: PointErrors | None = None,
) -> FitResult:
    """Train one classifier into a member's folder, or go on with it.

    Args:
        settings: network, augmentation, and one or two steps of training.
        crops: what is graded.
        training: cut with :func:`training_crop_settings`.
        validation: cut with ``crops``.
        out: the member's folder.
        seed: of initial weights, order and augmentation.
        device: auto, cpu, cuda, cuda:N or mps.
        on_epoch: progress.
        stop: asks the training to stop after a step.
        errors: of the detectors, where ``jitter_from_found`` asks for them.

    Raises:
        ConfigError: the folder was begun with other settings or encoder weights, or these cannot
            be had.
        Stopped: the training was asked to stop.
    """
    member = ClassifierMember(crops=crops, classifier=settings)
    out.mkdir(parents=True, exist_ok=True)
    claim_settings(out, member)
    weights = None if is_complete(out) else _starting_weights(settings, out)
    torch.manual_seed(seed)
    model = GradeClassifier(settings, weights, channels=crops.channels, slices=crops.slices)
    first_weights = GRADE_WEIGHTS if settings.weighted_from_start else (1.0,) * len(GRADES)
    model.heads.start_from(grade_prior(training, first_weights))

    def step(fit_settings: FitSettings, folder: Path, *, weighted: bool) -> FitResult:
        task = ClassifierTask(
            training, validation, member, fit_settings,
            seed=seed, weighted=weighted, errors=errors,
        )  # fmt: skip
        return fit(
            model, task, fit_settings, folder,
            seed=seed, device=device, on_epoch=on_epoch, stop=stop,
        )  # fmt: skip

    from_start = settings.weighted_from_start
    if settings.weighted_fit is None:
        return step(settings.fit, out, weighted=from_start)
    if not is_complete(out):
        step(settings.fit, out / FIRST_STEP, weighted=from_start)
    torch.manual_seed(seed + 1)
    model.renew_heads(freeze=settings.weighted_fit_frozen)
    model.heads.start_from(grade_prior(training, GRADE_WEIGHTS))
    return step(settings.weighted_fit, out, weighted=True)


def _starting_weights(settings: ClassifierSettings, out: Path) -> StartingWeights | None:
    weights = find_weights(
        settings.encoder, settings.encoder_weights, settings.encoder_weights_licence
    )
    claim_weights(out, [weights])
    return weights


def log_loss(labels: np.ndarray, answers: np.ndarray) -> float:
    """Mean −log of the answers (study, 25, 3) on the true grades of the labelled cells."""
    labelled = labels != MISSING_GRADE
    on_truth = np.take_along_axis(answers, np.maximum(labels, 0)[..., None], axis=-1)[..., 0]
    return float(-np.log(np.maximum(on_truth[labelled], 1e-12)).mean())


def _groups(studies: Sequence[StudyCrops], size: int) -> Iterator[Sequence[StudyCrops]]:
    for start in range(0, len(studies), size):
        yield studies[start : start + size]
