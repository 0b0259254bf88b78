"""Plain 2-D images as sagittal views of one slice.

What must stay true: training and ``locate-images`` see an image through the same functions; its
pixel size is not known, so a field of view is assumed, the one place where an assumption is
allowed.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image

from lumbargrade.arrays import Pixels
from lumbargrade.competition.coordinate_images import GRID_PX
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import View
from lumbargrade.records import InvalidStudyError, ViewVolume
from lumbargrade.volumes import scale_pixels_to_bytes

NOMINAL_FIELD_MM = 290.0
"""Assumed length of an image's longer side."""

NOMINAL_SLICE_MM = 4.8
"""Assumed slice spacing, the median of sagittal T2 series."""

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
"""Columns run from front to back, rows from head to foot."""


def read_plain_image(path: Path) -> Pixels:
    """The grey values of an image file.

    Raises:
        InvalidStudyError: the file holds no image that can be read; names it.
    """
    try:
        with Image.open(path) as file:
            return np.asarray(file.convert("L"), dtype=np.float32)
    except OSError as error:
        raise InvalidStudyError(f"{path}: no image that can be read: {error}") from error


def one_slice_volume(pixels: Pixels, *, name: str) -> ViewVolume:
    """A plain image as a sagittal view of one slice, of the assumed size.

    Raises:
        InvalidStudyError: an image without any brightness difference.
    """
    spacing = NOMINAL_FIELD_MM / max(pixels.shape)
    affine = slice_affine((0.0, 0.0, 0.0), _SAGITTAL, (spacing, spacing), NOMINAL_SLICE_MM)
    zero = np.zeros(1, dtype=np.int64)
    return ViewVolume(
        view=View.SAGITTAL_T2,
        slices=tuple(scale_pixels_to_bytes([pixels], name=name)),
        affines=affine[None],
        stack_ids=zero,
        series_index=zero,
        slice_index=zero,
    )


def grid_points_lps_mm(
    points: Float64[np.ndarray, "point 2"], pixels: Pixels, volume: ViewVolume
) -> Float64[np.ndarray, "point 3"]:
    """Where points of an image lie in the frame of its view of one slice.

    Args:
        points: (column, row) on the 256 grid, NaN where absent.
        pixels: the image.
        volume: as :func:`one_slice_volume` makes it of them.
    """
    columns_rows = points * np.array(pixels.shape[::-1]) / GRID_PX
    local = np.column_stack([np.zeros(len(points)), columns_rows[:, ::-1]])
    affine = volume.affines[0]
    lps_mm: Float64[np.ndarray, "point 3"] = local @ affine[:3, :3].T + affine[:3, 3]
    return lps_mm
