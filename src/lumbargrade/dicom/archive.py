"""Read the files of zip and tar archives without unpacking them.

What must stay true: nothing is written to disk, so no entry can reach a place outside and nothing
has to be removed; one entry at a time is held in memory; an archive that breaks a rule is refused
as a whole, naming archive, entry and rule.
"""

import gzip
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from lumbargrade.dicom.archive_members import Member, tar_members, zip_members
from lumbargrade.dicom.archive_rules import (
    MAX_ENTRIES,
    Output,
    RuleError,
    check_content,
    check_count,
    checked_name,
)
from lumbargrade.dicom.first_bytes import START, ArchiveKind, archive_kind, starts_like_dicom
from lumbargrade.records import InvalidStudyError

_BROKEN = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    OSError,
    EOFError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    OverflowError,
    IndexError,
    KeyError,
    MemoryError,
)
"""What the libraries raise on broken bytes."""

_SHOWN = 200
"""Characters of an entry's name in a message."""


class ArchiveRefusedError(InvalidStudyError):
    """An archive that breaks a rule; names archive, entry and rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveEntry:
    """One file of an archive."""

    path: Path
    """The archive's path and, below it, the entry's name: no such file exists."""
    content: bytes


def is_archive(path: Path) -> bool:
    """Whether a file is an archive that can be looked into: zip, tar, or a gzipped tar.

    Raises:
        OSError: the file cannot be opened.
    """
    with path.open("rb") as file:
        kind = archive_kind(file.read(START))
        if kind is ArchiveKind.GZIP:
            file.seek(0)
            try:
                return archive_kind(gzip.GzipFile(fileobj=file).read(START)) is ArchiveKind.TAR
            except _BROKEN:
                return False
    return kind in (ArchiveKind.ZIP, ArchiveKind.TAR)


def read_entries(path: Path, wanted: Collection[Path] | None = None) -> Iterator[ArchiveEntry]:
    """Read the files of an archive, one after the other, in its own order.

    Args:
        path: the archive.
        wanted: entries by their :attr:`ArchiveEntry.path`; None for all.

    Raises:
        ArchiveRefusedError: the archive or one of its entries breaks a rule; what came before
            must not be used then.
    """
    seen: set[str] = set()
    with _refusing(path) as place, path.open("rb") as file:
        for count, member in enumerate(_members(file, path), start=1):
            place.entry = member.name
            check_count(count)
            name = checked_name(member.name)
            if member.fault is not None:
                raise RuleError(member.fault)
            if not member.is_folder:
                if not name or name in seen:
                    raise RuleError("two entries share one name" if name else "it has no name")
                seen.add(name)
                if wanted is None or path / name in wanted:
                    content = member.read()
                    check_content(content)
                    yield ArchiveEntry(path=path / name, content=content)
            place.entry = None


def may_hold_images(path: Path) -> bool:
    """Whether a refused archive may hold DICOM files; only a zip can tell that it holds none.

    Office documents and Java packages are zip archives too: refusing one loses no study.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = [info for info in archive.infolist() if not info.is_dir()]
            return len(entries) > MAX_ENTRIES or any(
                starts_like_dicom(_start(archive, info)) for info in entries
            )
    except _BROKEN:
        return True


def _start(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    with archive.open(info) as file:
        return file.read(START)


def _members(file: BufferedReader, path: Path) -> Iterator[Member]:
    kind = archive_kind(file.read(START))
    file.seek(0)
    output = Output(packed=path.stat().st_size)
    if kind is ArchiveKind.ZIP:
        return zip_members(file, output)
    return tar_members(file, output, gzipped=kind is ArchiveKind.GZIP)


@dataclass(slots=True)
class _Place:
    """Where in an archive the reading is, for messages."""

    entry: str | None = None


@contextmanager
def _refusing(path: Path) -> Iterator[_Place]:
    """Turn broken rules and broken bytes into a refusal that names archive and entry."""
    place = _Place()
    try:
        yield place
    except _BROKEN as error:
        entry = "" if place.entry is None else f"entry {_shown(place.entry)}: "
        raise ArchiveRefusedError(f"archive {path.name}: {entry}{_rule(error)}") from None


def _rule(error: Exception) -> str:
    """What is wrong, without the bytes that a library might quote."""
    if isinstance(error, RuleError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return f"broken or cut off ({type(error).__name__})"


def _shown(name: str) -> str:
    """An entry's name with control characters escaped, not longer than a line."""
    return repr(name if len(name) <= _SHOWN else name[:_SHOWN] + "…")
