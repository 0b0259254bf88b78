"""Training of one detector.

What must stay true: validation runs the same code as inference, on whole views; training studies
are held in memory as small squares of bytes; the order in which studies are given does not matter.
"""

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from lumbargrade.atomic_files import make_folder
from lumbargrade.cache import CachedStudy
from lumbargrade.config import DetectorMember, DetectorSettings
from lumbargrade.detector.batches import training_batches
from lumbargrade.detector.dataset import DetectorBatch
from lumbargrade.detector.features import known_levels
from lumbargrade.detector.loss import detector_loss
from lumbargrade.detector.model import Detector, build_detector
from lumbargrade.detector.pretrain import train_on_slices
from lumbargrade.detector.scores import score_maps
from lumbargrade.detector.slices import ViewArrays, load_view
from lumbargrade.detector.starts import claim_starts, starts_of
from lumbargrade.detector.targets import GRID_PX, project, slice_weights
from lumbargrade.detector.view_points import decode_view
from lumbargrade.labels import View
from lumbargrade.memory import keep_big_buffers
from lumbargrade.records import InvalidStudyError
from lumbargrade.run_folder import claim_settings
from lumbargrade.training.checkpoint import CHECKPOINT, is_complete
from lumbargrade.training.loop import fit
from lumbargrade.training.share import WHOLE, Share
from lumbargrade.training.stopping import Stop
from lumbargrade.training.task import OnEpoch
from lumbargrade.volumes import SquareVolume

WORST_MM = 30.0
"""Errors count as at most this in the validation score."""

CLOSE_PX = 5.0
"""Points nearer than this on the 256 grid count as found in the plane."""


PRETRAINING = "pretraining"
"""Folder for the training on single slices, beside the state; it goes when that goes."""


