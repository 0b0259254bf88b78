"""Synthetic studies written in the competition's layout, with their exact truth.

What must stay true: the study of a seed is the same whatever the number of studies and workers;
grades follow the measured anatomy; label pitfalls touch coordinates only, never grades.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from lumbargrade.atomic_files import make_folder
from lumbargrade.competition.answers import write_submission
from lumbargrade.competition.dataset import (
    COORDINATE_COLUMNS,
    COORDINATES_FILE,
    LABEL_COLUMNS,
    LABELS_FILE,
    SERIES_DESCRIPTION_COLUMNS,
    SERIES_DESCRIPTIONS_FILE,
)
from lumbargrade.competition.table import write_table
from lumbargrade.competition.truth import TRUTH_COLUMNS, TRUTH_FILE
from lumbargrade.labels import GRADES, TARGETS
from lumbargrade.memory import keep_big_buffers
from lumbargrade.phantom.labels import DEFAULT_HALO, StudyLabels, label_model, label_study
from lumbargrade.phantom.pitfalls import MarkedPoint, add_pitfalls
from lumbargrade.phantom.study import ExpectedSeries, StudyProfile, make_study
from lumbargrade.phantom.truth import TruePoint
from lumbargrade.worker_pool import each

FIRST_STUDY_ID = 100000
"""The study of seed 0."""

TRAINING_SEEDS = range(1000)
"""Label pitfalls go here only, unless asked for elsewhere."""


SERIES_FILE = "phantom_series.csv"
"""What a reader of a hospital's files should make of every series."""


