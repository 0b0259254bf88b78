"""What ties a run's folder to one recipe and one set of data.

What must stay true: a folder that was begun with other settings or other data is refused, not
continued; a folder that was begun with the same ones is taken up.
"""

import json
from dataclasses import asdict
from pathlib import Path

from lumbargrade.config import ConfigError, Recipe
from lumbargrade.folds import Split
from lumbargrade.training.checkpoint import CONFIG

SPLIT = "split.json"


def claim_recipe(out: Path, recipe: Recipe) -> None:
    """Write the resolved recipe into a new run's folder, or check that it is the same.

    Raises:
        ConfigError: the folder holds a run of another recipe; names a setting that differs.
    """
    path = out / CONFIG
    if not path.is_file():
        recipe.to_yaml(path)
        return
    begun = Recipe.from_yaml(path)
    if begun != recipe:
        differing = [name for name, value in recipe if getattr(begun, name) != value]
        raise ConfigError(
            f"{out} holds a run with other settings ({', '.join(differing)}): "
            "give the same recipe to go on with it, or another --out"
        )


def claim_data(out: Path, split: Split, data_sha256: str) -> None:
    """Write which study serves for what, or check that it is the same.

    Raises:
        ConfigError: the folder holds a run on other data.
    """
    path = out / SPLIT
    text = json.dumps({"data_sha256": data_sha256, **parts_of(split)}, indent=1) + "\n"
    if not path.is_file():
        path.write_text(text)
    elif path.read_text() != text:
        raise ConfigError(
            f"{out} holds a run on other data: give the same --data to go on with it, "
            "or another --out"
        )


def parts_of(split: Split) -> dict[str, tuple[str, ...]]:
    """The parts of a split by name."""
    return asdict(split)
