"""Grades as a table in the terminal: the patient's right on the left, as in the report."""

import numpy as np
from rich import box
from rich.table import Table
from rich.text import Text

from lumbargrade.arrays import Labels
from lumbargrade.cli.app import DISCLAIMER
from lumbargrade.labels import GRADES, LEVELS, MISSING_GRADE, Condition, Family, Grade, Target
from lumbargrade.records import Grades
from lumbargrade.report.words import DISPLAY_CONDITIONS

_STYLE = {Grade.NORMAL_MILD: "", Grade.MODERATE: "yellow", Grade.SEVERE: "bold magenta"}
_NAME = {Family.CANAL: "canal", Family.FORAMINAL: "foramen", Family.SUBARTICULAR: "subarticular"}
FLAG_MARK = "⚑"


def grades_table(grades: Grades, truth: Labels | None = None) -> Table:
    """The 25 grades with their probabilities.

    Args:
        grades: the answer.
        truth: (25,) grades to show beside it, for studies whose truth is known.
    """
    table = Table(
        title=Text(f"study {grades.study_id}"),
        caption=_caption(grades, truth),
        title_justify="left",
        caption_justify="left",
        box=box.SIMPLE_HEAD,
        collapse_padding=True,
        pad_edge=False,
    )
    table.add_column("level")
    for condition in DISPLAY_CONDITIONS:
        table.add_column(_heading(condition))
    for level in LEVELS:
        targets = [Target(condition=condition, level=level) for condition in DISPLAY_CONDITIONS]
        table.add_row(level.spelling, *(_cell(grades, truth, target) for target in targets))
    return table


def _heading(condition: Condition) -> str:
    name = _NAME[condition.family]
    return name if condition.side is None else f"{condition.side}\n{name}"


def _cell(grades: Grades, truth: Labels | None, target: Target) -> Text:
    row = grades.probabilities[target.index]
    grade = GRADES[int(np.argmax(row))]
    text = Text(f"{grade.spelling}\n{row.max():.2f}", style=_STYLE[grade])
    if grades.flags[target.index]:
        text.append(f" {FLAG_MARK}", style="cyan")
    if truth is not None and truth[target.index] != MISSING_GRADE:
        known = GRADES[int(truth[target.index])]
        mark = "✓" if known is grade else f"✗ {known.spelling}"
        text.append(f"\n{mark}", style="green" if known is grade else "red")
    return text


def _caption(grades: Grades, truth: Labels | None) -> Text:
    lines = [f"likeliest grade and its probability; {DISCLAIMER}"]
    if any(grades.flags):
        lines.append(f"{FLAG_MARK} flagged, the report says why")
    if truth is not None:
        agreed, labelled = agreement(grades, truth)
        lines.append(
            f"✓ as in the truth, ✗ the truth differs: {agreed} of {labelled} labelled grades agree"
        )
    return Text("\n".join(lines))


def agreement(grades: Grades, truth: Labels) -> tuple[int, int]:
    """How many labelled grades agree with the truth, and how many are labelled."""
    labelled = truth != MISSING_GRADE
    agreed = labelled & (grades.probabilities.argmax(axis=1) == truth)
    return int(agreed.sum()), int(labelled.sum())
