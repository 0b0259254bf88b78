"""Files → :class:`Study`: the series that serve, decoded, and a report on every one found.

What must stay true: pixels are read of used series only; a study without a usable view is an
error that lists every refusal; nothing that names the patient enters a message.
"""

import hashlib
import logging
from collections.abc import Collection, Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np

from lumbargrade.dicom.archive import ArchiveRefusedError, read_entries
from lumbargrade.dicom.files import find
from lumbargrade.dicom.found import StudyFiles
from lumbargrade.dicom.inspection import Inspection, inspect_study, series_in_words
from lumbargrade.dicom.pixels import DecodedSlice, UndecodableError, decode
from lumbargrade.dicom.selection import Choice
from lumbargrade.dicom.slice_header import SliceHeader, short_name
from lumbargrade.labels import VIEWS
from lumbargrade.records import InvalidStudyError, Series, SliceImage, Study

MAX_LOST_SHARE = 0.1
"""A series serves without its undecodable slices while they are no more than this share."""

_log = logging.getLogger(__name__)


def read_study(source: Path | str | StudyFiles) -> Study:
    """Read one study.

    Args:
        source: a study found by :func:`find_studies`, or a path that holds exactly one.

    Returns:
        The series that serve, ordered by geometry, and reports on all.

    Raises:
        FileNotFoundError: no such path.
        InvalidStudyError: no study, more than one, or none of its series can serve.
    """
    files = source if isinstance(source, StudyFiles) else _only_study(Path(source))
    undecodable: dict[str, str] = {}
    lost: list[str] = []
    while True:
        inspection = inspect_study(files, refused=undecodable)
        used = [choice for choice in inspection.choices if choice.used]
        if not used:
            raise InvalidStudyError(_nothing_usable(inspection))
        series, failed = [], False
        lost.clear()
        for choice in used:
            try:
                series.append(_read_series(choice, lost, files.archives))
            except UndecodableError as error:
                undecodable[choice.candidate.series_uid] = str(error)
                failed = True
        if not failed:
            break
    warnings = (*inspection.warnings, *lost, *_series_warnings(used))
    for warning in warnings:
        _log.warning("study %s: %s", files.study_id, warning)
    return Study(
        study_uid=inspection.study_uid,
        study_id=inspection.study_id,
        series=tuple(sorted(series, key=_reading_order)),
        reports=inspection.reports,
        warnings=warnings,
    )


def sop_instances_sha256(study: Study) -> str:
    """Hash of the images that a study is graded from: its sorted SOP instance UIDs."""
    uids = {image.sop_instance_uid for series in study.series for image in series.slices}
    return hashlib.sha256("\n".join(sorted(uids)).encode()).hexdigest()


def _only_study(path: Path) -> StudyFiles:
    findings = find(path)
    if len(findings.studies) == 1:
        for problem in (*findings.problems, *findings.refused_archives):
            _log.warning(problem)
        return findings.studies[0]
    if not findings.studies:
        problems = (*findings.problems, *findings.refused_archives)
        faults = "".join(f"\n  {problem}" for problem in problems)
        raise InvalidStudyError(
            f"{path} holds no DICOM study ({findings.foreign_files} files are not DICOM){faults}"
        )
    ids = ", ".join(study.study_id for study in findings.studies[:5])
    raise InvalidStudyError(
        f"{path} holds {len(findings.studies)} studies ({ids}, …): pass one of find_studies(path)"
    )


def _series_warnings(used: Sequence[Choice]) -> list[str]:
    return [
        f"series {choice.candidate.series_id}: {problem}"
        for choice in used
        for problem in choice.candidate.problems
    ]


def _nothing_usable(inspection: Inspection) -> str:
    lines = [f"  {series_in_words(choice)}" for choice in inspection.choices]
    if not lines:
        lines = [f"  {warning}" for warning in inspection.warnings]
    return "\n".join([f"study {inspection.study_id}: no usable view", *lines])


def _read_series(choice: Choice, lost: list[str], archives: Sequence[Path]) -> Series:
    """Decode the slices of a series.

    Raises:
        UndecodableError: more than ``MAX_LOST_SHARE`` of them cannot be decoded.
    """
    candidate = choice.candidate
    decoded, failures = _decode_all(candidate.headers, archives)
    if len(failures) > MAX_LOST_SHARE * candidate.slices:
        path, why = failures[0]
        raise UndecodableError(
            f"{len(failures)} of {candidate.slices} slices cannot be decoded: "
            f"{short_name(path)}: {why}"
        )
    lost.extend(f"slice left out: {short_name(path)}: {why}" for path, why in failures)
    slices = []
    for number, stack in enumerate(candidate.stacks):
        for header, affine in zip(stack.headers, stack.affines, strict=True):
            image = decoded.get((header.path, header.frame_number))
            if image is None:
                continue
            slices.append(
                SliceImage(
                    pixels=image.pixels,
                    affine=affine,
                    stack=number,
                    sop_instance_uid=header.sop_instance_uid,
                    instance_number=header.instance_number,
                    frame_number=header.frame_number,
                    path=header.path,
                    window=image.window,
                    thickness_mm=header.slice_thickness_mm,
                )
            )
    if all(np.ptp(image.pixels) == 0 for image in slices):
        raise UndecodableError(f"every slice is one constant value: {short_name(slices[0].path)}")
    if candidate.view is None:
        raise ValueError(f"series {candidate.series_id} was chosen for no view")
    return Series(
        series_uid=candidate.series_uid,
        series_id=candidate.series_id,
        description=candidate.headers[0].description,
        view=candidate.view,
        reason=choice.reason,
        slices=tuple(slices),
    )


def _decode_all(
    headers: Sequence[SliceHeader], archives: Sequence[Path]
) -> tuple[dict[tuple[Path, int | None], DecodedSlice], list[tuple[Path, str]]]:
    """Decode file by file; returns what could be decoded, and the failures."""
    frames: dict[Path, list[int | None]] = {}
    for header in headers:
        frames.setdefault(header.path, []).append(header.frame_number)
    decoded: dict[tuple[Path, int | None], DecodedSlice] = {}
    faults: dict[Path, str] = {}
    for path, source in _sources(frames, archives):
        numbers = frames[path]
        try:
            images = decode(source, tuple(numbers))
        except UndecodableError as error:
            faults[path] = str(error)
            continue
        decoded |= {(path, number): image for number, image in zip(numbers, images, strict=True)}
    failures = [(path, faults[path]) for path in frames if path in faults for _ in frames[path]]
    return decoded, failures


def _sources(
    paths: Collection[Path], archives: Sequence[Path]
) -> Iterator[tuple[Path, Path | BytesIO]]:
    """What to decode each file from: itself, or its bytes in an archive."""
    archived = {path: archive for archive in archives for path in paths if archive in path.parents}
    yield from ((path, path) for path in paths if path not in archived)
    for archive in archives:
        wanted = {path for path, place in archived.items() if place == archive}
        if wanted:
            for entry in read_entries(archive, wanted):
                yield entry.path, BytesIO(entry.content)
                wanted.discard(entry.path)
            if wanted:
                raise ArchiveRefusedError(f"archive {archive.name}: changed while it was read")


def _reading_order(series: Series) -> tuple[int, float, str]:
    """View, then head to foot."""
    z = np.mean([image.affine[2, 3] for image in series.slices])
    return VIEWS.index(series.view), -float(z), series.series_uid
