"""Options that all commands for training share."""

from pathlib import Path
from typing import Annotated

import typer

RecipeFile = Annotated[
    Path,
    typer.Argument(metavar="RECIPE", exists=True, dir_okay=False, help="A recipe's YAML file."),
]
Data = Annotated[
    Path,
    typer.Option(
        exists=True,
        file_okay=False,
        help="Dataset with DICOM files and training tables, or what `prepare` made of one.",
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Another value for a setting; may be repeated."
    ),
]
ExtraSlices = Annotated[
    Path | None,
    typer.Option(
        exists=True,
        file_okay=False,
        help="A 2-D coordinate dataset; the sagittal T2 detector trains on its slices, too.",
    ),
]
