"""The batches of an epoch of a detector's training: which studies, in which order, for whom.

What must stay true: every study comes once an epoch, in an order that follows from (seed, epoch)
and the set of studies alone; processes that share a batch draw what one process would draw for
the same studies.
"""

from collections.abc import Iterator, Sequence
from itertools import count, islice

import numpy as np
import torch

from lumbargrade.config import DetectorSettings
from lumbargrade.detector.dataset import DetectorBatch, join_runs, study_rng, training_runs
from lumbargrade.detector.slices import ViewArrays
from lumbargrade.training.share import WHOLE, Share


def training_batches(
    arrays: Sequence[ViewArrays],
    settings: DetectorSettings,
    *,
    seed: int,
    epoch: int,
    extra: Sequence[ViewArrays] = (),
    share: Share = WHOLE,
) -> Iterator[DetectorBatch]:
    """All studies once, in an order drawn for the epoch, augmented.

    Args:
        arrays: of the studies.
        settings: of the detector.
        seed: of everything that is drawn.
        epoch: likewise.
        extra: views of one slice; every batch has ``extra_slices.per_batch`` of them, in turn.
        share: which part of each batch to make. A process for which a batch holds too few studies
            gets the last of them without labels, so that it teaches nothing.
    """
    by_id = sorted(arrays, key=lambda item: item.study_id)
    order = np.random.default_rng([seed, epoch]).permutation(len(by_id))
    turns = _extra_turns(extra, seed=seed, epoch=epoch)
    for start in range(0, len(order), settings.fit.batch_size):
        picked = [by_id[index] for index in order[start : start + settings.fit.batch_size]]
        slices = list(islice(turns, settings.extra_slices.per_batch))
        yield shared_batch(
            [(item, item.study_id) for item in picked], settings, share,
            seed=seed, epoch=epoch, extra=slices,
        )  # fmt: skip


def shared_batch(
    picked: Sequence[tuple[ViewArrays, str]],
    settings: DetectorSettings,
    share: Share,
    *,
    seed: int,
    epoch: int,
    extra: Sequence[tuple[ViewArrays, str]] = (),
) -> DetectorBatch:
    """A process's part of a batch of views, each with the name that its draw goes by."""
    own = [*share.of(picked), *share.of(extra)]
    runs = [
        run
        for item, name in own or picked[-1:]
        for run in training_runs(item, settings, study_rng(seed, epoch, name))
    ]
    batch = join_runs(runs)
    return batch if own else _without_labels(batch)


def _without_labels(batch: DetectorBatch) -> DetectorBatch:
    return batch._replace(
        heatmap_known=torch.zeros_like(batch.heatmap_known),
        weights_known=torch.zeros_like(batch.weights_known),
    )


def _extra_turns(
    extra: Sequence[ViewArrays], *, seed: int, epoch: int
) -> Iterator[tuple[ViewArrays, str]]:
    """One-slice views without end, and the name of the draw: all, then all in another order."""
    by_id = sorted(extra, key=lambda item: item.study_id)
    for turn in count(1) if by_id else ():
        for index in np.random.default_rng([seed, epoch, turn]).permutation(len(by_id)):
            yield by_id[index], f"{by_id[index].study_id} {turn}"
