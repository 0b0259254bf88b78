"""A prediction as one offline HTML page.

What must stay true: the page needs no other file and no network, every text from outside is
escaped, only our own script and style may run, and it shows the calibrated probabilities p, never
the metric's answers q.
"""

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from lumbargrade.labels import GRADES, LEVELS, TARGETS, VIEWS, Flag, Grade, Target, View
from lumbargrade.prediction import Prediction
from lumbargrade.records import PointOnSlice, SeriesReport
from lumbargrade.report.figures import Figure, close_ups, view_figures
from lumbargrade.report.pixels import EncodedSlices, encode_slices
from lumbargrade.report.scene import scene_document
from lumbargrade.report.words import (
    DISPLAY_CONDITIONS,
    DISPLAY_VIEWS,
    FLAG_SHORT,
    FLAG_WORDS,
    condition_name,
    target_name,
)

STYLE_FILES = ("page.css", "viewer.css", "print.css")
SCRIPT_FILES = (
    *("dom.js", "geometry.js", "pixels.js", "overlay.js", "pane.js"),
    *("gestures.js", "closeup.js", "targets.js", "keyboard.js", "start.js"),
)
"""In the order in which they are joined."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """One segment of a probability bar."""

    grade: Grade
    probability: float
    start: float
    """Sum of the probabilities before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One target as the page shows it."""

    target: Target
    name: str
    grade: Grade
    shares: tuple[Share, ...]
    flags: tuple[Flag, ...]
    """But for those that all rows of the study carry."""
    point: PointOnSlice | None
    figure: Figure | None

    @property
    def probability(self) -> float:
        """Probability of the grade shown."""
        return self.shares[GRADES.index(self.grade)].probability

    @property
    def severity(self) -> float:
        """For choosing what to show first: the grade, then how sure it is."""
        return GRADES.index(self.grade) + self.probability


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewSection:
    """One view: why its series were taken, and the slices that carry points."""

    view: View
    name: str
    slices: int
    series: tuple[SeriesReport, ...]
    figures: tuple[Figure, ...]


def render_report(prediction: Prediction) -> str:
    """Make the page.

    Returns:
        The text of ``report.html``; equal for equal predictions.
    """
    encoded = encode_slices(prediction.study, prediction.volumes)
    cells = _cells(prediction)
    style, script = _joined(STYLE_FILES), _joined(SCRIPT_FILES)
    return _template().render(
        policy=content_policy(style, script),
        css=Markup(style),
        script=Markup(script),
        scene=json_island(scene_document(prediction, encoded)),
        pixels=json_island({view.value: encoded.images.get(view, ()) for view in VIEWS}),
        image_words=_image_words(encoded),
        study=prediction.study,
        grades=prediction.grades,
        version=version("lumbargrade"),
        display_conditions=DISPLAY_CONDITIONS,
        levels=LEVELS,
        grade_names=GRADES,
        cell_of={(cell.target.level, cell.target.condition): cell for cell in cells},
        cells_of_grade={grade: _surest_first(cells, grade) for grade in GRADES},
        flagged=[cell for cell in cells if cell.flags],
        study_flags=_flags_of_all(prediction),
        views=[_view_section(prediction, view) for view in DISPLAY_VIEWS],
        reports=sorted(prediction.study.reports, key=_report_order),
        condition_name=condition_name,
        flag_words=FLAG_WORDS,
        flag_short=FLAG_SHORT,
    )


def content_policy(style: str, script: str) -> str:
    """A content security policy that lets this one style and this one script run, nothing else."""

    def sha256(text: str) -> str:
        digest = hashlib.sha256(text.encode()).digest()
        return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"

    return (
        f"default-src 'none'; img-src data:; style-src {sha256(style)}; "
        f"script-src {sha256(script)}; base-uri 'none'; form-action 'none'"
    )


def json_island(document: Any) -> Markup:
    """JSON for a ``<script type="application/json">``: no character of it can end the element."""
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


@cache
def _page_file(name: str) -> str:
    return (files("lumbargrade.report") / "page" / name).read_text(encoding="utf-8")


def _joined(names: Sequence[str]) -> str:
    text = "".join(_page_file(name) for name in names)
    return f'"use strict";\n(() => {{\n{text}}})();\n' if names is SCRIPT_FILES else text


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    return environment.from_string(_page_file("report.html"))


def _image_words(encoded: EncodedSlices) -> str:
    step = encoded.step
    return (
        f"Images are 8-bit JPEG of quality {step.quality}, at most {step.longest_side} pixels a "
        "side, over a range of stored values wider than the first window; read fine detail and "
        "narrow windows from the DICOM files."
    )


def _cells(prediction: Prediction) -> tuple[Cell, ...]:
    figures, told = close_ups(prediction), _flags_of_all(prediction)
    return tuple(_cell(prediction, target, figures[target.index], told) for target in TARGETS)


def _flags_of_all(prediction: Prediction) -> tuple[Flag, ...]:
    """What is said of every row, which the page says once."""
    first, *others = prediction.grades.flags
    return tuple(flag for flag in first if all(flag in flags for flags in others))


def _cell(
    prediction: Prediction, target: Target, figure: Figure | None, told: Sequence[Flag]
) -> Cell:
    row = prediction.grades.probabilities[target.index]
    starts = np.cumsum(row) - row
    return Cell(
        target=target,
        name=target_name(target),
        grade=GRADES[int(np.argmax(row))],
        shares=tuple(
            Share(grade=grade, probability=float(value), start=float(start))
            for grade, value, start in zip(GRADES, row, starts, strict=True)
        ),
        flags=tuple(f for f in prediction.grades.flags[target.index] if f not in told),
        point=prediction.grades.points[target.index],
        figure=figure,
    )


def _surest_first(cells: Sequence[Cell], grade: Grade) -> list[Cell]:
    found = [cell for cell in cells if cell.grade is grade]
    return sorted(found, key=lambda cell: -cell.probability)


def _view_section(prediction: Prediction, view: View) -> ViewSection:
    volume = prediction.volumes.get(view)
    used = [report for report in prediction.study.reports if report.used and report.view is view]
    return ViewSection(
        view=view,
        name=view.heading,
        slices=0 if volume is None else len(volume.slices),
        series=tuple(used),
        figures=view_figures(prediction, view),
    )


def _report_order(report: SeriesReport) -> tuple[bool, str, str]:
    view = "" if report.view is None else str(VIEWS.index(report.view))
    return not report.used, view, report.series_id
