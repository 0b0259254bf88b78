"""A scorecard as tables for the terminal.

What must stay true: a figure is followed by its 95 % interval where studies were drawn, and by a
dash where it has no value; losses stand beside the floor and the prior of the same rows.
"""

from collections.abc import Iterator

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lumbargrade.breakdown import CellGroup, GroupFigures, GroupKind
from lumbargrade.cli.app import DISCLAIMER
from lumbargrade.intervals import GroupIntervals
from lumbargrade.labels import CONDITIONS, LEVELS, Condition, Grade, Target
from lumbargrade.metric import FAMILIES, PARTS
from lumbargrade.resampling import Interval, PairedDifference
from lumbargrade.scorecard import AGAINST, FLOOR, WEIGHTED_PRIOR, Scorecard

NO_VALUE = "–"
_ECE_GRADES = (Grade.MODERATE, Grade.SEVERE)
"""Shown here; the JSON document has all three."""
_TITLE_STYLE = "bold"
_NOTE_STYLE = "dim"
_AGREEMENT_NOTE = (
    "AUC: mean over levels of severe, and of moderate or worse, against the rest; "
    "kappa: quadratic weights; ECE: calibration error of p in ten bins, which small samples "
    "and drawn sets raise"
)


def score_tables(card: Scorecard) -> RenderableType:
    """The score and its parts, then agreement by condition, then loss by condition and level."""
    evaluation = card.evaluation
    studies = "1 study" if evaluation.studies == 1 else f"{evaluation.studies} studies"
    draws = f"95 % intervals over {card.intervals.resamples} drawn sets; " if card.intervals else ""
    return Group(
        Text(f"{studies}, {evaluation.rows} graded rows; {draws}{DISCLAIMER}"),
        Text("\nWeighted log-loss, lower is better", style=_TITLE_STYLE),
        _parts_table(card),
        Text("below the others: submission minus other, on the same draws", style=_NOTE_STYLE)
        if card.intervals
        else Text(),
        Text("\nAgreement", style=_TITLE_STYLE),
        _agreement_table(card),
        Text(_AGREEMENT_NOTE, style=_NOTE_STYLE),
        Text(f"\n{_any_severe_words(card)}"),
        Text("\nLoss by condition and level; below, graded rows", style=_TITLE_STYLE),
        _cells_table(card),
        Text("yellow: worse than the weighted prior of the cell", style=_NOTE_STYLE),
    )


def _parts_table(card: Scorecard) -> Table:
    table = _table()
    table.add_column("")
    table.add_column("submission", justify="right")
    references = [name for name in (FLOOR, WEIGHTED_PRIOR, AGAINST) if name in card.references]
    for name in references:
        table.add_column(name, justify="right")
    intervals = card.intervals.parts if card.intervals else {}
    for name in ("score", *PARTS):
        others = [
            _lines(getattr(card.references[other].parts, name), *_difference(card, other, name))
            for other in references
        ]
        own = _figure(card, getattr(card.evaluation.parts, name), intervals.get(name), digits=3)
        table.add_row(name, own, *others, style="bold" if name == "score" else "")
    return table


def _agreement_table(card: Scorecard) -> Table:
    table = _table()
    table.add_column("")
    for name in ("rows", "loss", "AUC", "kappa", *(f"ECE\n{g.spelling}" for g in _ECE_GRADES)):
        table.add_column(name, justify="right")
    for figures, intervals in _families_and_conditions(card):
        side = Condition(figures.group.name).side if _is_condition(figures.group) else None
        table.add_row(
            figures.group.name if side is None else f"  {side}",
            str(figures.rows),
            _figure(card, figures.loss, intervals.loss if intervals else None),
            _figure(card, figures.auc, intervals.auc if intervals else None),
            _figure(card, figures.kappa, intervals.kappa if intervals else None),
            *(
                _figure(
                    card,
                    figures.calibration_error[grade],
                    intervals.calibration_error[grade] if intervals else None,
                    digits=3,
                )
                for grade in _ECE_GRADES
            ),
        )
    overall = card.intervals.auc if card.intervals else None
    auc = _figure(card, card.evaluation.auc, overall)
    table.add_row("mean", str(card.evaluation.rows), NO_VALUE, auc, *[NO_VALUE] * 3)
    return table


def _families_and_conditions(
    card: Scorecard,
) -> Iterator[tuple[GroupFigures, GroupIntervals | None]]:
    """Each family, followed by its conditions where it has more than one."""
    intervals = {item.group.name: item for item in card.intervals.groups} if card.intervals else {}
    conditions = card.figures(GroupKind.CONDITION)
    for family in FAMILIES:
        yield card.figures(GroupKind.FAMILY)[family.value], intervals.get(family.value)
        members = [condition for condition in CONDITIONS if condition.family is family]
        for condition in members if len(members) > 1 else ():
            yield conditions[condition.value], intervals.get(condition.value)


def _any_severe_words(card: Scorecard) -> str:
    found = card.evaluation.any_severe_maximum
    return (
        f"Any severe: largest canal answer {found.answered:.3f} in the mean, true share "
        f"{found.true:.3f}; its odds times {found.best_odds:.2f} would gain {found.gain:.4f} here"
    )


def _cells_table(card: Scorecard) -> Table:
    table = _table()
    table.add_column("")
    for level in LEVELS:
        table.add_column(level.spelling, justify="right")
    cells = card.figures(GroupKind.TARGET)
    prior = card.references[WEIGHTED_PRIOR].loss_by_group
    for condition in CONDITIONS:
        row = []
        for level in LEVELS:
            column = Target(condition=condition, level=level).column
            loss, constant = cells[column].loss, prior[GroupKind.TARGET, column]
            worse = loss is not None and constant is not None and loss > constant
            text = _lines(loss, str(cells[column].rows))
            text.stylize("yellow" if worse else "")
            row.append(text)
        side = "" if condition.side is None else f"{condition.side} "
        table.add_row(f"{side}{condition.family.value}", *row)
    return table


def _difference(card: Scorecard, other: str, part: str) -> tuple[str, ...]:
    """The difference and its interval, a line each; nothing where no studies were drawn."""
    if card.intervals is None:
        return ()
    found: PairedDifference = card.intervals.differences[other][part]
    interval = found.interval
    ends = f"{interval.low:+.3f}…{interval.high:+.3f}" if interval else NO_VALUE
    return f"{found.difference:+.3f}", ends


def _figure(
    card: Scorecard, value: float | None, interval: Interval | None, *, digits: int = 2
) -> Text:
    """A number, and below it its interval where studies were drawn."""
    if card.intervals is None:
        return _lines(value)
    ends = f"{interval.low:.{digits}f}–{interval.high:.{digits}f}" if interval else NO_VALUE
    return _lines(value, ends)


def _lines(value: float | None, *below: str) -> Text:
    text = Text(NO_VALUE if value is None else f"{value:.4f}")
    for line in below:
        text.append(f"\n{line}", style=_NOTE_STYLE)
    return text


def _is_condition(group: CellGroup) -> bool:
    return group.kind is GroupKind.CONDITION


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, pad_edge=False, collapse_padding=True)
