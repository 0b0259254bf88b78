"""A folder that one process at a time writes into.

What must stay true: the lock goes with the process, however it ends, and leaves no file behind.
"""

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lumbargrade.atomic_files import make_folder, sweep_partial
from lumbargrade.settings import ConfigError

logger = logging.getLogger(__name__)


@contextmanager
def held_folder(folder: Path) -> Iterator[None]:
    """Create a folder, keep other processes from working in it, sweep what killed ones left.

    Where the system or the file system knows no locks, the folder is used without.

    Raises:
        ConfigError: another process works in it.
    """
    make_folder(folder)
    with _locked(folder):
        for name in sweep_partial(folder):
            logger.info("removed %s, which an earlier process left unfinished", name)
        yield


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    if sys.platform == "win32":
        yield
        return
    import fcntl
    import os

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise ConfigError(
            f"{folder}: another process works in this folder; wait for it, or give another --out"
        ) from None
    except OSError as error:  # some network file systems
        logger.debug("%s cannot be locked: %s", folder, error)
    try:
        yield
    finally:
        os.close(descriptor)
