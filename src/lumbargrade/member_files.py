"""What lies in the folder of a cross-validated member beside its network.

What must stay true: weights are written last, because they mean that the folder is complete.
"""

import json
from pathlib import Path
from typing import Any

from lumbargrade.atomic_files import write_beside
from lumbargrade.prepared import PreparedStudies
from lumbargrade.training.checkpoint import CONFIG, METRICS, WEIGHTS

STUDIES = "studies.json"
"""The studies that trained the member and chose its epoch."""


def write_studies(folder: Path, training: PreparedStudies, validation: PreparedStudies) -> None:
    """Name the studies that train a member and choose its epoch."""
    document: dict[str, Any] = {
        "training": training.study_ids,
        "validation": validation.study_ids,
    }
    write_beside(folder / STUDIES, json.dumps(document, indent=1) + "\n")


def take_first_step(source: Path, folder: Path) -> None:
    """Copy what step 2 begins with; weights last, because they mean that it is complete."""
    for name in (CONFIG, METRICS, WEIGHTS):
        if not (folder / name).is_file():
            folder.mkdir(parents=True, exist_ok=True)
            write_beside(folder / name, (source / name).read_bytes())
