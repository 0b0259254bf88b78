"""Pictures of how good answers are, as PNG files; the only owner of matplotlib.

What must stay true: a plot shows numbers that are in the JSON document, computed elsewhere; it
labels its lines directly, states units and counts, and says that it is not a medical device.
"""

from collections.abc import Callable, Mapping
from pathlib import Path

from lumbargrade.atomic_files import make_folder
from lumbargrade.evaluation_points import PointEvaluation
from lumbargrade.plots.curves import plot_confusion, plot_reliability, plot_roc
from lumbargrade.plots.points import (
    plot_levels,
    plot_pixel_errors,
    plot_scores,
    plot_shares,
    plot_slices,
)
from lumbargrade.plots.scores import plot_cells, plot_score
from lumbargrade.scorecard import Scorecard


def plot_scorecard(card: Scorecard, folder: Path) -> tuple[Path, ...]:
    """Draw everything about a submission.

    Args:
        card: what was measured.
        folder: made where it is missing; files of the same name are replaced.

    Returns:
        The files.
    """
    studies = card.evaluation.studies
    return _draw(
        folder,
        {
            "score.png": lambda path: plot_score(card, path),
            "loss_by_cell.png": lambda path: plot_cells(card, path),
            "reliability.png": lambda path: plot_reliability(card.curves, path, studies=studies),
            "roc.png": lambda path: plot_roc(card.curves, path, studies=studies),
            "confusion.png": lambda path: plot_confusion(card.curves, path, studies=studies),
        },
    )


def plot_points(evaluation: PointEvaluation, folder: Path) -> tuple[Path, ...]:
    """Draw everything about predicted points.

    Args:
        evaluation: what was measured.
        folder: made where it is missing; files of the same name are replaced.

    Returns:
        The files.
    """
    return _draw(
        folder,
        {
            "point_errors.png": lambda path: plot_pixel_errors(evaluation, path),
            "point_shares.png": lambda path: plot_shares(evaluation, path),
            "point_levels.png": lambda path: plot_levels(evaluation, path),
            "point_slices.png": lambda path: plot_slices(evaluation, path),
            "point_scores.png": lambda path: plot_scores(evaluation, path),
        },
    )


def _draw(folder: Path, drawings: Mapping[str, Callable[[Path], None]]) -> tuple[Path, ...]:
    make_folder(folder)
    for name, draw in drawings.items():
        draw(folder / name)
    return tuple(folder / name for name in drawings)
