"""The sagittal T2 detector on plain 2-D images whose disc points are known.

What must stay true: an image is a stack of one slice, as ``plain_images.py`` makes it; errors are
stated on the 256 grid.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64

from lumbargrade.competition import CoordinateImage
from lumbargrade.competition.coordinate_images import GRID_PX
from lumbargrade.detector.infer import disc_landmarks
from lumbargrade.detector.model import Detector
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import LEVELS, View
from lumbargrade.plain_images import one_slice_volume, read_plain_image

CLOSE_PX = 5.0

SHIFTED_POINTS = 2
"""A shift of the whole spine shows on at least so many points."""


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
        InvalidStudyError: an image that cannot be read, or has no brightness difference.
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
    pixels = read_plain_image(path)
    volume = one_slice_volume(pixels, name=str(path))
    positions, _ = disc_landmarks({View.SAGITTAL_T2: detector}, {View.SAGITTAL_T2: volume})
    rows_columns = np.stack([lps_to_slices(volume.affines, point)[0, 1:] for point in positions])
    on_grid: Float64[np.ndarray, "5 2"] = (
        rows_columns[:, ::-1] * GRID_PX / np.array(pixels.shape[::-1])
    )
    return on_grid


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


def whole_spine_shift(item: ImagePoints) -> int:
    """By how many levels the points of an image are off together.

    Returns:
        The shift in levels, 0 or at most 2 either way, that brings the points nearest to the truth
        (by the median distance, over at least ``SHIFTED_POINTS``); positive towards the feet.
    """
    medians = {0: np.inf}
    for shift in (0, 1, -1, 2, -2):
        distances = [
            float(np.linalg.norm(item.found[own] - item.truth[own + shift]))
            for own in range(len(LEVELS))
            if 0 <= own + shift < len(LEVELS) and item.present[own] and item.present[own + shift]
        ]
        if len(distances) >= SHIFTED_POINTS:
            medians[shift] = float(np.median(distances))
    return min(medians, key=medians.__getitem__)
