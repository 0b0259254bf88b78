"""How well the models do on hospital-like studies with exact truth: series, points in mm, flags.

    lumbargrade phantom DATA --studies 16 --seed 3000 --profile hospital
    python tools/hospital_rehearsal.py DATA --out OUT [--models DIR]

Synthetic studies; a rehearsal of the way through the files, no statement about patients.

What must stay true: the models see the images alone, never the tables beside them; shares of points
are over all covered targets, so a target without a point counts as missed; places are those of
``grades.json``, in the patient's millimetres.
"""

import argparse
import csv
import json
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbargrade.competition import read_truth
from lumbargrade.competition.truth import TruthPoint
from lumbargrade.dicom.files import find
from lumbargrade.dicom.inspection import inspect_study
from lumbargrade.labels import Family, Flag
from lumbargrade.point_errors import TOLERANCE_MM
from lumbargrade.records import SeriesReport


def images_alone(data: Path, out: Path) -> Path:
    """A folder with the images of a dataset and none of its tables."""
    bare = out / "images_alone"
    bare.mkdir(parents=True, exist_ok=True)
    link = bare / "train_images"
    if not link.is_symlink():
        link.symlink_to((data / "train_images").resolve())
    return bare


def wrong_series(
    expected: Mapping[str, Mapping[str, str]], reports: Iterable[SeriesReport]
) -> list[str]:
    """Series that were taken for another view, or used or refused against the truth."""
    return [
        f"series {report.series_id} is {truth['view'] or 'of no view'}, used {truth['used']}; "
        f"taken for {report.view}, used {int(report.used)}: {report.reason}"
        for report in reports
        for truth in [expected[report.series_id]]
        if (report.view or "", int(report.used)) != (truth["view"], int(truth["used"]))
    ]


def family_figures(
    truths: Sequence[TruthPoint],
    distance_mm: Mapping[str, float],
    flags: Mapping[str, Sequence[str]],
) -> dict[str, Any]:
    """Figures of the targets of one family.

    Args:
        truths: of graded targets, one family or one condition.
        distance_mm: row id → distance of the found point from the truth; absent without a point.
        flags: row id → flags of ``grades.json``.
    """
    covered = {row_id(t): t for t in truths if t.covered}
    bare = [row_id(t) for t in truths if not t.covered]
    near = {
        key: distance_mm.get(key, np.inf) <= TOLERANCE_MM[t.target.condition.family]
        for key, t in covered.items()
        if t.target is not None
    }
    studies = {t.study_id for t in truths}
    failed = {covered[key].study_id for key, good in near.items() if not good}
    found = [distance_mm[key] for key in covered if key in distance_mm]
    doubted = {key for key in covered if Flag.LOW_CONFIDENCE in flags[key]}
    return {
        "covered": len(covered),
        "without_point": len(covered) - len(found),
        "within": sum(near.values()),
        "share_within": sum(near.values()) / len(covered) if covered else None,
        "studies": len(studies),
        "studies_all_within": len(studies - failed),
        "median_mm": float(np.median(found)) if found else None,
        "p95_mm": float(np.percentile(found, 95)) if found else None,
        "max_mm": max(found, default=None),
        "low_confidence": len(doubted),
        "misses_low_confidence": sum(key in doubted for key, good in near.items() if not good),
        "uncovered": len(bare),
        "uncovered_null_and_flagged": sum(
            key not in distance_mm and Flag.LEVEL_NOT_COVERED in flags[key] for key in bare
        ),
        "uncovered_with_point": [key for key in bare if key in distance_mm],
        "missed": {
            key: distance_mm.get(key, "/".join(flags[key]))
            for key, good in near.items()
            if not good
        },
    }


def row_id(truth: TruthPoint) -> str:
    """Of a graded target."""
    if truth.target is None:
        raise ValueError(f"a disc point of study {truth.study_id} has no row")
    return truth.target.row_id(truth.study_id)


def measure(data: Path, predictions: Path, images: Path) -> dict[str, Any]:
    """Everything about a finished prediction of a dataset."""
    with (data / "phantom_series.csv").open() as file:
        expected = {row["series_id"]: row for row in csv.DictReader(file)}
    reports = [r for files in find(images).studies for r in inspect_study(files).reports]
    truths = [point for point in read_truth(data) if point.target is not None]
    position = {row_id(t): t.position_lps_mm for t in truths}
    rows = {
        row["row_id"]: row
        for path in sorted(predictions.glob("*/grades.json"))
        for row in json.loads(path.read_text())["grades"]
    }
    flags = {key: row["flags"] for key, row in rows.items()}
    distance_mm = {
        key: float(np.linalg.norm(np.subtract(row["point"]["position_lps_mm"], position[key])))
        for key, row in rows.items()
        if row["point"] is not None
    }
    graded = [t for t in truths if row_id(t) in flags]
    return {
        "studies": len({t.study_id for t in truths}),
        "studies_graded": len({t.study_id for t in graded}),
        "series": len(reports),
        "series_wrong": wrong_series(expected, reports),
        **{
            family.value: family_figures(
                [t for t in graded if t.target is not None and t.target.condition.family is family],
                distance_mm,
                flags,
            )
            for family in Family
        },
    }


def main() -> None:
    """Predict, measure, print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="phantom studies of the hospital profile")
    parser.add_argument("--out", type=Path, required=True, help="folder for the predictions")
    parser.add_argument("--models", help="as in predict; default: the bundled ones")
    arguments = parser.parse_args()
    images = images_alone(arguments.data, arguments.out)
    predictions = arguments.out / "predictions"
    models = ["--models", arguments.models] if arguments.models else []
    command = [sys.executable, "-m", "lumbargrade", "predict", images, "--out", predictions]
    subprocess.run([*command, *models], check=False, stdout=subprocess.DEVNULL)
    sys.stdout.write(json.dumps(measure(arguments.data, predictions, images), indent=1) + "\n")
    sys.stderr.write("synthetic studies; research software, not a medical device\n")


if __name__ == "__main__":
    main()
