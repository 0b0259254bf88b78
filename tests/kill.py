"""Processes that end early, and disks that are full, for tests of what they leave behind."""

import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager

DEAD_PROCESS = 2**22 + 1
"""No process has this number: Linux hands out numbers up to 2**22."""


@contextmanager
def files_no_larger_than(size: int) -> Iterator[None]:
    """Let the system refuse to write a file beyond so many bytes, as it does on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, ignored)
