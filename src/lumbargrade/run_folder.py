"""What ties a folder to one recipe, or one member's settings, and one set of data.

What must stay true: a folder that was begun with other settings or other data is refused, not
continued; a folder that was begun with the same ones is taken up.
"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lumbargrade.atomic_files import write_beside
from lumbargrade.folds import Split
from lumbargrade.settings import ConfigError, Settings
from lumbargrade.training.checkpoint import CONFIG

SPLIT = "split.json"


def claim_settings(out: Path, settings: Settings) -> None:
    """Write the resolved settings into a new folder, or check that they are the same.

    Args:
        out: of a run, with its recipe, or of a member, with its own settings.
        settings: to be written to, or compared with, ``config.yaml``.

    Raises:
        ConfigError: the folder was begun with other settings; names those that differ.
    """
    path = out / CONFIG
    if not path.is_file():
        settings.to_yaml(path)
        return
    begun = type(settings).from_yaml(path)
    if begun != settings:
        differing = _differing(begun.model_dump(), settings.model_dump())
        raise ConfigError(
            f"{out} holds a run with other settings ({', '.join(differing)}): "
            "give the same settings to go on with it, or another --out"
        )


def _differing(begun: dict[str, Any], now: dict[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of the settings that differ."""
    names = []
    for name in dict.fromkeys([*begun, *now]):
        old, value = begun.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(value, dict):
            names += _differing(old, value, f"{prefix}{name}.")
        elif old != value:
            names.append(prefix + name)
    return names


def claim_data(out: Path, split: Split, data_sha256: str, **facts: str | int) -> None:
    """Write which study serves for what, or check that it is the same.

    Args:
        out: the folder of a run, or of a member that is trained alone.
        split: the parts.
        data_sha256: of the studies.
        facts: what else must be the same to go on.

    Raises:
        ConfigError: the folder holds a run on other data.
    """
    path = out / SPLIT
    document = {"data_sha256": data_sha256, **facts, **parts_of(split)}
    text = json.dumps(document, indent=1) + "\n"
    if not path.is_file():
        write_beside(path, text)
    elif path.read_text() != text:
        raise ConfigError(
            f"{out} holds a run on other data: give the same --data to go on with it, "
            "or another --out"
        )


def parts_of(split: Split) -> dict[str, tuple[str, ...]]:
    """The parts of a split by name."""
    return asdict(split)
