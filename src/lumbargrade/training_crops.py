"""What a classifier trains on: crops of studies at the points that its settings ask for.

What must stay true: detectors' errors are measured on studies that the detectors never saw.
"""

from lumbargrade.classifier.dataset import StudyCrops, cut_studies
from lumbargrade.classifier.jitter import PointErrors, measure_errors
from lumbargrade.classifier.train import training_crop_settings
from lumbargrade.crop_settings import CropSettings
from lumbargrade.out_of_fold import Landmarks, marked_landmarks
from lumbargrade.prepared import PreparedStudies
from lumbargrade.recipe_settings import Recipe


def cut_training_crops(
    recipe: Recipe, studies: PreparedStudies, landmarks: dict[str, Landmarks]
) -> tuple[list[StudyCrops], PointErrors | None]:
    """Cut the crops of the classifier's training studies, with margins to be jittered in.

    Args:
        recipe: its crops and classifier.
        studies: that the detectors never saw.
        landmarks: study id → the points that the detectors found there.

    Returns:
        Crops at the found points; or, with ``jitter_from_found``, at the marked ones, and the
        detectors' errors to jitter them with.

    Raises:
        InvalidStudyError: too few points were both found and marked to draw errors from.
    """
    wide = training_crop_settings(recipe.crops, recipe.classifier)
    if not recipe.classifier.augment.jitter_from_found:
        return cut_studies(studies, landmarks, wide), None
    marked = {study.study_id: marked_landmarks(study) for study in studies}
    errors = measure_errors(studies, landmarks, marked)
    return cut_studies(studies, marked, wide), errors


def cut_at_marked_points(studies: PreparedStudies, settings: CropSettings) -> list[StudyCrops]:
    """Crops at the points of the training tables."""
    marked = {study.study_id: marked_landmarks(study) for study in studies}
    return cut_studies(studies, marked, settings)
