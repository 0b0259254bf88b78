"""Sizes and checksums of the files of one prepared study, kept beside them.

What must stay true: the list is written last, so that a folder without it is no prepared study;
whatever differs from it is named, never used.
"""

import hashlib
import json
from pathlib import Path

from lumbargrade.atomic_files import write_beside
from lumbargrade.records import InvalidStudyError

CHECKSUMS = "checksums.json"

_SMALL_SUFFIX = ".json"
"""Files small enough to be checked in full whenever a study is opened; of pixels, the size is."""


class DamagedCacheError(InvalidStudyError):
    """A prepared study whose files are not what was written."""


def write_checksums(folder: Path) -> None:
    """List every file of a prepared study's folder with its size and SHA-256."""
    listed = {
        path.name: {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in sorted(folder.iterdir())
        if path.name != CHECKSUMS and not path.name.startswith(".")
    }
    write_beside(folder / CHECKSUMS, json.dumps(listed, indent=1) + "\n")


def read_checksums(folder: Path) -> dict[str, tuple[int, str]]:
    """File name → size in bytes, SHA-256.

    Raises:
        DamagedCacheError: there is no such list, or it cannot be read.
    """
    try:
        document = json.loads((folder / CHECKSUMS).read_bytes())
        return {
            str(name): (int(entry["bytes"]), str(entry["sha256"]))
            for name, entry in document.items()
        }
    except FileNotFoundError:
        raise DamagedCacheError(f"{folder} holds no {CHECKSUMS}") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedCacheError(f"{folder / CHECKSUMS} cannot be read: {error}") from error


def check_files(folder: Path, *, pixels: bool) -> None:
    """Compare a prepared study's files with the list.

    Args:
        folder: of the study.
        pixels: read the pixels, too, and compare their checksums; else their sizes alone.

    Raises:
        DamagedCacheError: names the first file that differs, and how.
    """
    for name, (size, sha256) in read_checksums(folder).items():
        path = folder / name
        if not path.is_file():
            raise DamagedCacheError(f"{path} is missing")
        found = path.stat().st_size
        if found != size:
            raise DamagedCacheError(f"{path} has {found} bytes, expected {size}")
        if (pixels or path.suffix == _SMALL_SUFFIX) and _sha256(path) != sha256:
            raise DamagedCacheError(f"{path} has another checksum than when written")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
