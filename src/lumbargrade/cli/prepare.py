"""``lumbargrade prepare``: DICOM → memory-mapped volumes."""

from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lumbargrade.cli.app import EXIT_SOME_FAILED, app, stderr
from lumbargrade.cli.stopping import stopping_kindly


@app.command()
def prepare(
    dataset: Annotated[
        Path, typer.Argument(exists=True, help="Folder with studies, or a whole dataset.")
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="The cache: one folder per study.")],
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    verify: Annotated[
        bool,
        typer.Option("--verify", help="Compare the checksums of all pixels that are kept."),
    ] = False,
) -> None:
    """Read a dataset once, so that training need not decode DICOM; goes on where it stopped."""
    from collections import Counter

    from lumbargrade.prepare import Outcome, Prepared, prepare_dataset

    columns = (TextColumn("Preparing"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with stopping_kindly(out), Progress(*columns, console=stderr) as progress:
        task = progress.add_task("Preparing", total=None)

        def show(study: Prepared) -> None:
            progress.advance(task)
            for problem in study.problems:
                style = "red" if study.outcome is Outcome.FAILED else "yellow"
                line = f"{study.study_id}: {study.outcome}: {problem}"
                progress.console.print(line, style=style, markup=False)

        outcomes = prepare_dataset(
            dataset,
            out,
            workers=workers,
            verify=verify,
            on_start=lambda total: progress.update(task, total=total),
            on_study=show,
        )
    counts = Counter(study.outcome for study in outcomes)
    stderr.print(", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome))
    if counts[Outcome.FAILED]:
        raise typer.Exit(EXIT_SOME_FAILED)
