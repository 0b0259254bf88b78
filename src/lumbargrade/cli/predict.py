"""``lumbargrade predict``: studies → grades, reports and tables."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from lumbargrade.cli.device_option import Device
from lumbargrade.cli.models_option import Models

if TYPE_CHECKING:
    from lumbargrade.batch import FoundStudies, StudyResult
    from lumbargrade.pipeline import Pipeline

SHOWN_STUDIES = 3
"""Up to so many studies, the grades are shown as tables."""

WORKERS_HELP = "Processes, which share the cores; each needs about 1 GB."


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
    workers: Annotated[int, typer.Option(min=1, help=WORKERS_HELP)] = 1,
) -> None:
    """Grade every study below PATH...: grades.json, grades.csv and report.html for each."""
    from lumbargrade.batch import find_all, predict_batch
    from lumbargrade.models import open_models
    from lumbargrade.runtime import usable_cores

    threads = None if workers == 1 else max(1, usable_cores() // workers)
    models_hash = open_models(models).hash
    found = find_all(paths)
    _require_studies(found, paths)
    with progress_bar("Predicting", len(found.studies)) as advance:
        results = predict_batch(
            PipelineSource(models, device, threads),
            found.studies,
            out,
            models_hash=models_hash,
            force=force,
            workers=min(workers, len(found.studies)),
            on_result=reporter(advance),
        )
    _show(results, out)
    _exit_by(results, found)


@dataclass(frozen=True, slots=True)
class PipelineSource:
    """Loads a pipeline; travels to other processes."""

    models: Path | None
    device: str
    threads: int | None

    def __call__(self) -> "Pipeline":
        """Import and load, which takes seconds."""
        return load_pipeline(self.models, self.device, self.threads)


def load_pipeline(
    models: Path | None = None, device: str = "auto", threads: int | None = None
) -> "Pipeline":
    """Import and load the pipeline, which takes seconds."""
    from lumbargrade.pipeline import Pipeline

    return Pipeline.load(models, device, threads=threads)


def say_refused(found: "FoundStudies") -> None:
    """Name every refused archive."""
    for refusal in found.refused_archives:
        stderr.print(refusal, style="red", markup=False, highlight=False, soft_wrap=True)


def _require_studies(found: "FoundStudies", paths: Sequence[Path]) -> None:
    """Name every refused archive; without a study there is nothing to do."""
    say_refused(found)
    if not found.studies:
        listed = ", ".join(str(path) for path in paths)
        stderr.print(f"{listed}: no DICOM study found", style="red", markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_NOTHING_READABLE)


def reporter(advance: Callable[[], None]) -> "Callable[[StudyResult], None]":
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
