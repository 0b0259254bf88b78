from lumbargrade.dicom import find_studies as find_studies
from lumbargrade.dicom import read_study as read_study
from lumbargrade.pipeline import Pipeline as Pipeline

__all__ = ["Pipeline", "find_studies", "read_study"]
