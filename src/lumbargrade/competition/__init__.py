"""The RSNA competition's files: image folders, training tables, answers, and two that go with them.

What must stay true: a table's columns are found by name, never by position; every error names the
file and the line or the cell; ids are strings; a pixel is (column, row), zero-based at its centre.
"""

from lumbargrade.competition.answers import (
    PredictedPoint,
    Submission,
    read_points,
    read_submission,
    write_grades,
    write_points,
    write_submission,
)
from lumbargrade.competition.coordinate_images import CoordinateImage, read_coordinate_images
from lumbargrade.competition.dataset import (
    CoordinateRow,
    SeriesDescription,
    image_folder,
    instance_path,
    read_coordinates,
    read_labels,
    read_series_descriptions,
    series_folder,
    study_folder,
    study_ids,
    wanted_studies,
)
from lumbargrade.competition.table import table_text, write_table
from lumbargrade.competition.truth import TruthPoint, read_truth

__all__ = [
    "CoordinateImage",
    "CoordinateRow",
    "PredictedPoint",
    "SeriesDescription",
    "Submission",
    "TruthPoint",
    "image_folder",
    "instance_path",
    "read_coordinate_images",
    "read_coordinates",
    "read_labels",
    "read_points",
    "read_series_descriptions",
    "read_submission",
    "read_truth",
    "series_folder",
    "study_folder",
    "study_ids",
    "table_text",
    "wanted_studies",
    "write_grades",
    "write_points",
    "write_submission",
    "write_table",
]
