"""``lumbargrade train-detector``: one member of stage 1."""

from pathlib import Path
from typing import Annotated

import typer

from lumbargrade.cli.app import app, stderr
from lumbargrade.cli.device_option import Device
from lumbargrade.cli.training_options import Data, ExtraSlices, Overrides, RecipeFile
from lumbargrade.cli.training_process import training_process
from lumbargrade.labels import View
from lumbargrade.recipe_settings import Recipe
from lumbargrade.settings import parse_overrides


@app.command("train-detector")
def train_detector(
    recipe: RecipeFile,
    view: Annotated[View, typer.Option(help="What the detector looks at.")],
    data: Data,
    out: Annotated[Path, typer.Option(file_okay=False, help="The member's folder.")],
    extra_slices: ExtraSlices = None,
    overrides: Overrides = None,
    device: Device = "auto",
) -> None:
    """Train one detector on a recipe's split; the same command goes on where it was cut off."""
    settings = Recipe.from_yaml(recipe, parse_overrides(overrides or []))
    with training_process(out, device) as stop:
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
