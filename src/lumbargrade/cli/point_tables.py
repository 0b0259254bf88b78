"""Accuracy of predicted points as tables for the terminal.

What must stay true: a figure is followed by its 95 % interval where studies were drawn; the
farthest points are named so that a person can open them.
"""

from collections.abc import Sequence

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lumbargrade.cli.app import DISCLAIMER
from lumbargrade.cli.point_document import WORST_POINTS
from lumbargrade.evaluation_points import PointEvaluation, PointFigures
from lumbargrade.labels import VIEWS, Condition, Family
from lumbargrade.point_errors import PointError
from lumbargrade.point_intervals import FigureIntervals
from lumbargrade.point_reliability import score_reliability

NO_VALUE = "–"
_SHORT = {Family.CANAL: "canal", Family.FORAMINAL: "foram.", Family.SUBARTICULAR: "subart."}
_TITLE_STYLE = "bold"
_NOTE_STYLE = "dim"
_SHARES = (
    *("found", "within_5px", "within_mm", "slice_exact", "slice_within_1"),
    *("level_correct", "side_correct"),
)
_SHARES_OF_COVERAGE = ("coverage_precision", "coverage_recall", "uncovered_left_out")
_GROUP_COLUMNS = {
    "points": "truths",
    "found": "found",
    "within\n5 px": "within_5px",
    "median\npx": "median_px",
    "median\nmm": "median_mm",
    "within\nmm": "within_mm",
    "slice\nexact": "slice_exact",
    "slice\n±1": "slice_within_1",
    "right\nlevel": "level_correct",
}


def point_tables(evaluation: PointEvaluation) -> RenderableType:
    """Figures by view, by condition and by level, and the farthest points."""
    studies = "1 study" if evaluation.studies == 1 else f"{evaluation.studies} studies"
    intervals = evaluation.intervals
    draws = f"; 95 % intervals over {intervals.resamples} drawn sets" if intervals else ""
    parts: list[RenderableType] = [
        Text(
            f"{studies}; {evaluation.studies_without_points} more have no predicted point{draws}; "
            f"{DISCLAIMER}"
        ),
        Text("\nPoints by view (pixels on the 256 grid)", style=_TITLE_STYLE),
        _views_table(evaluation),
        Text("\nPoints by condition and level", style=_TITLE_STYLE),
        _groups_table(evaluation),
    ]
    if evaluation.errors:
        title = "\nScores as probabilities of being found (within 5 px and one slice)"
        parts += [Text(title, style=_TITLE_STYLE), _scores_table(evaluation)]
        worst = evaluation.errors[:WORST_POINTS]
        title = f"\nThe {len(worst)} farthest points (slice: marked → predicted)"
        parts += [Text(title, style=_TITLE_STYLE), _worst_table(worst)]
    return Group(*parts)


def _views_table(evaluation: PointEvaluation) -> Table:
    table = _table()
    table.add_column("")
    figures: dict[str, PointFigures] = {v.value: f for v, f in evaluation.by_view.items()}
    figures["all"] = evaluation.overall
    intervals: dict[str, FigureIntervals] = {}
    if evaluation.intervals:
        intervals = {v.value: found for v, found in evaluation.intervals.by_view.items()}
        intervals["all"] = evaluation.intervals.overall
    for name in figures:
        table.add_column(name, justify="right")
    for field in PointFigures.__dataclass_fields__:
        cells = [_cell(item, field, intervals.get(name)) for name, item in figures.items()]
        table.add_row(field, *cells)
    return table


def _groups_table(evaluation: PointEvaluation) -> Table:
    table = _table()
    table.add_column("", no_wrap=True)
    for name in _GROUP_COLUMNS:
        table.add_column(name, justify="right")
    groups: list[tuple[str, PointFigures]] = [
        *((_short(c), figures) for c, figures in evaluation.by_condition.items()),
        *((level.spelling, figures) for level, figures in evaluation.by_level.items()),
    ]
    for index, (name, figures) in enumerate(groups):
        last_condition = index == len(evaluation.by_condition) - 1
        table.add_row(
            name,
            *(_cell(figures, field, None) for field in _GROUP_COLUMNS.values()),
            end_section=last_condition,
        )
    return table


def _scores_table(evaluation: PointEvaluation) -> Table:
    table = _table()
    table.add_column("", no_wrap=True)
    for name in ("points", "found", "mean\nscore", "calibration\nerror", "Brier\nscore"):
        table.add_column(name, justify="right")
    for view in VIEWS:
        judged = score_reliability(evaluation.errors, view)
        table.add_row(
            view.value,
            str(judged.points),
            _number(judged.found, share=True),
            *(
                NO_VALUE if value is None else f"{value:.3f}"
                for value in (judged.mean_score, judged.calibration_error, judged.brier)
            ),
        )
    return table


def _worst_table(errors: Sequence[PointError]) -> Table:
    table = _table()
    table.add_column("study", overflow="fold")
    table.add_column("target", no_wrap=True)
    for name in ("mm", "px", "slices\noff", "score", "slice"):
        table.add_column(name, justify="right")
    table.add_column("series", overflow="fold")
    for error in errors:
        marked, predicted = error.marked, error.predicted
        other = "" if predicted.series_id == marked.series_id else f" → {predicted.series_id}"
        table.add_row(
            error.study_id,
            f"{_short(error.target.condition)} {error.target.level.spelling}",
            f"{error.distance_mm:.1f}",
            f"{error.px:.1f}",
            str(error.slices_off),
            f"{predicted.score:.2f}",
            f"{marked.instance_number} → {predicted.instance_number}",
            f"{marked.series_id}{other}",
        )
    return table


def _cell(figures: PointFigures, field: str, intervals: FigureIntervals | None) -> Text:
    value = getattr(figures, field)
    share = field in _SHARES + _SHARES_OF_COVERAGE
    text = Text(_number(value, share=share))
    if intervals is not None and field in intervals:
        interval = intervals[field]
        ends = NO_VALUE
        if interval is not None:
            ends = "–".join(_number(e, share=share) for e in (interval.low, interval.high))
        text.append(f"\n{ends}", style=_NOTE_STYLE)
    return text


def _number(value: float | None, *, share: bool) -> str:
    if value is None:
        return NO_VALUE
    if isinstance(value, int):
        return str(value)
    return f"{value:.1%}" if share else f"{value:.2f}"


def _short(condition: Condition) -> str:
    """``canal``, ``left foram.`` and so on."""
    name = _SHORT[condition.family]
    return name if condition.side is None else f"{condition.side} {name}"


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
