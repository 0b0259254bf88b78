"""A run with folds that kills its own process at a chosen change of the file system.

Imported by name in processes that are forked from a clean one, so it holds nothing but functions.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from lumbargrade.steps import RECORD, UNFINISHED

Moment = Literal["inside", "record", "rename", "after"]
"""Of a step: the third change in its unfinished folder; before its record is written; before the
folder is renamed into place; before the next change anywhere."""

INSIDE = 3

Change = tuple[str, tuple[str, ...]]
"""The audit event of a change, and the paths that it names."""


def train(
    recipe: dict[str, Any], cache: Path, out: Path, at: tuple[str, Moment] | None = None
) -> None:
    """Train, or go on with it; die at a moment of a step, or not at all."""
    import torch

    from lumbargrade.cross_validation import run_cross_validation
    from lumbargrade.recipe_settings import Recipe

    torch.set_num_threads(1)
    if at is not None:
        die_at(out, moment_of(*at))
    run_cross_validation(Recipe.from_dict(recipe), cache, out, device="cpu")


def train_to_the_manifest(recipe: dict[str, Any], cache: Path, out: Path) -> None:
    """Like ``train``; die before the manifest is renamed into place."""
    die_at(out, lambda change: change[0] == "os.rename" and change[1][-1].endswith("manifest.json"))
    train(recipe, cache, out)


def die_at(out: Path, is_due: Callable[[Change], bool]) -> None:
    """Kill this process before the first change below a folder that is due."""

    def watch(event: str, args: tuple[object, ...]) -> None:
        if event == "open" and not any(letter in str(args[1]) for letter in "wax"):
            return
        if event not in ("open", "os.rename", "os.mkdir", "os.remove", "os.rmdir"):
            return
        paths = tuple(str(item) for item in args if isinstance(item, (str, os.PathLike)))
        if any(path.startswith(str(out)) for path in paths) and is_due((event, paths)):
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)


def moment_of(step: str, moment: Moment) -> Callable[[Change], bool]:
    """Whether a change is the one at which to die; to be asked of all changes in their order."""
    folder = f"/{UNFINISHED}/{step.replace('/', '+')}-"
    inside = 0
    renamed = False

    def is_due(change: Change) -> bool:
        nonlocal inside, renamed
        event, paths = change
        if renamed:
            return True
        if folder not in paths[0]:
            return False
        inside += 1
        below = paths[0].partition(folder)[2].partition("/")[2]
        is_rename = event == "os.rename" and not below
        renamed = is_rename and moment == "after"
        return {
            "inside": inside == INSIDE,
            "record": below.startswith(f".{RECORD}"),
            "rename": is_rename,
            "after": False,
        }[moment]

    return is_due
