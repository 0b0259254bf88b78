"""``lumbargrade predict`` and ``submit``: studies → grades, reports and tables."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lumbargrade.cli.app import (
    EXIT_NOTHING_READABLE,
    EXIT_SOME_FAILED,
    app,
    progress_bar,
    stderr,
)

if TYPE_CHECKING:
    from lumbargrade.batch import FoundStudies, StudyResult
    from lumbargrade.pipeline import Pipeline

SHOWN_STUDIES = 3
"""Up to so many studies, the grades are shown as tables."""

Models = Annotated[
    Path | None,
    typer.Option(exists=True, file_okay=False, help="Model folder (default: the bundled models)."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]


@app.command()
def predict(
    paths: Annotated[
        list[Path],
        typer.Argument(exists=True, metavar="PATH...", help="DICOM files, folders or archives."),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for the results.")],
    models: Models = None,
    device: Device = "auto",
    force: Annotated[bool, typer.Option("--force", help="Redo finished studies.")] = False,
) -> None:
    """Grade every study below PATH...: grades.json, grades.csv and report.html for each."""
    from lumbargrade.batch import find_all, predict_batch
    from lumbargrade.models import open_models

    models_hash = open_models(models).hash
    found = find_all(paths)
    _require_studies(found, paths)
    with progress_bar("Predicting", len(found.studies)) as advance:
        results = predict_batch(
            partial(load_pipeline, models, device),
            found.studies,
            out,
            models_hash=models_hash,
            force=force,
            on_result=_reporter(advance),
        )
    _show(results, out)
    _exit_by(results, found)


@app.command()
def submit(
    dataset: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="Holds test_images/, else train_images/."
        ),
    ],
    out: Annotated[Path, typer.Option(dir_okay=False, help="The submission, a CSV file.")],
    models: Models = None,
    device: Device = "auto",
) -> None:
    """Write submission.csv for a dataset in the competition's layout."""
    from lumbargrade.atomic_files import make_folder
    from lumbargrade.batch import find_all, grade_batch
    from lumbargrade.competition import image_folder, write_grades
    from lumbargrade.models import open_models

    open_models(models)
    test_images = image_folder(dataset, "test")
    images = test_images if test_images.is_dir() else image_folder(dataset, "train")
    if not images.is_dir():
        raise typer.BadParameter(f"{dataset} holds neither test_images/ nor train_images/")
    found = find_all([images])
    _require_studies(found, [images])
    load = partial(load_pipeline, models, device)
    with progress_bar("Predicting", len(found.studies)) as advance:
        results = grade_batch(load, found.studies, on_result=_reporter(advance))
    make_folder(out.parent)
    write_grades(out, [result.grades for result in results if result.grades is not None])
    typer.echo(out)
    _exit_by(results, found)


def load_pipeline(models: Path | None = None, device: str = "auto") -> "Pipeline":
    """Import and load the pipeline, which takes seconds."""
    from lumbargrade.pipeline import Pipeline

    return Pipeline.load(models, device)


def _require_studies(found: "FoundStudies", paths: Sequence[Path]) -> None:
    """Name every refused archive; without a study there is nothing to do."""
    for refusal in found.refused_archives:
        stderr.print(refusal, style="red", markup=False, highlight=False, soft_wrap=True)
    if not found.studies:
        listed = ", ".join(str(path) for path in paths)
        stderr.print(f"{listed}: no DICOM study found", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_NOTHING_READABLE)


def _reporter(advance: Callable[[], None]) -> "Callable[[StudyResult], None]":
    """Name a failure as soon as it happens, above the progress bar."""

    def report(result: "StudyResult") -> None:
        if result.error:
            stderr.print(result.error, style="red", markup=False, soft_wrap=True)
        advance()

    return report


def _show(results: "Sequence[StudyResult]", out: Path) -> None:
    """Tables on stderr; the reports' paths, one a line, on stdout."""
    from lumbargrade.batch import Outcome
    from lumbargrade.cli.tables import grades_table
    from lumbargrade.outputs import REPORT_HTML, study_folder

    counts = {kind: sum(item.outcome is kind for item in results) for kind in Outcome}
    finished = [item for item in results if item.grades is not None]
    if len(finished) <= SHOWN_STUDIES:
        for item in finished:
            if item.grades is not None:
                stderr.print(grades_table(item.grades))
    stderr.print(", ".join(f"{count} {kind}" for kind, count in counts.items() if count))
    for item in finished:
        typer.echo(study_folder(out, item.study_id) / REPORT_HTML)


def _exit_by(results: "Sequence[StudyResult]", found: "FoundStudies") -> None:
    """A refused archive may hold studies: they were not done."""
    if found.refused_archives or any(item.grades is None for item in results):
        raise typer.Exit(EXIT_SOME_FAILED)
