"""Which points a view's detector learns, and the heatmaps and slice weights that teach them.

What must stay true: how strongly a slice shows a point follows from the distance of the point to
that slice's plane, never from slice indices; the slice nearest to a point has weight exactly 1,
written last, at the edge of a view, too; heatmap cell i lies at pixel (i + 0.5) · stride − 0.5.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from torch import Tensor

from lumbargrade.arrays import Affines
from lumbargrade.cache import DISC, LANDMARKS
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import (
    LEVELS,
    MIRROR_TARGET,
    TARGETS,
    Condition,
    Family,
    Side,
    Target,
    View,
    targets_of_view,
)

GRID_PX = 256
"""Side of the grid on which in-plane errors and the label's sigma are stated."""

REACH_SPACINGS = 2.5
"""Slices farther than this from a point do not show it at all."""

MIRROR_LANDMARK = np.concatenate([MIRROR_TARGET, np.arange(DISC, LANDMARKS)])
"""Index (30,) that swaps left and right in an array over the 25 targets and 5 disc points."""

SWAPPED_SIDES_MM = 4.0
"""A left point farther than this to the right of its partner was labelled as the wrong side."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """The points of one view in channel order, and the heatmap that each is read from."""

    landmarks: tuple[int, ...]
    """Index of each channel's point among the 25 targets and 5 disc points."""
    maps: tuple[int, ...]
    """Heatmap of each channel."""

    @property
    def map_count(self) -> int:
        """How many heatmaps the network makes."""
        return max(self.maps) + 1


def channels_of(view: View, *, share_maps: bool) -> Channels:
    """The channels of a view: 5 canal + 5 disc, 10 foraminal, or 10 subarticular points.

    Args:
        view: which detector.
        share_maps: one heatmap per level on sagittal T1 and per side on axial T2, instead of one
            per point.
    """
    targets = targets_of_view(view)
    landmarks = [target.index for target in targets]
    maps = list(range(len(targets)))
    if view is View.SAGITTAL_T2:
        landmarks += range(DISC, LANDMARKS)
        maps = list(range(len(landmarks)))
    elif share_maps and view is View.SAGITTAL_T1:
        maps = [LEVELS.index(target.level) for target in targets]
    elif share_maps:
        maps = [int(target.condition.side is Side.RIGHT) for target in targets]
    return Channels(landmarks=tuple(landmarks), maps=tuple(maps))


def repair_swapped_sides(
    landmarks_lps_mm: Float64[np.ndarray, "30 3"],
) -> Float64[np.ndarray, "30 3"]:
    """Exchange left and right points of a level where they were labelled the wrong way round.

    The patient's left is +x in LPS, so the left foramen has the larger x; labels that say
    otherwise are one of the dataset's known faults.
    """
    result = landmarks_lps_mm.copy()
    for family in (Family.FORAMINAL, Family.SUBARTICULAR):
        left, right = (_condition(family, side) for side in (Side.LEFT, Side.RIGHT))
        for level in LEVELS:
            pair = [Target(condition=side, level=level).index for side in (left, right)]
            if result[pair[0], 0] < result[pair[1], 0] - SWAPPED_SIDES_MM:
                result[pair] = result[pair[::-1]]
    return result


def _condition(family: Family, side: Side) -> Condition:
    return next(
        target.condition
        for target in TARGETS
        if target.condition.family is family and target.condition.side is side
    )


def project(
    affines: Affines, landmarks_lps_mm: Float64[np.ndarray, "point 3"]
) -> Float64[np.ndarray, "slice point 3"]:
    """See points from every slice.

    Args:
        affines: of the slices.
        landmarks_lps_mm: NaN where unlabelled, which stays NaN.

    Returns:
        (slice, point, 3): signed distance to the slice's plane in slice spacings, then row and
        column of the foot point in pixels.
    """
    local = np.stack([lps_to_slices(affines, point) for point in landmarks_lps_mm], axis=1)
    local[..., 0] /= np.linalg.norm(affines[:, :3, 0], axis=1)[:, None]
    return local


def slice_weights(
    local: Float64[np.ndarray, "slice point 3"], size: int, decay: float, *, expanding: bool = True
) -> tuple[Float64[np.ndarray, "slice point"], Bool[np.ndarray, "point"]]:
    """How strongly each slice shows each point.

    Args:
        local: as :func:`project` gives it.
        size: rows and columns of the slices.
        decay: weight of a slice one spacing away.
        expanding: False leaves the nearest slice alone.

    Returns:
        ``decay ** |distance in spacings|``, 0 beyond ``REACH_SPACINGS`` and outside the image, 1 on
        the nearest slice; and which points are shown by any slice at all (labelled, within one
        spacing of a slice, inside its image).
    """
    labelled = np.isfinite(local).all(axis=(0, 2))
    distance = np.where(labelled, np.abs(local[..., 0]), np.inf)
    inside = ((local[..., 1:] >= -0.5) & (local[..., 1:] <= size - 0.5)).all(axis=2)
    distance = np.where(inside, distance, np.inf)
    reach = REACH_SPACINGS if expanding else -1.0
    weights = np.where(distance <= reach, decay**distance, 0.0)
    nearest = distance.argmin(axis=0)
    points = np.arange(local.shape[1])
    shown = distance[nearest, points] <= 1.0
    weights[nearest[shown], points[shown]] = 1.0
    return weights, shown


def sigma_cells(label_sigma_px: float, image_size: int, stride: int) -> float:
    """The label's sigma in heatmap cells, from its value on the 256 grid."""
    return label_sigma_px * image_size / GRID_PX / stride


def cell_to_pixel(cell: Float[np.ndarray, "..."], stride: int) -> Float[np.ndarray, "..."]:
    """Where a heatmap cell's centre lies in the image."""
    return (cell + 0.5) * stride - 0.5


def heatmaps(
    positions_px: Float[Tensor, "slice point 2"],
    weights: Float[Tensor, "slice point"],
    maps: Int[Tensor, "point"],
    *,
    map_count: int,
    image_size: int,
    stride: int,
    sigma_cells: float,
) -> Float[Tensor, "slice map height width"]:
    """Gaussian labels: each point's has its weight on a slice as its highest value there.

    Args:
        positions_px: (row, column) in the image; anything where the weight is 0.
        weights: as :func:`slice_weights` gives them.
        maps: heatmap of each point; points that share one take the maximum.
        map_count: number of heatmaps.
        image_size: rows and columns of the image.
        stride: image pixels per heatmap cell.
        sigma_cells: of the Gaussian, in cells.
    """
    cells = (torch.arange(image_size // stride, device=weights.device) + 0.5) * stride - 0.5
    scale = 1 / (2 * (sigma_cells * stride) ** 2)
    positions = torch.where(weights[..., None] > 0, positions_px, torch.zeros(()))
    along = torch.exp(-scale * (cells - positions[..., None]) ** 2)  # (slice, point, 2, cell)
    along = along / along.amax(dim=-1, keepdim=True).clamp_min(1e-12)
    rows, columns = along[:, :, 0] * weights[..., None], along[:, :, 1]
    result = torch.zeros((len(weights), map_count, len(cells), len(cells)), device=weights.device)
    for point, index in enumerate(maps.tolist()):
        blob = rows[:, point, :, None] * columns[:, point, None, :]
        result[:, index] = torch.maximum(result[:, index], blob)
    return result
