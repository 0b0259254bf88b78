"""The sagittal T2 detector on plain 2-D images whose disc points are known.

What must stay true: an image is a stack of one slice; its pixel size is not known, so a field of
view is assumed, the one place where an assumption is allowed; errors are stated on the 256 grid.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image

from lumbargrade.arrays import Pixels
from lumbargrade.competition import CoordinateImage
from lumbargrade.competition.coordinate_images import GRID_PX
from lumbargrade.detector.infer import disc_landmarks
from lumbargrade.detector.model import Detector
from lumbargrade.geometry import lps_to_slices, slice_affine
from lumbargrade.labels import LEVELS, View
from lumbargrade.records import ViewVolume
from lumbargrade.volumes import scale_pixels_to_bytes

NOMINAL_FIELD_MM = 290.0
"""Assumed length of an image's longer side."""

NOMINAL_SLICE_MM = 4.8
"""Assumed slice spacing, the median of sagittal T2 series."""

_SAGITTAL = (0.0, 1.0, 0.0, 0.0, 0.0, -1.0)
"""Columns run from front to back, rows from head to foot."""

CLOSE_PX = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ImagePoints:
    """Found and true disc points of one image, (column, row) on the 256 grid."""

    found: Float64[np.ndarray, "5 2"]
    truth: Float64[np.ndarray, "5 2"]
    present: Bool[np.ndarray, "5"]
    """Which levels have a true point."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageScores:
    """How well points were found, over all images; shares are 0 to 1."""

    images: int
    points: int
    within_5px: float
    median_px: float
    p95_px: float
    level_correct: float
    """Share of points nearer to their own truth than to any other level's."""


def locate_images(
    images: Iterable[CoordinateImage],
    detector: Detector,
    *,
    on_image: Callable[[], None] | None = None,
) -> list[ImagePoints]:
    """Find the disc points of images.

    Args:
        images: with their true points.
        detector: of sagittal T2.
        on_image: told after each image.

    Raises:
        InvalidStudyError: an image without any brightness difference.
    """
    found = []
    for image in images:
        points = find_disc_points(image.path, detector)
        found.append(ImagePoints(found=points, truth=image.points, present=image.present))
        if on_image is not None:
            on_image()
    return found


def find_disc_points(path: Path, detector: Detector) -> Float64[np.ndarray, "5 2"]:
    """Disc points of one image file, (column, row) on the 256 grid: x / width · 256."""
    with Image.open(path) as file:
        pixels = np.asarray(file.convert("L"), dtype=np.float32)
    volume = one_slice_volume(pixels, name=str(path))
    positions, _ = disc_landmarks({View.SAGITTAL_T2: detector}, {View.SAGITTAL_T2: volume})
    rows_columns = np.stack([lps_to_slices(volume.affines, point)[0, 1:] for point in positions])
    on_grid: Float64[np.ndarray, "5 2"] = (
        rows_columns[:, ::-1] * GRID_PX / np.array(pixels.shape[::-1])
    )
    return on_grid


def one_slice_volume(pixels: Pixels, *, name: str) -> ViewVolume:
    """A plain image as a sagittal view of one slice, of the assumed size."""
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


def score_points(found: Iterable[ImagePoints]) -> ImageScores:
    """Compare found with true points.

    Raises:
        ValueError: no image has a true point.
    """
    results = list(found)
    errors = [_errors(item) for item in results]
    distances = np.concatenate([distance for distance, _ in errors] or [np.zeros(0)])
    own_level = np.concatenate([own for _, own in errors] or [np.zeros(0)])
    if not distances.size:
        raise ValueError("no image has a true point to compare with")
    return ImageScores(
        images=len(results),
        points=distances.size,
        within_5px=float((distances <= CLOSE_PX).mean()),
        median_px=float(np.median(distances)),
        p95_px=float(np.percentile(distances, 95)),
        level_correct=float(own_level.mean()),
    )


def _errors(item: ImagePoints) -> tuple[Float64[np.ndarray, "_"], Bool[np.ndarray, "_"]]:
    """Distance to the own truth, and whether no other level's truth is nearer."""
    pairs = np.linalg.norm(item.found[:, None] - item.truth[None], axis=2)
    pairs[:, ~item.present] = np.inf
    own = pairs[np.arange(len(LEVELS)), np.arange(len(LEVELS))]
    pairs[np.arange(len(LEVELS)), np.arange(len(LEVELS))] = np.inf
    nearer_than_others = own < pairs.min(axis=1)
    return own[item.present], nearer_than_others[item.present]
