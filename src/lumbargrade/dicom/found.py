"""Files sorted into studies while they are found.

What must stay true: a study is the same whether its files lie in a folder or in an archive; an
archive that is refused adds nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO
from os.path import abspath
from pathlib import Path

from lumbargrade.dicom.archive import ArchiveRefusedError, may_hold_images, read_entries
from lumbargrade.dicom.dicomdir import is_directory_file
from lumbargrade.dicom.first_bytes import starts_like_dicom
from lumbargrade.dicom.rsna_layout import (
    ID,
    KnownView,
    RsnaPlace,
    is_views_table,
    known_views,
    rsna_place,
    views_table_of,
)
from lumbargrade.dicom.slice_header import (
    SliceHeader,
    UnreadableFileError,
    read_headers,
    short_name,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFiles:
    """The files of one study, not yet decoded."""

    study_id: str
    paths: tuple[Path, ...]
    """Sorted; what lies in an archive has the archive's path before its own."""
    in_rsna_layout: bool = False
    known_views: tuple[KnownView, ...] = ()
    headers: tuple[SliceHeader, ...] | None = None
    """Where finding the study took reading them."""
    unreadable: tuple[str, ...] = ()
    """Files whose header was tried and is broken; each names its file."""
    archives: tuple[Path, ...] = ()
    """The archives that hold some of the files."""

    def holder_of(self, path: Path) -> Path:
        """The archive that holds a file, or the file itself."""
        return next((archive for archive in self.archives if archive in path.parents), path)


@dataclass(slots=True)
class _Archived:
    """What one study of the RSNA layout has inside an archive."""

    archive: Path
    headers: list[SliceHeader] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    paths: list[Path] = field(default_factory=list)


class Found:
    """Studies, and what belongs to none."""

    def __init__(self) -> None:
        self.dicom_files = 0
        self.foreign_files = 0
        self.problems: list[str] = []
        self.refused_archives: list[str] = []
        self._by_uid: dict[str, list[SliceHeader]] = {}
        self._archives_of_uid: dict[str, list[Path]] = {}
        self._by_place: dict[RsnaPlace, list[Path]] = {}
        self._archived: dict[RsnaPlace, _Archived] = {}
        self._tables: dict[Path, bytes] = {}

    def add(self, file: Path) -> None:
        """Take in a file that starts like DICOM."""
        self.dicom_files += 1
        place = rsna_place(file)
        if place is not None:
            self._by_place.setdefault(place, []).append(file)
            return
        try:
            headers = read_headers(file)
        except UnreadableFileError as error:
            self.problems.append(str(error))
        else:
            self._add_by_uid(file, headers)

    def add_unreadable(self, file: Path, error: OSError) -> None:
        """Take in a file that the system refuses to open."""
        place = rsna_place(file)
        if place is not None:
            self._by_place.setdefault(place, []).append(file)
        else:
            self.problems.append(f"{short_name(file)}: cannot be read ({error.strerror})")

    def add_archive(self, path: Path, *, asked_for: bool) -> None:
        """Take in what an archive holds.

        Args:
            path: the archive.
            asked_for: it was named itself, not found in a folder.
        """
        inside = Found()
        try:
            for entry in read_entries(path):
                inside._add_entry(entry.path, entry.content, path)
        except ArchiveRefusedError as error:
            self.foreign_files += 1
            counts = asked_for or may_hold_images(path)
            (self.refused_archives if counts else self.problems).append(str(error))
            return
        if not inside.dicom_files:
            self.foreign_files += 1
            return
        self.dicom_files += inside.dicom_files
        self.foreign_files += inside.foreign_files
        self.problems += inside.problems
        for uid, headers in inside._by_uid.items():
            self._by_uid.setdefault(uid, []).extend(headers)
            self._archives_of_uid.setdefault(uid, []).append(path)
        self._archived |= inside._archived
        self._tables |= inside._tables

    def _add_entry(self, path: Path, content: bytes, archive: Path) -> None:
        if not starts_like_dicom(content):
            self.foreign_files += 1
            if is_views_table(path):
                self._tables[Path(abspath(path))] = content
            return
        self.dicom_files += 1
        place = rsna_place(path, within=archive)
        archived = None
        if place is not None:
            archived = self._archived.setdefault(place, _Archived(archive=archive))
        if archived is not None:
            archived.paths.append(path)
        try:
            headers = read_headers(path, BytesIO(content))
        except UnreadableFileError as error:
            (self.problems if archived is None else archived.unreadable).append(str(error))
            return
        if archived is None:
            self._add_by_uid(path, headers)
        elif not is_directory_file(headers):
            archived.headers += headers

    def _add_by_uid(self, file: Path, headers: tuple[SliceHeader, ...]) -> None:
        if is_directory_file(headers):
            return
        uid = headers[0].study_uid
        if ID.fullmatch(uid):
            self._by_uid.setdefault(uid, []).extend(headers)
        else:
            self.problems.append(f"{short_name(file)}: StudyInstanceUID is missing or is not a UID")

    def studies(self) -> Iterator[StudyFiles]:
        """The studies, in no particular order."""
        for uid, headers in self._by_uid.items():
            yield StudyFiles(
                study_id=uid,
                paths=tuple(sorted({header.path for header in headers})),
                headers=tuple(headers),
                archives=tuple(self._archives_of_uid.get(uid, ())),
            )
        tables: dict[Path, dict[str, tuple[KnownView, ...]]] = {}
        for place in (*self._by_place, *self._archived):
            if place.images not in tables:
                tables[place.images] = self._known_views(place.images)
            known = tables[place.images].get(place.study_id, ())
            yield self._rsna_study(place, known)

    def _rsna_study(self, place: RsnaPlace, known: tuple[KnownView, ...]) -> StudyFiles:
        archived = self._archived.get(place)
        if archived is None:
            return StudyFiles(
                study_id=place.study_id,
                paths=tuple(self._by_place[place]),
                in_rsna_layout=True,
                known_views=known,
            )
        return StudyFiles(
            study_id=place.study_id,
            paths=tuple(sorted(archived.paths)),
            in_rsna_layout=True,
            known_views=known,
            headers=tuple(archived.headers),
            unreadable=tuple(archived.unreadable),
            archives=(archived.archive,),
        )

    def _known_views(self, images: Path) -> dict[str, tuple[KnownView, ...]]:
        """From the table beside an images folder, where there is one."""
        table = views_table_of(images)
        archived = self._tables.get(table)
        if archived is not None:
            return known_views(archived.decode("utf-8-sig", "replace").splitlines())
        if not table.is_file():
            return {}
        with table.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            return known_views(file)
