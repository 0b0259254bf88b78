"""Write a secondary capture: a colour picture without any place in the patient.

What must stay true: the bytes are a function of the arguments alone.

Source: DICOM PS3.3 A.8.1 (Secondary Capture Image), C.8.6.
"""

from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from pydicom import FileMetaDataset, dcmwrite
from pydicom.dataset import Dataset
from pydicom.uid import (
    PYDICOM_IMPLEMENTATION_UID,
    ExplicitVRLittleEndian,
    SecondaryCaptureImageStorage,
)

from lumbargrade.atomic_files import write_beside
from lumbargrade.dicom.write_mr import MrSeries


def write_secondary_capture(
    path: Path,
    series: MrSeries,
    pixels: UInt8[np.ndarray, "row column 3"],
    *,
    instance_number: int,
    sop_instance_uid: str,
) -> None:
    """Write one RGB picture; study and patient are those of ``series``, its MR tags are left out.

    Raises:
        ValueError: pixels are not (row, column, 3) uint8.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise ValueError(
            f"pixels must be (row, column, 3) uint8, found {pixels.shape} {pixels.dtype}"
        )
    dataset = Dataset()
    dataset.SpecificCharacterSet = "ISO_IR 192"
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.SOPInstanceUID = sop_instance_uid
    dataset.ImageType = list(series.image_type)
    dataset.Modality = "OT"
    dataset.ConversionType = "WSD"
    dataset.StudyDate = series.study_date
    dataset.SeriesDate = series.study_date
    dataset.StudyTime = series.study_time or None
    dataset.AccessionNumber = series.accession_number or None
    dataset.ReferringPhysicianName = series.referring_physician_name or None
    dataset.StudyDescription = series.study_description
    dataset.SeriesDescription = series.series_description
    dataset.PatientName = series.patient_name
    dataset.PatientID = series.patient_id
    dataset.PatientBirthDate = series.patient_birth_date or None
    dataset.PatientSex = series.patient_sex or None
    dataset.StudyInstanceUID = series.study_uid
    dataset.SeriesInstanceUID = series.series_uid
    dataset.StudyID = series.study_id or None
    dataset.SeriesNumber = series.series_number
    dataset.InstanceNumber = instance_number
    dataset.SamplesPerPixel = 3
    dataset.PhotometricInterpretation = "RGB"
    dataset.PlanarConfiguration = 0
    dataset.Rows, dataset.Columns = pixels.shape[:2]
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    data = pixels.tobytes()
    dataset.PixelData = data + b"\0" * (len(data) % 2)
    dataset["PixelData"].VR = "OB"
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    meta.MediaStorageSOPInstanceUID = sop_instance_uid
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = PYDICOM_IMPLEMENTATION_UID
    dataset.file_meta = meta
    path.parent.mkdir(parents=True, exist_ok=True)
    content = BytesIO()
    dcmwrite(content, dataset, enforce_file_format=True)
    write_beside(path, content.getvalue())
