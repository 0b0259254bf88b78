"""A DICOMDIR: the directory of a medium, which lists its files and holds no image.

What must stay true: a DICOMDIR stands for its folder, whatever it lists; what it lists and is not
there is said; nothing else of it is read, because it names the patient.

Source: DICOM PS3.3 F.3 (basic directory), PS3.10 8 (file ids).
"""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import pydicom
from pydicom.dataset import Dataset

from lumbargrade.dicom.quiet import UNREADABLE, quiet_pydicom
from lumbargrade.dicom.slice_header import SliceHeader

MEDIA_STORAGE_DIRECTORY = "1.2.840.10008.1.3.10"


def is_directory_file(headers: Iterable[SliceHeader]) -> bool:
    """Whether a file is a DICOMDIR, by its headers."""
    return any(
        header.sop_class_uid == MEDIA_STORAGE_DIRECTORY
        or (not header.study_uid and not header.rows and is_named_dicomdir(header.path))
        for header in headers
    )


def is_named_dicomdir(path: Path) -> bool:
    """Whether a file is called DICOMDIR."""
    return path.name.upper() == "DICOMDIR"


def directory_problems(path: Path) -> list[str]:
    """What is wrong with a DICOMDIR: broken, or listing files that are not there.

    File ids are compared without regard to case and to a suffix that a copy may have added.
    """
    try:
        with quiet_pydicom():
            dataset = pydicom.dcmread(path, specific_tags=["DirectoryRecordSequence"])
            listed = [_file_id(record) for record in dataset.DirectoryRecordSequence]
    except UNREADABLE as error:
        return [
            f"{path.name}: broken ({type(error).__name__}), so it is not known which files should "
            "be there; its folder is read"
        ]
    there = set(_names_below(path.parent))
    absent = [name for name in listed if name and name.upper() not in there]
    if not absent:
        return []
    return [
        f"{path.name}: {len(absent)} of {sum(map(bool, listed))} listed files are not there, the "
        f"first is {absent[0]}; its folder is read"
    ]


def _file_id(record: Dataset) -> str:
    """A listed file below the folder, empty for a record without one (a patient, a study)."""
    value = record.get("ReferencedFileID") or ()
    parts = [value] if isinstance(value, str) else list(value)
    return "/".join(str(part) for part in parts)


def _names_below(folder: Path) -> Iterator[str]:
    for place, _, names in os.walk(folder, followlinks=True):
        for name in names:
            file = Path(place, name).relative_to(folder)
            yield file.as_posix().upper()
            yield file.with_suffix("").as_posix().upper()
