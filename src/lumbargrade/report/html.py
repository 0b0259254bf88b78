"""A prediction as one offline HTML page.

What must stay true: the page needs no other file and no network, every text from outside is
escaped, and it shows the calibrated probabilities p, never the metric's answers q.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files

import jinja2
import numpy as np

from lumbargrade.labels import CONDITIONS, GRADES, LEVELS, VIEWS, Condition, Flag, Grade, Target
from lumbargrade.labels import View as ViewLabel
from lumbargrade.prediction import Prediction
from lumbargrade.records import PointOnSlice, SeriesReport
from lumbargrade.report.figures import Figure, TargetFigures, target_figures, view_figures

DISPLAY_CONDITIONS = (
    Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
    Condition.RIGHT_SUBARTICULAR_STENOSIS,
    Condition.SPINAL_CANAL_STENOSIS,
    Condition.LEFT_SUBARTICULAR_STENOSIS,
    Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
)
"""Columns as a radiologist looks at the patient: the patient's right on the left."""

VIEW_NAME = {
    ViewLabel.SAGITTAL_T2: "Sagittal T2",
    ViewLabel.SAGITTAL_T1: "Sagittal T1",
    ViewLabel.AXIAL_T2: "Axial T2",
}

FLAG_WORDS = {
    Flag.VIEW_MISSING: "View missing: answered from what the other views show",
    Flag.LEVEL_NOT_COVERED: "Level not covered: answered without a slice of this place",
    Flag.LOW_CONFIDENCE: "Low confidence: the place itself was hard to find",
    Flag.UNCERTAIN: "Uncertain: no grade is clearly the likeliest",
    Flag.CROSS_VIEW_CONFLICT: "Views disagree about where this level lies",
    Flag.UNUSUAL_ANATOMY: "Unusual anatomy: check the numbering of the levels",
}

FLAG_SHORT = {
    Flag.VIEW_MISSING: "view missing",
    Flag.LEVEL_NOT_COVERED: "not covered",
    Flag.LOW_CONFIDENCE: "low confidence",
    Flag.UNCERTAIN: "uncertain",
    Flag.CROSS_VIEW_CONFLICT: "views disagree",
    Flag.UNUSUAL_ANATOMY: "unusual anatomy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One segment of a probability bar."""

    grade: Grade
    probability: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One target as the page shows it."""

    target: Target
    anchor: str
    grade: Grade
    shares: tuple[Share, ...]
    flags: tuple[Flag, ...]
    point: PointOnSlice | None
    figures: TargetFigures | None

    @property
    def probability(self) -> float:
        """Probability of the grade shown."""
        return self.shares[GRADES.index(self.grade)].probability


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSection:
    """One view: its series, and the slices that carry points."""

    name: str
    slices: int
    figures: tuple[Figure, ...]


def render_report(prediction: Prediction) -> str:
    """Make the page.

    Returns:
        The text of ``report.html``; equal for equal predictions.
    """
    folder = files("lumbargrade.report")
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    template = environment.from_string((folder / "report.html").read_text(encoding="utf-8"))
    cells = _cells(prediction)
    return template.render(
        css=(folder / "report.css").read_text(encoding="utf-8"),
        script=(folder / "report.js").read_text(encoding="utf-8"),
        study=prediction.study,
        grades=prediction.grades,
        version=version("lumbargrade"),
        conditions=CONDITIONS,
        display_conditions=DISPLAY_CONDITIONS,
        levels=LEVELS,
        grade_names=GRADES,
        cells=cells,
        cell_of={(cell.target.level, cell.target.condition): cell for cell in cells},
        severe=_worst_first(cells, Grade.SEVERE),
        moderate=_worst_first(cells, Grade.MODERATE),
        flagged=[cell for cell in cells if cell.flags],
        views=[_view_section(prediction, view) for view in VIEWS],
        reports=sorted(prediction.study.reports, key=_report_order),
        view_name=VIEW_NAME,
        flag_words=FLAG_WORDS,
        flag_short=FLAG_SHORT,
    )


def _cells(prediction: Prediction) -> tuple[Cell, ...]:
    figures = target_figures(prediction)
    return tuple(
        _cell(prediction, Target(condition=condition, level=level), figures)
        for condition in CONDITIONS
        for level in LEVELS
    )


def _cell(prediction: Prediction, target: Target, figures: Sequence[TargetFigures | None]) -> Cell:
    row = prediction.grades.probabilities[target.index]
    return Cell(
        target=target,
        anchor=target.column,
        grade=GRADES[int(np.argmax(row))],
        shares=tuple(
            Share(grade=grade, probability=float(value))
            for grade, value in zip(GRADES, row, strict=True)
        ),
        flags=prediction.grades.flags[target.index],
        point=prediction.grades.points[target.index],
        figures=figures[target.index],
    )


def _worst_first(cells: Sequence[Cell], grade: Grade) -> list[Cell]:
    found = [cell for cell in cells if cell.grade is grade]
    return sorted(found, key=lambda cell: -cell.probability)


def _view_section(prediction: Prediction, view: ViewLabel) -> ViewSection:
    volume = prediction.volumes.get(view)
    return ViewSection(
        name=VIEW_NAME[view],
        slices=0 if volume is None else len(volume.slices),
        figures=view_figures(prediction, view),
    )


def _report_order(report: SeriesReport) -> tuple[bool, str, str]:
    view = "" if report.view is None else str(VIEWS.index(report.view))
    return not report.used, view, report.series_id
