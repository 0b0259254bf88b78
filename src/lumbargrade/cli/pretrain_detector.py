"""``lumbargrade pretrain-detector``: stage 1 on plain 2-D slices, to start from."""

from pathlib import Path
from typing import Annotated

import typer

from lumbargrade.cli.app import app, stderr
from lumbargrade.cli.device_option import Device
from lumbargrade.cli.training_process import training_process
from lumbargrade.config import DetectorSettings, ExtraSlicesSettings, FitSettings
from lumbargrade.recipe_settings import Recipe
from lumbargrade.settings import parse_overrides

USUAL_FIT = FitSettings(epochs=60, batch_size=8, learning_rate=1e-3)
"""Where ``extra_slices.pretrain`` is not set; a batch is so many slices."""


@app.command("pretrain-detector")
def pretrain_detector(
    coordinates: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="Folder that holds coords_pretrain.csv and data/."
        ),
    ],
    out: Annotated[Path, typer.Option(file_okay=False, help="The detector's folder.")],
    recipe: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="Take its settings of sagittal T2."),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="Slices of this collection alone; may be repeated. Default: all."),
    ] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Another value for a setting, e.g. extra_slices.pretrain.epochs=80, or, with "
            "--recipe, sagittal_t2.extra_slices.pretrain.epochs=80; may be repeated.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of weights, order and augmentation. Default: the recipe's, else 0."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Train a detector on plain 2-D slices, for a recipe's detectors to start from."""
    changes = parse_overrides(overrides or [])
    if recipe is None:
        usual = DetectorSettings(extra_slices=ExtraSlicesSettings(pretrain=USUAL_FIT))
        document, recipes_seed = usual.model_dump(mode="json"), 0
        settings = DetectorSettings.from_dict(document, changes, source="pretrain-detector")
    else:
        whole = Recipe.from_yaml(recipe, changes)
        settings, recipes_seed = whole.sagittal_t2, whole.seed
    slices = settings.extra_slices
    slices = slices.model_copy(
        update={
            "pretrain": slices.pretrain or USUAL_FIT,
            "sources": tuple(source or slices.sources),
        }
    )
    settings = settings.model_copy(update={"extra_slices": slices})
    with training_process(out, device) as stop:
        from lumbargrade.pretraining import pretrain_detector as pretrain
        from lumbargrade.runtime import prepare_for_networks

        prepare_for_networks()
        pretrain(
            settings,
            coordinates,
            out,
            seed=recipes_seed if seed is None else seed,
            device=device,
            on_epoch=lambda epoch, planned, metrics: stderr.print(
                f"epoch {epoch} of {planned}: loss {metrics['train_loss']:.3f}"
            ),
            stop=stop,
        )
    stderr.print(f"Detector: {out}; start from it with start_from={out}", markup=False)
