"""``lumbargrade submit``: a test set → submission.csv, or how long that will take."""

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lumbargrade.cli.app import (
    DISCLAIMER,
    EXIT_NOTHING_READABLE,
    EXIT_SOME_FAILED,
    app,
    progress_bar,
    stderr,
)
from lumbargrade.cli.device_option import Device
from lumbargrade.cli.models_option import Models
from lumbargrade.cli.predict import load_pipeline, reporter, say_refused

if TYPE_CHECKING:
    from lumbargrade.submission import Submitted
    from lumbargrade.submission_estimate import Estimate

MEASURED_STUDIES = 5
"""For an estimate, where there are as many."""

HIDDEN_STUDIES = 700
"""About as many as the hidden test set is said to have."""


@app.command()
def submit(
    dataset: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="Holds test_images/, else train_images/."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(dir_okay=False, help="The submission, a CSV file.")
    ] = None,
    models: Models = None,
    device: Device = "auto",
    estimate: Annotated[
        bool,
        typer.Option(
            "--estimate", help="Write nothing: grade a few studies, and say how long many take."
        ),
    ] = False,
    studies: Annotated[
        int, typer.Option(min=1, help="With --estimate: how many (the hidden test set: ~700).")
    ] = HIDDEN_STUDIES,
) -> None:
    """Write submission.csv for a dataset in the competition's layout, every row, come what may."""
    from lumbargrade.competition import image_folder
    from lumbargrade.models import open_models

    open_models(models)
    split = "test" if image_folder(dataset, "test").is_dir() else "train"
    if not image_folder(dataset, split).is_dir():
        raise typer.BadParameter(f"{dataset} holds neither test_images/ nor train_images/")
    if estimate:
        _estimate(dataset, split, models, device, studies)
    elif out is None:
        raise typer.BadParameter("give --out FILE, or --estimate")
    else:
        _submit(dataset, split, out, models, device)


def _submit(dataset: Path, split: str, out: Path, models: Path | None, device: str) -> None:
    from lumbargrade.atomic_files import make_folder
    from lumbargrade.batch import find_all
    from lumbargrade.competition import image_folder, wanted_studies

    images = image_folder(dataset, split)
    wanted = wanted_studies(dataset, split)
    found = find_all([images])
    say_refused(found)
    if not wanted and not found.studies:
        _no_study(images)
    from lumbargrade.submission import submit_studies

    make_folder(out.parent)
    with progress_bar("Predicting", len(found.studies)) as advance:
        pipeline = load_pipeline(models, device)
        submitted = submit_studies(
            pipeline, found.studies, wanted, out, on_result=reporter(advance)
        )
    _show(submitted, out)
    typer.echo(out)
    if submitted.graded == 0:
        raise typer.Exit(EXIT_NOTHING_READABLE)
    if found.refused_archives or submitted.graded < submitted.studies:
        raise typer.Exit(EXIT_SOME_FAILED)


def _show(submitted: "Submitted", out: Path) -> None:
    """How many rows are fall-backs, and where they are listed."""
    from lumbargrade.submission import fall_backs_file

    counts = ", ".join(f"{count} {reason}" for reason, count in submitted.counts.items())
    stderr.print(
        f"{submitted.graded} of {submitted.studies} studies graded. Rows that are fall-backs: "
        f"{counts or 'none'}; listed in {fall_backs_file(out).name}. "
        f"{DISCLAIMER.capitalize()}.",
        markup=False,
        soft_wrap=True,
    )


def _estimate(dataset: Path, split: str, models: Path | None, device: str, studies: int) -> None:
    from lumbargrade.competition import image_folder, study_ids
    from lumbargrade.submission_estimate import estimate_submission

    images, ids = image_folder(dataset, split), study_ids(dataset, split)
    if not ids:
        _no_study(images)
    with progress_bar("Measuring", min(MEASURED_STUDIES, len(ids))) as advance:
        found = estimate_submission(
            partial(load_pipeline, models, device),
            images,
            ids,
            measured=MEASURED_STUDIES,
            studies=studies,
            on_study=advance,
        )
    for line in _lines(found, f"{images.name}, {len(ids)} studies", device):
        typer.echo(line)


def _lines(found: "Estimate", source: str, device: str) -> list[str]:
    from lumbargrade.pipeline import choose_device
    from lumbargrade.submission_estimate import CERTAINTY, LIMIT_HOURS

    seconds, interval = found.study_seconds, found.interval_hours
    if interval is None:
        how_sure = "one study was measured: how much others differ is unknown"
    else:
        how_sure = (
            f"{interval[0]:.2f} to {interval[1]:.2f} h with {100 * CERTAINTY:.0f} % certainty, "
            "if the others are like these"
        )
    worst = found.hours if interval is None else interval[1]
    fits = "fits into" if worst <= LIMIT_HOURS else "may not fit into"
    return [
        f"device: {choose_device(device)}",
        f"measured: {len(seconds)} studies of {source}: {found.mean_seconds:.2f} s each "
        f"({min(seconds):.2f} to {max(seconds):.2f}); start {found.start_seconds:.1f} s"
        + (f"; {found.failed} could not be graded" if found.failed else ""),
        f"{found.studies} studies: {found.hours:.2f} h; {how_sure}",
        f"{fits} the {LIMIT_HOURS:g} h of a notebook",
    ]


def _no_study(images: Path) -> None:
    stderr.print(f"{images}: no study", style="red", markup=False, soft_wrap=True)
    raise typer.Exit(EXIT_NOTHING_READABLE)
