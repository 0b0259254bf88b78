"""Write MR slices as single-frame DICOM files, in a hospital's full header or the RSNA's bare one.

What must stay true: the bytes are a function of the arguments alone (no clock, no random UID), and
a value written to a header is read back within 1e-6 mm.

Source: DICOM PS3.3 C.8.3.1 (MR Image), C.7.6.2 (Image Plane); PS3.5 6.2 (Decimal String).
"""

import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt16
from pydicom import FileMetaDataset, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    UID,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    MRImageStorage,
    RLELossless,
)
from pydicom.valuerep import format_number_as_ds

from lumbargrade.arrays import Point
from lumbargrade.atomic_files import make_folder, write_beside

BITS_STORED = 12
"""Pixels are written unsigned, 12 bits in 16."""


class HeaderProfile(StrEnum):
    """How much a written header says."""

    HOSPITAL = "hospital"
    """Everything an MR Image has; uncompressed."""
    RSNA = "rsna"
    """The competition's: no Modality, no SOPClassUID, no TE or TR; RLE Lossless; the file meta
    claims Enhanced MR though the file is a single frame."""


class TransferSyntax(StrEnum):
    """How pixels are stored; all without loss. The value is the syntax's UID."""

    EXPLICIT = ExplicitVRLittleEndian
    IMPLICIT = ImplicitVRLittleEndian
    RLE = RLELossless
    JPEG_LS = JPEGLSLossless
    JPEG_2000 = JPEG2000Lossless


_ENCODER = {
    TransferSyntax.RLE: "pylibjpeg",
    TransferSyntax.JPEG_LS: "pyjpegls",
    TransferSyntax.JPEG_2000: "pylibjpeg",
}
"""The plugin that writes a compressed syntax."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MrSeries:
    """What the slices of one series share."""

    study_uid: str
    series_uid: str
    frame_of_reference_uid: str
    series_number: int
    series_description: str
    protocol_name: str
    patient_id: str
    patient_name: str
    study_date: str
    """YYYYMMDD."""
    slice_thickness_mm: float
    spacing_between_slices_mm: float
    echo_time_ms: float
    repetition_time_ms: float
    inversion_time_ms: float | None = None
    echo_train_length: int = 1
    flip_angle_deg: float = 90.0
    magnetic_field_strength_t: float = 1.5
    scanning_sequence: str = "SE"
    sequence_variant: str = "SK"
    mr_acquisition_type: str = "2D"
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "M", "SE")
    manufacturer: str = "lumbargrade"
    manufacturer_model_name: str = "phantom"
    body_part_examined: str = "LSPINE"
    patient_position: str = "HFS"
    study_description: str = "MR LUMBAR SPINE"
    scan_options: tuple[str, ...] = ()
    contrast_agent: str = ""
    study_time: str = ""
    """HHMMSS."""
    accession_number: str = ""
    study_id: str = ""
    referring_physician_name: str = ""
    patient_birth_date: str = ""
    patient_sex: str = ""
    institution_name: str = ""
    transfer_syntax: TransferSyntax = TransferSyntax.EXPLICIT
    """Of the hospital's profile; the RSNA's is always RLE."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MrSlice:
    """One slice of a series, as it is to be stored."""

    pixels: UInt16[np.ndarray, "row column"]
    """0 to 4095."""
    position_lps_mm: Point
    """Centre of the first pixel."""
    image_orientation: Float64[np.ndarray, "6"]
    """Direction of growing columns, then of growing rows."""
    pixel_spacing_mm: Float64[np.ndarray, "2"]
    """Between rows, between columns."""
    instance_number: int
    sop_instance_uid: str
    window: tuple[float, float]
    """Centre and width."""


def derived_uid(*parts: str | int) -> str:
    """A DICOM UID that depends on its parts alone.

    Source: DICOM PS3.5 B.2 (UUID-derived UIDs, root 2.25).
    """
    name = "/".join(str(part) for part in ("lumbargrade", *parts))
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"


def write_mr_series(
    folder: Path,
    series: MrSeries,
    slices: Sequence[MrSlice],
    *,
    profile: HeaderProfile = HeaderProfile.HOSPITAL,
) -> list[Path]:
    """Write a series as ``folder/<instance_number>.dcm``; makes the folder.

    Returns:
        The files, in the order of ``slices``.

    Raises:
        ValueError: two slices share an instance number, or a slice cannot be stored.
    """
    numbers = [image.instance_number for image in slices]
    if len(set(numbers)) != len(numbers):
        raise ValueError(f"instance numbers must differ within a series, found {sorted(numbers)}")
    make_folder(folder)
    paths = [folder / f"{number}.dcm" for number in numbers]
    for path, image in zip(paths, slices, strict=True):
        write_mr_slice(path, series, image, profile=profile)
    return paths


def write_mr_slice(
    path: Path,
    series: MrSeries,
    image: MrSlice,
    *,
    profile: HeaderProfile = HeaderProfile.HOSPITAL,
) -> None:
    """Write one slice as a DICOM file.

    Raises:
        ValueError: pixels are not (row, column) uint16 of at most 12 bits.
    """
    dataset = Dataset()
    _add_identity(dataset, series, image)
    _add_geometry(dataset, series, image)
    _add_pixels(dataset, image)
    if profile is HeaderProfile.HOSPITAL:
        _add_hospital_tags(dataset, series)
    dataset.file_meta = _file_meta(image, profile)
    syntax = TransferSyntax.RLE if profile is HeaderProfile.RSNA else series.transfer_syntax
    if syntax in _ENCODER:
        dataset.compress(UID(syntax), encoding_plugin=_ENCODER[syntax], generate_instance_uid=False)
    else:
        dataset.file_meta.TransferSyntaxUID = UID(syntax)
    content = BytesIO()
    dcmwrite(content, dataset, enforce_file_format=True)
    write_beside(path, content.getvalue())


