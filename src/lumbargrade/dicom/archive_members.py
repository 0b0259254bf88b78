"""The entries of zip and tar archives, in their own order.

What must stay true: no entry is decompressed further than the rules allow; what is no plain file
or folder carries its fault and is never opened.

Source: APPNOTE.TXT 4.4 (zip: flags, methods, external attributes), POSIX.1 pax (ustar).
"""

import gzip
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from io import BufferedReader, RawIOBase
from typing import TYPE_CHECKING, Self

from lumbargrade.dicom.archive_rules import (
    MAX_HEADER_BYTES,
    Output,
    RuleError,
    check_ratio,
    check_size,
)

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_CHUNK = 2**20
_ENCRYPTED = 0x1 | 0x40
"""Bits of a zip entry's flags: encryption, strong encryption."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """What an archive says of an entry."""

    name: str
    is_folder: bool
    fault: str | None
    """The rule that its kind breaks."""
    read: Callable[[], bytes]
    """Its content; raises RuleError, or whatever the library raises on broken bytes."""


def zip_members(file: BufferedReader, output: Output) -> Iterator[Member]:
    """The entries of a zip archive."""
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            yield Member(
                name=info.orig_filename,
                is_folder=info.is_dir(),
                fault=_zip_fault(info),
                read=partial(_read_zip, archive, info, output),
            )


def _zip_fault(info: zipfile.ZipInfo) -> str | None:
    if info.flag_bits & _ENCRYPTED:
        return "encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed by another method than deflate"
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "a link or device"
    return None


def _read_zip(archive: zipfile.ZipFile, info: zipfile.ZipInfo, output: Output) -> bytes:
    content = bytearray()
    with archive.open(info) as stream:
        while chunk := stream.read(_CHUNK):
            content += chunk
            check_size(len(content))
            check_ratio(len(content), info.compress_size)
            output.add(len(chunk))
    return bytes(content)


def tar_members(file: BufferedReader, output: Output, *, gzipped: bool) -> Iterator[Member]:
    """The entries of a tar archive, which is read from front to back."""
    stream = _Counted(gzip.GzipFile(fileobj=file) if gzipped else file, output)
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_StrictTarInfo) as archive:
        for info in archive:
            plain = (info.isreg() and info.sparse is None) or info.isdir()
            yield Member(
                name=info.name,
                is_folder=info.isdir(),
                fault=None if plain else "a link or device",
                read=partial(_read_tar, archive, info),
            )


def _read_tar(archive: tarfile.TarFile, info: tarfile.TarInfo) -> bytes:
    check_size(info.size)
    stream = archive.extractfile(info)
    return b"" if stream is None else stream.read()


class _Counted(RawIOBase):
    """A stream that counts what is read from it."""

    def __init__(self, stream: BufferedReader | gzip.GzipFile, output: Output) -> None:
        self._stream = stream
        self._output = output

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        space = memoryview(buffer)
        content = self._stream.read(len(space))
        self._output.add(len(content))
        space[: len(content)] = content
        return len(content)


class _StrictTarInfo(tarfile.TarInfo):
    """A broken header ends the reading with an error, not in silence; long ones are refused."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str, errors: str) -> Self:
        try:
            info = super().frombuf(buf, encoding, errors)
        except tarfile.InvalidHeaderError as error:  # type: ignore[attr-defined]
            raise tarfile.ReadError("broken header") from error
        if info.type in _DESCRIBING and info.size > MAX_HEADER_BYTES:
            raise RuleError(f"a header larger than {MAX_HEADER_BYTES} bytes")
        return info


_DESCRIBING = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
"""Types of tar headers whose content describes the next entry: tarfile reads it as a whole."""
