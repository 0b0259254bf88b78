"""Reliability of p, ROC curves and confusion of grades, family by family."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from lumbargrade.curves import FamilyCurves, ReliabilityBin
from lumbargrade.labels import GRADES
from lumbargrade.plots import style

_QUESTION_TITLE = {
    "severe": "Severe against the rest",
    "moderate_or_worse": "Moderate or Severe against Normal/Mild",
}

FEW_ROWS = 10
"""Below this a point of the reliability diagram is drawn hollow."""


def plot_reliability(families: Sequence[FamilyCurves], path: Path, *, studies: int) -> None:
    """How often a grade was true against its predicted probability, with the rows of each bin."""
    note = (
        f"{style.count(studies, 'study')}. Points: mean p and frequency in tenths of p; bands: "
        "95 % (Wilson, rows as independent); small numbers: rows in each tenth, "
        f"hollow below {FEW_ROWS}."
    )
    with style.plot(
        path, title="Reliability of the probabilities p", note=note, size=(8.6, 8.4)
    ) as figure:
        grid = figure.subplots(len(GRADES), len(families), sharex=True, sharey=True, squeeze=False)
        for column, curves in enumerate(families):
            for row, grade in enumerate(GRADES):
                draw_reliability(
                    grid[row, column], curves.reliability[grade], style.GRADE_COLOUR[grade]
                )
            grid[0, column].set_title(f"{style.FAMILY_NAME[curves.family]} ({curves.rows:,} rows)")
            grid[-1, column].set_xlabel("predicted probability p")
        for row, grade in enumerate(GRADES):
            grid[row, 0].set_ylabel(f"{grade.spelling}: observed frequency")


def plot_roc(families: Sequence[FamilyCurves], path: Path, *, studies: int) -> None:
    """ROC curves of the two questions, levels pooled."""
    note = (
        f"{style.count(studies, 'study')}. Levels and sides of a family pooled; "
        "in brackets: positive rows of all rows."
    )
    with style.plot(path, title="ROC curves", note=note, size=(8.2, 4.4)) as figure:
        both = figure.subplots(1, 2, sharey=True)
        for axes, (question, title) in zip(both, _QUESTION_TITLE.items(), strict=True):
            axes.plot([0, 1], [0, 1], color=style.FAINT, lw=1.2, zorder=0)
            for index, curves in enumerate(families):
                roc, colour = curves.roc[question], style.FAMILY_COLOUR[curves.family]
                axes.plot(roc.false_positive_rate, roc.true_positive_rate, color=colour)
                area = "no AUC" if roc.auc is None else f"AUC {roc.auc:.3f}"
                axes.text(
                    0.99,
                    0.20 - 0.075 * index,
                    f"{style.FAMILY_NAME[curves.family]}  {area} "
                    f"({roc.positives:,} of {roc.positives + roc.negatives:,})",
                    ha="right",
                    color=colour,
                    fontweight="bold",
                    fontsize=8.5,
                )
            axes.set_title(title)
            axes.set_aspect("equal")
            axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02))
            axes.set_xlabel("false positive rate (1 − specificity)")
        both[0].set_ylabel("true positive rate (sensitivity)")


def plot_confusion(families: Sequence[FamilyCurves], path: Path, *, studies: int) -> None:
    """True grade against the likeliest grade, as shares of the true grade."""
    note = f"{style.count(studies, 'study')}. Shade and percentage: share of the row; below: rows."
    names = [grade.spelling for grade in GRADES]
    with style.plot(
        path, title="True grade and likeliest grade", note=note, size=(9.0, 3.9)
    ) as figure:
        all_axes = figure.subplots(1, len(families), sharey=True, squeeze=False)[0]
        for axes, curves in zip(all_axes, families, strict=True):
            _draw_confusion(axes, curves)
            axes.set_title(f"{style.FAMILY_NAME[curves.family]} ({curves.rows:,} rows)")
            axes.set_xticks(range(len(names)), names)
            axes.set_yticks(range(len(names)), names)
            axes.set_xlabel("likeliest grade by p")
            style.grid_of_cells(axes, len(names), len(names))
        all_axes[0].set_ylabel("true grade")


def draw_reliability(axes: Axes, bins: Sequence[ReliabilityBin], colour: str) -> None:
    """Frequency against mean probability, with the rows of each bin and the calibration error."""
    filled = [item for item in bins if item.rows]
    columns = [
        [item.mean_probability, item.frequency, item.frequency_low, item.frequency_high]
        for item in filled
    ]
    p, frequency, low, high = np.array(columns, dtype=np.float64).reshape(-1, 4).T
    axes.plot([0, 1], [0, 1], color=style.FAINT, lw=1.2, zorder=0)
    axes.fill_between(p, low, high, color=colour, alpha=0.22, lw=0)
    axes.plot(p, frequency, color=colour)
    few = np.array([item.rows < FEW_ROWS for item in filled], dtype=bool)
    axes.plot(p[~few], frequency[~few], "o", color=colour, ms=5)
    axes.plot(p[few], frequency[few], "o", mfc="white", mec=colour, ms=5)
    for item in filled:
        place = (item.low + item.high) / 2
        axes.text(place, -0.1, f"{item.rows}", ha="center", fontsize=6, color=style.MUTED)
    if filled:
        rows = np.array([item.rows for item in filled])
        error = float(np.abs(p - frequency) @ rows / rows.sum())
        axes.text(0.97, 0.03, f"calibration error {error:.3f}", ha="right", color=style.INK)
    axes.set(xlim=(0, 1), ylim=(-0.13, 1.05), yticks=np.linspace(0, 1, 6))


def _draw_confusion(axes: Axes, curves: FamilyCurves) -> None:
    counts = curves.confusion
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    for (row, column), share in np.ndenumerate(shares):
        colour = "white" if share > 0.55 else style.INK
        known = bool(totals[row, 0])
        axes.text(
            column,
            row - 0.08,
            f"{share:.0%}" if known else "–",
            ha="center",
            va="center",
            fontsize=11,
            color=colour,
        )
        axes.text(
            column,
            row + 0.24,
            f"{counts[row, column]:,}",
            ha="center",
            va="center",
            fontsize=7.5,
            color=colour,
        )
