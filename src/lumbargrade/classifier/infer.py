"""Crops → probabilities of the grades, with a trained classifier.

What must stay true: whatever the classifier was trained on, what leaves this module are
probabilities p of the grades, not the answers q that minimise the metric.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float64, Int
from torch import Tensor

from lumbargrade.classifier.augment import mirror_study
from lumbargrade.classifier.dataset import CropBatch, StudyCrops, collect_crops, to_batch
from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.config import ClassifierMember
from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import PIXEL_SCALE
from lumbargrade.labels import GRADE_WEIGHTS, MIRROR_TARGET, MISSING_GRADE, TARGETS
from lumbargrade.records import Crop
from lumbargrade.training.checkpoint import CONFIG, WEIGHTS, load_weights

StudyProbabilities = Float64[np.ndarray, "study 25 3"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Classifier:
    """A trained classifier, ready to grade."""

    model: GradeClassifier
    crops: CropSettings
    """How the crops it grades must be cut."""
    weighted: bool
    """Trained on the metric, so that its softmax is q."""
    mirrored: bool = False
    """Asked about the study and about its mirror image, for the mean of both."""
    device: torch.device


def load_classifier(folder: Path, device: str = "cpu") -> Classifier:
    """Load a member's folder.

    Raises:
        FileNotFoundError: the folder holds no weights or no settings.
        ConfigError: its settings are of another kind.
    """
    settings = ClassifierMember.from_yaml(folder / CONFIG)
    model = GradeClassifier(
        settings.classifier, channels=settings.crops.channels, slices=settings.crops.slices
    )
    model.load_state_dict(load_weights(folder / WEIGHTS))
    return Classifier(
        model=model.to(device).eval(),
        crops=settings.crops,
        weighted=settings.classifier.answers_are_weighted,
        mirrored=settings.classifier.answer_mirrored,
        device=torch.device(device),
    )


def grade_crops(
    classifier: Classifier, crops: Sequence[Crop | None]
) -> Float64[np.ndarray, "25 3"]:
    """Grade one study.

    Args:
        classifier: says how the crops must have been cut.
        crops: 25 in target order; None where missing.

    Returns:
        Probabilities p of the grades as this one network sees them; rows sum to 1.
    """
    unlabelled = np.full(len(TARGETS), MISSING_GRADE)
    study = collect_crops("", crops, unlabelled, classifier.crops)
    answers: Float64[np.ndarray, "25 3"] = grade_studies(classifier, [study])[0]
    return answers


def grade_point_sets(
    classifier: Classifier,
    crops: Sequence[Sequence[Crop | None]],
    same_as: Int[np.ndarray, "set 25"],
) -> Float64[np.ndarray, "set 25 3"]:
    """Grade one study at several sets of points; the CNN runs once per distinct crop.

    Args:
        classifier: says how the crops must have been cut.
        crops: for each set, 25 in target order.
        same_as: for each set and target, which set has that very crop.
    """
    unlabelled = np.full(len(TARGETS), MISSING_GRADE)
    batch = to_batch([collect_crops("", of_set, unlabelled, classifier.crops) for of_set in crops])
    return _answers(classifier, batch, torch.from_numpy(same_as))


def grade_studies(classifier: Classifier, studies: Sequence[StudyCrops]) -> StudyProbabilities:
    """Grade several studies whose crops are in memory; labels are not looked at."""
    return np.concatenate([_answers(classifier, to_batch([study])) for study in studies])


def _answers(
    classifier: Classifier, batch: CropBatch, same_as: Tensor | None = None
) -> StudyProbabilities:
    return probabilities(
        classifier.model, batch,
        weighted=classifier.weighted, mirrored=classifier.mirrored, same_as=same_as,
    )  # fmt: skip


def probabilities(
    model: torch.nn.Module,
    batch: CropBatch,
    *,
    weighted: bool,
    mirrored: bool = False,
    same_as: Tensor | None = None,
) -> StudyProbabilities:
    """Probabilities p of the grades of a batch, in float64.

    Args:
        model: in eval mode.
        batch: crops of the final size.
        weighted: the model's softmax is q ∝ (1, 2, 4) · p.
        mirrored: the mean of these and of the answers to the studies' mirror images.
        same_as: (study, 25), which of these studies has the same crop; None where all differ.
    """
    if mirrored:
        swapped = None if same_as is None else same_as[:, MIRROR_TARGET]
        same = probabilities(model, batch, weighted=weighted, same_as=same_as)
        other = probabilities(model, mirror_study(batch), weighted=weighted, same_as=swapped)
        mean: StudyProbabilities = (same + other[:, MIRROR_TARGET]) / 2
        return mean
    device = next(model.parameters()).device
    with torch.inference_mode():
        images = batch.pixels.to(device).float() / PIXEL_SCALE
        shared = () if same_as is None else (same_as.to(device),)
        logits = model(images, batch.slice_present.to(device), *shared).double()
        if weighted:
            logits = logits - logits.new_tensor(GRADE_WEIGHTS).log()
        answers: StudyProbabilities = logits.softmax(dim=-1).cpu().numpy()
    return answers
