"""One member of a recipe, trained alone.

What must stay true: it is trained on the same studies, with the same settings and seed, as the
whole recipe would train it on.
"""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from lumbargrade.classifier.dataset import cut_studies, stacked_labels
from lumbargrade.classifier.infer import grade_studies, load_classifier
from lumbargrade.classifier.train import train_classifier, training_crop_settings
from lumbargrade.competition import write_submission
from lumbargrade.detector.train import train_detector
from lumbargrade.extra_slices import arrays_of_slices, claimed_slices, opened_slices
from lumbargrade.folder_lock import held_folder
from lumbargrade.folds import split_studies
from lumbargrade.labels import View
from lumbargrade.metric import MetricParts, competition_metric, reweight_for_metric
from lumbargrade.out_of_fold import ANSWERS, Landmarks, marked_landmarks, read_landmarks
from lumbargrade.prepared import PreparedStudies, data_sha256, prepared_cache, survey
from lumbargrade.recipe import PREPARED, detector_settings
from lumbargrade.recipe_settings import Recipe, split_of
from lumbargrade.run_folder import claim_data
from lumbargrade.settings import ConfigError
from lumbargrade.training.stopping import Stop
from lumbargrade.training.task import OnEpoch
from lumbargrade.training_crops import cut_at_marked_points, cut_training_crops


def train_one_detector(
    recipe: Recipe,
    view: View,
    data: Path,
    out: Path,
    *,
    extra_slices: Path | None = None,
    training_seed: int | None = None,
    device: str = "auto",
    workers: int = 1,
    on_epoch: OnEpoch | None = None,
    stop: Stop | None = None,
) -> None:
    """Train one detector of a recipe alone.

    Args:
        recipe: its split and this view's settings are used.
        view: what the detector looks at.
        data: as for :func:`lumbargrade.recipe.run_recipe`.
        out: the member's folder.
        extra_slices: as for :func:`lumbargrade.recipe.run_recipe`; other views leave them unread.
        training_seed: of initial weights, order and augmentation; None for the recipe's, which
            cuts the split either way.
        device: auto, cpu, cuda, cuda:N or mps.
        workers: processes for preparing.
        on_epoch: progress.
        stop: asks the training to stop after a step.

    Raises:
        ConfigError: the folder was begun with other settings or on other data.
        Stopped: the training was asked to stop; the same call goes on.
    """
    fractions = split_of(recipe)
    with held_folder(out):
        cache = prepared_cache(data, out / PREPARED, workers=workers)
        facts = survey(cache)
        split = split_studies(
            {study_id: item.labels for study_id, item in facts.items()}, fractions, recipe.seed
        )
        extra = opened_slices(extra_slices if view is View.SAGITTAL_T2 else None, recipe)
        claim_data(out, split, data_sha256(list(facts.values())), **claimed_slices(extra))
        train_detector(
            view,
            detector_settings(recipe, view),
            PreparedStudies(cache, split.detector),
            PreparedStudies(cache, split.detector_validation),
            out,
            recipe.seed if training_seed is None else training_seed,
            extra=arrays_of_slices(extra, recipe, view),
            device=device,
            on_epoch=on_epoch,
            stop=stop,
        )


def train_one_classifier(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    landmarks: Path | None = None,
    training_seed: int | None = None,
    device: str = "auto",
    workers: int = 1,
    stop: Stop | None = None,
) -> MetricParts:
    """Train the classifier of a recipe alone.

    Args:
        recipe: its split, crops and classifier are used.
        data: as for :func:`lumbargrade.recipe.run_recipe`.
        out: the member's folder.
        landmarks: ``landmarks.jsonl`` of a run on the same data and split; None for the marked
            points, and then all studies but the validation ones train.
        training_seed: of initial weights, order and augmentation; None for the recipe's, which
            cuts the split either way.
        device: auto, cpu, cuda, cuda:N or mps.
        workers: processes for preparing.
        stop: asks the training to stop after a step.

    Returns:
        The score on the validation studies.

    Raises:
        ConfigError: the landmarks are not those of this split, or the folder was begun with other
            settings, data or landmarks.
        Stopped: the training was asked to stop; the same call goes on.
    """
    if landmarks is None:
        _check_marked_points_do(recipe)
    fractions = split_of(recipe)
    seed = recipe.seed if training_seed is None else training_seed
    with held_folder(out):
        cache = prepared_cache(data, out / PREPARED, workers=workers)
        facts = survey(cache)
        labels = {study_id: item.labels for study_id, item in facts.items()}
        split = split_studies(labels, fractions, recipe.seed)
        claim_data(
            out,
            split,
            data_sha256(list(facts.values())),
            seed=seed,
            landmarks_sha256=_sha256(landmarks),
        )
        if landmarks is None:
            training_ids = tuple(labels.keys() - set(split.classifier_validation))
            points = {study.study_id: marked_landmarks(study) for study in _opened(cache, labels)}
        else:
            training_ids = split.classifier
            points = read_landmarks(landmarks)
        absent = {*training_ids, *split.classifier_validation} - points.keys()
        if absent:
            raise ConfigError(
                f"{landmarks} holds no points of {len(absent)} studies of the split, "
                f"among them {min(absent)}: is it of a run on these data with this recipe?"
            )
        if landmarks is not None and recipe.crops.follow:
            _check_tracks(landmarks, points)
        studies, errors = _opened(cache, training_ids), None
        if landmarks is None:
            wide = training_crop_settings(recipe.crops, recipe.classifier)
            training = cut_at_marked_points(studies, wide)
        else:
            training, errors = cut_training_crops(recipe, studies, points)
        validation = cut_studies(_opened(cache, split.classifier_validation), points, recipe.crops)
        train_classifier(
            recipe.classifier, recipe.crops, training, validation, out, seed,
            device=device, stop=stop, errors=errors,
        )  # fmt: skip
        answers = reweight_for_metric(grade_studies(load_classifier(out), validation))
        study_ids = [study.study_id for study in validation]
        write_submission(out / ANSWERS, dict(zip(study_ids, answers, strict=True)))
        return competition_metric(stacked_labels(validation), answers)


def _check_marked_points_do(recipe: Recipe) -> None:
    wants = {
        "classifier.augment.jitter_from_found": recipe.classifier.augment.jitter_from_found,
        "crops.xy: dynamic": recipe.crops.xy == "dynamic",
        "crops.mask": recipe.crops.mask,
    }
    for name, wanted in wants.items():
        if wanted:
            raise ConfigError(f"{name} wants the points of a run: give --landmarks")


def _check_tracks(path: Path, points: Mapping[str, Landmarks]) -> None:
    for study_id, landmarks in points.items():
        if any(item.position_lps_mm is not None and item.track is None for item in landmarks):
            raise ConfigError(
                f"{path}: the points of study {study_id} have no tracks, which crops.xy: dynamic "
                "and crops.mask want; they come from a run with the same crops settings"
            )


def _sha256(path: Path | None) -> str:
    """Of a file; empty where there is none."""
    return "" if path is None else hashlib.sha256(path.read_bytes()).hexdigest()


def _opened(cache: Path, study_ids: Iterable[str]) -> PreparedStudies:
    return PreparedStudies(cache, tuple(study_ids))
