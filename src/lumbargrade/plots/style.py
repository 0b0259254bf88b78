"""One look for all plots: size, type, colours that colour-blind readers can tell apart, footer.

What must stay true: no global state of matplotlib is touched; a file is written beside its place
and renamed.

Source of the colours: M. Okabe and K. Ito, Color Universal Design (2008).
"""

import io
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from lumbargrade.atomic_files import write_beside
from lumbargrade.labels import Family, Grade, View

INK = "#222222"
MUTED = "#6b6b6b"
FAINT = "#d9d9d9"
SUBMISSION = "#0072b2"
FLOOR = "#009e73"
PRIOR = "#8a8a8a"
WARNING = "#d55e00"

FAMILY_COLOUR = {
    Family.CANAL: "#0072b2",
    Family.FORAMINAL: "#d55e00",
    Family.SUBARTICULAR: "#009e73",
}
FAMILY_NAME = {
    Family.CANAL: "Spinal canal",
    Family.FORAMINAL: "Foraminal",
    Family.SUBARTICULAR: "Subarticular",
}
GRADE_COLOUR = {Grade.NORMAL_MILD: "#56b4e9", Grade.MODERATE: "#e69f00", Grade.SEVERE: "#a3195b"}
VIEW_COLOUR = {
    View.SAGITTAL_T2: "#0072b2",
    View.SAGITTAL_T1: "#d55e00",
    View.AXIAL_T2: "#009e73",
}
HEAT_MAP = "Blues"

FOOTNOTE = "Research use only, not a medical device."
DPI = 160

_NOTE_LETTERS_PER_INCH = 16.5

_SETTINGS: dict[Any, Any] = {
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "lines.linewidth": 1.8,
    "lines.solid_capstyle": "round",
}


@contextmanager
def plot(path: Path, *, title: str, note: str, size: tuple[float, float]) -> Iterator[Figure]:
    """A figure to draw on, saved as PNG when the block ends.

    Args:
        path: the file, replaced as a whole.
        title: one line above everything.
        note: what the reader needs to know about the numbers; the disclaimer is added.
        size: width and height in inches.
    """
    with mpl.rc_context(_SETTINGS):
        figure = Figure(figsize=size, dpi=DPI, layout=ConstrainedLayoutEngine(h_pad=0.07))
        FigureCanvasAgg(figure)
        figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
        lines = textwrap.fill(f"{note} {FOOTNOTE}", width=round(_NOTE_LETTERS_PER_INCH * size[0]))
        figure.supxlabel(lines, x=0.01, ha="left", fontsize=7.5, color=MUTED)
        yield figure
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", facecolor="white")
    write_beside(path, buffer.getvalue())


def grid_of_cells(axes: Axes, rows: int, columns: int) -> None:
    """White lines between the cells of a heat map, no ticks, no frame."""
    axes.set_xticks([column + 0.5 for column in range(columns - 1)], minor=True)
    axes.set_yticks([row + 0.5 for row in range(rows - 1)], minor=True)
    axes.grid(which="minor", color="white", linewidth=1.5)
    axes.tick_params(which="both", length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)


def count(number: int, noun: str) -> str:
    """``1 study``, ``2 studies``: with its plural."""
    if number == 1:
        return f"1 {noun}"
    plural = f"{noun[:-1]}ies" if noun.endswith("y") else f"{noun}s"
    return f"{number:,} {plural}"
