"""Judges what the reader makes of a study one of whose files was damaged.

The geometry reported is compared with a plain parse of the file's tags that shares no code with
the reader's own.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom

from lumbargrade.dicom import read_headers, read_study
from lumbargrade.dicom.files import Findings, find
from lumbargrade.dicom.inspection import inspect_study
from lumbargrade.dicom.pixels import UndecodableError, decode
from lumbargrade.dicom.quiet import quiet_pydicom
from lumbargrade.dicom.refusals import image_refusal
from lumbargrade.dicom.slice_header import UnreadableFileError
from lumbargrade.records import InvalidStudyError, SliceImage, Study

UNCHANGED = "read, geometry as before"
AS_TAGGED = "read, geometry as its changed tags say"
LEFT_OUT = "left out with a warning, the others read"
REFUSED = "refused, the file named"
REFUSED_BY_RULE = "refused, the series and the rule named, not the file"
IGNORED = "no longer starts like DICOM: ignored and counted"
REFUSED_BEFORE = "of a study that was refused undamaged, its pixels decoded"
HARMLESS = (UNCHANGED, AS_TAGGED, LEFT_OUT, REFUSED, REFUSED_BY_RULE, IGNORED, REFUSED_BEFORE)
"""Every other outcome is a fault."""

FAULT = "FAULT"


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceTruth:
    """One slice of the undamaged study."""

    affine: np.ndarray
    shape: tuple[int, ...]
    digest: str


Key = tuple[str, int | None]
"""A file's path below its study, and the frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """What the undamaged study reads as; no slice where it is refused as a whole."""

    slices: dict[Key, SliceTruth]
    foreign_files: int
    messages: frozenset[str]
    """What was said of it."""


def truth_of(folder: Path) -> Truth:
    """Read an undamaged study."""
    findings, studies, messages = _read_all(folder)
    slices = {
        key: SliceTruth(affine=image.affine, shape=image.pixels.shape, digest=_digest(image))
        for study in studies
        for key, image in _slices(study, folder).items()
    }
    return Truth(slices=slices, foreign_files=findings.foreign_files, messages=frozenset(messages))


def judge(folder: Path, damaged: Path, truth: Truth) -> tuple[str, str]:
    """Read a study with one damaged file.

    Args:
        folder: of the study.
        damaged: the damaged file, relative to the folder.
        truth: of the undamaged study.

    Returns:
        The outcome, one of ``HARMLESS`` or ``FAULT``, and what was said or is wrong.
    """
    findings, studies, messages = _read_all(folder)
    said = _decode_alone(folder / damaged)
    found = {key: image for study in studies for key, image in _slices(study, folder).items()}
    fault = _geometry_fault(studies, folder) or _pixel_fault(found, damaged, truth)
    if fault is not None:
        return FAULT, fault
    new = [line for line in messages if line not in truth.messages]
    lost = [key for key in truth.slices if key not in found]
    if lost and not new and findings.foreign_files == truth.foreign_files:
        return FAULT, f"lost without a word: {lost}"
    mine = {key: image for key, image in found.items() if key[0] == str(damaged)}
    if mine:
        same = all(_same_place(image, truth.slices.get(key)) for key, image in mine.items())
        return (UNCHANGED if same else AS_TAGGED), ""
    naming = [line for line in new if damaged.name in line]
    if naming:
        return (LEFT_OUT if found else REFUSED), naming[0]
    if findings.foreign_files > truth.foreign_files:
        return IGNORED, ""
    if new:
        return REFUSED_BY_RULE, new[0]
    if truth.slices:
        return FAULT, "neither read nor refused"
    return (REFUSED, said[0]) if said else (REFUSED_BEFORE, "")


def _read_all(folder: Path) -> tuple[Findings, list[Study], list[str]]:
    findings = find(folder)
    messages = list(findings.problems)
    studies = []
    for files in findings.studies:
        try:
            study = read_study(files)
        except InvalidStudyError as error:
            messages += [*str(error).split("\n"), *inspect_study(files).warnings]
            continue
        messages += study.warnings
        for report in study.reports:
            messages += [report.reason, *report.problems]
        studies.append(study)
    return findings, studies, [line.replace(f"{folder}/", "") for line in messages]


