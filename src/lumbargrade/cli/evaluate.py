"""``evaluate`` and ``evaluate-points``: answers against the truth."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from lumbargrade.cli.app import app, progress_bar, stderr

if TYPE_CHECKING:
    from lumbargrade.evaluation import Aligned

ORACLE_FILE = "oracle.csv"

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
_Bootstrap = Annotated[int, typer.Option(min=0, help="Sets of studies to draw for 95 % intervals.")]
_Plots = Annotated[
    Path | None, typer.Option(file_okay=False, help="Folder for pictures (PNG) of the figures.")
]
_Seed = Annotated[int, typer.Option(min=0, help="Of the drawn sets.")]

QUIET_DRAWS = 2_000_000
"""Studies (or points) times draws from which progress is shown: about a second's work."""


@app.command()
def evaluate(
    truth: Annotated[Path, typer.Option(help="Grades, as in train.csv.")],
    submission: Annotated[Path, typer.Option(help="row_id, normal_mild, moderate, severe.")],
    as_json: _Json = False,
    bootstrap: _Bootstrap = 0,
    seed: _Seed = 0,
    against: Annotated[
        Path | None,
        typer.Option(help="Another submission: the paired difference of the scores."),
    ] = None,
    prior_from: Annotated[
        Path | None,
        typer.Option(help="Training grades for the weighted prior (default: the truth itself)."),
    ] = None,
    subset: Annotated[
        bool, typer.Option("--subset", help="Score only the studies that the submission holds.")
    ] = False,
    plots: _Plots = None,
) -> None:
    """Score a submission by the competition metric, with the figures beside it."""
    from lumbargrade.cli.score_document import score_document
    from lumbargrade.cli.score_tables import score_tables
    from lumbargrade.competition import read_labels, read_submission
    from lumbargrade.evaluation import align, keep_submitted
    from lumbargrade.scorecard import DEFAULT_RESAMPLES, measure

    every_label = read_labels(truth)
    answers = read_submission(submission)
    labels = keep_submitted(every_label, answers) if subset else every_label
    oracle = _folder_of(truth) / ORACLE_FILE

    def other(path: Path) -> "Aligned":
        return align(labels, read_submission(path), allow_others=True)

    aligned = align(labels, answers)
    floor = other(oracle) if oracle.is_file() else None
    resamples = bootstrap or (DEFAULT_RESAMPLES if against is not None else 0)
    with _drawing(resamples, len(labels)) as on_draws:
        card = measure(
            aligned,
            training=labels if prior_from is None else read_labels(prior_from),
            floor=floor,
            against=None if against is None else other(against),
            resamples=resamples,
            seed=seed,
            on_draws=on_draws,
        )
    if as_json:
        typer.echo(json.dumps(score_document(card), allow_nan=False))
    else:
        Console().print(score_tables(card))
    if plots is not None:
        from lumbargrade.plots import plot_scorecard

        _name_plots(plot_scorecard(card, plots))


def _folder_of(truth: Path) -> Path:
    """Where what belongs to a table of truth lies: beside it, or in the folder that was given."""
    return truth if truth.is_dir() else truth.parent


def _name_plots(files: tuple[Path, ...]) -> None:
    for path in files:
        stderr.print(f"drew {path}", markup=False, soft_wrap=True)


@contextmanager
def _drawing(resamples: int, items: int) -> Iterator[Callable[[int], None] | None]:
    """Progress of the draws on stderr, where they take longer than a moment."""
    if resamples * items < QUIET_DRAWS:
        yield None
        return
    with progress_bar("Drawing studies", resamples) as advance:

        def on_draws(draws: int) -> None:
            for _ in range(draws):
                advance()

        yield on_draws


@app.command("evaluate-points")
def evaluate_points(
    truth: Annotated[Path, typer.Option(help="Points, as in train_label_coordinates.csv.")],
    points: Annotated[Path, typer.Option(help="Predicted points, as predict writes them.")],
    as_json: _Json = False,
    bootstrap: _Bootstrap = 0,
    seed: _Seed = 0,
    plots: _Plots = None,
) -> None:
    """Compare predicted points with marked ones; images and exact truth beside the truth help."""
    from lumbargrade.cli.point_document import point_document
    from lumbargrade.cli.point_tables import point_tables
    from lumbargrade.competition import read_coordinates, read_points, read_truth
    from lumbargrade.competition.truth import TRUTH_FILE
    from lumbargrade.evaluation_points import evaluate_points as compare
    from lumbargrade.evaluation_points import slices_of

    marked, predicted = read_coordinates(truth), read_points(points)
    exact_file = _folder_of(truth) / TRUTH_FILE
    with _drawing(bootstrap, len(marked)) as on_draws:
        evaluation = compare(
            marked,
            predicted,
            exact=read_truth(exact_file) if exact_file.is_file() else None,
            read_slice=slices_of(_folder_of(truth)),
            resamples=bootstrap,
            seed=seed,
            on_draws=on_draws,
        )
    if as_json:
        typer.echo(json.dumps(point_document(evaluation), allow_nan=False))
    else:
        Console().print(point_tables(evaluation))
    if plots is not None:
        from lumbargrade.plots import plot_points

        _name_plots(plot_points(evaluation, plots))
