"""``evaluate-views``: what models score without each view in turn."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table

from lumbargrade.cli.app import DISCLAIMER, EXIT_SOME_FAILED, app, progress_bar, stderr
from lumbargrade.cli.device_option import Device
from lumbargrade.cli.models_option import Models
from lumbargrade.cli.predict import load_pipeline
from lumbargrade.labels import VIEWS
from lumbargrade.records import InvalidStudyError

if TYPE_CHECKING:
    import numpy as np

    from lumbargrade.labels import View
    from lumbargrade.view_removal import ViewRemovals

ANSWERS_PER_STUDY = 1 + len(VIEWS)


@app.command("evaluate-views")
def evaluate_views(
    dataset: Annotated[
        Path,
        typer.Argument(exists=True, file_okay=False, help="Holds train_images/ and train.csv."),
    ],
    models: Models = None,
    device: Device = "auto",
    bootstrap: Annotated[int, typer.Option(min=2, help="Sets of studies to draw.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the drawn sets.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Score models on complete studies, and on the same studies without each view in turn."""
    from lumbargrade.competition import image_folder, read_labels
    from lumbargrade.dicom import find_studies, read_study
    from lumbargrade.models import open_models
    from lumbargrade.view_removal import grade_without_views, measure_removals

    open_models(models)
    truth = read_labels(dataset / "train.csv")
    found = [
        item for item in find_studies(image_folder(dataset, "train")) if item.study_id in truth
    ]
    if not found:
        raise InvalidStudyError(f"{dataset}: no study of train.csv has images in train_images/")
    pipeline = load_pipeline(models, device)
    answers: dict[str, dict[View | None, np.ndarray]] = {}
    views_of: dict[str, set[View]] = {}
    with progress_bar("Grading", ANSWERS_PER_STUDY * len(found)) as advance:
        for files in found:
            try:
                study = read_study(files)
                answers[files.study_id] = grade_without_views(pipeline, study, advance)
                views_of[files.study_id] = {series.view for series in study.series}
            except InvalidStudyError as error:
                stderr.print(str(error), style="red", markup=False, soft_wrap=True)
    removals = measure_removals(truth, answers, views_of, resamples=bootstrap, seed=seed)
    if as_json:
        typer.echo(json.dumps(removals_document(removals), allow_nan=False))
    else:
        Console().print(removals_table(removals))
        typer.echo(DISCLAIMER)
    if len(answers) < len(found):
        raise typer.Exit(EXIT_SOME_FAILED)


def removals_document(removals: "ViewRemovals") -> dict[str, Any]:
    """Everything, unrounded."""
    return {
        "studies": removals.studies,
        "complete": asdict(removals.complete),
        "without": {view.value: asdict(item) for view, item in removals.without.items()},
    }


def removals_table(removals: "ViewRemovals") -> Table:
    """Score and parts of the complete studies, and of those without each view."""
    title = f"{removals.studies} studies, lower is better; below: minus complete, with 95 %"
    table = Table(box=box.SIMPLE_HEAD, title=title, collapse_padding=True, pad_edge=False)
    table.add_column("")
    table.add_column("complete", justify="right")
    for view, item in removals.without.items():
        table.add_column(
            f"without\n{view.words}\n({item.studies_with_view} had it)", justify="right"
        )
    for part, value in asdict(removals.complete).items():
        cells = []
        for item in removals.without.values():
            difference = item.differences[part]
            ends = difference.interval
            interval = f"\n{ends.low:+.3f}…{ends.high:+.3f}" if ends else ""
            cells.append(f"{getattr(item.parts, part):.4f}\n{difference.difference:+.4f}{interval}")
        table.add_row(part, f"{value:.4f}", *cells, style="bold" if part == "score" else "")
    return table
