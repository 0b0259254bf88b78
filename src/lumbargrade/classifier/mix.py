"""Cutmix and mixup: a study's crops are partly those of the next study of the batch.

What must stay true: one box, or one share, serves all 25 crops of a pair of studies; a cell is
mixed only where both crops and both labels exist, else it keeps its own with weight 1; what is
drawn for a study follows from (seed, epoch, study id) alone.

Sources: Yun et al., CutMix (ICCV 2019); Zhang et al., mixup (ICLR 2018).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from lumbargrade.classifier.dataset import CropBatch, StudyCrops, study_rng
from lumbargrade.classifier.loss import soft_targets
from lumbargrade.config import AugmentSettings
from lumbargrade.crop_settings import CropSettings

CUTMIX_SEED = 1_000_003
MIXUP_SEED = 2_000_003
"""Added to the run's seed, so that neither shares its numbers with the other changes."""


class Mix(NamedTuple):
    """How each study of a batch is mixed with the next."""

    box: Tensor
    """(study, 4) int64: first row, end row, first column, end column; empty for mixup."""
    kept: Tensor
    """(study,) lambda: the study's own share, of the pixels (cutmix) or of each pixel (mixup)."""
    blended: Tensor
    """(study,) bool: mixup, with this lambda."""


def draw_mix(
    studies: Sequence[StudyCrops],
    crops: CropSettings,
    settings: AugmentSettings,
    *,
    seed: int,
    epoch: int,
) -> Mix:
    """Draw how every study is mixed: by mixup, else by cutmix, else not at all."""
    boxes, kept, blended = [], [], []
    for study in studies:
        rng = study_rng(seed + MIXUP_SEED, epoch, study.study_id)
        blend = rng.random() < settings.mixup_probability
        box = (0, 0, 0, 0) if blend else _draw_box(study, crops, settings, seed, epoch)
        share = (box[1] - box[0]) * (box[3] - box[2]) / crops.size_px**2
        alpha = settings.mixup_alpha
        boxes.append(box)
        kept.append(rng.beta(alpha, alpha) if blend else 1 - share)
        blended.append(blend)
    return Mix(
        box=torch.tensor(boxes, dtype=torch.int64),
        kept=torch.tensor(kept, dtype=torch.float32),
        blended=torch.tensor(blended, dtype=torch.bool),
    )


def _draw_box(
    study: StudyCrops, crops: CropSettings, settings: AugmentSettings, seed: int, epoch: int
) -> tuple[int, int, int, int]:
    rng = study_rng(seed + CUTMIX_SEED, epoch, study.study_id)
    mixed = rng.random() < settings.cutmix_probability
    share = 1 - rng.beta(settings.cutmix_alpha, settings.cutmix_alpha) if mixed else 0.0
    return clipped_box(rng.uniform(0, crops.size_px, 2), share, crops.size_px)


def clipped_box(centre: np.ndarray, share: float, size_px: int) -> tuple[int, int, int, int]:
    """A square box of a share of the crop's area around a centre, cut off at the crop's border.

    Lambda follows from the box after it was cut off.
    """
    half = size_px * np.sqrt(share) / 2
    first = np.clip(np.rint(centre - half), 0, size_px).astype(int)
    end = np.clip(np.rint(centre + half), 0, size_px).astype(int)
    return int(first[0]), int(end[0]), int(first[1]), int(end[1])


def apply_mix(
    images: Float[Tensor, "study 25 *channel slice row column"], batch: CropBatch, mix: Mix
) -> tuple[Tensor, Float[Tensor, "study 25 3"]]:
    """Mix each study's crops with those of the next study of the batch, and the targets likewise.

    Returns:
        The images, and soft targets (zeros where unlabelled).
    """
    labels, exists = batch.labels, batch.slice_present.any(dim=2)
    usable = exists & (labels >= 0)
    mixed = usable & usable.roll(-1, 0)  # (study, 25)
    share = _other_share(mix, images.shape[-1])  # (study, row, column)
    between = [1] * (images.ndim - 3)
    lit = share.reshape(len(share), *between, *share.shape[1:])
    lit = torch.where(mixed.reshape(*mixed.shape, *between[1:], 1, 1), lit, 0.0)
    images = torch.lerp(images, images.roll(-1, 0), lit)
    kept = torch.where(mixed, mix.kept[:, None], 1.0)[..., None]
    targets = soft_targets(labels)
    return images, kept * targets + (1 - kept) * targets.roll(-1, 0)


def _other_share(mix: Mix, size: int) -> Float[Tensor, "study row column"]:
    """How much of each pixel comes from the next study: 0 or 1 for cutmix, 1 − lambda for mixup."""
    at = torch.arange(size, device=mix.box.device)
    rows = (at >= mix.box[:, :1]) & (at < mix.box[:, 1:2])
    columns = (at >= mix.box[:, 2:3]) & (at < mix.box[:, 3:])
    inside = (rows[:, :, None] & columns[:, None, :]).float()
    return torch.where(mix.blended[:, None, None], (1 - mix.kept)[:, None, None], inside)