def _decode_alone(path: Path) -> list[str]:
    """Decode a file that no series may have asked for; what was said against it."""
    try:
        headers = read_headers(path)
        refusals = [reason for reason in map(image_refusal, headers) if reason is not None]
        if refusals:
            return [f"{path}: {refusals[0]}"]
        decode(path, tuple(header.frame_number for header in headers))
    except (UnreadableFileError, UndecodableError) as error:
        return [f"{path}: {error}"]
    return []


def _slices(study: Study, folder: Path) -> dict[Key, SliceImage]:
    return {
        (str(image.path.relative_to(folder)), image.frame_number): image
        for series in study.series
        for image in series.slices
    }


def _digest(image: SliceImage) -> str:
    return hashlib.sha256(image.pixels.tobytes()).hexdigest()


def _same_place(image: SliceImage, before: SliceTruth | None) -> bool:
    return before is not None and np.allclose(image.affine, before.affine, rtol=0, atol=1e-6)


def _pixel_fault(found: dict[Key, SliceImage], damaged: Path, truth: Truth) -> str | None:
    for key, image in found.items():
        before = truth.slices.get(key)
        if before is not None and image.pixels.shape != before.shape:
            return f"{key} has {image.pixels.shape} pixels, was {before.shape}"
        if not np.isfinite(image.pixels).all():
            return f"{key} has pixels that are no finite numbers"
        if key[0] != str(damaged) and before is not None and _digest(image) != before.digest:
            return f"{key} was not damaged and reads with other pixels"
    return None


def _geometry_fault(studies: list[Study], folder: Path) -> str | None:
    for study in studies:
        for series in study.series:
            for number in {image.stack for image in series.slices}:
                stack = [image for image in series.slices if image.stack == number]
                fault = _stack_fault(stack)
                if fault is not None:
                    return f"{folder.name}: {fault}"
    return None


def _stack_fault(stack: list[SliceImage]) -> str | None:
    """Compare a stack's affines with the tags of its files."""
    positions = []
    for image in stack:
        position, orientation, spacing = plain_geometry(image.path, image.frame_number)
        across, down = orientation[:3], orientation[3:]
        normal = np.cross(across, down)
        step = float(image.affine[:3, 0] @ normal)
        expected = np.stack([normal * step, down * spacing[0], across * spacing[1], position], 1)
        in_plane = np.allclose(image.affine[:3, 1:], expected[:, 1:], rtol=1e-9, atol=1e-9)
        along = np.allclose(image.affine[:3, 0], expected[:, 0], rtol=0, atol=1e-2)
        if not (step > 0 and in_plane and along):
            return f"{image.path.name} stands elsewhere than its tags say"
        positions.append(position)
    order = np.array(positions) @ (stack[0].affine[:3, 0] / np.linalg.norm(stack[0].affine[:3, 0]))
    steps = np.diff(order)
    if len(steps) and not ((steps > 0).all() or (steps < 0).all()):
        return f"the slices around {stack[0].path.name} are out of order"
    return None


def plain_geometry(path: Path, frame: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Position, orientation and pixel spacing as a plain parse of the whole file finds them."""
    with quiet_pydicom():
        dataset = pydicom.dcmread(path, force=True, stop_before_pixels=True)
        if frame is None:
            values = [
                dataset[tag].value
                for tag in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing")
            ]
        else:
            own = dataset.PerFrameFunctionalGroupsSequence[frame - 1]
            shared = dataset.SharedFunctionalGroupsSequence[0]
            values = [
                _in_groups(own, shared, "PlanePositionSequence", "ImagePositionPatient"),
                _in_groups(own, shared, "PlaneOrientationSequence", "ImageOrientationPatient"),
                _in_groups(own, shared, "PixelMeasuresSequence", "PixelSpacing"),
            ]
        position, orientation, spacing = (
            np.array([float(part) for part in value]) for value in values
        )
    return position, orientation, spacing


def _in_groups(own: Any, shared: Any, group: str, tag: str) -> Any:
    source = own if group in own else shared
    return source[group].value[0][tag].value
