"""The geometry of one slice from its header alone, without decoding a pixel.

What must stay true: no default stands in for a missing tag; every refusal names the file.
"""

from pathlib import Path

import numpy as np
import pydicom
from pydicom.errors import InvalidDicomError

from lumbargrade.arrays import Affine
from lumbargrade.geometry import slice_affine
from lumbargrade.records import InvalidStudyError

_GEOMETRY_TAGS = (
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagePositionPatient",
    "ImageOrientationPatient",
)
_SPACING_TAGS = ("SpacingBetweenSlices", "SliceThickness")
"""Where the distance between slices is looked for, in this order."""


def read_slice_geometry(path: Path) -> tuple[Affine, tuple[int, int]]:
    """Read where a single-frame file's pixels lie.

    Args:
        path: a DICOM file.

    Returns:
        Affine (slice, row, column, 1) → LPS mm, whose slice axis is as long as
        SpacingBetweenSlices (SliceThickness where the file has none), and (rows, columns).

    Raises:
        InvalidStudyError: no such file, no DICOM file, or a tag that is missing or unusable.
    """
    try:
        header = pydicom.dcmread(
            path, stop_before_pixels=True, specific_tags=[*_GEOMETRY_TAGS, *_SPACING_TAGS]
        )
    except FileNotFoundError as error:
        raise InvalidStudyError(f"{path} does not exist") from error
    except InvalidDicomError as error:
        raise InvalidStudyError(f"{path} is not a DICOM file") from error
    absent = [tag for tag in _GEOMETRY_TAGS if header.get(tag) is None]
    spacings = [float(header[tag].value) for tag in _SPACING_TAGS if header.get(tag)]
    if not spacings:
        absent.append(" or ".join(_SPACING_TAGS))
    if absent:
        raise InvalidStudyError(f"{path} has no {', '.join(absent)}")
    try:
        affine = slice_affine(
            np.array(header.ImagePositionPatient, dtype=np.float64),
            np.array(header.ImageOrientationPatient, dtype=np.float64),
            np.array(header.PixelSpacing, dtype=np.float64),
            spacings[0],
        )
    except ValueError as error:
        raise InvalidStudyError(f"{path}: {error}") from error
    return affine, (int(header.Rows), int(header.Columns))
