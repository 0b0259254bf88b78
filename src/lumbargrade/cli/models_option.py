"""``--models``, the same for every command that runs networks."""

from pathlib import Path
from typing import Annotated

import typer


def _models(text: str) -> Path:
    from lumbargrade.models import named_models
    from lumbargrade.settings import ConfigError

    try:
        return named_models(text)
    except ConfigError as error:
        raise typer.BadParameter(str(error)) from error


Models = Annotated[
    Path | None,
    typer.Option(
        parser=_models,
        metavar="DIR|NAME",
        help="A run's folder, or the name of a bundled set (default: the bundled default set).",
    ),
]
