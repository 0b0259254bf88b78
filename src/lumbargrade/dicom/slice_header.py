"""What the tags of one slice say, as typed fields: the only place that says which are read.

What must stay true: a missing or malformed tag is None or empty, never a default; nothing that
names the patient is read at all.

Source: DICOM PS3.3 C.7.6.16 (multi-frame functional groups), C.8.13 (Enhanced MR).
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from lumbargrade.dicom.parse import TooLargeError, parse_header
from lumbargrade.dicom.quiet import UNREADABLE, quiet_pydicom
from lumbargrade.dicom.tags import Tags


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceHeader:
    """One single-frame file, or one frame of a multi-frame file."""

    path: Path
    frame_number: int | None
    """One-based; None for a single-frame file."""
    frames: int
    """NumberOfFrames of the file, 1 where absent."""
    study_uid: str
    series_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    frame_of_reference_uid: str
    modality: str
    series_number: int | None
    instance_number: int | None
    description: str
    protocol: str
    body_part: str
    image_type: tuple[str, ...]
    scanning_sequence: tuple[str, ...]
    sequence_variant: tuple[str, ...]
    sequence_name: str
    scan_options: tuple[str, ...]
    contrast_agent: bool
    echo_time_ms: float | None
    repetition_time_ms: float | None
    inversion_time_ms: float | None
    """None where absent or 0: a scanner's 0 means that there was no inversion."""
    rows: int
    columns: int
    samples_per_pixel: int
    photometric: str
    burned_in_annotation: bool
    position_lps_mm: tuple[float, ...] | None
    image_orientation: tuple[float, ...] | None
    pixel_spacing_mm: tuple[float, ...] | None
    spacing_between_slices_mm: float | None
    slice_thickness_mm: float | None


