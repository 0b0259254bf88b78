"""Which given grades another grade is more credible than, by answers that never saw them.

What must stay true: a doubtful grade is left out of training (``judged_cells.py``), never changed,
and never left out of a score; the answers come from members that were not trained on the study.

Sources: Northcutt, Jiang, Chuang: Confident learning (JAIR 2021); the RSNA 2024 competition's
2nd-place solution left out cells whose out-of-fold answer differed from the label by 0.8 or more.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from lumbargrade.labels import GRADES, MISSING_GRADE, TARGETS, Family

LabelsOfStudies = Int[np.ndarray, "study 25"]

_FAMILY_OF_TARGET = np.array([list(Family).index(target.condition.family) for target in TARGETS])


def doubtful(
    labels: LabelsOfStudies,
    probabilities: Float[np.ndarray, "study 25 3"],
    *,
    below: float,
) -> Bool[np.ndarray, "study 25"]:
    """The cells whose given grade is improbable while another grade is confidently seen.

    A grade is confidently seen where its probability reaches the mean that it has, in the same
    family of conditions, over the cells that carry it. Where a rare grade is merely unlikely, as
    rare grades are, no other one need be confident, and the cell stays.

    Args:
        labels: grades, ``MISSING_GRADE`` where there is none.
        probabilities: out-of-fold p of the same cells, not q.
        below: probability of the given grade under which it is improbable.

    Raises:
        ValueError: ``below`` is no probability, or shapes differ.
    """
    would_be = contradicted(labels, probabilities, below=below)
    given = np.maximum(labels, 0)[..., None]
    found: Bool[np.ndarray, "study 25"] = np.take_along_axis(would_be, given, axis=-1)[..., 0]
    found &= labels != MISSING_GRADE
    return found


def contradicted(
    labels: LabelsOfStudies,
    probabilities: Float[np.ndarray, "study 25 3"],
    *,
    below: float,
) -> Bool[np.ndarray, "study 25 3"]:
    """For each grade of a cell, whether it would be doubtful if it were the given one.

    Args:
        labels: the given grades, from which follows what counts as confident.
        probabilities: as for :func:`doubtful`.
        below: likewise.

    Raises:
        ValueError: ``below`` is no probability, or shapes differ.
    """
    if not 0 < below < 1:
        raise ValueError(f"below must lie between 0 and 1, found {below}")
    if probabilities.shape != (*labels.shape, len(GRADES)):
        raise ValueError(f"labels {labels.shape} do not go with p {probabilities.shape}")
    confident = probabilities >= _class_means(labels, probabilities)[_FAMILY_OF_TARGET]
    others = confident.sum(axis=-1, keepdims=True) - confident  # how many of the other grades
    found: Bool[np.ndarray, "study 25 3"] = (probabilities < below) & (others > 0)
    return found


def _class_means(
    labels: LabelsOfStudies, probabilities: Float[np.ndarray, "study 25 3"]
) -> Float[np.ndarray, "family 3"]:
    """Mean p of each grade over the cells of a family that carry it; 1 where none does."""
    means = np.ones((len(Family), len(GRADES)))
    for family in range(len(Family)):
        for grade in range(len(GRADES)):
            cells = (labels == grade) & (family == _FAMILY_OF_TARGET)
            if cells.any():
                means[family, grade] = probabilities[cells, grade].mean()
    return means
