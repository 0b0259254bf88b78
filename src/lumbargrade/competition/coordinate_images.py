"""The public 2-D coordinate dataset: sagittal mid-slices with the five disc points.

What must stay true: these points lie at the posterior disc margin, 5 to 8 mm in front of the
competition's canal points, and must never be mixed with them; they are on the 256 x 256 grid.

Source: the lumbar coordinate pretraining dataset (B. Artley), ``coords_pretrain.csv``.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from lumbargrade.competition.dataset import LEVEL_OF_TITLE
from lumbargrade.competition.table import TableRow, read_table, write_table
from lumbargrade.labels import LEVELS
from lumbargrade.records import InvalidStudyError

COORDINATE_IMAGES_FILE = "coords_pretrain.csv"
GRID_PX = 256
"""Side of the square grid on which points are compared, whatever the image's matrix."""

COLUMNS = ("filename", "source", "x", "y", "level", "relative_x", "relative_y")
"""As they are written; x and y are the relative ones on the 256 grid, so reading needs neither."""

_READ_COLUMNS = ("filename", "source", "level", "relative_x", "relative_y")


@dataclass(frozen=True, slots=True, kw_only=True)
class CoordinateImage:
    """One image and its disc points."""

    path: Path
    source: str
    """The collection it comes from, e.g. ``spider``."""
    points: Float64[np.ndarray, "5 2"]
    """(column, row) on the 256 grid by level, NaN where absent."""
    present: Bool[np.ndarray, "5"]


def read_coordinate_images(folder: Path) -> tuple[CoordinateImage, ...]:
    """Read the table of a coordinate dataset; no image is opened.

    Args:
        folder: holds ``coords_pretrain.csv`` and ``data/processed_<source>_jpgs/<filename>``.

    Returns:
        One record per image, in order of first mention.

    Raises:
        InvalidStudyError: a cell that cannot be read (names the line), a level given twice for an
            image, or an image that is not there.
    """
    points: dict[tuple[str, str], Float64[np.ndarray, "5 2"]] = {}
    for row in read_table(folder / COORDINATE_IMAGES_FILE, _READ_COLUMNS):
        image = points.setdefault(
            (row.text("source"), row.text("filename")), np.full((len(LEVELS), 2), np.nan)
        )
        _set_level(image, row)
    return tuple(
        CoordinateImage(
            path=_existing_path(folder, source, filename),
            source=source,
            points=image,
            present=np.isfinite(image).all(axis=1),
        )
        for (source, filename), image in points.items()
    )


def image_path(folder: Path, source: str, filename: str) -> Path:
    """Where an image of a coordinate dataset lies."""
    return folder / "data" / f"processed_{source}_jpgs" / filename


def write_coordinate_table(folder: Path, images: Iterable[CoordinateImage]) -> None:
    """Write ``coords_pretrain.csv``; the images are in their places already, levels foot to head.

    Args:
        folder: of the dataset.
        images: with their points; absent ones get no line.
    """
    write_table(
        folder / COORDINATE_IMAGES_FILE,
        COLUMNS,
        (
            (
                image.path.name, image.source, float(x), float(y), level.spelling,
                float(x) / GRID_PX, float(y) / GRID_PX,
            )
            for image in images
            for level, (x, y), present in reversed(
                list(zip(LEVELS, image.points, image.present, strict=True))
            )
            if present
        ),
    )  # fmt: skip


def _set_level(image: Float64[np.ndarray, "5 2"], row: TableRow) -> None:
    index = LEVELS.index(row.choice("level", LEVEL_OF_TITLE))
    if np.isfinite(image[index]).any():
        raise row.error(f"{row.text('filename')} has {LEVELS[index].spelling} twice")
    image[index] = [row.number("relative_x") * GRID_PX, row.number("relative_y") * GRID_PX]


def _existing_path(folder: Path, source: str, filename: str) -> Path:
    path = image_path(folder, source, filename)
    if not path.is_file():
        raise InvalidStudyError(f"{folder / COORDINATE_IMAGES_FILE} names {path}, which is absent")
    return path
