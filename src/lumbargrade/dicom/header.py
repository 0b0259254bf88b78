"""The geometry of one slice from its header alone, without decoding a pixel.

What must stay true: no default stands in for a missing tag; every refusal names the file.
"""

from pathlib import Path

from lumbargrade.arrays import Affine
from lumbargrade.dicom.slice_header import UnreadableFileError, read_headers
from lumbargrade.geometry import slice_affine
from lumbargrade.records import InvalidStudyError


def read_slice_geometry(path: Path) -> tuple[Affine, tuple[int, int]]:
    """Read where a single-frame file's pixels lie.

    Args:
        path: a DICOM file.

    Returns:
        Affine (slice, row, column, 1) → LPS mm, whose slice axis is as long as
        SpacingBetweenSlices (SliceThickness where the file has none), and (rows, columns).

    Raises:
        InvalidStudyError: no such file, no DICOM file of one frame, or a tag that is missing or
            unusable.
    """
    if not path.is_file():
        raise InvalidStudyError(f"{path} does not exist")
    try:
        header, *more = read_headers(path)
    except UnreadableFileError as error:
        raise InvalidStudyError(str(error)) from error
    if more:
        raise InvalidStudyError(f"{path} holds {1 + len(more)} frames, expected one")
    position, orientation = header.position_lps_mm, header.image_orientation
    spacing = header.pixel_spacing_mm
    between = header.spacing_between_slices_mm or header.slice_thickness_mm
    if position is None or orientation is None or spacing is None or not between:
        raise InvalidStudyError(
            f"{path} lacks geometry: ImagePositionPatient {position}, ImageOrientationPatient "
            f"{orientation}, PixelSpacing {spacing}, distance between slices {between}"
        )
    if not (header.rows and header.columns):
        raise InvalidStudyError(f"{path} has {header.rows} Rows and {header.columns} Columns")
    try:
        affine = slice_affine(position, orientation, spacing, between)
    except ValueError as error:
        raise InvalidStudyError(f"{path}: {error}") from error
    return affine, (header.rows, header.columns)
