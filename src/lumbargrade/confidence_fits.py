"""From a run's out-of-fold points to what its detectors' evidence is worth.

What must stay true: a detector is judged on studies it never saw, where their truth is known.
"""

from collections.abc import Iterable, Mapping

import numpy as np

from lumbargrade.cache import CachedStudy
from lumbargrade.labels import VIEWS, View
from lumbargrade.out_of_fold import Landmarks
from lumbargrade.point_confidence import DetectorFit, PointSample, fit_detector, is_found
from lumbargrade.volumes import image_shapes


def fit_confidences(
    folders: Mapping[View, str],
    studies: Iterable[CachedStudy],
    landmarks: Mapping[str, Landmarks],
) -> dict[str, DetectorFit]:
    """Fit the confidence of a set of detectors.

    Args:
        folders: of each view's detector, relative to the run.
        studies: that these detectors never saw.
        landmarks: study id → what they found there.

    Returns:
        Folder → fit, where there are points enough.
    """
    samples = samples_by_view(studies, landmarks)
    fits = {folders[view]: fit_detector(samples[view]) for view in VIEWS}
    return {folder: fit for folder, fit in fits.items() if fit is not None}


def samples_by_view(
    studies: Iterable[CachedStudy], landmarks: Mapping[str, Landmarks]
) -> dict[View, list[PointSample]]:
    """The found points whose truth is marked, by view."""
    samples: dict[View, list[PointSample]] = {view: [] for view in VIEWS}
    for study in studies:
        shapes = {view: image_shapes(volume) for view, volume in study.volumes.items()}
        for item in landmarks[study.study_id]:
            view, truth = item.target.condition.view, study.landmarks_lps_mm[item.target.index]
            if item.position_lps_mm is None or item.evidence is None or np.isnan(truth).any():
                continue
            found = is_found(study.volumes[view].affines, shapes[view], item.position_lps_mm, truth)
            samples[view].append(
                PointSample(study_id=study.study_id, evidence=item.evidence, found=found)
            )
    return samples
