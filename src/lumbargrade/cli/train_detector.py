"""``lumbargrade train-detector``: one member of stage 1."""

from pathlib import Path
from typing import Annotated

import typer

from lumbargrade.cli.app import app, stderr
from lumbargrade.cli.stopping import stopping_kindly
from lumbargrade.labels import View
from lumbargrade.recipe_settings import Recipe
from lumbargrade.settings import parse_overrides


@app.command("train-detector")
def train_detector(
    recipe: Annotated[
        Path,
        typer.Argument(metavar="RECIPE", exists=True, dir_okay=False, help="A recipe's YAML file."),
    ],
    view: Annotated[View, typer.Option(help="What the detector looks at.")],
    data: Annotated[
        Path,
        typer.Option(
            exists=True,
            file_okay=False,
            help="Dataset with DICOM files and training tables, or what `prepare` made of one.",
        ),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="The member's folder.")],
    extra_slices: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            file_okay=False,
            help="A 2-D coordinate dataset; sagittal T2 trains on its slices, too.",
        ),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Another value for a setting; may be repeated."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")] = "auto",
) -> None:
    """Train one detector on a recipe's split; the same command goes on where it was cut off."""
    settings = Recipe.from_yaml(recipe, parse_overrides(overrides or []))
    with stopping_kindly(out) as stop:
        from lumbargrade.one_member import train_one_detector
        from lumbargrade.runtime import prepare_for_networks, usable_cores

        prepare_for_networks()
        train_one_detector(
            settings,
            view,
            data,
            out,
            extra_slices=extra_slices,
            device=device,
            workers=usable_cores(),
            on_epoch=lambda epoch, planned, metrics: stderr.print(
                f"epoch {epoch} of {planned}: "
                + ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
            ),
            stop=stop,
        )
    stderr.print(f"Detector: {out}", markup=False)