def _add_identity(dataset: Dataset, series: MrSeries, image: MrSlice) -> None:
    dataset.SOPInstanceUID = image.sop_instance_uid
    dataset.StudyInstanceUID = series.study_uid
    dataset.SeriesInstanceUID = series.series_uid
    dataset.FrameOfReferenceUID = series.frame_of_reference_uid
    dataset.PatientID = series.patient_id
    dataset.SeriesDescription = series.series_description
    dataset.InstanceNumber = image.instance_number


def _add_geometry(dataset: Dataset, series: MrSeries, image: MrSlice) -> None:
    along_columns, along_rows = np.asarray(image.image_orientation).reshape(2, 3)
    location = float(np.cross(along_columns, along_rows) @ image.position_lps_mm)
    dataset.PatientPosition = series.patient_position
    dataset.SliceThickness = decimal_string(series.slice_thickness_mm)
    dataset.SpacingBetweenSlices = decimal_string(series.spacing_between_slices_mm)
    dataset.SliceLocation = decimal_string(location)
    dataset.ImagePositionPatient = _decimal_strings(image.position_lps_mm)
    dataset.ImageOrientationPatient = _decimal_strings(image.image_orientation)
    dataset.PixelSpacing = _decimal_strings(image.pixel_spacing_mm)


def _add_pixels(dataset: Dataset, image: MrSlice) -> None:
    pixels = image.pixels
    if pixels.ndim != 2 or pixels.dtype != np.uint16 or pixels.size == 0:
        raise ValueError(
            f"slice {image.instance_number}: pixels must be (row, column) uint16, "
            f"found {pixels.shape} {pixels.dtype}"
        )
    if int(pixels.max()) >= 2**BITS_STORED:
        raise ValueError(
            f"slice {image.instance_number}: pixels must stay below {2**BITS_STORED}, "
            f"found {int(pixels.max())}"
        )
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated = 16
    dataset.BitsStored = BITS_STORED
    dataset.HighBit = BITS_STORED - 1
    dataset.PixelRepresentation = 0
    centre, width = image.window
    dataset.WindowCenter = decimal_string(centre)
    dataset.WindowWidth = decimal_string(width)
    dataset.PixelData = pixels.astype("<u2").tobytes()
    dataset["PixelData"].VR = "OW"


def _add_hospital_tags(dataset: Dataset, series: MrSeries) -> None:
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = MRImageStorage
    dataset.ImageType = list(series.image_type)
    dataset.Modality = "MR"
    dataset.StudyDate = series.study_date
    dataset.SeriesDate = series.study_date
    dataset.StudyDescription = series.study_description
    dataset.Manufacturer = series.manufacturer
    dataset.ManufacturerModelName = series.manufacturer_model_name
    dataset.PatientName = series.patient_name
    dataset.SeriesNumber = series.series_number
    dataset.BodyPartExamined = series.body_part_examined
    dataset.ProtocolName = series.protocol_name
    dataset.ScanningSequence = series.scanning_sequence
    dataset.SequenceVariant = series.sequence_variant
    dataset.MRAcquisitionType = series.mr_acquisition_type
    dataset.RepetitionTime = decimal_string(series.repetition_time_ms)
    dataset.EchoTime = decimal_string(series.echo_time_ms)
    if series.inversion_time_ms is not None:
        dataset.InversionTime = decimal_string(series.inversion_time_ms)
    dataset.EchoTrainLength = series.echo_train_length
    dataset.FlipAngle = decimal_string(series.flip_angle_deg)
    dataset.MagneticFieldStrength = decimal_string(series.magnetic_field_strength_t)
    if series.contrast_agent:
        dataset.ContrastBolusAgent = series.contrast_agent
    if series.institution_name:
        dataset.InstitutionName = series.institution_name
    dataset.StudyTime = series.study_time or None
    dataset.AccessionNumber = series.accession_number or None
    dataset.ReferringPhysicianName = series.referring_physician_name or None
    dataset.PatientBirthDate = series.patient_birth_date or None
    dataset.PatientSex = series.patient_sex or None
    dataset.StudyID = series.study_id or None
    dataset.ScanOptions = list(series.scan_options) or None
    dataset.PositionReferenceIndicator = None


def _file_meta(image: MrSlice, profile: HeaderProfile) -> FileMetaDataset:
    meta = FileMetaDataset()
    rsna = profile is HeaderProfile.RSNA
    meta.MediaStorageSOPClassUID = EnhancedMRImageStorage if rsna else MRImageStorage
    meta.MediaStorageSOPInstanceUID = image.sop_instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    return meta


def decimal_string(value: float) -> str:
    """A number as a DICOM Decimal String: at most 16 characters, as many digits as fit."""
    return str(format_number_as_ds(float(value)))


def _decimal_strings(values: Iterable[float]) -> list[str]:
    return [decimal_string(value) for value in values]
