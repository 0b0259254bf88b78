"""The files of a prediction: grades.json, grades.csv, report.html, and the tables over all studies.

What must stay true: equal studies and equal models give equal bytes (no clock, host name or output
path gets in); every file appears whole or not at all; ``grades.json`` comes last, so that a study
whose ``grades.json`` is there is finished.
"""

import json
import logging
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from lumbargrade.any_severe import raise_largest
from lumbargrade.atomic_files import make_folder, write_together
from lumbargrade.competition import table_text, write_grades, write_points
from lumbargrade.labels import GRADES, TARGETS, VIEWS, Flag, Target, View
from lumbargrade.metric import reweight_for_metric
from lumbargrade.prediction import Prediction
from lumbargrade.records import Grades, InvalidStudyError, PointOnSlice, Study

SCHEMA = "lumbargrade/grades/1"
GRADES_JSON = "grades.json"
GRADES_CSV = "grades.csv"
REPORT_HTML = "report.html"
PREDICTIONS_CSV = "predictions.csv"
POINTS_CSV = "points.csv"
ANY_SEVERE_ODDS = "any_severe_odds"
"""Among ``models`` in ``grades.json``, where q does not follow from p alone."""

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9.\-]*")
_CSV_COLUMNS = (
    *("row_id", "condition", "level", "grade", *(grade.value for grade in GRADES)),
    *("series_uid", "sop_instance_uid", "instance_number", "frame_number", "column", "row"),
    *("x_lps_mm", "y_lps_mm", "z_lps_mm", "score", "flags"),
)

_log = logging.getLogger(__name__)


def study_folder(out: Path, study_id: str) -> Path:
    """Where a study's files go.

    Raises:
        InvalidStudyError: the id cannot name a folder and a ``row_id``.
    """
    if not _FOLDER_NAME.fullmatch(study_id):
        raise InvalidStudyError(
            f"study {study_id!r}: a study id may hold letters, digits, dots and hyphens only"
        )
    return out / study_id


def grades_document(prediction: Prediction) -> dict[str, Any]:
    """The content of ``grades.json``, keys in their documented order, numbers unrounded."""
    grades = prediction.grades
    odds = {ANY_SEVERE_ODDS: grades.any_severe_odds} if grades.any_severe_odds != 1 else {}
    return {
        "schema": SCHEMA,
        "study_id": grades.study_id,
        "models": {"hash": grades.models_hash, "name": grades.models_name, **odds},
        "source": {"sop_instances_sha256": prediction.sop_instances_sha256},
        "warnings": list(grades.warnings),
        "views": {view.value: _view_entry(prediction, view) for view in VIEWS},
        "grades": [_row_entry(grades, target) for target in TARGETS],
    }


def _view_entry(prediction: Prediction, view: View) -> dict[str, Any] | None:
    volume = prediction.seen.get(view)
    if volume is None:
        return None
    pairs = np.stack([volume.series_index, volume.slice_index], axis=1)
    distinct = np.unique(pairs, axis=0)
    series = [
        {
            "series_uid": item.series_uid,
            "slices": int((distinct[:, 0] == index).sum()),
            "reason": item.reason,
        }
        for index, item in enumerate(prediction.study.series_of(view))
    ]
    return {"slices": len(distinct), "series": series}


def _row_entry(grades: Grades, target: Target) -> dict[str, Any]:
    index = target.index
    row = [float(value) for value in grades.probabilities[index]]
    point = grades.points[index]
    return {
        "row_id": target.row_id(grades.study_id),
        "condition": target.condition.value,
        "level": target.level.value,
        "probabilities": dict(zip((grade.value for grade in GRADES), row, strict=True)),
        "grade": GRADES[int(np.argmax(row))].value,
        "point": None if point is None else _point_entry(point),
        "flags": [flag.value for flag in grades.flags[index]],
    }


def _point_entry(point: PointOnSlice) -> dict[str, Any]:
    return {
        "series_uid": point.series_uid,
        "sop_instance_uid": point.sop_instance_uid,
        "instance_number": point.instance_number,
        "frame_number": point.frame_number,
        "column": float(point.column),
        "row": float(point.row),
        "position_lps_mm": [float(value) for value in point.position_lps_mm],
        "score": float(point.score),
    }


