"""Libraries that only some installations have: imported when they are needed, or asked for.

What must stay true: no import of the package itself needs one of them.
"""

from importlib import import_module
from types import ModuleType

from lumbargrade.settings import ConfigError


def require(library: str, *, extra: str, what: str) -> ModuleType:
    """Import a library of an extra.

    Args:
        library: as it is imported.
        extra: of the package, in which the library is.
        what: needs it, for the message.

    Raises:
        ConfigError: it is not installed; says how to install it.
    """
    try:
        return import_module(library)
    except ModuleNotFoundError as error:
        if error.name != library:
            raise
        raise ConfigError(
            f"{what} needs {library}, which is not installed: pip install 'lumbargrade[{extra}]'"
        ) from None