class DetectorTask:
    """Batches, loss and validation of one detector."""

    def __init__(
        self,
        training: Sequence[ViewArrays],
        validation: Sequence[ViewArrays],
        settings: DetectorSettings,
        *,
        seed: int,
        extra: Sequence[ViewArrays] = (),
    ) -> None:
        self.training = training
        self.validation = validation
        self.settings = settings
        self.seed = seed
        self.extra = extra
        self.share = WHOLE

    def steps_per_epoch(self) -> int:
        """Batches that cover the training studies once."""
        return -(-len(self.training) // self.settings.fit.batch_size)

    def batches(self, epoch: int) -> Iterator[DetectorBatch]:
        """Every training study once, augmented, with extra slices beside them."""
        return training_batches(
            self.training, self.settings,
            seed=self.seed, epoch=epoch, extra=self.extra, share=self.share,
        )  # fmt: skip

    def loss(self, model: nn.Module, batch: DetectorBatch) -> Mapping[str, Tensor]:
        """The weighted sum, and its parts."""
        output = model(batch.images, batch.features, batch.lengths)
        return detector_loss(output, batch, self.share)

    def shared(self, share: Share) -> Self:
        """The same training, of which this process has a share."""
        task = copy.copy(self)
        task.share = share
        return task

    def selected_by(self, metrics: Mapping[str, float]) -> float:
        """The score."""
        return metrics["score"]

    def validate(self, model: nn.Module) -> Mapping[str, float]:
        """Errors of the found points against the labelled ones, over whole views.

        Returns:
            ``score``: mean distance in mm, cut at ``WORST_MM``; ``within_5px``: share within 5 px
            in the plane on the 256 grid; ``exact_slice``, ``slice_within_1``: share on the nearest
            slice, and at most one spacing from it; ``median_px``.
        """
        if not isinstance(model, Detector):
            raise TypeError(f"expected a Detector, found {type(model).__name__}")
        errors = [study_errors(model, arrays) for arrays in self.validation]
        distance_mm, in_plane_px, spacings = np.concatenate(errors).T
        return {
            "score": float(np.minimum(distance_mm, WORST_MM).mean()),
            "within_5px": float((in_plane_px <= CLOSE_PX).mean()),
            "median_px": float(np.median(np.minimum(in_plane_px, GRID_PX))),
            "exact_slice": float((spacings <= 0.5).mean()),
            "slice_within_1": float((spacings <= 1.5).mean()),
        }


def study_errors(detector: Detector, arrays: ViewArrays) -> np.ndarray:
    """Errors of the points of one study's view, where they are labelled and covered.

    Returns:
        (point, 3): distance in mm, distance in the plane in px of the 256 grid, distance across
        the plane in slice spacings; infinite where the point was not found.
    """
    levels = known_levels(arrays.landmarks_lps_mm)
    size = arrays.pixels.shape[1]
    square = SquareVolume(pixels=arrays.pixels, affines=arrays.affines)
    maps = score_maps(detector, square, arrays.stack_ids, levels)
    shapes = np.full((len(arrays.pixels), 2), size)
    found = decode_view(
        detector.view,
        maps,
        shapes,
        arrays.affines,
        levels,
        decoding=detector.settings.decoding,
        cross_view=detector.settings.cross_view,
        all_shown=True,
    ).positions_lps_mm
    truth = arrays.landmarks_lps_mm[list(detector.channels.landmarks)]
    local = project(arrays.affines, truth)
    weights, shown = slice_weights(local, size, detector.settings.slice_decay)
    errors = []
    for channel in np.flatnonzero(shown):
        nearest = arrays.affines[int(weights[:, channel].argmax())]
        inverse = np.linalg.inv(nearest)
        offset = inverse[:3, :3] @ (found[channel] - truth[channel])
        distance = float(np.linalg.norm(found[channel] - truth[channel]))
        in_plane = float(np.hypot(offset[1], offset[2])) * GRID_PX / size
        errors.append([distance, in_plane, abs(float(offset[0]))])
    return np.nan_to_num(np.array(errors).reshape(-1, 3), nan=np.inf)


def train_detector(
    view: View,
    settings: DetectorSettings,
    training: Sequence[CachedStudy],
    validation: Sequence[CachedStudy],
    out: Path,
    seed: int,
    *,
    extra: Sequence[ViewArrays] = (),
    device: str = "auto",
    on_epoch: OnEpoch | None = None,
    stop: Stop | None = None,
) -> Path:
    """Train one detector into a member's folder, or go on with it.

    Args:
        view: what it looks at.
        settings: network, labels, augmentation and training.
        training: prepared studies; those without the view are left out.
        validation: likewise; the epoch that does best on them is kept.
        out: the member's folder.
        seed: of initial weights, order and augmentation.
        extra: views of one slice to train on, too.
        device: auto, cpu, cuda, cuda:N or mps.
        on_epoch: progress.
        stop: asks the training to stop after a step.

    Returns:
        The member's folder.

    Raises:
        InvalidStudyError: no study of either part has the view.
        ConfigError: the folder was begun with other settings or encoder weights, or these cannot
            be had.
        Stopped: the training was asked to stop.
    """
    make_folder(out)
    starts = starts_of(settings, out)  # a wrong path is refused before the folder takes it
    member = DetectorMember(view=view.value, seed=seed, detector=settings)
    claim_settings(out, member)
    parts = [load_view(part, view, settings.image_size) for part in (training, validation)]
    for name, part in zip(("training", "validation"), parts, strict=True):
        if not part:
            raise InvalidStudyError(f"none of the {name} studies has {view} images")
    claim_starts(out, starts)
    keep_big_buffers()
    torch.manual_seed(seed)
    detector = build_detector(view, settings, starts)
    before = settings.extra_slices.pretrain
    if extra and before is not None and not is_complete(out):
        place = out / CHECKPOINT / PRETRAINING
        train_on_slices(detector, extra, before, place, seed, device=device, stop=stop)
    task = DetectorTask(parts[0], parts[1], settings, seed=seed, extra=extra)
    fit(detector, task, settings.fit, out, seed=seed, device=device, on_epoch=on_epoch, stop=stop)
    return out
