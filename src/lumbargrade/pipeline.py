"""The whole way of a study: volumes → landmarks → crops → grades.

What must stay true: with ``recipe.py`` and the command line this is the only place that knows both
stages; what leaves it is calibrated p, and q that follows from p.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float64

from lumbargrade.calibration import Calibration, apply_calibration, metric_answers
from lumbargrade.classifier.infer import (
    Classifier,
    grade_crops,
    grade_point_sets,
    load_classifier,
)
from lumbargrade.crops import cut_crops
from lumbargrade.curvature import CURVED_DEG, sideways_angle_deg
from lumbargrade.detector.infer import find_landmarks, load_detector
from lumbargrade.detector.model import Detector
from lumbargrade.dicom import sop_instances_sha256
from lumbargrade.ensemble import mean_probabilities
from lumbargrade.labels import TARGETS, VIEWS, Flag, View
from lumbargrade.models import ModelFolder, named_models, open_models
from lumbargrade.passes import Pass, every_pass, passes_of
from lumbargrade.point_confidence import PointConfidence
from lumbargrade.point_sets import mean_landmarks, shared_crops
from lumbargrade.prediction import Prediction, place_landmarks
from lumbargrade.records import Grades, Landmark, Study, ViewVolume
from lumbargrade.runtime import DEVICE_NAME, prepare_for_networks
from lumbargrade.settings import ConfigError
from lumbargrade.thick_slices import thick_study
from lumbargrade.uncertainty import disagreement
from lumbargrade.volumes import view_volumes

UNCERTAIN_BELOW = 0.5
"""A row is flagged uncertain where no grade has at least this probability."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """Loaded models, ready for any number of studies."""

    detectors: tuple[Mapping[View, Detector], ...]
    """Sets of a detector for each view, one per fold and member."""
    classifiers: tuple[Classifier, ...]
    calibration: Calibration
    models_hash: str
    models_name: str
    passes: tuple[Pass, ...] = ()
    """Which classifier looks at whose points; every one at all, where there is none."""
    merge_px: float = 0.0
    """Points nearer than this share a crop, see :func:`shared_crops`."""
    confidences: tuple[Mapping[View, PointConfidence], ...] = ()
    """Of each set of detectors, what its evidence is worth; empty where the models do not say."""
    uncertain_above: float | None = None
    """Disagreement from which on a row is flagged; None goes by ``UNCERTAIN_BELOW``."""

    @classmethod
    def load(
        cls, models: Path | str | None = None, device: str = "auto", *, threads: int | None = None
    ) -> Self:
        """Load a model folder, and set the process up for running networks.

        Args:
            models: a run or bundled folder, or a bundled set by its name (a string); None for the
                bundled default set.
            device: ``auto``, ``cpu``, ``cuda``, ``cuda:N`` or ``mps``.
            threads: for one operation; None for as many as there are cores.

        Raises:
            ConfigError: no such device here, or no model folder.
        """
        folder = open_models(named_models(models) if isinstance(models, str) else models)
        where = choose_device(device)
        prepare_for_networks(threads)
        ensemble = folder.ensemble
        return cls(
            detectors=_load_detectors(folder, where),
            classifiers=tuple(load_classifier(path, where) for path in folder.classifiers),
            calibration=_load_calibration(folder),
            models_hash=folder.hash,
            models_name=folder.name,
            passes=passes_of(folder, ensemble),
            merge_px=0.0 if ensemble is None else ensemble.merge_px,
            confidences=_confidences(folder),
            uncertain_above=None if ensemble is None else ensemble.uncertain_above,
        )

    def predict(self, study: Study) -> Grades:
        """Grade one study."""
        return self.run(study).grades

    def run(self, study: Study) -> Prediction:
        """Grade one study, and keep what the grades were read from.

        Classifiers answer at the points that ``passes`` names, and the answers are averaged;
        points are the first detectors'.

        Raises:
            InvalidStudyError: the study has no brightness to see in a series.
        """
        volumes = view_volumes(study)
        thick = thick_study(study)
        seen = volumes if thick is study else view_volumes(thick)
        follow = any(classifier.crops.follow for classifier in self.classifiers)
        confidences = self.confidences or ({},) * len(self.detectors)
        found = [
            place_landmarks(study, find_landmarks(detectors, seen, confidence, follow=follow))
            for detectors, confidence in zip(self.detectors, confidences, strict=True)
        ]
        passes = self.passes or every_pass(len(self.detectors), len(self.classifiers))
        answered = self._answer(seen, [landmarks for landmarks, _ in found], passes)
        weights = [item.weight for item in passes]
        answers = mean_probabilities(answered, weights)
        probabilities = np.asarray(apply_calibration(self.calibration, answers), dtype=np.float64)
        landmarks, points = found[0]
        grades = Grades(
            study_id=study.study_id,
            study_uid=study.study_uid,
            probabilities=probabilities,
            metric_probabilities=metric_answers(self.calibration, probabilities),
            points=points,
            flags=_flags(landmarks, self._unsure(probabilities, answered, passes)),
            warnings=study.warnings,
            models_hash=self.models_hash,
            models_name=self.models_name,
            any_severe_odds=self.calibration.any_severe_odds,
        )
        return Prediction(
            study=study,
            grades=grades,
            landmarks=landmarks,
            crops=tuple(cut_crops(seen, landmarks, self.classifiers[0].crops)),
            volumes=volumes,
            seen=seen,
            sop_instances_sha256=sop_instances_sha256(study),
        )

    def answers_without_images(self) -> Float64[np.ndarray, "25 3"]:
        """The answers q for a study that shows nothing.

        The grades' shares among the studies trained on where the models know them, else what the
        networks say when every crop is missing.
        """
        if self.calibration.without_images is not None:
            return metric_answers(self.calibration, np.array(self.calibration.without_images))
        passes = self.passes or every_pass(len(self.detectors), len(self.classifiers))
        answered = [
            grade_crops(self.classifiers[item.classifier], [None] * len(TARGETS)) for item in passes
        ]
        answers = mean_probabilities(answered, [item.weight for item in passes])
        calibrated = np.asarray(apply_calibration(self.calibration, answers), dtype=np.float64)
        return metric_answers(self.calibration, calibrated)

    def _answer(
        self,
        volumes: Mapping[View, ViewVolume],
        found: Sequence[Sequence[Landmark]],
        passes: Sequence[Pass],
    ) -> list[Float64[np.ndarray, "25 3"]]:
        """Each pass's probabilities; crops are cut once, a CNN runs once per distinct crop."""
        sets = {item.points: _points_of(found, item.points) for item in passes}
        keys = list(sets)
        ways = dict.fromkeys(classifier.crops for classifier in self.classifiers)
        crops = {
            way: [cut_crops(volumes, landmarks, way) for landmarks in sets.values()] for way in ways
        }
        same = {way: shared_crops(volumes, list(sets.values()), way, self.merge_px) for way in ways}
        answered: dict[Pass, Float64[np.ndarray, "25 3"]] = {}
        for index, classifier in enumerate(self.classifiers):
            mine = [item for item in passes if item.classifier == index]
            wanted = [keys.index(item.points) for item in mine]
            if not mine:
                continue
            if self.merge_px == 0 or len(mine) == 1:
                rows = [grade_crops(classifier, crops[classifier.crops][k]) for k in wanted]
            else:
                rows = list(
                    grade_point_sets(
                        classifier,
                        crops[classifier.crops],
                        same[classifier.crops],
                    )[wanted]
                )
            answered |= dict(zip(mine, rows, strict=True))
        return [answered[item] for item in passes]

    def _unsure(
        self,
        probabilities: Float64[np.ndarray, "25 3"],
        answered: Sequence[Float64[np.ndarray, "25 3"]],
        passes: Sequence[Pass],
    ) -> Bool[np.ndarray, "25"]:
        """The rows to be flagged as uncertain."""
        unsure: Bool[np.ndarray, "25"]
        if self.uncertain_above is None:
            unsure = probabilities.max(axis=1) < UNCERTAIN_BELOW
            return unsure
        members = dict.fromkeys(item.member for item in passes)
        weights = {
            key: [item.weight if item.member == key else 0.0 for item in passes] for key in members
        }
        means = [mean_probabilities(answered, weights[key]) for key in members]
        shares = [sum(weights[key]) for key in members]
        unsure = disagreement(means, shares) > self.uncertain_above
        return unsure


