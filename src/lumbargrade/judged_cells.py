"""Training cells as another classifier's out-of-fold answers would have them.

What must stay true: a grade that someone gave is left out or kept, never changed; a cell without
one may get the judge's, in training alone; neither touches a score; both are listed in the member's
folder.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64, Int

from lumbargrade.classifier.dataset import StudyCrops, stacked_labels
from lumbargrade.competition import read_submission, write_table
from lumbargrade.label_doubts import doubtful
from lumbargrade.labels import GRADES, MISSING_GRADE, TARGETS
from lumbargrade.metric import undo_metric_weights
from lumbargrade.recipe_settings import ClassifierSetup

DOUBTS = "doubts.csv"
"""In a classifier's folder: the training cells that it did not train on."""

PSEUDO_LABELS = "pseudo_labels.csv"
"""In a classifier's folder: the training cells that got a grade from the judge."""

_COLUMNS = ("row_id", "grade", "probability")


def as_judged(
    studies: Sequence[StudyCrops],
    setup: ClassifierSetup,
    tables: Mapping[str, Sequence[Path]],
    folder: Path,
) -> list[StudyCrops]:
    """Training studies as a classifier's judges would have them.

    Args:
        studies: crops with all their grades.
        setup: of the classifier; says what is left out and filled in, by whose judgement.
        tables: of each judge, as for :func:`judged_probabilities`.
        folder: of the classifier; gets a list of the cells for each rule.
    """
    judged, given = list(studies), stacked_labels(studies)
    if (doubts := setup.leave_out) is not None:
        p = judged_probabilities(studies, tables[doubts.judge])
        judged = without_doubtful(judged, p, doubts.below, folder)
    if (rule := setup.fill_in) is not None:
        p = judged_probabilities(studies, tables[rule.judge])
        judged = with_pseudo_labels(judged, p, rule.above, folder, given=given)
    return judged


def judged_probabilities(
    studies: Sequence[StudyCrops], tables: Sequence[Path]
) -> Float64[np.ndarray, "study 25 3"]:
    """A judge's p of all cells of studies.

    Args:
        studies: to be trained on.
        tables: its out-of-fold answers q, in submission format, of all these studies among others.
    """
    q: dict[str, np.ndarray] = {}
    for table in tables:
        submission = read_submission(table)
        q |= dict(zip(submission.row_ids, submission.probabilities, strict=True))
    rows = [[q[name] for name in _row_ids(study)] for study in studies]
    return undo_metric_weights(np.array(rows))


def without_doubtful(
    studies: Sequence[StudyCrops],
    probabilities: Float64[np.ndarray, "study 25 3"],
    below: float,
    folder: Path,
) -> list[StudyCrops]:
    """Training studies in which doubtful grades are missing.

    Args:
        studies: crops with all their grades.
        probabilities: the judge's.
        below: see :func:`lumbargrade.label_doubts.doubtful`.
        folder: gets ``doubts.csv``: the cells, their grade, its probability.
    """
    labels = stacked_labels(studies)
    found = doubtful(labels, probabilities, below=below)
    _write_cells(folder / DOUBTS, studies, found, labels, probabilities)
    left = np.where(found, MISSING_GRADE, labels)
    return _with_labels(studies, left)


def with_pseudo_labels(
    studies: Sequence[StudyCrops],
    probabilities: Float64[np.ndarray, "study 25 3"],
    above: float,
    folder: Path,
    *,
    given: Int[np.ndarray, "study 25"],
) -> list[StudyCrops]:
    """Training studies in which cells that nobody graded have the judge's likeliest grade.

    Args:
        studies: crops with the grades that are trained on.
        probabilities: the judge's.
        above: the probability that the likeliest grade must reach.
        folder: gets ``pseudo_labels.csv``: the cells, the grade, its probability.
        given: the grades that the studies came with; a cell with one stays as it is.
    """
    likeliest: Int[np.ndarray, "study 25"] = probabilities.argmax(axis=-1)
    found = (given == MISSING_GRADE) & (probabilities.max(axis=-1) >= above)
    _write_cells(folder / PSEUDO_LABELS, studies, found, likeliest, probabilities)
    return _with_labels(studies, np.where(found, likeliest, stacked_labels(studies)))


def _with_labels(
    studies: Sequence[StudyCrops], labels: Int[np.ndarray, "study 25"]
) -> list[StudyCrops]:
    return [replace(study, labels=row) for study, row in zip(studies, labels, strict=True)]


def _write_cells(
    path: Path,
    studies: Sequence[StudyCrops],
    chosen: Bool[np.ndarray, "study 25"],
    grades: Int[np.ndarray, "study 25"],
    probabilities: Float64[np.ndarray, "study 25 3"],
) -> None:
    """One line per chosen cell, with a grade and its probability."""
    rows = (
        (
            _row_ids(studies[i])[j],
            GRADES[grades[i, j]].value,
            float(probabilities[i, j, grades[i, j]]),
        )
        for i, j in np.argwhere(chosen).tolist()
    )
    write_table(path, _COLUMNS, sorted(rows))


def _row_ids(study: StudyCrops) -> list[str]:
    return [target.row_id(study.study_id) for target in TARGETS]
