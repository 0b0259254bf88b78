"""The score and its parts beside floor and prior; the loss of each cell."""

from pathlib import Path

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes
from matplotlib.image import AxesImage

from lumbargrade.breakdown import GroupKind
from lumbargrade.labels import CONDITIONS, LEVELS, TARGETS
from lumbargrade.metric import PARTS
from lumbargrade.plots import style
from lumbargrade.scorecard import FLOOR, WEIGHTED_PRIOR, Scorecard

_PART_NAMES = {
    "score": "Score",
    "spinal": "Spinal canal",
    "foraminal": "Foraminal",
    "subarticular": "Subarticular",
    "any_severe_spinal": "Any severe canal",
}
_MARKS = {FLOOR: ("floor", style.FLOOR), WEIGHTED_PRIOR: ("weighted prior", style.PRIOR)}
_CONDITION_NAMES = {
    condition: style.FAMILY_NAME[condition.family]
    if condition.side is None
    else f"{style.FAMILY_NAME[condition.family]}, {condition.side}"
    for condition in CONDITIONS
}


def plot_score(card: Scorecard, path: Path) -> None:
    """A bar for the score and each part, its interval, and marks at floor and prior."""
    evaluation, intervals = card.evaluation, card.intervals
    note = f"{style.count(evaluation.studies, 'study')}, {evaluation.rows:,} graded rows."
    if intervals:
        note += f" Whiskers: 95 % over {intervals.resamples:,} drawn sets of studies."
    with style.plot(
        path, title="Weighted log-loss (lower is better)", note=note, size=(7.2, 3.4)
    ) as figure:
        axes = figure.subplots()
        for row, name in enumerate(("score", *PARTS)):
            _draw_part(axes, card, row, name)
        _name_references(axes, card)
        axes.set_yticks(range(len(_PART_NAMES)), list(_PART_NAMES.values()))
        axes.get_yticklabels()[0].set_fontweight("bold")
        axes.set_ylim(len(PARTS) + 0.5, -0.95)
        axes.set_xlim(0, None)
        axes.margins(x=0.12)
        axes.tick_params(axis="y", length=0)
        axes.spines["left"].set_visible(False)
        axes.set_xlabel("weighted log-loss")


def _draw_part(axes: Axes, card: Scorecard, row: int, name: str) -> None:
    value = getattr(card.evaluation.parts, name)
    strong = row == 0
    axes.barh(row, value, height=0.56, color=style.SUBMISSION, alpha=1.0 if strong else 0.45)
    axes.annotate(
        f"{value:.3f}",
        (0, row),
        xytext=(5, 0),
        textcoords="offset points",
        va="center",
        color="white" if strong else style.INK,
        fontweight="bold",
    )
    interval = card.intervals.parts[name] if card.intervals else None
    if interval is not None:
        axes.plot([interval.low, interval.high], [row, row], color=style.INK, lw=1.4)
    for reference, (_, colour) in _MARKS.items():
        if reference in card.references:
            mark = getattr(card.references[reference].parts, name)
            axes.plot([mark, mark], [row - 0.38, row + 0.38], color=colour, lw=2.4)


def _name_references(axes: Axes, card: Scorecard) -> None:
    """Write what the marks are above those of the score."""
    for reference, (word, colour) in _MARKS.items():
        if reference in card.references:
            mark = card.references[reference].parts.score
            axes.annotate(
                f"{word} {mark:.3f}",
                (mark, -0.42),
                xytext=(0, 2),
                color=colour,
                textcoords="offset points",
                ha="center",
                va="bottom",
            )


def plot_cells(card: Scorecard, path: Path) -> None:
    """Loss by condition and level: floor, submission and weighted prior on one scale."""
    cells = card.figures(GroupKind.TARGET)
    panels = {
        "Floor": _reference_grid(card, FLOOR),
        "Submission": _grid([cells[target.column].loss for target in TARGETS]),
        "Weighted prior": _reference_grid(card, WEIGHTED_PRIOR),
    }
    grids = {name: grid for name, grid in panels.items() if grid is not None}
    rows = [cells[target.column].rows for target in TARGETS]
    spread = f"{min(rows)} to {max(rows)}" if min(rows) < max(rows) else f"{rows[0]}"
    note = f"{style.count(card.evaluation.studies, 'study')}; {spread} graded rows a cell."
    top = float(np.nanmax(np.stack(list(grids.values()))))
    width = 2.1 + 2.9 * len(grids)
    with style.plot(
        path, title="Weighted log-loss by condition and level", note=note, size=(width, 3.5)
    ) as figure:
        all_axes = np.atleast_1d(figure.subplots(1, len(grids), sharey=True))
        for axes, (name, grid) in zip(all_axes, grids.items(), strict=True):
            image = _heat_map(axes, grid, top=top)
            axes.set_title(name)
        all_axes[0].set_yticks(range(len(CONDITIONS)), [_CONDITION_NAMES[c] for c in CONDITIONS])
        bar = figure.colorbar(image, ax=all_axes.tolist(), shrink=0.85, pad=0.015)
        bar.set_label("weighted log-loss")
        bar.outline.set_visible(False)


def _reference_grid(card: Scorecard, name: str) -> Float64[np.ndarray, "5 5"] | None:
    if name not in card.references:
        return None
    losses = card.references[name].loss_by_group
    return _grid([losses[GroupKind.TARGET, target.column] for target in TARGETS])


def _grid(losses: list[float | None]) -> Float64[np.ndarray, "5 5"]:
    return np.array(losses, dtype=np.float64).reshape(len(CONDITIONS), len(LEVELS))


def _heat_map(axes: Axes, grid: Float64[np.ndarray, "5 5"], *, top: float) -> AxesImage:
    image = axes.imshow(grid, cmap=style.HEAT_MAP, vmin=0, vmax=top, aspect="auto")
    for (row, column), loss in np.ndenumerate(grid):
        known = bool(np.isfinite(loss))
        axes.text(
            column,
            row,
            f"{loss:.2f}" if known else "–",
            ha="center",
            va="center",
            fontsize=8.5,
            color="white" if known and loss > 0.55 * top else style.INK,
        )
    axes.set_xticks(range(len(LEVELS)), [level.spelling for level in LEVELS])
    style.grid_of_cells(axes, len(CONDITIONS), len(LEVELS))
    return image
