"""What a system answers: the submission table and the table of points.

What must stay true: a submission carries the answers that minimise the metric (q), at full
precision; reading changes no number, so that a wrong sum can be named by whoever scores it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from lumbargrade.arrays import Probabilities
from lumbargrade.competition.dataset import (
    CONDITION_OF_TITLE,
    COORDINATE_COLUMNS,
    LEVEL_OF_TITLE,
)
from lumbargrade.competition.table import read_columns, read_table, write_table
from lumbargrade.labels import GRADES, TARGETS, Target
from lumbargrade.records import Grades, InvalidStudyError

SUBMISSION_COLUMNS = ("row_id", *(grade.value for grade in GRADES))
POINT_COLUMNS = (*COORDINATE_COLUMNS, "score")


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submission as it was written: nothing aligned, nothing normalised."""

    path: Path
    row_ids: tuple[str, ...]
    probabilities: Float64[np.ndarray, "row 3"]
    """Normal/Mild, Moderate, Severe; may be anything that reads as a number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictedPoint:
    """One line of ``points.csv``."""

    study_id: str
    series_id: str
    instance_number: int | None
    """None where the file has no InstanceNumber."""
    target: Target
    column: float
    row: float
    score: float


def write_submission(path: Path, rows: Mapping[str, Probabilities]) -> None:
    """Write a submission.

    Args:
        path: the file, replaced as a whole.
        rows: study id → (25, 3) answers in target order, 25 lines each.
    """
    write_table(
        path,
        SUBMISSION_COLUMNS,
        (
            (target.row_id(study_id), *(float(value) for value in row))
            for study_id, answers in rows.items()
            for target, row in zip(TARGETS, answers, strict=True)
        ),
    )


def write_grades(path: Path, grades: Iterable[Grades]) -> None:
    """Write the answers of several studies in submission format (``metric_probabilities``)."""
    write_submission(path, {item.study_id: item.metric_probabilities for item in grades})


def write_points(path: Path, grades: Iterable[Grades]) -> None:
    """Write ``points.csv``: one line per point that was found; targets without one have no line."""
    write_table(
        path,
        POINT_COLUMNS,
        (
            (
                item.study_id,
                point.series_id,
                point.instance_number,
                target.condition.spelling,
                target.level.spelling,
                float(point.column),
                float(point.row),
                float(point.score),
            )
            for item in grades
            for target, point in zip(TARGETS, item.points, strict=True)
            if point is not None
        ),
    )


def read_submission(path: Path) -> Submission:
    """Read a submission without judging it.

    Raises:
        InvalidStudyError: a missing column, or a cell that is no number; names the row.
    """
    identifiers, *columns = read_columns(path, SUBMISSION_COLUMNS)
    row_ids = tuple([text.strip() for text in identifiers])
    probabilities = np.zeros((len(row_ids), len(GRADES)))
    try:
        for grade, cells in enumerate(columns):
            probabilities[:, grade] = np.fromiter(map(float, cells), float, len(cells))
    except ValueError:
        _name_the_row_without_a_number(path)
        raise
    if not all(row_ids):
        raise InvalidStudyError(f"{path}: entry {row_ids.index('') + 1} has no row_id")
    return Submission(path=path, row_ids=row_ids, probabilities=probabilities)


def _name_the_row_without_a_number(path: Path) -> None:
    for row in read_table(path, SUBMISSION_COLUMNS):
        for grade in GRADES:
            try:
                float(row.cells[grade.value])
            except ValueError as error:
                raise row.error(f"row {row.cells['row_id']} holds no number: {error}") from error


def read_points(path: Path) -> tuple[PredictedPoint, ...]:
    """Read ``points.csv``.

    Raises:
        InvalidStudyError: a cell that cannot be read (names the line), or a target given twice.
    """
    points: dict[tuple[str, Target], PredictedPoint] = {}
    for row in read_table(path, POINT_COLUMNS):
        point = PredictedPoint(
            study_id=row.text("study_id"),
            series_id=row.text("series_id"),
            instance_number=row.optional_integer("instance_number"),
            target=Target(
                condition=row.choice("condition", CONDITION_OF_TITLE),
                level=row.choice("level", LEVEL_OF_TITLE),
            ),
            column=row.number("x"),
            row=row.number("y"),
            score=row.number("score"),
        )
        key = (point.study_id, point.target)
        if key in points:
            raise row.error(f"{point.target.row_id(point.study_id)} is given twice")
        points[key] = point
    return tuple(points.values())