def write_prediction(out: Path, prediction: Prediction, report: str) -> Path:
    """Write one study's files.

    Args:
        out: the folder over all studies.
        prediction: what was found.
        report: the text of ``report.html``.

    Returns:
        The study's folder.

    Raises:
        WriteError: the disk is full, say; an earlier result stays as it was.
    """
    folder = study_folder(out, prediction.grades.study_id)
    rows = (_csv_row(prediction.grades, target) for target in TARGETS)
    document = grades_document(prediction)
    make_folder(folder)
    write_together(
        {
            folder / GRADES_CSV: table_text(_CSV_COLUMNS, rows),
            folder / REPORT_HTML: report,
            folder / GRADES_JSON: json.dumps(
                document, indent=1, ensure_ascii=False, allow_nan=False
            )
            + "\n",
        }
    )
    return folder


def _csv_row(grades: Grades, target: Target) -> list[object]:
    entry = _row_entry(grades, target)
    point = entry["point"] or {}
    return [
        *(entry[key] for key in ("row_id", "condition", "level", "grade")),
        *entry["probabilities"].values(),
        *(
            point.get(key)
            for key in ("series_uid", "sop_instance_uid", "instance_number", "frame_number")
        ),
        *(point.get(key) for key in ("column", "row")),
        *point.get("position_lps_mm", (None, None, None)),
        point.get("score"),
        " ".join(entry["flags"]),
    ]


def finished_grades(
    out: Path, study: Study, *, models_hash: str, sop_instances_sha256: str
) -> Grades | None:
    """The grades of a study that is finished, None where it must be (re)done.

    Finished means: its ``grades.json`` exists, from the same models and the same instances.
    """
    path = study_folder(out, study.study_id) / GRADES_JSON
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        if (
            document["schema"] != SCHEMA
            or document["models"]["hash"] != models_hash
            or document["source"]["sop_instances_sha256"] != sop_instances_sha256
        ):
            return None
        return _grades_of_document(document, study)
    except (KeyError, TypeError, ValueError) as error:
        _log.warning("%s cannot be read (%s), the study is predicted again", path, error)
        return None


def _grades_of_document(document: dict[str, Any], study: Study) -> Grades:
    rows = document["grades"]
    row_ids = [target.row_id(study.study_id) for target in TARGETS]
    if [row["row_id"] for row in rows] != row_ids:
        raise ValueError("its rows are not the 25 targets in order")
    probabilities = np.array(
        [[row["probabilities"][grade.value] for grade in GRADES] for row in rows], dtype=np.float64
    )
    series_ids = {series.series_uid: series.series_id for series in study.series}
    odds = float(document["models"].get(ANY_SEVERE_ODDS, 1.0))
    return Grades(
        study_id=study.study_id,
        study_uid=study.study_uid,
        probabilities=probabilities,
        metric_probabilities=raise_largest(reweight_for_metric(probabilities), odds),
        points=tuple(_point_of_entry(row["point"], series_ids) for row in rows),
        flags=tuple(tuple(Flag(flag) for flag in row["flags"]) for row in rows),
        warnings=tuple(document["warnings"]),
        models_hash=document["models"]["hash"],
        models_name=document["models"]["name"],
        any_severe_odds=odds,
    )


def _point_of_entry(
    entry: dict[str, Any] | None, series_ids: dict[str, str]
) -> PointOnSlice | None:
    if entry is None:
        return None
    fields = {**entry, "position_lps_mm": np.array(entry["position_lps_mm"], dtype=np.float64)}
    return PointOnSlice(series_id=series_ids[entry["series_uid"]], **fields)


def has_summary(out: Path) -> bool:
    """Whether tables over several studies lie in a folder."""
    return (out / PREDICTIONS_CSV).exists()


def write_summary(out: Path, grades: Iterable[Grades]) -> None:
    """Write ``predictions.csv`` and ``points.csv`` over several studies, ordered by study id."""
    ordered = sorted(grades, key=lambda item: item.study_id)
    make_folder(out)
    write_grades(out / PREDICTIONS_CSV, ordered)
    write_points(out / POINTS_CSV, ordered)
