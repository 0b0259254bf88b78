"""``evaluate`` and ``evaluate-points``: answers against the truth."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lumbargrade.cli.app import app

ORACLE_FILE = "oracle.csv"

_Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


@app.command()
def evaluate(
    truth: Annotated[Path, typer.Option(help="Grades, as in train.csv.")],
    submission: Annotated[Path, typer.Option(help="row_id, normal_mild, moderate, severe.")],
    as_json: _Json = False,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Sets of studies to draw for 95 % intervals.")
    ] = 0,
    against: Annotated[
        Path | None, typer.Option(help="Another submission: the paired difference of the scores.")
    ] = None,
    prior_from: Annotated[
        Path | None,
        typer.Option(help="Training grades for the weighted prior (default: the truth itself)."),
    ] = None,
) -> None:
    """Score a submission by the competition metric, with the figures beside it."""
    from lumbargrade.competition import read_labels, read_submission
    from lumbargrade.evaluation import align, keep_studies, prior_score
    from lumbargrade.evaluation import evaluate as evaluate_aligned
    from lumbargrade.metric import competition_metric
    from lumbargrade.resampling import bootstrap_parts, paired_difference

    labels = read_labels(truth)
    aligned = align(labels, read_submission(submission))
    evaluation = evaluate_aligned(aligned)
    document: dict[str, Any] = asdict(evaluation.parts) | asdict(evaluation)
    del document["parts"]
    training = labels if prior_from is None else read_labels(prior_from)
    document["weighted_prior"] = prior_score(aligned, training)
    oracle = truth.parent / ORACLE_FILE
    if oracle.is_file():
        floor = align(labels, keep_studies(read_submission(oracle), labels))
        document["floor"] = competition_metric(floor.labels, floor.answers).score
    if bootstrap:
        intervals = bootstrap_parts(aligned.labels, aligned.answers, resamples=bootstrap)
        document["interval"] = {name: [i.low, i.high] for name, i in intervals.items()}
        document["standard_error"] = intervals["score"].standard_error
    if against is not None:
        other = align(labels, read_submission(against))
        document["against"] = asdict(
            paired_difference(
                aligned.labels, aligned.answers, other.answers, resamples=bootstrap or 1000
            )
        )
    if as_json:
        typer.echo(json.dumps(document, allow_nan=False))
    else:
        _show_scores(document)


@app.command("evaluate-points")
def evaluate_points(
    truth: Annotated[Path, typer.Option(help="Points, as in train_label_coordinates.csv.")],
    points: Annotated[Path, typer.Option(help="Predicted points, as predict writes them.")],
    as_json: _Json = False,
) -> None:
    """Compare predicted points with marked ones; images and exact truth beside the truth help."""
    from lumbargrade.competition import read_coordinates, read_points, read_truth
    from lumbargrade.competition.truth import TRUTH_FILE
    from lumbargrade.evaluation_points import evaluate_points as compare
    from lumbargrade.evaluation_points import slices_beside

    marked = read_coordinates(truth)
    exact_file = truth.parent / TRUTH_FILE
    evaluation = compare(
        marked,
        read_points(points),
        exact=read_truth(exact_file) if exact_file.is_file() else None,
        read_slice=slices_beside(truth),
    )
    views = {view.value: asdict(figures) for view, figures in evaluation.by_view.items()}
    views["all"] = asdict(evaluation.overall)
    if as_json:
        counts = {
            "studies": evaluation.studies,
            "studies_without_points": evaluation.studies_without_points,
        }
        typer.echo(json.dumps(counts | views, allow_nan=False))
    else:
        _show_points(views, evaluation.studies, evaluation.studies_without_points)


def _show_scores(document: dict[str, Any]) -> None:
    intervals = document.get("interval", {})
    table = Table("", title=f"{document['studies']} studies, {document['rows']} graded rows")
    table.add_column("weighted log-loss", justify="right")
    table.add_column("95 % interval", justify="right")
    for name in (*("score", "spinal", "foraminal", "subarticular"), "any_severe_spinal"):
        ends = " to ".join(_text(end) for end in intervals.get(name, ()))
        table.add_row(name, _text(document[name]), ends)
    for name in ("floor", "weighted_prior"):
        if name in document:
            table.add_row(name, _text(document[name]), "")
    console = Console()
    console.print(table)
    console.print(f"AUC {_text(document['auc'])}")
    for name in ("kappa", "calibration_error"):
        figures = ", ".join(f"{family} {_text(v)}" for family, v in document[name].items())
        console.print(f"{name.replace('_', ' ')}: {figures}")
    if "against" in document:
        interval = document["against"]["interval"]
        console.print(
            f"difference {document['against']['difference']:+.4f} "
            f"({interval['low']:+.4f} to {interval['high']:+.4f})"
        )


def _show_points(views: dict[str, dict[str, Any]], studies: int, without: int) -> None:
    table = Table(title=f"{studies} studies; {without} more have no predicted point")
    table.add_column("")
    for view in views:
        table.add_column(view, justify="right")
    for name in views["all"]:
        table.add_row(name, *(_text(figures[name]) for figures in views.values()))
    Console().print(table)


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return str(value) if isinstance(value, int) else f"{value:.4f}"
