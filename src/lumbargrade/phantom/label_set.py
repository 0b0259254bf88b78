"""Labels of many studies as arrays: drawn in memory, or read from a dataset's three tables.

What must stay true: a drawn set holds what ``label_study`` gives study by study; only the linear
algebra is done for all of them at once.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int64

from lumbargrade.competition.answers import read_submission
from lumbargrade.competition.dataset import LABELS_FILE, read_labels
from lumbargrade.labels import GRADES, TARGETS
from lumbargrade.metric import reweight_for_metric
from lumbargrade.phantom.labels import LabelModel
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.records import InvalidStudyError

ORACLE_FILE = "oracle.csv"
ORACLE_PROBABILITY_FILE = "oracle_probability.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelSet:
    """Grades of many studies with the true probabilities and the best answers."""

    grades: Int64[np.ndarray, "study 25"]
    """``MISSING_GRADE`` where a cell is empty."""
    probabilities: Float64[np.ndarray, "study 25 3"]
    """p, what the grades were drawn from."""
    oracle: Float64[np.ndarray, "study 25 3"]
    """q, the answers that minimise the metric."""


def draw_label_set(model: LabelModel, *, studies: int, seed: int) -> LabelSet:
    """Draw the labels of ``studies`` studies from ``seed`` on; severities as drawn, no anatomy."""
    seeds = range(seed, seed + studies)
    severity = model.mean + _normals(seeds, Stream.SEVERITY) @ model.severity_root.T
    perceived = model.perceive(severity)
    reading = perceived + _normals(seeds, Stream.READER) @ model.noise_root.T
    probabilities = model.probabilities(perceived)
    return LabelSet(
        grades=(reading > 0).astype(np.int64) + (reading > 1),
        probabilities=probabilities,
        oracle=reweight_for_metric(probabilities),
    )


def _normals(seeds: range, stream: Stream) -> Float64[np.ndarray, "study 25"]:
    return np.array([generator(seed, stream).standard_normal(len(TARGETS)) for seed in seeds])


def read_label_set(dataset: Path) -> LabelSet:
    """Read ``train.csv``, ``oracle.csv`` and ``oracle_probability.csv`` of a phantom dataset.

    Raises:
        FileNotFoundError: one of the tables is not there.
        InvalidStudyError: an answer table that does not hold the studies of ``train.csv`` in its
            order, 25 rows each.
    """
    labels = read_labels(dataset / LABELS_FILE)
    oracle, probabilities = (
        _answers(dataset / name, list(labels)) for name in (ORACLE_FILE, ORACLE_PROBABILITY_FILE)
    )
    return LabelSet(
        grades=np.array(list(labels.values()), dtype=np.int64),
        probabilities=probabilities,
        oracle=oracle,
    )


def _answers(path: Path, study_ids: list[str]) -> Float64[np.ndarray, "study 25 3"]:
    submission = read_submission(path)
    expected = (target.row_id(study_id) for study_id in study_ids for target in TARGETS)
    for found, wanted in zip(submission.row_ids, expected, strict=False):
        if found != wanted:
            raise InvalidStudyError(f"{path}: found row {found}, expected {wanted}")
    if len(submission.row_ids) != len(study_ids) * len(TARGETS):
        raise InvalidStudyError(
            f"{path}: found {len(submission.row_ids)} rows, expected "
            f"{len(study_ids) * len(TARGETS)} for the {len(study_ids)} studies of {LABELS_FILE}"
        )
    return submission.probabilities.reshape(len(study_ids), len(TARGETS), len(GRADES))
