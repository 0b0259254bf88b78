"""The rules of archives: how large, how tightly packed, which names, which kinds of entry.

What must stay true: every limit counts the bytes that come out, whatever an archive says of its
sizes; a name that could reach a place outside the archive is refused, though nothing is unpacked.
"""

import re
from dataclasses import dataclass

from lumbargrade.dicom.first_bytes import START, archive_kind

MAX_ENTRIES = 100_000
"""Files and folders in one archive."""

MAX_ENTRY_BYTES = 512 * 2**20
"""Of one file, uncompressed: it is held in memory."""

MAX_TOTAL_BYTES = 32 * 2**30
"""Of all files of one archive, uncompressed."""

MAX_RATIO = 200
"""Uncompressed to compressed size, of one file and of the whole archive; MR images reach 2 to 10,
deflate at most 1032."""

RATIO_FREE_BYTES = 2**20
"""Up to so many uncompressed bytes, the ratio is not looked at: an empty image packs well."""

MAX_HEADER_BYTES = 2**16
"""Of one header of a tar archive that describes the next entry."""


class RuleError(ValueError):
    """The rule that an archive or its entry breaks."""


@dataclass(slots=True)
class Output:
    """Counts what comes out of an archive."""

    packed: int
    """Bytes of the archive itself."""
    produced: int = 0

    def add(self, count: int) -> None:
        """Count bytes.

        Raises:
            RuleError: they are too many.
        """
        self.produced += count
        if self.produced > MAX_TOTAL_BYTES:
            raise RuleError(f"the archive holds more than {MAX_TOTAL_BYTES} bytes")
        check_ratio(self.produced, self.packed)


def check_ratio(produced: int, packed: int) -> None:
    """Refuse what unpacks to far more than it is.

    Raises:
        RuleError: more than ``MAX_RATIO`` times.
    """
    if produced > RATIO_FREE_BYTES and produced > MAX_RATIO * packed:
        raise RuleError(f"compressed more than {MAX_RATIO} to 1")


def check_size(size: int) -> None:
    """Refuse a file that is too large to be held in memory.

    Raises:
        RuleError: larger than ``MAX_ENTRY_BYTES``.
    """
    if size > MAX_ENTRY_BYTES:
        raise RuleError(f"larger than {MAX_ENTRY_BYTES} bytes")


def check_count(count: int) -> None:
    """Refuse too many entries.

    Raises:
        RuleError: more than ``MAX_ENTRIES``.
    """
    if count > MAX_ENTRIES:
        raise RuleError(f"more than {MAX_ENTRIES} entries")


def check_content(content: bytes) -> None:
    """Refuse an archive inside the archive.

    Raises:
        RuleError: it starts like one, or like a compressed file.
    """
    if archive_kind(content[:START]) is not None:
        raise RuleError("an archive or compressed file inside the archive")


def checked_name(name: str) -> str:
    """An entry's name below its archive, without empty parts and ``.``.

    Raises:
        RuleError: it is absolute, leads out of the archive, or is written for another system.
    """
    if "\\" in name or re.search(r"[\x00-\x1f\x7f]", name):
        raise RuleError("its name holds a backslash or a control character")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise RuleError("its name is an absolute path")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise RuleError("its name leads out of the archive ('..')")
    return "/".join(parts)