def _points_of(found: Sequence[Sequence[Landmark]], indices: Sequence[int]) -> Sequence[Landmark]:
    if len(indices) == 1:
        return found[indices[0]]
    return mean_landmarks([found[index] for index in indices])


def choose_device(name: str) -> str:
    """The device that a name means here; ``auto`` takes the fastest there is.

    Raises:
        ConfigError: no such name, or no such device on this machine.
    """
    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if name == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    if not DEVICE_NAME.fullmatch(name):
        raise ConfigError(f"device {name!r} is none of auto, cpu, cuda, cuda:N, mps")
    kind, _, number = name.partition(":")
    there = {"cpu": True, "mps": mps, "cuda": cuda}[kind]
    if not there or (number and int(number) >= torch.cuda.device_count()):
        raise ConfigError(f"device {name!r} is not there; use auto or cpu")
    return name


def _load_detectors(folder: ModelFolder, device: str) -> tuple[Mapping[View, Detector], ...]:
    return tuple(
        {
            view: load_detector(
                folder.detectors[view][index], device, image_size=folder.image_sizes[view][index]
            )
            for view in VIEWS
        }
        for index in range(len(folder.detector_keys))
    )


def _confidences(folder: ModelFolder) -> tuple[Mapping[View, PointConfidence], ...]:
    known = folder.point_confidences
    return tuple(
        known.of(
            {
                view: folder.detectors[view][index].relative_to(folder.path).as_posix()
                for view in VIEWS
            }
        )
        for index in range(len(folder.detector_keys))
    )


def _load_calibration(folder: ModelFolder) -> Calibration:
    path = folder.calibration
    return Calibration() if path is None else Calibration.from_yaml(path)


def _flags(
    landmarks: Sequence[Landmark], uncertain: Bool[np.ndarray, "25"]
) -> tuple[tuple[Flag, ...], ...]:
    angle_deg = sideways_angle_deg(landmarks)
    curved = angle_deg is not None and angle_deg > CURVED_DEG
    of_study = (Flag.UNUSUAL_ANATOMY,) if curved else ()
    return tuple(
        (*landmark.flags, *((Flag.UNCERTAIN,) if unsure else ()), *of_study)
        for landmark, unsure in zip(landmarks, uncertain, strict=True)
    )
