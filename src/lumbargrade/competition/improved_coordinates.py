"""``coords_rsna_improved.csv``: points of the competition's images, marked again by the public.

What must stay true: a point replaces the competition's own of the same study and target, never
another; rows without a slice are left out; the canal has two points a level, of which the one on
the canal's side counts.

Source: the second table of the lumbar coordinate pretraining dataset (B. Artley).
"""

from dataclasses import dataclass
from pathlib import Path

from lumbargrade.competition.dataset import CONDITION_OF_TITLE, LEVEL_OF_TITLE
from lumbargrade.competition.table import TableRow, read_table
from lumbargrade.labels import Family, Side, Target

IMPROVED_FILE = "coords_rsna_improved.csv"

COLUMNS = (
    "study_id", "series_id", "instance_number", "condition", "level", "side",
    "relative_x", "relative_y",
)  # fmt: skip

_CANALS_SIDE = "R"
_SIDES = {"L": Side.LEFT, "R": Side.RIGHT}
_CONDITIONS = CONDITION_OF_TITLE | {
    condition.value: condition for condition in CONDITION_OF_TITLE.values()
}
_LEVELS = LEVEL_OF_TITLE | {level.value: level for level in LEVEL_OF_TITLE.values()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ImprovedRow:
    """One point, as fractions of its image's width and height."""

    study_id: str
    series_id: str
    instance_number: int
    target: Target
    relative_x: float
    relative_y: float


def read_improved_coordinates(path: Path) -> tuple[ImprovedRow, ...]:
    """Read the points that can be used.

    Args:
        path: the table; its index and ``x, y`` columns, where there are any, are not read.

    Returns:
        In file order. Rows whose ``instance_number`` is negative and the canal's ``L`` rows are
        left out.

    Raises:
        InvalidStudyError: a cell that cannot be read, a side that is not the condition's, or a
            target marked twice; names the line.
    """
    points: dict[tuple[str, Target], ImprovedRow] = {}
    for row in read_table(path, COLUMNS):
        point = _point(row)
        if point is None:
            continue
        if (point.study_id, point.target) in points:
            raise row.error(f"study {point.study_id} has {point.target.column} twice")
        points[point.study_id, point.target] = point
    return tuple(points.values())


def _point(row: TableRow) -> ImprovedRow | None:
    condition = row.choice("condition", _CONDITIONS)
    side = row.choice("side", _SIDES)
    if condition.family is Family.CANAL:
        if side is not _SIDES[_CANALS_SIDE]:
            return None
    elif side is not condition.side:
        raise row.error(f"side {row.text('side')} of {condition.spelling}")
    if row.integer("instance_number") < 0:
        return None
    return ImprovedRow(
        study_id=row.text("study_id"),
        series_id=row.text("series_id"),
        instance_number=row.integer("instance_number"),
        target=Target(condition=condition, level=row.choice("level", _LEVELS)),
        relative_x=row.number("relative_x"),
        relative_y=row.number("relative_y"),
    )
