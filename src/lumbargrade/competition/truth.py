"""The exact truth that synthetic studies carry beside the competition's tables.

What must stay true: positions are patient LPS in mm and belong to the anatomy, whether or not a
slice shows them; ``covered`` says whether one does.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumbargrade.arrays import Point
from lumbargrade.competition.table import read_table
from lumbargrade.labels import CONDITIONS, LEVELS, Condition, Level, Target

TRUTH_FILE = "phantom_truth.csv"
_VARIANT = "variant"
_NEEDED_COLUMNS = (
    "study_id",
    "condition",
    "level",
    "measure",
    "unit",
    "severity",
    "x_lps_mm",
    "y_lps_mm",
    "z_lps_mm",
    "series_id",
    "instance_number",
    "covered",
)
TRUTH_COLUMNS = (*_NEEDED_COLUMNS, _VARIANT)
DISC = "disc"
"""The condition of the auxiliary point at the midline of the posterior disc margin."""

_CONDITION_OF_NAME: dict[str, Condition | None] = {DISC: None} | {c.value: c for c in CONDITIONS}
_LEVEL_OF_NAME = {level.value: level for level in LEVELS}


@dataclass(frozen=True, slots=True, kw_only=True)
class TruthPoint:
    """One line of ``phantom_truth.csv``: a planted point and what was measured there."""

    study_id: str
    condition: Condition | None
    """None for the auxiliary disc point."""
    level: Level
    measure: float | None
    """In ``unit``; None for the auxiliary disc point."""
    unit: str
    severity: float | None
    """Latent severity: Moderate from 0, Severe from 1, before the readers' noise."""
    position_lps_mm: Point
    series_id: str
    """Of the nearest slice; empty where the study has no such view."""
    instance_number: int | None
    """Of the nearest slice; None where the study has no such view."""
    covered: bool
    """A slice of the view shows the point."""
    variant: str
    """What is unusual about the spine; empty where nothing is or the table does not say."""

    @property
    def target(self) -> Target | None:
        """The graded cell, None for the auxiliary disc point."""
        if self.condition is None:
            return None
        return Target(condition=self.condition, level=self.level)


def read_truth(dataset: Path) -> tuple[TruthPoint, ...]:
    """Read the exact truth of a dataset of synthetic studies.

    Args:
        dataset: the folder that holds ``phantom_truth.csv``, or the table itself.

    Raises:
        FileNotFoundError: the dataset has none (real studies do not).
        InvalidStudyError: a cell that cannot be read; names the line.
    """
    path = dataset / TRUTH_FILE if dataset.is_dir() else dataset
    return tuple(
        TruthPoint(
            study_id=row.text("study_id"),
            condition=row.choice("condition", _CONDITION_OF_NAME),
            level=row.choice("level", _LEVEL_OF_NAME),
            measure=row.optional_number("measure"),
            unit=row.cells["unit"],
            severity=row.optional_number("severity"),
            position_lps_mm=np.array([row.number(f"{axis}_lps_mm") for axis in "xyz"]),
            series_id=row.cells["series_id"],
            instance_number=row.optional_integer("instance_number"),
            covered=row.choice("covered", {"0": False, "1": True}),
            variant=row.cells.get(_VARIANT, ""),
        )
        for row in read_table(path, _NEEDED_COLUMNS)
    )
