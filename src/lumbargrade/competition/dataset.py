"""The dataset folder: ``train_images/`` and the three training tables.

What must stay true: labels come back in target order whatever the order of the columns; an empty
cell is a missing grade, an unknown word is an error.

Source: the file descriptions of the RSNA 2024 Lumbar Spine Degenerative Classification data.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumbargrade.arrays import Labels
from lumbargrade.competition.table import read_table
from lumbargrade.labels import (
    CONDITIONS,
    GRADES,
    LEVELS,
    MISSING_GRADE,
    TARGETS,
    Target,
    View,
)
from lumbargrade.records import InvalidStudyError

_log = logging.getLogger(__name__)

LABELS_FILE = "train.csv"
COORDINATES_FILE = "train_label_coordinates.csv"
SERIES_DESCRIPTIONS_FILE = "train_series_descriptions.csv"
TEST_SERIES_FILE = "test_series_descriptions.csv"
SAMPLE_SUBMISSION_FILE = "sample_submission.csv"

LABEL_COLUMNS = ("study_id", *(target.column for target in TARGETS))
COORDINATE_COLUMNS = (
    "study_id",
    "series_id",
    "instance_number",
    "condition",
    "level",
    "x",
    "y",
)
SERIES_DESCRIPTION_COLUMNS = ("study_id", "series_id", "series_description")

VIEW_OF_DESCRIPTION = {
    "Sagittal T1": View.SAGITTAL_T1,
    "Sagittal T2/STIR": View.SAGITTAL_T2,
    "Axial T2": View.AXIAL_T2,
}
"""The competition's words for the three views."""

GRADE_OF_TITLE = {"": MISSING_GRADE} | {grade.spelling: index for index, grade in enumerate(GRADES)}
CONDITION_OF_TITLE = {condition.spelling: condition for condition in CONDITIONS}
LEVEL_OF_TITLE = {level.spelling: level for level in LEVELS}


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinateRow:
    """One marked point of ``train_label_coordinates.csv``."""

    study_id: str
    series_id: str
    instance_number: int
    target: Target
    column: float
    """The table's x: zero-based pixel centre of the stored image."""
    row: float
    """The table's y."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesDescription:
    """One line of ``train_series_descriptions.csv``."""

    study_id: str
    series_id: str
    view: View


def image_folder(dataset: Path, split: str = "train") -> Path:
    """The folder of a split's images, ``<dataset>/<split>_images``."""
    return dataset / f"{split}_images"


def study_folder(dataset: Path, study_id: str, split: str = "train") -> Path:
    """The folder of one study's images."""
    return image_folder(dataset, split) / study_id


def series_folder(dataset: Path, study_id: str, series_id: str, split: str = "train") -> Path:
    """The folder of one series' images."""
    return study_folder(dataset, study_id, split) / series_id


def instance_path(
    dataset: Path, study_id: str, series_id: str, instance_number: int, split: str = "train"
) -> Path:
    """The file of one slice, ``<dataset>/<split>_images/<study>/<series>/<instance>.dcm``."""
    return series_folder(dataset, study_id, series_id, split) / f"{instance_number}.dcm"


def study_ids(dataset: Path, split: str = "train") -> tuple[str, ...]:
    """The studies that have a folder of images, sorted.

    Raises:
        FileNotFoundError: the dataset has no such image folder.
    """
    return tuple(
        sorted(
            path.name
            for path in image_folder(dataset, split).iterdir()
            if path.is_dir() and not path.name.startswith(".")
        )
    )


def wanted_studies(dataset: Path, split: str) -> tuple[str, ...]:
    """The studies for which a submission needs rows, sorted.

    They are those with a folder of images and, of a test set, those of its table of series and of
    the sample submission; a study whose images are missing is wanted all the same. A table that
    cannot be read is warned of and left out.

    Args:
        dataset: the dataset's folder.
        split: ``test`` or ``train``.

    Raises:
        FileNotFoundError: the dataset has no such image folder.
    """
    found = set(study_ids(dataset, split))
    if split == "test":
        for name, column in ((TEST_SERIES_FILE, "study_id"), (SAMPLE_SUBMISSION_FILE, "row_id")):
            found |= _named_in(dataset / name, column)
    return tuple(sorted(found))


def _named_in(table: Path, column: str) -> set[str]:
    """The study ids of a table's column, up to an underscore; none where there is no table."""
    if not table.is_file():
        return set()
    try:
        return {row.text(column).partition("_")[0] for row in read_table(table, (column,))}
    except InvalidStudyError as error:
        _log.warning("%s; its studies get rows only where they have images", error)
        return set()


def read_labels(dataset: Path) -> dict[str, Labels]:
    """Read the grades of a dataset folder.

    Args:
        dataset: the folder that holds ``train.csv``, or the table itself.

    Returns:
        study id → (25,) grades 0, 1, 2 in target order, ``MISSING_GRADE`` where the cell is empty;
        in file order.

    Raises:
        InvalidStudyError: an unknown word (names study and column), or a study given twice.
    """
    labels: dict[str, Labels] = {}
    for row in read_table(_table(dataset, LABELS_FILE), LABEL_COLUMNS):
        study_id = row.text("study_id")
        if study_id in labels:
            raise row.error(f"study {study_id} is given twice")
        try:
            grades = [row.choice(target.column, GRADE_OF_TITLE) for target in TARGETS]
        except InvalidStudyError as error:
            raise InvalidStudyError(f"study {study_id}: {error}") from error
        labels[study_id] = np.array(grades, dtype=np.int64)
    return labels


def read_coordinates(path: Path) -> tuple[CoordinateRow, ...]:
    """Read the marked points.

    Args:
        path: ``train_label_coordinates.csv``, or the dataset folder that holds it.

    Raises:
        InvalidStudyError: a cell that cannot be read; names the line.
    """
    return tuple(
        CoordinateRow(
            study_id=row.text("study_id"),
            series_id=row.text("series_id"),
            instance_number=row.integer("instance_number"),
            target=Target(
                condition=row.choice("condition", CONDITION_OF_TITLE),
                level=row.choice("level", LEVEL_OF_TITLE),
            ),
            column=row.number("x"),
            row=row.number("y"),
        )
        for row in read_table(_table(path, COORDINATES_FILE), COORDINATE_COLUMNS)
    )


def read_series_descriptions(path: Path) -> tuple[SeriesDescription, ...]:
    """Read which view each series shows.

    Args:
        path: ``train_series_descriptions.csv`` (or a test set's), or the dataset folder.

    Raises:
        InvalidStudyError: an unknown description; names the line.
    """
    return tuple(
        SeriesDescription(
            study_id=row.text("study_id"),
            series_id=row.text("series_id"),
            view=row.choice("series_description", VIEW_OF_DESCRIPTION),
        )
        for row in read_table(_table(path, SERIES_DESCRIPTIONS_FILE), SERIES_DESCRIPTION_COLUMNS)
    )


def _table(path: Path, name: str) -> Path:
    return path / name if path.is_dir() else path
