"""Every call of the package is checked against its annotations, array shapes included.

What must stay true: this module is imported before the package is; processes that a test starts
are not checked.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Self, get_args

from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

SOURCES = Path(__file__).parents[1] / "src" / "lumbargrade"

UNCHECKED = {"__init__", "__main__", "cli", "config"}
"""Settings are checked by pydantic and commands' arguments by typer."""

CHECKED_MODULES = sorted(
    f"lumbargrade.{path.stem}"
    for path in SOURCES.iterdir()
    if (path.suffix == ".py" or (path / "__init__.py").is_file()) and path.stem not in UNCHECKED
)

RULES = BeartypeConf(is_pep484_tower=True)
"""An int is accepted where a float is expected, as mypy has it."""


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let beartype check a function, but for ``Self``, which it knows in whole classes alone."""
    for name, hint in function.__annotations__.items():
        if hint is Self or Self in get_args(hint):
            function.__annotations__[name] = Any
    return beartype(conf=RULES)(function)


install_import_hook(CHECKED_MODULES, "shape_checks.checked")
