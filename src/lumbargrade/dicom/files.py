"""Find studies among files of any name, depth and kind.

What must stay true: a file is judged by its first bytes, never by its name; in an RSNA layout the
folders name study and series, elsewhere the UIDs do; what lies in an archive is found as if it lay
in a folder of the archive's path.
"""

import logging
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lumbargrade.atomic_files import is_partial
from lumbargrade.dicom.archive import is_archive
from lumbargrade.dicom.dicomdir import directory_problems, is_named_dicomdir
from lumbargrade.dicom.first_bytes import START, starts_like_dicom
from lumbargrade.dicom.found import Found, StudyFiles
from lumbargrade.dicom.slice_header import SliceHeader, short_name

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a path holds."""

    studies: tuple[StudyFiles, ...]
    """Ordered by id."""
    dicom_files: int
    foreign_files: int
    problems: tuple[str, ...]
    """What belongs to no study and cost nothing that is known; each names its file."""
    refused_archives: tuple[str, ...] = ()
    """Archives that may hold studies and break a rule; each names archive, entry and rule."""


def find_studies(path: Path | str) -> list[StudyFiles]:
    """Find the studies below a path.

    Args:
        path: a dataset in the RSNA layout or any part of it, any folder of files, one file, an
            archive (zip, tar, gzipped tar), or a DICOMDIR (which stands for its folder).

    Returns:
        One entry per study, ordered by id; empty where nothing looks like DICOM.

    Raises:
        FileNotFoundError: no such path.
    """
    findings = find(Path(path))
    for problem in (*findings.problems, *findings.refused_archives):
        _log.warning(problem)
    return list(findings.studies)


def find(path: Path) -> Findings:
    """Like :func:`find_studies`, with an account of the files that belong to no study.

    Raises:
        FileNotFoundError: no such path.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    found = Found()
    if path.is_file() and is_named_dicomdir(path):
        path = path.absolute()
        found.problems += directory_problems(path)
        path = path.parent
    for file in _files_below(path, found.problems):
        try:
            with file.open("rb") as content:
                is_dicom = starts_like_dicom(content.read(START))
            if is_dicom:
                found.add(file)
            elif is_archive(file):
                found.add_archive(file, asked_for=file == path)
            else:
                found.foreign_files += 1
        except OSError as error:
            found.add_unreadable(file, error)
    return Findings(
        studies=tuple(sorted(found.studies(), key=lambda study: (study.study_id, study.paths))),
        dicom_files=found.dicom_files,
        foreign_files=found.foreign_files,
        problems=tuple(found.problems),
        refused_archives=tuple(found.refused_archives),
    )


def series_id_of(header: SliceHeader, *, in_rsna_layout: bool) -> str:
    """The series folder's name in an RSNA layout, else the SeriesInstanceUID."""
    return header.path.absolute().parent.name if in_rsna_layout else header.series_uid


def looks_like_dicom(path: Path) -> bool:
    """Whether a file starts like DICOM; no where it cannot be opened."""
    try:
        with path.open("rb") as file:
            return starts_like_dicom(file.read(START))
    except OSError:
        return False


def _files_below(path: Path, problems: list[str]) -> Iterator[Path]:
    """All files, sorted by path; links to folders are followed, each folder entered once.

    What a killed process left half written is passed over.
    """
    if not path.is_dir():
        yield path
        return

    def note(error: OSError) -> None:
        name = short_name(Path(error.filename))
        problems.append(f"{name}: folder cannot be read ({error.strerror})")

    entered: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(path, followlinks=True, onerror=note):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            subfolders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        subfolders[:] = sorted(name for name in subfolders if not is_partial(name))
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file() and not is_partial(name):
                yield file


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """The distinct values, in order of appearance."""
    return tuple(dict.fromkeys(values))
