"""DICOM files → Study, and back: the only place that knows pydicom."""

from lumbargrade.dicom.files import find_studies
from lumbargrade.dicom.found import StudyFiles
from lumbargrade.dicom.read import read_study, sop_instances_sha256
from lumbargrade.dicom.slice_header import read_headers

__all__ = ["StudyFiles", "find_studies", "read_headers", "read_study", "sop_instances_sha256"]
