"""The whole way of a study: volumes → landmarks → crops → grades.

What must stay true: with ``recipe.py`` and the command line this is the only place that knows both
stages; what leaves it is calibrated p, and q that follows from p.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Float64

from lumbargrade.calibration import Calibration, apply_calibration
from lumbargrade.classifier.infer import Classifier, grade_crops, load_classifier
from lumbargrade.config import CropSettings
from lumbargrade.crops import cut_crops
from lumbargrade.detector.infer import find_landmarks, load_detector
from lumbargrade.detector.model import Detector
from lumbargrade.dicom import sop_instances_sha256
from lumbargrade.ensemble import mean_probabilities
from lumbargrade.labels import VIEWS, Flag, View
from lumbargrade.metric import reweight_for_metric
from lumbargrade.models import ModelFolder, open_models
from lumbargrade.prediction import Prediction, place_landmarks
from lumbargrade.records import Crop, Grades, Landmark, Study, ViewVolume
from lumbargrade.runtime import prepare_for_networks
from lumbargrade.settings import ConfigError
from lumbargrade.volumes import view_volumes

UNCERTAIN_BELOW = 0.5
"""A row is flagged uncertain where no grade has at least this probability."""

_DEVICE = re.compile(r"cpu|mps|cuda(:\d+)?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Loaded models, ready for any number of studies."""

    detectors: tuple[Mapping[View, Detector], ...]
    """One set per fold: a detector for each view."""
    classifiers: tuple[Classifier, ...]
    calibration: Calibration
    models_hash: str
    models_name: str

    @classmethod
    def load(cls, models: Path | None = None, device: str = "auto") -> Self:
        """Load a model folder, and set the process up for running networks.

        Args:
            models: a run or bundled folder; None for the bundled models.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.

        Raises:
            ConfigError: no such device here, or no model folder.
        """
        folder = open_models(models)
        where = choose_device(device)
        prepare_for_networks()
        return cls(
            detectors=_load_detectors(folder, where),
            classifiers=tuple(load_classifier(path, where) for path in folder.classifiers),
            calibration=_load_calibration(folder),
            models_hash=folder.hash,
            models_name=folder.name,
        )

    def predict(self, study: Study) -> Grades:
        """Grade one study."""
        return self.run(study).grades

    def run(self, study: Study) -> Prediction:
        """Grade one study, and keep what the grades were read from.

        Every detector's crops go through every classifier, and all answers are averaged; points
        are the first detectors'.

        Raises:
            InvalidStudyError: the study has no brightness to see in a series.
        """
        volumes = view_volumes(study)
        found = [
            place_landmarks(study, find_landmarks(detectors, volumes))
            for detectors in self.detectors
        ]
        crops = [self._cut(volumes, landmarks) for landmarks, _ in found]
        answers = mean_probabilities(
            [
                grade_crops(classifier, of_settings[classifier.crops])
                for of_settings in crops
                for classifier in self.classifiers
            ]
        )
        probabilities = np.asarray(apply_calibration(self.calibration, answers), dtype=np.float64)
        landmarks, points = found[0]
        grades = Grades(
            study_id=study.study_id,
            study_uid=study.study_uid,
            probabilities=probabilities,
            metric_probabilities=reweight_for_metric(probabilities),
            points=points,
            flags=_flags(landmarks, probabilities),
            warnings=study.warnings,
            models_hash=self.models_hash,
            models_name=self.models_name,
        )
        return Prediction(
            study=study,
            grades=grades,
            landmarks=landmarks,
            crops=tuple(crops[0][self.classifiers[0].crops]),
            volumes=volumes,
            sop_instances_sha256=sop_instances_sha256(study),
        )

    def _cut(
        self, volumes: Mapping[View, ViewVolume], landmarks: Sequence[Landmark]
    ) -> dict[CropSettings, list[Crop | None]]:
        """Crops for each way in which some classifier wants them, cut once."""
        wanted = dict.fromkeys(classifier.crops for classifier in self.classifiers)
        return {settings: cut_crops(volumes, landmarks, settings) for settings in wanted}


def choose_device(name: str) -> str:
    """The device that a name means here; ``auto`` takes the fastest there is.

    Raises:
        ConfigError: no such name, or no such device on this machine.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if not _DEVICE.fullmatch(name):
        raise ConfigError(f"device {name!r} is none of auto, cpu, cuda, cuda:N, mps")
    kind, _, number = name.partition(":")
    there = {"cpu": True, "mps": mps, "cuda": cuda}[kind]
    if not there or (number and int(number) >= torch.cuda.device_count()):
        raise ConfigError(f"device {name!r} is not there; use auto or cpu")
    return name


def _load_detectors(folder: ModelFolder, device: str) -> tuple[Mapping[View, Detector], ...]:
    counts = {view: len(folder.detectors[view]) for view in VIEWS}
    if len(set(counts.values())) != 1:
        raise ConfigError(f"{folder.path}: each view needs as many detectors, found {counts}")
    return tuple(
        {view: load_detector(folder.detectors[view][index]).to(device) for view in VIEWS}
        for index in range(counts[VIEWS[0]])
    )


def _load_calibration(folder: ModelFolder) -> Calibration:
    path = folder.calibration
    return Calibration() if path is None else Calibration.from_yaml(path)


def _flags(
    landmarks: Sequence[Landmark], probabilities: Float64[np.ndarray, "25 3"]
) -> tuple[tuple[Flag, ...], ...]:
    uncertain = probabilities.max(axis=1) < UNCERTAIN_BELOW
    return tuple(
        (*landmark.flags, Flag.UNCERTAIN) if unsure else landmark.flags
        for landmark, unsure in zip(landmarks, uncertain, strict=True)
    )