class Pitfalls(StrEnum):
    """Where label pitfalls are put."""

    AUTO = "auto"
    """Into the training seeds."""
    ON = "on"
    OFF = "off"

    def apply_to(self, seed: int) -> bool:
        """Whether the study of a seed gets them."""
        return self is Pitfalls.ON or (self is Pitfalls.AUTO and seed in TRAINING_SEEDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRequest:
    """One study to be made."""

    out: Path
    seed: int
    halo: float
    profile: StudyProfile
    pitfalls: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyRows:
    """What one study adds to the tables."""

    study_id: str
    labels: StudyLabels
    labelled: tuple[bool, ...]
    """Per target: whether its cell in ``train.csv`` is filled."""
    series: tuple[tuple[str, str], ...] = ()
    """(series_id, description)."""
    points: tuple[TruePoint, ...] = ()
    marked: tuple[MarkedPoint, ...] = ()
    expected: tuple[ExpectedSeries, ...] = ()


def study_id_of(seed: int) -> str:
    """The study id of a seed."""
    return str(FIRST_STUDY_ID + seed)


def write_dataset(
    out: Path,
    *,
    studies: int,
    seed: int,
    workers: int = 1,
    halo: float = DEFAULT_HALO,
    profile: StudyProfile = StudyProfile.PLAIN,
    pitfalls: Pitfalls = Pitfalls.AUTO,
    on_study: Callable[[], None] | None = None,
) -> None:
    """Make ``studies`` studies from ``seed`` on and write the competition's layout under ``out``.

    Args:
        out: folder for ``train.csv``, its companions and ``train_images/``.
        studies: how many.
        seed: of the first; the others follow.
        workers: processes.
        halo: see :func:`lumbargrade.phantom.labels.label_model`.
        profile: which series there are, and what their headers say.
        pitfalls: where coordinates get typical labelling faults.
        on_study: called after each study, for progress.
    """
    make_folder(out)
    requests = [
        StudyRequest(
            out=out, seed=seed + k, halo=halo, profile=profile, pitfalls=pitfalls.apply_to(seed + k)
        )
        for k in range(studies)
    ]
    rows = []
    for result in each(_make_one, requests, workers=workers):
        rows.append(result)
        if on_study is not None:
            on_study()
    _write_label_tables(out, rows)
    _write_image_tables(out, rows)
    if profile is StudyProfile.HOSPITAL:
        _write_expected(out, rows)


def write_labels(out: Path, *, studies: int, seed: int, halo: float = DEFAULT_HALO) -> None:
    """Write the three label tables alone, from drawn severities: no anatomy, no empty cells."""
    make_folder(out)
    model = label_model(halo)
    rows = (
        StudyRows(
            study_id=study_id_of(seed + k),
            labels=label_study(model, seed + k, model.draw_severity(seed + k)),
            labelled=(True,) * len(TARGETS),
        )
        for k in range(studies)
    )
    _write_label_tables(out, list(rows))


def _variant(request: StudyRequest) -> tuple[str, ...]:
    """The settings that change a study's files, where they are not the usual ones."""
    halo = () if request.halo == DEFAULT_HALO else (f"halo {request.halo!r}",)
    usual = request.profile is StudyProfile.PLAIN
    return halo if usual else (*halo, f"profile {request.profile}")


def _make_one(request: StudyRequest) -> StudyRows:
    keep_big_buffers()
    model = label_model(request.halo)
    study_id = study_id_of(request.seed)
    made = make_study(
        request.out / "train_images" / study_id,
        study_id=study_id,
        seed=request.seed,
        model=model,
        profile=request.profile,
        variant=_variant(request),
    )
    marked = tuple(
        MarkedPoint(
            target=point.target, series_id=point.series_id, instance_number=point.instance_number,
            column=point.column, row=point.row,
        )
        for point in made.points
        if point.target is not None and point.covered
    )  # fmt: skip
    if request.pitfalls:
        marked = add_pitfalls(request.seed, marked, made.instances)
    covered = {point.target: point.covered for point in made.points}
    return StudyRows(
        study_id=study_id,
        labels=made.labels,
        labelled=tuple(covered[target] for target in TARGETS),
        series=made.series,
        points=made.points,
        marked=marked,
        expected=made.expected,
    )


def _write_label_tables(out: Path, rows: list[StudyRows]) -> None:
    titles = [grade.spelling for grade in GRADES]
    write_table(
        out / LABELS_FILE,
        LABEL_COLUMNS,
        (
            [
                row.study_id,
                *(
                    titles[grade] if labelled else ""
                    for grade, labelled in zip(row.labels.grades, row.labelled, strict=True)
                ),
            ]
            for row in rows
        ),
    )
    write_submission(out / "oracle.csv", {row.study_id: row.labels.oracle for row in rows})
    write_submission(
        out / "oracle_probability.csv", {row.study_id: row.labels.probabilities for row in rows}
    )


def _write_image_tables(out: Path, rows: list[StudyRows]) -> None:
    write_table(
        out / SERIES_DESCRIPTIONS_FILE,
        SERIES_DESCRIPTION_COLUMNS,
        ([row.study_id, *series] for row in rows for series in row.series),
    )
    write_table(
        out / COORDINATES_FILE,
        COORDINATE_COLUMNS,
        (
            [
                row.study_id, point.series_id, point.instance_number,
                point.target.condition.spelling, point.target.level.spelling,
                point.column, point.row,
            ]
            for row in rows
            for point in row.marked
        ),
    )  # fmt: skip
    write_table(
        out / TRUTH_FILE,
        TRUTH_COLUMNS,
        (
            [
                row.study_id, point.condition, point.level, point.measure, point.unit,
                point.severity, *map(float, point.position_lps_mm), point.series_id,
                point.instance_number, int(point.covered), point.variant,
            ]
            for row in rows
            for point in row.points
        ),
    )  # fmt: skip


def _write_expected(out: Path, rows: list[StudyRows]) -> None:
    write_table(
        out / SERIES_FILE,
        ("study_id", "series_id", "kind", "view", "used", "reason"),
        (
            [row.study_id, item.series_id, item.kind, item.view, int(item.used), item.reason]
            for row in rows
            for item in row.expected
        ),
    )
