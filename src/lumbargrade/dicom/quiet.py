"""Keep pydicom's own warnings out of the logs.

What must stay true: a header's values (a patient's name, an identifier) never reach a log, and
pydicom quotes values in its warnings.
"""

import logging
import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom.errors import BytesLengthException, InvalidDicomError

UNREADABLE = (
    InvalidDicomError,
    BytesLengthException,
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    AttributeError,
    NotImplementedError,
    OverflowError,
    MemoryError,
    RecursionError,
    RuntimeError,
    AssertionError,
    LookupError,
    struct.error,
    zlib.error,
)
"""What pydicom and its decoders raise on broken bytes."""


@contextmanager
def quiet_pydicom() -> Iterator[None]:
    """Silence pydicom's warnings and log records inside the block."""
    logger = logging.getLogger("pydicom")
    propagate = logger.propagate
    logger.propagate = False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.propagate = propagate
