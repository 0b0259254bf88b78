"""How a training went: learning curves, ways of averaging members, risk against coverage."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from matplotlib.axes import Axes

from lumbargrade.plots import style
from lumbargrade.resampling import PairedDifference
from lumbargrade.uncertainty import RiskCoverage

_COLUMNS = 3
_PALETTE = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")


@dataclass(frozen=True, slots=True, kw_only=True)
class LearningCurves:
    """The validation score of one kind of member, over the epochs, a curve for each network."""

    title: str
    unit: str
    scores: Mapping[str, Sequence[float]]
    """Label → score after each epoch."""


def plot_learning(kinds: Sequence[LearningCurves], path: Path) -> None:
    """A panel for each kind of member; its best epoch, whose weights were kept, is dotted."""
    rows = -(-len(kinds) // _COLUMNS)
    note = "Score on the studies that choose the epoch; dots: the epoch that was kept."
    with style.plot(
        path, title="Learning curves (lower is better)", note=note, size=(9.0, 0.9 + 2.5 * rows)
    ) as figure:
        grid = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
        for axes in grid[len(kinds) :]:
            axes.set_axis_off()
        for axes, kind in zip(grid, kinds, strict=False):
            for index, (label, scores) in enumerate(kind.scores.items()):
                colour = _PALETTE[index % len(_PALETTE)]
                epochs = np.arange(1, len(scores) + 1)
                best = int(np.argmin(scores))
                axes.plot(epochs, scores, color=colour, lw=1.4)
                axes.plot([best + 1], [scores[best]], "o", color=colour, ms=4)
                axes.annotate(
                    label,
                    (epochs[-1], scores[-1]),
                    xytext=(4, 0),
                    textcoords="offset points",
                    va="center",
                    fontsize=7,
                    color=colour,
                )
            axes.set_title(kind.title, fontsize=8.5)
            axes.set_ylabel(kind.unit, fontsize=8)
            axes.margins(x=0.16)
        for axes in grid[max(0, len(kinds) - _COLUMNS) : len(kinds)]:
            axes.set_xlabel("epoch")


def plot_ensembles(
    scores: Mapping[str, float],
    differences: Mapping[str, PairedDifference],
    path: Path,
    *,
    chosen: str,
    studies: int,
) -> None:
    """Each way of averaging: its score, and its difference to the chosen one.

    Args:
        scores: way → score.
        differences: way → chosen minus this way, on the same draws.
        path: the picture.
        chosen: the way that the run uses.
        studies: how many were scored.
    """
    names = sorted(scores, key=lambda name: scores[name])
    note = (
        f"{style.count(studies, 'study')}, each answered by members that never saw it. "
        "Right: above zero, worse than the chosen way; whiskers: 95 % over drawn sets of studies."
    )
    with style.plot(
        path, title="Ways of averaging the members", note=note, size=(8.2, 1.5 + 0.36 * len(names))
    ) as figure:
        left, right = figure.subplots(1, 2, sharey=True)
        for row, name in enumerate(names):
            strong = name == chosen
            left.plot([scores[name]], [row], "o", color=style.SUBMISSION, ms=7 if strong else 5)
            left.annotate(
                f"{scores[name]:.4f}",
                (scores[name], row),
                xytext=(7, 0),
                textcoords="offset points",
                va="center",
                fontweight="bold" if strong else "normal",
            )
            if strong:
                continue
            found = differences[name]
            right.plot([-found.difference], [row], "o", color=style.INK, ms=5)
            if found.interval is not None:
                ends = [-found.interval.high, -found.interval.low]
                right.plot(ends, [row, row], color=style.INK, lw=1.4)
        right.axvline(0.0, color=style.FAINT, zorder=0)
        left.set_yticks(
            range(len(names)), [f"{name} (chosen)" if name == chosen else name for name in names]
        )
        left.set_ylim(len(names) - 0.5, -0.5)
        left.margins(x=0.35)
        left.set_xlabel("score")
        right.set_xlabel(f"score − score of {chosen}")


def plot_risk_coverage(
    curve: RiskCoverage, path: Path, *, studies: int, certain_share: float | None
) -> None:
    """Log-loss and share of wrong grades among the most certain rows, by their share."""
    note = (
        f"{style.count(studies, 'study')}, out of fold; rows in order of the members' "
        "disagreement, the least first."
    )
    with style.plot(
        path, title="Errors among the most certain rows", note=note, size=(8.2, 3.4)
    ) as figure:
        panels = zip(
            figure.subplots(1, 2),
            (("log-loss of p", curve.log_loss), ("share of wrong grades", curve.error)),
            strict=True,
        )
        for axes, (name, values) in panels:
            _draw_risk(axes, curve.coverage, values)
            axes.set_ylabel(name)
            if certain_share is not None:
                axes.axvline(certain_share, color=style.WARNING, lw=1.2)
                axes.annotate(
                    "flagged beyond",
                    (certain_share, 0),
                    xytext=(-4, 4),
                    textcoords="offset points",
                    ha="right",
                    fontsize=7.5,
                    color=style.WARNING,
                )


def _draw_risk(
    axes: Axes, coverage: Float64[np.ndarray, "kept"], values: Float64[np.ndarray, "kept"]
) -> None:
    axes.plot(coverage, values, color=style.SUBMISSION)
    axes.set(xlim=(0, 1.02), ylim=(0, None))
    axes.set_xlabel("share of rows kept")
