"""Crops of studies as tensors: kept once in memory, drawn in batches.

What must stay true: a batch follows from (seed, epoch) and the set of studies alone, whatever the
order in which they were given; each study's random numbers follow from (seed, epoch, study id).
"""

import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor

from lumbargrade.arrays import Labels
from lumbargrade.cache import CachedStudy
from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import PIXEL_SCALE, cut_crops
from lumbargrade.labels import CONDITIONS, GRADES, LEVELS, MISSING_GRADE, TARGETS, Family
from lumbargrade.records import Crop, Landmark
from lumbargrade.training.share import Share

PRIOR_PSEUDO_COUNT = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyCrops:
    """The 25 crops of one study with its grades, as they are kept in memory."""

    study_id: str
    pixels: UInt8[np.ndarray, "25 *channel slice row column"]
    """Two channels, image and mask, where crops hold masks; else no such axis."""
    slice_present: Bool[np.ndarray, "25 slice"]
    """All False where the study has no such crop."""
    labels: Labels


class CropBatch(NamedTuple):
    """Several studies' crops and grades as tensors."""

    pixels: Tensor
    """(study, 25, slice, row, column) uint8; with masks (study, 25, 2, slice, row, column)."""
    slice_present: Tensor
    """(study, 25, slice) bool."""
    labels: Tensor
    """(study, 25) int64."""


def collect_crops(
    study_id: str, crops: Sequence[Crop | None], labels: Labels, settings: CropSettings
) -> StudyCrops:
    """Pack the crops of a study.

    Args:
        study_id: whose they are.
        crops: 25 in target order, None where missing.
        labels: (25,) grades.
        settings: how every crop was cut.
    """
    pixels = np.zeros((len(TARGETS), *settings.shape), dtype=np.uint8)
    present = np.zeros((len(TARGETS), settings.slices), dtype=bool)
    for i, crop in enumerate(crops):
        if crop is not None:
            shown = crop.pixels if crop.mask is None else np.stack([crop.pixels, crop.mask])
            pixels[i] = np.rint(shown * PIXEL_SCALE)
            present[i] = crop.slice_present
    return StudyCrops(study_id=study_id, pixels=pixels, slice_present=present, labels=labels)


def cut_studies(
    studies: Iterable[CachedStudy],
    landmarks: Mapping[str, Sequence[Landmark]],
    settings: CropSettings,
) -> list[StudyCrops]:
    """Cut the crops of several studies into memory.

    Args:
        studies: with their volumes and grades.
        landmarks: study id → 25 landmarks.
        settings: how to cut.
    """
    return [
        collect_crops(
            study.study_id,
            cut_crops(study.volumes, landmarks[study.study_id], settings),
            study.labels,
            settings,
        )
        for study in studies
    ]


def to_batch(studies: Sequence[StudyCrops]) -> CropBatch:
    """Stack studies as they are."""
    return CropBatch(
        pixels=torch.from_numpy(np.stack([study.pixels for study in studies])),
        slice_present=torch.from_numpy(np.stack([study.slice_present for study in studies])),
        labels=torch.from_numpy(np.stack([study.labels for study in studies])),
    )


def stacked_labels(studies: Sequence[StudyCrops]) -> Int[np.ndarray, "study 25"]:
    """The grades of several studies."""
    return np.stack([study.labels for study in studies])


def shuffled_groups(
    studies: Sequence[StudyCrops], group: int, *, seed: int, epoch: int
) -> Iterator[list[StudyCrops]]:
    """All studies once, in an order drawn from (seed, epoch), in groups of ``group``."""
    ordered = sorted(studies, key=lambda study: study.study_id)
    order = np.random.default_rng([seed, epoch]).permutation(len(ordered))
    for start in range(0, len(order), group):
        yield [ordered[i] for i in order[start : start + group]]


def shared_studies(
    group: Sequence[StudyCrops], share: Share, *, with_next: bool
) -> Sequence[StudyCrops]:
    """A process's part of a batch.

    Args:
        group: the studies of the batch.
        share: which part. A process for which there are too few studies gets the last of them
            without grades, so that it teaches nothing.
        with_next: follow the part by the next study of the batch (behind the last comes the
            first), with which the part's last one is mixed.
    """
    if share.count == 1:
        return group
    first, end = share.bounds(len(group))
    if first == end:
        first, end = len(group) - 1, len(group)
        last = group[-1]
        group = [*group[:-1], replace(last, labels=np.full_like(last.labels, MISSING_GRADE))]
    return [*group[first:end], *([group[end % len(group)]] if with_next else [])]


def study_rng(seed: int, epoch: int, study_id: str) -> np.random.Generator:
    """Random numbers of one study in one epoch."""
    return np.random.default_rng([seed, epoch, zlib.crc32(study_id.encode())])


def grade_prior(studies: Sequence[StudyCrops], weights: Sequence[float]) -> Float[Tensor, "3 5 3"]:
    """Share of each grade by family and level, every row counted by the weight of its grade.

    ``PRIOR_PSEUDO_COUNT`` rows of each grade are added, so that none is impossible.
    """
    labels = np.stack([study.labels for study in studies]).reshape(-1, len(CONDITIONS), len(LEVELS))
    one_hot = labels[..., None] == np.arange(len(GRADES))  # (study, condition, level, grade)
    counts = np.full((len(Family), len(LEVELS), len(GRADES)), PRIOR_PSEUDO_COUNT)
    for i, condition in enumerate(CONDITIONS):
        counts[list(Family).index(condition.family)] += one_hot[:, i].sum(axis=0)
    weighted = counts * np.asarray(weights)
    return torch.from_numpy(weighted / weighted.sum(axis=-1, keepdims=True)).float()