_TAGS = (
    "ImageType",
    "SOPClassUID",
    "SOPInstanceUID",
    "Modality",
    "SeriesDescription",
    "BodyPartExamined",
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "SequenceName",
    "PulseSequenceName",
    "SliceThickness",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "SpacingBetweenSlices",
    "ProtocolName",
    "ContrastBolusAgent",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "FrameOfReferenceUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "BurnedInAnnotation",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "PixelSpacing",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


MAX_FRAMES = 10_000
"""Frames of one file beyond this are no lumbar study's."""


class _FramesError(ValueError):
    """The frames of a file cannot be told apart."""


class UnreadableFileError(ValueError):
    """A file that claims to be DICOM and cannot be read as such; says nothing of its values."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{short_name(path)}: {reason}")
        self.reason = reason


def short_name(path: Path) -> str:
    """A file's folder and name: a message must not depend on where a study lies.

    What is written like a patient's name in DICOM (``DOE^JOHN``) is left out; an archive stands
    for the folder that it was made of.
    """
    *folders, name = path.parts[-2:]
    folders = [_ARCHIVE_SUFFIX.sub("", folder) for folder in folders]
    return "/".join("…" if "^" in part else part for part in (*folders, name))


_ARCHIVE_SUFFIX = re.compile(r"\.(zip|tar|tgz|tar\.gz)$", re.IGNORECASE)


def read_headers(path: Path, content: BytesIO | None = None) -> tuple[SliceHeader, ...]:
    """Read the header of a file: one record, or one per frame of an enhanced file.

    Args:
        path: the file.
        content: its bytes, where it lies in an archive.

    Raises:
        UnreadableFileError: the header is broken.
    """
    try:
        with quiet_pydicom():
            dataset = parse_header(path if content is None else content, _TAGS)
            groups = _functional_groups(dataset)
            if not groups:
                return (_slice_header(path, dataset, (), None),)
            return tuple(
                _slice_header(path, dataset, frame, number)
                for number, frame in enumerate(groups, start=1)
            )
    except (TooLargeError, _FramesError) as error:
        raise UnreadableFileError(path, str(error)) from None
    except UNREADABLE as error:
        raise UnreadableFileError(path, _fault(error)) from None


def _fault(error: BaseException) -> str:
    """What is wrong with a file, without the values that pydicom may quote."""
    if isinstance(error, OSError) and error.strerror:
        return f"cannot be read ({error.strerror})"
    return f"broken DICOM header ({type(error).__name__})"


def _functional_groups(dataset: Dataset) -> list[tuple[Dataset, ...]]:
    """The macro items that describe each frame: its own first, then the shared ones.

    Private sequences are passed over: some makers keep a whole second header in them.

    Raises:
        _FramesError: they describe another number of frames than NumberOfFrames, or too many.
    """
    groups = _items(dataset, "PerFrameFunctionalGroupsSequence")
    if not groups:
        return []
    frames = Tags((dataset,)).integer("NumberOfFrames")
    if len(groups) > MAX_FRAMES:
        raise _FramesError(f"describes {len(groups)} frames, at most {MAX_FRAMES}")
    if frames != len(groups):
        raise _FramesError(
            f"NumberOfFrames is {frames or 'missing'}, its functional groups describe {len(groups)}"
        )
    shared = [item for group in _items(dataset, "SharedFunctionalGroupsSequence") for item in group]
    common = _macros(shared)
    return [(*_macros(group), *common) for group in groups]


def _macros(group: Iterable[DataElement]) -> tuple[Dataset, ...]:
    return tuple(
        element.value[0]
        for element in group
        if element.VR == "SQ" and element.value and not element.tag.is_private
    )


def _items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    return dataset.get(keyword) or ()


def _slice_header(
    path: Path, dataset: Dataset, macros: tuple[Dataset, ...], frame_number: int | None
) -> SliceHeader:
    file, tags = Tags((dataset,)), Tags((*macros, dataset))
    return SliceHeader(
        path=path,
        frame_number=frame_number,
        frames=file.integer("NumberOfFrames") or 1,
        study_uid=file.text("StudyInstanceUID"),
        series_uid=file.text("SeriesInstanceUID"),
        sop_instance_uid=file.text("SOPInstanceUID"),
        sop_class_uid=file.text("SOPClassUID"),
        frame_of_reference_uid=file.text("FrameOfReferenceUID"),
        modality=file.text("Modality").upper(),
        series_number=file.integer("SeriesNumber"),
        instance_number=file.integer("InstanceNumber"),
        description=file.text("SeriesDescription"),
        protocol=file.text("ProtocolName"),
        body_part=file.text("BodyPartExamined"),
        image_type=tags.words("FrameType", "ImageType"),
        scanning_sequence=tags.words("ScanningSequence", "EchoPulseSequence"),
        sequence_variant=tags.words("SequenceVariant"),
        sequence_name=tags.text("SequenceName") or tags.text("PulseSequenceName"),
        scan_options=tags.words("ScanOptions"),
        contrast_agent=bool(tags.text("ContrastBolusAgent")),
        echo_time_ms=tags.number("EffectiveEchoTime", "EchoTime"),
        repetition_time_ms=tags.number("RepetitionTime"),
        inversion_time_ms=tags.first_number("InversionTimes", "InversionTime") or None,
        rows=file.integer("Rows") or 0,
        columns=file.integer("Columns") or 0,
        samples_per_pixel=file.integer("SamplesPerPixel") or 0,
        photometric=file.text("PhotometricInterpretation").upper(),
        burned_in_annotation=file.text("BurnedInAnnotation").upper() == "YES",
        position_lps_mm=tags.numbers("ImagePositionPatient", 3),
        image_orientation=tags.numbers("ImageOrientationPatient", 6),
        pixel_spacing_mm=tags.numbers("PixelSpacing", 2),
        spacing_between_slices_mm=tags.number("SpacingBetweenSlices"),
        slice_thickness_mm=tags.number("SliceThickness"),
    )
