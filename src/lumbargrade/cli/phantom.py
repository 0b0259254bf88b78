"""``lumbargrade phantom``: make synthetic studies."""

from pathlib import Path
from typing import Annotated

import typer

from lumbargrade.cli.app import app, progress_bar


@app.command()
def phantom(
    out: Annotated[
        Path,
        typer.Argument(
            file_okay=False, help="Folder for the dataset, in the competition's layout."
        ),
    ],
    studies: Annotated[int, typer.Option(min=1, help="How many studies.")] = 1,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first study.")] = 0,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    labels_only: Annotated[
        bool, typer.Option("--labels-only", help="Write the label tables alone.")
    ] = False,
    coordinates: Annotated[
        bool,
        typer.Option(
            "--coordinates",
            help="Write mid-sagittal T2 slices as JPEG with their disc points alone, "
            "in the layout of the public coordinate dataset.",
        ),
    ] = False,
    profile: Annotated[
        str, typer.Option(help="DICOM headers and series: plain, rsna or hospital.")
    ] = "plain",
    halo: Annotated[float, typer.Option(min=0, max=1, help="0 is the benchmark's control.")] = 0.3,
    pitfalls: Annotated[str, typer.Option(help="Faulty coordinates: auto, on or off.")] = "auto",
) -> None:
    """Make synthetic lumbar studies with exact truth."""
    from lumbargrade.phantom.dataset import Pitfalls, write_dataset, write_labels
    from lumbargrade.phantom.study import StudyProfile

    if profile not in set(StudyProfile):
        raise typer.BadParameter(f"{profile!r} is not one of {', '.join(StudyProfile)}")
    if pitfalls not in set(Pitfalls):
        raise typer.BadParameter(f"{pitfalls!r} is not one of {', '.join(Pitfalls)}")
    if labels_only and coordinates:
        raise typer.BadParameter("--labels-only and --coordinates ask for different outputs")
    if coordinates:
        from lumbargrade.phantom.coordinate_dataset import write_coordinate_dataset

        with progress_bar("Making slices", studies) as advance:
            write_coordinate_dataset(
                out, studies=studies, seed=seed, workers=workers, halo=halo, on_study=advance
            )
        return
    if labels_only:
        write_labels(out, studies=studies, seed=seed, halo=halo)
        return
    with progress_bar("Making studies", studies) as advance:
        write_dataset(
            out, studies=studies, seed=seed, workers=workers, halo=halo,
            profile=StudyProfile(profile), pitfalls=Pitfalls(pitfalls), on_study=advance,
        )  # fmt: skip
