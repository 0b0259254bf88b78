"""A submission that has every row, whatever becomes of a study, and says which rows are fall-backs.

What must stay true: all wanted studies have their 25 rows in the file, in the one that an exception
or Ctrl-C leaves, too; a row that was not read from its own view at its own place is listed.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from lumbargrade.batch import OnResult, Predictor, StudyResult, grade_batch
from lumbargrade.competition import write_submission, write_table
from lumbargrade.dicom import StudyFiles
from lumbargrade.labels import TARGETS, Flag
from lumbargrade.records import Grades

FAULTS = (ArithmeticError, LookupError, MemoryError, OSError, RuntimeError, ValueError)
"""What costs one study its images, not the submission its other rows: what numerical libraries,
devices and files raise."""

COLUMNS = ("row_id", "reason", "detail")


@runtime_checkable
class Answerer(Predictor, Protocol):
    """What answers for studies, and for one without images."""

    def answers_without_images(self) -> Float64[np.ndarray, "25 3"]:
        """The answers q for a study that shows nothing."""


class Reason(StrEnum):
    """Why a row is a fall-back."""

    NO_IMAGES = "no_images"
    """The study is wanted, but no file of it was found."""
    STUDY_FAILED = "study_failed"
    VIEW_MISSING = Flag.VIEW_MISSING.value
    LEVEL_NOT_COVERED = Flag.LEVEL_NOT_COVERED.value


NOT_GRADED = frozenset({Reason.NO_IMAGES, Reason.STUDY_FAILED})
"""Reasons that hold for all rows of a study."""

_OF_FLAG = {
    Flag.VIEW_MISSING: Reason.VIEW_MISSING,
    Flag.LEVEL_NOT_COVERED: Reason.LEVEL_NOT_COVERED,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class FallBack:
    """One row that was not read from its own view at its own place.

    The first two reasons are answered by :meth:`Answerer.answers_without_images`, the others from
    the study's other crops.
    """

    study_id: str
    row_id: str
    reason: Reason
    detail: str
    """What went wrong, where it is known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """What became of a submission."""

    studies: int
    """Of the table, 25 rows each."""
    graded: int
    """How many of them were answered from their images."""
    fall_backs: tuple[FallBack, ...]

    @property
    def counts(self) -> Mapping[Reason, int]:
        """Rows by reason."""
        return Counter(item.reason for item in self.fall_backs)


def fall_backs_file(out: Path) -> Path:
    """Where a submission's fall-backs are listed: beside it."""
    return out.with_name(f"{out.stem}_fallbacks.csv")


def submit_studies(
    answerer: Answerer,
    files: Sequence[StudyFiles],
    wanted: Sequence[str],
    out: Path,
    *,
    on_result: OnResult | None = None,
) -> Submitted:
    """Grade studies and write the submission and the list of its fall-backs.

    Args:
        answerer: loaded models.
        files: the studies that were found.
        wanted: ids of the studies that must have rows; those found have them anyway.
        out: the submission, a CSV file, replaced as a whole.
        on_result: called after each study.
    """
    results: list[StudyResult] = []

    def note(result: StudyResult) -> None:
        results.append(result)
        if on_result is not None:
            on_result(result)

    instead = answerer.answers_without_images()
    ids = sorted({*wanted, *(item.study_id for item in files)})
    try:
        grade_batch(lambda: answerer, files, on_result=note, faults=FAULTS)
    finally:
        fall_backs = _write(out, ids, {item.study_id for item in files}, results, instead)
    unread = {item.study_id for item in fall_backs if item.reason in NOT_GRADED}
    return Submitted(studies=len(ids), graded=len(ids) - len(unread), fall_backs=fall_backs)


def _write(
    out: Path,
    ids: Sequence[str],
    found: set[str],
    results: Sequence[StudyResult],
    instead: Float64[np.ndarray, "25 3"],
) -> tuple[FallBack, ...]:
    errors = {item.study_id: item.error for item in results if item.grades is None}
    grades: dict[str, Grades] = {}
    for item in results:
        if item.grades is None:
            continue
        if np.isfinite(item.grades.metric_probabilities).all():
            grades[item.study_id] = item.grades
        else:
            errors[item.study_id] = "the networks' answers are not finite"
    rows: dict[str, np.ndarray] = {}
    fall_backs: list[FallBack] = []
    for study_id in ids:
        known = grades.get(study_id)
        if known is not None:
            rows[study_id] = known.metric_probabilities
            fall_backs += _of_study(known)
            continue
        rows[study_id] = instead
        reason = Reason.STUDY_FAILED if study_id in found else Reason.NO_IMAGES
        detail = errors.get(study_id, "not reached" if study_id in found else "")
        fall_backs += [
            FallBack(
                study_id=study_id, row_id=target.row_id(study_id), reason=reason, detail=detail
            )
            for target in TARGETS
        ]
    write_submission(out, rows)
    table = ((item.row_id, item.reason.value, item.detail) for item in fall_backs)
    write_table(fall_backs_file(out), COLUMNS, table)
    return tuple(fall_backs)


def _of_study(grades: Grades) -> list[FallBack]:
    return [
        FallBack(
            study_id=grades.study_id,
            row_id=target.row_id(grades.study_id),
            reason=_OF_FLAG[flag],
            detail="",
        )
        for target, flags in zip(TARGETS, grades.flags, strict=True)
        for flag in flags
        if flag in _OF_FLAG
    ]
