"""What a seed's synthetic study is, in few numbers: severities, points, grades, rough images.

``python tests/phantom_fingerprint.py`` writes the reference of ``BENCHMARK_VERSION``. The numbers
of a version are never written anew: what changes them is a new version, with its own number.
"""

import csv
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from lumbargrade.phantom.dataset import study_id_of, write_dataset
from lumbargrade.phantom.streams import BENCHMARK_VERSION

SEED = 2000
BLOCKS = 8
REFERENCE = Path(__file__).parent / f"phantom_version_{BENCHMARK_VERSION}.json"


def fingerprint(dataset: Path) -> dict[str, Any]:
    """Of a dataset of the study of ``SEED`` alone."""
    with (dataset / "phantom_truth.csv").open(newline="") as file:
        truth = list(csv.DictReader(file))
    with (dataset / "train.csv").open(newline="") as file:
        grades = next(csv.DictReader(file))
    series = sorted((dataset / "train_images" / study_id_of(SEED)).iterdir())
    return {
        "severity": [float(row["severity"]) for row in truth if row["severity"]],
        "points_lps_mm": [[float(row[f"{axis}_lps_mm"]) for axis in "xyz"] for row in truth],
        "grades": [value for name, value in grades.items() if name != "study_id"],
        "series": {folder.name: _rough(folder) for folder in series},
    }


def _rough(series: Path) -> dict[str, Any]:
    """Size, and means over blocks of the slice in the middle."""
    slices = sorted(series.iterdir(), key=lambda path: int(path.stem))
    pixels = pydicom.dcmread(slices[len(slices) // 2]).pixel_array.astype(float)
    blocks = [
        [float(part.mean().round(2)) for part in np.array_split(rows, BLOCKS, axis=1)]
        for rows in np.array_split(pixels, BLOCKS)
    ]
    return {"slices": len(slices), "shape": list(pixels.shape), "blocks": blocks}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_dataset(Path(folder), studies=1, seed=SEED)
        REFERENCE.write_text(json.dumps(fingerprint(Path(folder)), indent=1) + "\n")


if __name__ == "__main__":
    main()
