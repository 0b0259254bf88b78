"""Find studies among files of any name, depth and kind.

What must stay true: a file is judged by its first bytes, never by its name; in an RSNA layout the
folders name study and series, elsewhere the UIDs do; a study's id holds no underscore.
"""

import csv
import logging
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lumbargrade.dicom.slice_header import SliceHeader, UnreadableFileError, read_headers
from lumbargrade.labels import View

_log = logging.getLogger(__name__)

_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z.\-]*")
"""What may become a study's or series' id, and so the name of a folder."""

_RSNA_FOLDER = re.compile(r"(train|test)_images")
_RSNA_FILE = re.compile(r"\d+\.dcm")

_VIEW_OF_WORDS = {
    "Sagittal T1": View.SAGITTAL_T1,
    "Sagittal T2/STIR": View.SAGITTAL_T2,
    "Axial T2": View.AXIAL_T2,
}
"""The words of ``train_series_descriptions.csv``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownView:
    """What a dataset's own table says about a series."""

    series_id: str
    view: View


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFiles:
    """The files of one study, not yet decoded."""

    study_id: str
    paths: tuple[Path, ...]
    """Sorted."""
    in_rsna_layout: bool = False
    known_views: tuple[KnownView, ...] = ()
    headers: tuple[SliceHeader, ...] | None = None
    """Where finding the study took reading them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What a path holds."""

    studies: tuple[StudyFiles, ...]
    """Ordered by id."""
    dicom_files: int
    foreign_files: int
    problems: tuple[str, ...]
    """Files that claim to be DICOM and belong to no study; each names its file."""


def find_studies(path: Path) -> list[StudyFiles]:
    """Find the studies below a path.

    Args:
        path: a dataset in the RSNA layout or any part of it, any folder of files, one file, or a
            DICOMDIR (which stands for its folder).

    Returns:
        One entry per study, ordered by id; empty where nothing looks like DICOM.

    Raises:
        FileNotFoundError: no such path.
    """
    findings = find(path)
    for problem in findings.problems:
        _log.warning(problem)
    return list(findings.studies)


def find(path: Path) -> Findings:
    """Like :func:`find_studies`, with an account of the files that belong to no study.

    Raises:
        FileNotFoundError: no such path.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist")
    if path.is_file() and path.name.upper() == "DICOMDIR":
        path = path.absolute().parent
    rsna: dict[tuple[Path, str], list[Path]] = {}
    others = _OtherFiles()
    dicom_files = foreign_files = 0
    for file in _files_below(path):
        if not looks_like_dicom(file):
            foreign_files += 1
            continue
        dicom_files += 1
        place = _rsna_place(file)
        if place is None:
            others.add(file)
        else:
            rsna.setdefault(place, []).append(file)
    studies = [*_rsna_studies(rsna), *others.studies()]
    return Findings(
        studies=tuple(sorted(studies, key=lambda study: (study.study_id, study.paths))),
        dicom_files=dicom_files,
        foreign_files=foreign_files,
        problems=tuple(others.problems),
    )


def series_id_of(header: SliceHeader, *, in_rsna_layout: bool) -> str:
    """The series folder's name in an RSNA layout, else the SeriesInstanceUID."""
    return header.path.absolute().parent.name if in_rsna_layout else header.series_uid


def looks_like_dicom(path: Path) -> bool:
    """Whether a file starts like DICOM: with its prefix, or bare with group 0002 or 0008."""
    try:
        with path.open("rb") as file:
            start = file.read(132)
    except OSError:
        return False
    if start[128:132] == b"DICM":
        return True
    little, big = start[:2] in (b"\x02\0", b"\x08\0"), start[:2] in (b"\0\x02", b"\0\x08")
    if not (little or big) or len(start) < 16:
        return False
    if start[4:6].isalpha() and start[4:6].isupper():
        return True
    element, length = int.from_bytes(start[2:4], "little"), int.from_bytes(start[4:8], "little")
    return little and element < 0x2000 and 0 < length <= 1024 and length % 2 == 0


class _OtherFiles:
    """Files outside the RSNA layout, grouped by StudyInstanceUID."""

    def __init__(self) -> None:
        self.problems: list[str] = []
        self._headers: dict[str, list[SliceHeader]] = {}

    def add(self, file: Path) -> None:
        try:
            headers = read_headers(file)
        except UnreadableFileError as error:
            self.problems.append(str(error))
            return
        if is_directory_file(headers):
            return
        uid = headers[0].study_uid
        if _ID.fullmatch(uid):
            self._headers.setdefault(uid, []).extend(headers)
        else:
            self.problems.append(f"{file}: StudyInstanceUID is missing or is not a UID")

    def studies(self) -> Iterator[StudyFiles]:
        for uid, headers in self._headers.items():
            yield StudyFiles(
                study_id=uid,
                paths=tuple(dict.fromkeys(header.path for header in headers)),
                headers=tuple(headers),
            )


MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"


def is_directory_file(headers: tuple[SliceHeader, ...]) -> bool:
    """Whether a file is a DICOMDIR: it lists files and holds no image."""
    return any(
        header.sop_class_uid == MEDIA_STORAGE_DIRECTORY
        or (not header.study_uid and not header.rows and header.path.name.upper() == "DICOMDIR")
        for header in headers
    )


def _files_below(path: Path) -> Iterator[Path]:
    """All files, sorted by path; links to folders are followed, each folder entered once."""
    if not path.is_dir():
        yield path
        return
    entered: set[tuple[int, int]] = set()
    for folder, subfolders, names in os.walk(path, followlinks=True):
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in entered:
            subfolders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        subfolders.sort()
        for name in sorted(names):
            file = Path(folder, name)
            if file.is_file():
                yield file


def _rsna_place(file: Path) -> tuple[Path, str] | None:
    """(``…_images`` folder, study) of a file that lies in an RSNA layout."""
    file = Path(os.path.abspath(file))
    if len(file.parts) < 5 or not _RSNA_FILE.fullmatch(file.name):
        return None
    series, study, images = file.parents[0], file.parents[1], file.parents[2]
    fits = (
        _RSNA_FOLDER.fullmatch(images.name)
        and _ID.fullmatch(study.name)
        and _ID.fullmatch(series.name)
    )
    return (images, study.name) if fits else None


def _rsna_studies(places: dict[tuple[Path, str], list[Path]]) -> Iterator[StudyFiles]:
    known = {images: _read_known_views(images) for images in {images for images, _ in places}}
    for (images, study_id), paths in places.items():
        yield StudyFiles(
            study_id=study_id,
            paths=tuple(paths),
            in_rsna_layout=True,
            known_views=known[images].get(study_id, ()),
        )


def _read_known_views(images: Path) -> dict[str, tuple[KnownView, ...]]:
    """Study → views of its series, from the table beside an images folder, where there is one."""
    split = images.name.removesuffix("_images")
    table = images.parent / f"{split}_series_descriptions.csv"
    if not table.is_file():
        return {}
    views: dict[str, list[KnownView]] = {}
    with table.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            view = _VIEW_OF_WORDS.get((row.get("series_description") or "").strip())
            study_id, series_id = row.get("study_id"), row.get("series_id")
            if view is not None and study_id and series_id:
                known = KnownView(series_id=series_id.strip(), view=view)
                views.setdefault(study_id.strip(), []).append(known)
    return {study_id: tuple(known) for study_id, known in views.items()}


def unique(values: Iterable[str]) -> tuple[str, ...]:
    """The distinct values, in order of appearance."""
    return tuple(dict.fromkeys(values))
