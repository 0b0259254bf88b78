"""A recipe as a graph of steps: prepare, split, detectors, points, crops, classifier, calibration.

What must stay true: the points on which the classifier trains and is judged come from detectors
that never saw those studies; the same call goes on where an earlier one was cut off and leaves the
same bytes; a run's folder takes one recipe and one set of data.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from lumbargrade.calibration import apply_calibration, fit_calibration, metric_answers, with_prior
from lumbargrade.classifier.dataset import cut_studies, stacked_labels
from lumbargrade.classifier.infer import grade_studies, load_classifier
from lumbargrade.classifier.train import train_classifier, training_crop_settings
from lumbargrade.competition import write_submission
from lumbargrade.confidence_fits import fit_confidences
from lumbargrade.config import DetectorSettings
from lumbargrade.detector.infer import find_landmarks, load_detector
from lumbargrade.detector.train import train_detector
from lumbargrade.encoder_weights import recorded_weights
from lumbargrade.extra_slices import (
    ExtraSlices,
    arrays_of_slices,
    claimed_slices,
    opened_slices,
)
from lumbargrade.folder_lock import held_folder
from lumbargrade.folds import Split, split_studies
from lumbargrade.labels import VIEWS, View
from lumbargrade.metric import MetricParts, competition_metric, reweight_for_metric
from lumbargrade.models import CALIBRATION, MemberEntry, write_confidences, write_manifest
from lumbargrade.out_of_fold import (
    ANSWERS,
    LANDMARKS,
    POINTS,
    Landmarks,
    append_landmarks,
    repair_landmarks,
    write_points_table,
)
from lumbargrade.prepared import (
    PreparedStudies,
    StudyFacts,
    data_sha256,
    prepared_cache,
    survey,
)
from lumbargrade.recipe_settings import Recipe, split_of
from lumbargrade.run_folder import claim_data, claim_settings, parts_of
from lumbargrade.run_layout import CLASSIFIER_PATH, detector_path
from lumbargrade.run_report.gather import oracle_of
from lumbargrade.run_report.of_split import write_split_report
from lumbargrade.training.checkpoint import is_complete, remove_state
from lumbargrade.training.stopping import Stop
from lumbargrade.training_crops import cut_at_marked_points, cut_training_crops

logger = logging.getLogger(__name__)

PREPARED = "prepared"
"""Folder inside the run for prepared studies, where the data are DICOM files."""

LIBRARIES = ("lumbargrade", "torch", "timm", "segmentation-models-pytorch", "lightning", "numpy")
"""Whose versions the manifest names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """What a finished run came to."""

    out: Path
    split: Split
    score: MetricParts
    """Of the classifier's validation studies, before calibration."""
    calibrated: MetricParts
    """After it; fitted on the same studies."""


def run_recipe(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    extra_slices: Path | None = None,
    device: str = "auto",
    workers: int = 1,
    stop: Stop | None = None,
) -> RunSummary:
    """Train everything that a recipe asks for, or go on with it.

    Args:
        recipe: the settings.
        data: a dataset of DICOM files with training tables, or the prepared studies of one.
        out: the run's folder.
        extra_slices: a 2-D coordinate dataset for the sagittal T2 detector to train on, too.
        device: auto, cpu, cuda, cuda:N or mps.
        workers: processes for preparing.
        stop: asks the run to stop where it can go on later without loss.

    Raises:
        ConfigError: the folder holds a run of another recipe or other data, or another process
            works in it.
        InvalidStudyError: too few studies, or none that can be read.
        Stopped: the run was asked to stop; the same call goes on.
    """
    fractions = split_of(recipe)
    with held_folder(out):
        claim_settings(out, recipe)
        cache = prepared_cache(data, out / PREPARED, workers=workers)
        facts = survey(cache)
        split = split_studies(
            {study_id: item.labels for study_id, item in facts.items()}, fractions, recipe.seed
        )
        extra = opened_slices(extra_slices, recipe)
        claim_data(out, split, data_sha256(list(facts.values())), **claimed_slices(extra))
        run = _Run(
            recipe=recipe,
            cache=cache,
            out=out,
            facts=facts,
            split=split,
            extra=extra,
            device=device,
            stop=stop or Stop(),
        )
        for view in VIEWS:
            run.train_detector(view)
        landmarks = run.find_landmarks()
        run.train_classifier(landmarks)
        summary = run.judge(landmarks)
        run.report(oracle_of(data))
        return summary


