"""A sagittal T2 detector trained on plain 2-D slices alone, for all detectors to start from.

What must stay true: the folder says which slices it was trained on and under which licence they
are; the same call goes on where it was cut off, and refuses other slices.
"""

import json
from pathlib import Path

import torch

from lumbargrade.atomic_files import write_beside
from lumbargrade.config import DetectorMember, DetectorSettings
from lumbargrade.detector.model import build_detector
from lumbargrade.detector.pretrain import train_on_slices
from lumbargrade.detector.starts import PRETRAINING, claim_starts, starts_of
from lumbargrade.extra_slices import ExtraSlices, read_extra_slices
from lumbargrade.folder_lock import held_folder
from lumbargrade.labels import View
from lumbargrade.memory import keep_big_buffers
from lumbargrade.run_folder import claim_settings
from lumbargrade.settings import ConfigError
from lumbargrade.training.stopping import Stop
from lumbargrade.training.task import OnEpoch


def pretrain_detector(
    settings: DetectorSettings,
    coordinates: Path,
    out: Path,
    *,
    seed: int = 0,
    device: str = "auto",
    on_epoch: OnEpoch | None = None,
    stop: Stop | None = None,
) -> None:
    """Train on the slices of a coordinate dataset, as ``extra_slices.pretrain`` says, else ``fit``.

    Args:
        settings: of the sagittal T2 detector; ``extra_slices`` says which slices.
        coordinates: as :func:`lumbargrade.competition.read_coordinate_images` takes it.
        out: the detector's folder, which ``start_from`` takes.
        seed: of initial weights, order and augmentation.
        device: auto, cpu, cuda, cuda:N or mps.
        on_epoch: progress.
        stop: asks the training to stop after a step.

    Raises:
        InvalidStudyError: no slice is left, or one cannot be read.
        ConfigError: the folder was begun with other settings, slices or starting weights.
        Stopped: the training was asked to stop; the same call goes on.
    """
    with held_folder(out):
        extra = read_extra_slices(coordinates, settings.extra_slices)
        starts = starts_of(settings, out)  # what is wrong is refused before the folder takes it
        member = DetectorMember(view=View.SAGITTAL_T2.value, seed=seed, detector=settings)
        claim_settings(out, member)
        _claim_slices(out, extra)
        claim_starts(out, starts)
        keep_big_buffers()
        torch.manual_seed(seed)
        train_on_slices(
            build_detector(View.SAGITTAL_T2, settings, starts),
            extra.arrays(settings.image_size),
            settings.extra_slices.pretrain or settings.fit,
            out,
            seed,
            device=device,
            on_epoch=on_epoch,
            stop=stop,
        )


def _claim_slices(out: Path, extra: ExtraSlices) -> None:
    path, facts = out / PRETRAINING, extra.facts()
    if not path.is_file():
        write_beside(path, json.dumps(facts, indent=1) + "\n")
    elif json.loads(path.read_text()) != facts:
        raise ConfigError(
            f"{out} was begun on other slices: give the same ones to go on with it, "
            "or another --out"
        )
