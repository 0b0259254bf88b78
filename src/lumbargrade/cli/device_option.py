"""``--device``, the same for every command that runs networks."""

from typing import Annotated

import typer

from lumbargrade.runtime import DEVICE_NAME


def _device(name: str) -> str:
    """Refuse what can be no device before any work; whether it is there, its user finds out."""
    if not DEVICE_NAME.fullmatch(name):
        raise typer.BadParameter(f"{name!r} is none of auto, cpu, cuda, cuda:N, mps")
    return name


Device = Annotated[str, typer.Option(callback=_device, help="auto, cpu, cuda, cuda:N or mps.")]