@dataclass(frozen=True, slots=True, kw_only=True)
class _Run:
    """The steps of one run; each may be called again and does only what is left to do."""

    recipe: Recipe
    cache: Path
    out: Path
    facts: dict[str, StudyFacts]
    split: Split
    extra: ExtraSlices | None
    device: str
    stop: Stop

    def train_detector(self, view: View) -> None:
        """One view's detector, on the studies that have the view."""
        folder = self.out / detector_path(view)
        if is_complete(folder):
            remove_state(folder)  # a kill may have left it
            return
        training = self._with_view(view, self.split.detector)
        validation = self._with_view(view, self.split.detector_validation)
        logger.info("%s: training on %d studies", detector_path(view), len(training))
        train_detector(
            view,
            detector_settings(self.recipe, view),
            training,
            validation,
            folder,
            self.recipe.seed,
            extra=arrays_of_slices(self.extra, self.recipe, view),
            device=self.device,
            stop=self.stop,
        )

    def find_landmarks(self) -> dict[str, Landmarks]:
        """Points of the studies that the detectors never saw; kept study by study."""
        path = self.out / LANDMARKS
        known = repair_landmarks(path)
        studies = self._studies((*self.split.classifier, *self.split.classifier_validation))
        left = [study_id for study_id in studies.study_ids if study_id not in known]
        if left:
            logger.info("finding the points of %d studies", len(left))
            detectors = {
                view: load_detector(self.out / detector_path(view), self.device) for view in VIEWS
            }
            for study in self._studies(left):
                with self.stop.held():
                    found = find_landmarks(detectors, study.volumes, follow=self.recipe.follow)
                    known[study.study_id] = found
                    append_landmarks(path, study.study_id, found)
        write_points_table(self.out / POINTS, studies, known)
        return known

    def train_classifier(self, landmarks: dict[str, Landmarks]) -> None:
        """Stage 2, on crops at the points found."""
        folder = self.out / CLASSIFIER_PATH
        if is_complete(folder):
            remove_state(folder)
            return
        settings, crops = self.recipe.classifier, self.recipe.crops
        training, errors = cut_training_crops(
            self.recipe, self._studies(self.split.classifier), landmarks
        )
        if self.recipe.grade_marked_points:
            marked = (*self.split.detector, *self.split.detector_validation)
            wide = training_crop_settings(crops, settings)
            training += cut_at_marked_points(self._studies(marked), wide)
        validation = cut_studies(self._studies(self.split.classifier_validation), landmarks, crops)
        logger.info("%s: training on %d studies", CLASSIFIER_PATH, len(training))
        train_classifier(
            settings, crops, training, validation, folder, self.recipe.seed,
            device=self.device, stop=self.stop, errors=errors,
        )  # fmt: skip

    def judge(self, landmarks: dict[str, Landmarks]) -> RunSummary:
        """Answer for the validation studies, calibrate, describe the run."""
        studies = cut_studies(
            self._studies(self.split.classifier_validation), landmarks, self.recipe.crops
        )
        classifier = load_classifier(self.out / CLASSIFIER_PATH)
        answers = grade_studies(classifier, studies)
        labels = stacked_labels(studies)
        calibration = with_prior(
            fit_calibration(labels, answers, any_severe=self.recipe.fit_any_severe),
            np.stack([item.labels for item in self.facts.values()]),
        )
        calibration.to_yaml(self.out / CALIBRATION)
        unseen = self._studies((*self.split.classifier, *self.split.classifier_validation))
        folders = {view: detector_path(view) for view in VIEWS}
        write_confidences(self.out, fit_confidences(folders, unseen, landmarks))
        write_submission(
            self.out / ANSWERS,
            {
                study.study_id: reweight_for_metric(rows)
                for study, rows in zip(studies, answers, strict=True)
            },
        )
        calibrated = apply_calibration(calibration, answers)
        summary = RunSummary(
            out=self.out,
            split=self.split,
            score=competition_metric(labels, reweight_for_metric(answers)),
            calibrated=competition_metric(labels, metric_answers(calibration, calibrated)),
        )
        self._describe(summary)
        return summary

    def report(self, oracle: Path | None) -> None:
        """``report.html``; ``oracle`` is the true probabilities' table, where there is one."""
        judged = self.split.classifier_validation
        write_split_report(
            self.recipe, self.out, {item: self.facts[item].labels for item in judged}, oracle,
            detectors={view: self.out / detector_path(view) for view in VIEWS},
            classifier=self.out / CLASSIFIER_PATH,
        )  # fmt: skip

    def _describe(self, summary: RunSummary) -> None:
        members = [
            MemberEntry(path=detector_path(view), stage="detector", view=view) for view in VIEWS
        ]
        members.append(MemberEntry(path=CLASSIFIER_PATH, stage="classifier"))
        write_manifest(
            self.out,
            name=self.recipe.name,
            members=members,
            facts={
                "recipe": self.recipe.name,
                "seed": self.recipe.seed,
                "training_data": {
                    "licence": "; ".join(self._licences()),
                    "sha256": data_sha256(list(self.facts.values())),
                    "studies": {
                        part: len(study_ids) for part, study_ids in parts_of(self.split).items()
                    },
                    **({"extra_slices": self.extra.facts()} if self.extra else {}),
                },
                **recorded_weights(self.out / member.path for member in members),
                "out_of_fold": {"score": summary.score.score},
                "versions": {library: version(library) for library in LIBRARIES},
            },
        )

    def _licences(self) -> list[str]:
        """Of everything that was trained on."""
        return [self.recipe.data_licence, *([self.extra.licence] if self.extra else [])]

    def _studies(self, study_ids: Sequence[str]) -> PreparedStudies:
        return PreparedStudies(self.cache, study_ids)

    def _with_view(self, view: View, study_ids: Sequence[str]) -> PreparedStudies:
        return self._studies([item for item in study_ids if view in self.facts[item].views])


def detector_settings(recipe: Recipe, view: View) -> DetectorSettings:
    """A recipe's settings for one view."""
    return {
        View.SAGITTAL_T2: recipe.sagittal_t2,
        View.SAGITTAL_T1: recipe.sagittal_t1,
        View.AXIAL_T2: recipe.axial_t2,
    }[view]
