"""How far predicted points lie from the truth: in the plane, by level, over slices."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from lumbargrade.evaluation_points import WITHIN_PX, PointEvaluation
from lumbargrade.labels import CONDITIONS, LEVELS, VIEWS, Condition, Level, View
from lumbargrade.plots import style
from lumbargrade.plots.curves import FEW_ROWS, draw_reliability
from lumbargrade.point_errors import PointError
from lumbargrade.point_histograms import MOST_SLICES_OFF, PX_EDGES, error_histogram
from lumbargrade.point_reliability import score_reliability

_NO_POINTS = "no point with an error"


def plot_pixel_errors(evaluation: PointEvaluation, path: Path) -> None:
    """Histogram of the in-plane errors of each view, with the share within 5 px."""
    note = _note(evaluation) + " Pixels on the 256 × 256 grid; the last bar: all beyond."
    with style.plot(path, title="In-plane point error", note=note, size=(9.0, 3.2)) as figure:
        all_axes = figure.subplots(1, len(VIEWS), sharex=True, sharey=True)
        for axes, view in zip(all_axes, VIEWS, strict=True):
            _draw_pixels(axes, evaluation, view)
        all_axes[0].set_ylabel("share of points")


def plot_shares(evaluation: PointEvaluation, path: Path) -> None:
    """Share of the points of each view within each error: the empirical distribution."""
    note = _note(evaluation) + " Pixels on the 256 × 256 grid."
    with style.plot(path, title="Points within an error", note=note, size=(6.4, 4.2)) as figure:
        axes = figure.subplots()
        axes.axvline(WITHIN_PX, color=style.FAINT, lw=1.2, zorder=0)
        axes.annotate("5 px", (WITHIN_PX, 0.0), xytext=(4, 6), textcoords="offset points")
        for index, view in enumerate(VIEWS):
            pixels = np.sort([error.px for error in _of_view(evaluation.errors, view)])
            colour = style.VIEW_COLOUR[view]
            share = evaluation.by_view[view].within_5px
            if len(pixels):
                steps = np.arange(len(pixels) + 1) / len(pixels)
                axes.step(np.append(0.0, pixels), steps, where="post", color=colour)
            axes.text(
                0.98,
                0.27 - 0.075 * index,
                f"{view.heading}  "
                + (_NO_POINTS if share is None else f"{share:.1%} of {len(pixels):,} within 5 px"),
                transform=axes.transAxes,
                ha="right",
                color=colour,
                fontweight="bold",
            )
        axes.set(xlim=(0, PX_EDGES[-1]), ylim=(0, 1.02))
        axes.set_xlabel("in-plane error, px")
        axes.set_ylabel("share of points")


def plot_levels(evaluation: PointEvaluation, path: Path) -> None:
    """Median and 95 % error in millimetres by condition and level."""
    note = _note(evaluation) + " Dot: median; line: up to 95 % of the points; in three dimensions."
    with style.plot(
        path, title="Point error by condition and level", note=note, size=(9.0, 3.4)
    ) as figure:
        all_axes = figure.subplots(1, len(CONDITIONS), sharex=True, sharey=True)
        for axes, condition in zip(all_axes, CONDITIONS, strict=True):
            for row, level in enumerate(LEVELS):
                _draw_level(axes, evaluation.errors, condition, level, row)
            side = "" if condition.side is None else f", {condition.side}"
            axes.set_title(f"{style.FAMILY_NAME[condition.family]}{side}", fontsize=9)
            axes.set_xlim(0, None)
            axes.set_xlabel("error, mm")
            axes.grid(axis="x", color=style.FAINT, lw=0.6)
        all_axes[0].set_yticks(range(len(LEVELS)), [level.spelling for level in LEVELS])
        all_axes[0].set_ylim(len(LEVELS) - 0.5, -0.5)


def plot_slices(evaluation: PointEvaluation, path: Path) -> None:
    """How many slices farther from the point than the best one the chosen slices are."""
    note = (
        _note(evaluation) + " A slice at most 0.25 spacings farther from the point than the best "
        "one counts as 0 off."
    )
    with style.plot(path, title="Slice error", note=note, size=(9.0, 3.0)) as figure:
        all_axes = figure.subplots(1, len(VIEWS), sharey=True)
        names = [*(str(slices) for slices in range(MOST_SLICES_OFF)), f"{MOST_SLICES_OFF}+"]
        for axes, view in zip(all_axes, VIEWS, strict=True):
            counts = np.array(error_histogram(evaluation.errors, view).slices_off)
            shares = counts / max(counts.sum(), 1)
            axes.bar(range(len(counts)), shares, color=style.VIEW_COLOUR[view], width=0.7)
            for place, (share, rows) in enumerate(zip(shares, counts, strict=True)):
                if rows:
                    axes.text(
                        place, share + 0.02, f"{share:.1%}\n{rows:,}", ha="center", fontsize=7.5
                    )
            axes.set_xticks(range(len(names)), names)
            axes.set_ylim(0, 1.2)
            axes.set_yticks([0, 0.5, 1])
            axes.set_title(f"{view.heading} ({style.count(int(counts.sum()), 'point')})")
            axes.set_xlabel("slices off")
        all_axes[0].set_ylabel("share of points")


def plot_scores(evaluation: PointEvaluation, path: Path) -> None:
    """How often points of a score are found, view by view."""
    note = (
        _note(evaluation) + " Found: within 5 px in the plane and within one slice. Points: mean "
        "score and share found in tenths of the score; bands: 95 % (Wilson, points as "
        f"independent); small numbers: points in each tenth, hollow below {FEW_ROWS}."
    )
    with style.plot(path, title="Reliability of the scores", note=note, size=(9.0, 3.6)) as figure:
        all_axes = figure.subplots(1, len(VIEWS), sharex=True, sharey=True)
        for axes, view in zip(all_axes, VIEWS, strict=True):
            judged = score_reliability(evaluation.errors, view)
            draw_reliability(axes, judged.bins, style.VIEW_COLOUR[view])
            axes.set_title(f"{view.heading} ({style.count(judged.points, 'point')})")
            axes.set_xlabel("score")
        all_axes[0].set_ylabel("share found")


def _draw_pixels(axes: Axes, evaluation: PointEvaluation, view: View) -> None:
    counts = np.array(error_histogram(evaluation.errors, view).px)
    figures, colour = evaluation.by_view[view], style.VIEW_COLOUR[view]
    width = PX_EDGES[1] - PX_EDGES[0]
    axes.bar(PX_EDGES, counts / max(counts.sum(), 1), width=0.9 * width, align="edge", color=colour)
    axes.axvline(WITHIN_PX, color=style.INK, lw=1, ls=(0, (3, 2)))
    text = _NO_POINTS
    if figures.within_5px is not None and figures.median_px is not None:
        text = (
            f"{figures.within_5px:.1%} within 5 px\nmedian {figures.median_px:.2f} px\n"
            f"95 % below {figures.p95_px:.2f} px"
        )
    axes.text(0.99, 0.97, text, transform=axes.transAxes, ha="right", va="top", fontsize=8)
    axes.set_title(f"{view.heading} ({style.count(int(counts.sum()), 'point')})")
    axes.set_xlabel("in-plane error, px")
    axes.set_xticks([0, 5, PX_EDGES[-1]], ["0", "5", f"{PX_EDGES[-1]:.0f}+"])
    axes.margins(y=0.25)


def _draw_level(
    axes: Axes, errors: Sequence[PointError], condition: Condition, level: Level, row: int
) -> None:
    own = [
        error.distance_mm
        for error in errors
        if error.target.condition is condition and error.target.level is level
    ]
    if not own:
        axes.annotate("–", (0, row), xytext=(4, 0), textcoords="offset points", va="center")
        return
    median, most = np.percentile(own, [50, 95])
    colour = style.FAMILY_COLOUR[condition.family]
    axes.plot([median, most], [row, row], color=colour, lw=2.2, alpha=0.5)
    axes.plot(median, row, "o", color=colour, ms=6)
    axes.annotate(
        f"{median:.1f}",
        (median, row),
        xytext=(0, 6),
        textcoords="offset points",
        ha="center",
        fontsize=7.5,
    )


def _of_view(errors: Sequence[PointError], view: View) -> list[PointError]:
    return [error for error in errors if error.target.condition.view is view]


def _note(evaluation: PointEvaluation) -> str:
    return f"{style.count(evaluation.studies, 'study')}."
