"""Parse a DICOM file within bounds: whatever its bytes say, time and memory stay limited.

What must stay true: nothing behind the pixels is parsed, and no more is unpacked than a study's
image can hold.
"""

import zlib
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from io import SEEK_END, BufferedReader, BytesIO
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.filereader import read_partial
from pydicom.tag import BaseTag, Tag

MAX_FILE_BYTES = 1 << 30
"""No image of a lumbar study is larger (a thousand frames of 512 x 512 take half of it)."""

MAX_INFLATED_BYTES = 256 << 20
"""What a deflated file may unpack to."""

_DEFLATED_SYNTAX = b"1.2.840.10008.1.2.1.99"
_META_BYTES = 1024
"""The transfer syntax stands within the first bytes of a file."""

_LONG_VR = {b"OB", b"OW", b"SQ", b"UN", b"UT"}
"""Value representations whose length takes four bytes, as far as group 0002 may hold them."""

_PIXELS = {Tag("PixelData"), Tag("FloatPixelData"), Tag("DoubleFloatPixelData")}


class TooLargeError(ValueError):
    """A file holds, or unpacks to, more than an image can be."""


def parse_header(source: Path | BytesIO, keywords: Sequence[str]) -> Dataset:
    """Parse some elements of a file (or of its bytes, from an archive), up to its pixels.

    Raises:
        TooLargeError: beyond ``MAX_FILE_BYTES`` or ``MAX_INFLATED_BYTES``.
        Exception: what pydicom raises on broken bytes, see ``quiet.UNREADABLE``.
    """
    return _parse(source, lambda tag, *_: tag in _PIXELS or tag.group == 0, list(keywords))


def parse_image(source: Path | BytesIO) -> Dataset:
    """Parse all elements of a file (or of its bytes, from an archive) up to and with its pixels.

    Raises:
        TooLargeError: beyond ``MAX_FILE_BYTES`` or ``MAX_INFLATED_BYTES``.
        Exception: what pydicom raises on broken bytes, see ``quiet.UNREADABLE``.
    """
    found_pixels = False

    def is_behind(tag: BaseTag, *_: object) -> bool:
        nonlocal found_pixels
        behind, found_pixels = found_pixels or tag.group == 0, tag in _PIXELS
        return behind

    return _parse(source, is_behind, None)


def _parse(
    source: Path | BytesIO,
    stop_when: Callable[[BaseTag, str | None, int], bool],
    keywords: list[str] | None,
) -> Dataset:
    tags = None if keywords is None else [Tag(keyword) for keyword in keywords]
    with source.open("rb") if isinstance(source, Path) else nullcontext(source) as file:
        _check_size(file)
        return read_partial(file, stop_when=stop_when, force=True, specific_tags=tags)


def _check_size(file: BytesIO | BufferedReader) -> None:
    """Refuse a file that is too large, before it is in memory; leaves it at its start."""
    size = file.seek(0, SEEK_END)
    file.seek(0)
    if size > MAX_FILE_BYTES:
        raise TooLargeError(f"the file has {size >> 20} MiB, at most {MAX_FILE_BYTES >> 20}")
    start = file.read(_META_BYTES)
    if _DEFLATED_SYNTAX in start:
        raw = start + file.read()
        _check_inflated_size(raw[_end_of_meta(raw) :])
    file.seek(0)


def _end_of_meta(raw: bytes) -> int:
    """Where the deflated part begins: behind the last element of group 0002."""
    at = 132 if raw[128:132] == b"DICM" else 0
    while raw[at : at + 2] == b"\x02\0":
        if raw[at + 4 : at + 6] in _LONG_VR:
            at += 12 + int.from_bytes(raw[at + 8 : at + 12], "little")
        else:
            at += 8 + int.from_bytes(raw[at + 6 : at + 8], "little")
    return at


def _check_inflated_size(packed: bytes) -> None:
    unpacked, inflate = 0, zlib.decompressobj(-zlib.MAX_WBITS)
    while packed and not inflate.eof:
        unpacked += len(inflate.decompress(packed, 1 << 20))
        packed = inflate.unconsumed_tail
        if unpacked > MAX_INFLATED_BYTES:
            raise TooLargeError(f"it unpacks to more than {MAX_INFLATED_BYTES >> 20} MiB")
