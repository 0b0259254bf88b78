"""Where a run keeps what: members, and with folds the folders by step and their tables' names.

What must stay true: a table's name tells member, set and fold.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lumbargrade.atomic_files import write_beside
from lumbargrade.folds import Fold
from lumbargrade.labels import View
from lumbargrade.models import MEMBERS

FOLDS = "folds"
ENSEMBLE = "ensemble"
CALIBRATED = "calibration"
EVALUATION = "evaluation"
SPLIT = "split.json"

CLASSIFIER_PATH = f"{MEMBERS}/classifier/fold0"
"""The classifier's folder in a run with a split."""


def detector_path(view: View) -> str:
    """A detector's folder in a run with a split."""
    return f"{MEMBERS}/detector_{view}/fold0"


def detector_step(name: str, view: View, fold: int) -> str:
    """A detector's folder."""
    return f"{MEMBERS}/detector_{name}_{view}/fold{fold}"


def classifier_step(name: str, fold: int) -> str:
    """A classifier's folder."""
    return f"{MEMBERS}/classifier_{name}/fold{fold}"


def first_step(name: str, fold: int) -> str:
    """The folder of a classifier's step 1, where there is a step 2."""
    return f"first_steps/classifier_{name}/fold{fold}"


def points_step(name: str, fold: int) -> str:
    """The folder of a detector set's points."""
    return f"points/{name}/fold{fold}"


def answers_step(name: str, fold: int) -> str:
    """The folder of a classifier's answers."""
    return f"out_of_fold/{name}/fold{fold}"


def points_file(name: str, fold: int) -> str:
    """The table of a detector set's points of the studies that a fold holds out."""
    return f"points_{name}_fold{fold}.csv"


def answers_file(name: str, points: str, fold: int) -> str:
    """The table of a classifier's answers at a detector set's points."""
    return f"answers_{name}_{points}_fold{fold}.csv"


def answers_table(name: str, points: str, fold: int) -> str:
    """Where that table lies."""
    return f"{answers_step(name, fold)}/{answers_file(name, points, fold)}"


def write_folds(folder: Path, folds: Sequence[Fold]) -> None:
    """Write ``split.json``."""
    text = json.dumps({"folds": [asdict(fold) for fold in folds]}, indent=1) + "\n"
    write_beside(folder / SPLIT, text)


def read_folds(run: Path) -> tuple[Fold, ...]:
    """The folds of a run."""
    document = json.loads((run / FOLDS / SPLIT).read_text())
    return tuple(
        Fold(**{part: tuple(study_ids) for part, study_ids in fold.items()})
        for fold in document["folds"]
    )
