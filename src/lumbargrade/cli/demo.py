"""``lumbargrade demo``: one synthetic study from DICOM files to a report."""

from pathlib import Path
from typing import Annotated

import typer

from lumbargrade.cli.app import EXIT_SOME_FAILED, app, progress_bar, stderr

DEMO_SEED = 2035
"""A study of the phantom's test split, never trained on, with all three grades."""


@app.command()
def demo(
    out: Annotated[Path, typer.Option(file_okay=False, help="Folder for images and results.")] = (
        Path("lumbargrade-demo")
    ),
) -> None:
    """Make one synthetic study, grade it with the bundled models, and write its report."""
    from lumbargrade.batch import find_all_studies, predict_batch
    from lumbargrade.cli.predict import load_pipeline
    from lumbargrade.cli.tables import grades_table
    from lumbargrade.competition import read_labels
    from lumbargrade.models import open_models
    from lumbargrade.outputs import REPORT_HTML, study_folder
    from lumbargrade.records import InvalidStudyError

    models_hash = open_models().hash
    dataset = out / "study"
    if not dataset.is_dir():
        with progress_bar("Making a synthetic study", 1) as advance:
            _make_study(dataset)
            advance()
    studies = find_all_studies([dataset])
    if len(studies) != 1:
        raise InvalidStudyError(
            f"{dataset} holds {len(studies)} studies, expected the one that this command makes: "
            "remove the folder, or give another --out"
        )
    with progress_bar("Predicting", 1) as advance:
        (result,) = predict_batch(
            load_pipeline,
            studies,
            out,
            models_hash=models_hash,
            on_result=lambda _: advance(),
        )
    if result.grades is None:
        stderr.print(result.error, style="red", markup=False, soft_wrap=True)
        raise typer.Exit(EXIT_SOME_FAILED)
    truth = read_labels(dataset)[result.study_id]
    stderr.print(grades_table(result.grades, truth))
    typer.echo(study_folder(out, result.study_id) / REPORT_HTML)


def _make_study(dataset: Path) -> None:
    """Write the dataset so that it is whole or not there."""
    from lumbargrade.atomic_files import folder_beside
    from lumbargrade.phantom.dataset import write_dataset

    with folder_beside(dataset) as beside:
        write_dataset(beside, studies=1, seed=DEMO_SEED)
