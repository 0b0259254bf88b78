"""What the pointer is told about each slice's place: geometry, and levels seen on another view.

What must stay true: features follow from affines and positions in LPS mm alone, so a mirrored
study's features are those of its mirrored geometry.
"""

import numpy as np
from jaxtyping import Float32, Float64, Int

from lumbargrade.arrays import Affines
from lumbargrade.detector.targets import project
from lumbargrade.geometry import ORDER_DIRECTION, PLANE_OF_VIEW
from lumbargrade.labels import LEVELS, View

GEOMETRY_FEATURES = 9
"""Centre relative to the view's (3), normal (3), stack start, stack end, spacing."""

STACK_START = 6
"""Which feature is 1 on the first slice of a stack, else 0."""

LEVEL_FEATURES = 3 * len(LEVELS)
"""Per level: signed distance, nearness, whether it is known."""

FARTHEST_SPACINGS = 6.0
"""Signed distances to levels are cut off here."""

_MM_PER_UNIT = 100.0
_SPACING_MM_PER_UNIT = 5.0


def feature_count(view: View) -> int:
    """How many features a slice of a view has."""
    return GEOMETRY_FEATURES + (LEVEL_FEATURES if view is View.AXIAL_T2 else 0)


def slice_features(
    view: View,
    affines: Affines,
    stack_ids: Int[np.ndarray, "slice"],
    size: int,
    levels_lps_mm: Float64[np.ndarray, "5 3"],
) -> Float32[np.ndarray, "slice feature"]:
    """Features of all slices of a view.

    Args:
        view: axial slices are told their distances to the five levels.
        affines: of the square slices.
        stack_ids: which stack each slice belongs to.
        size: rows and columns of the square slices.
        levels_lps_mm: where the sagittal T2 view shows the levels; NaN where unknown.
    """
    centres = (affines @ [0.0, (size - 1) / 2, (size - 1) / 2, 1.0])[:, :3]
    spacing = np.linalg.norm(affines[:, :3, 0], axis=1)
    normals = affines[:, :3, 0] / spacing[:, None]
    direction = ORDER_DIRECTION[PLANE_OF_VIEW[view]]
    normals = normals * np.where(normals @ direction < 0, -1.0, 1.0)[:, None]
    changes = np.diff(stack_ids) != 0
    geometry = np.column_stack(
        [
            (centres - centres.mean(axis=0)) / _MM_PER_UNIT,
            normals - direction,
            np.concatenate([[True], changes]),
            np.concatenate([changes, [True]]),
            spacing / _SPACING_MM_PER_UNIT,
        ]
    )
    if view is not View.AXIAL_T2:
        return geometry.astype(np.float32)
    return np.column_stack([geometry, _level_features(affines, levels_lps_mm)]).astype(np.float32)


def _level_features(
    affines: Affines, levels_lps_mm: Float64[np.ndarray, "5 3"]
) -> Float64[np.ndarray, "slice 15"]:
    known = np.isfinite(levels_lps_mm).all(axis=1)
    distance = project(affines, np.where(known[:, None], levels_lps_mm, 0.0))[..., 0]
    # The sign is that of the head, whichever way a slice's own normal points.
    distance *= np.where(affines[:, 2, 0] < 0, -1.0, 1.0)[:, None]
    near = np.exp(-0.5 * distance**2)
    cut = np.clip(distance, -FARTHEST_SPACINGS, FARTHEST_SPACINGS) / FARTHEST_SPACINGS
    return np.concatenate(
        [cut * known, near * known, np.broadcast_to(known, distance.shape)], axis=1
    )


def known_levels(landmarks_lps_mm: Float64[np.ndarray, "30 3"]) -> Float64[np.ndarray, "5 3"]:
    """Where the sagittal T2 view shows the levels: the canal point, else the disc point."""
    canal, disc = landmarks_lps_mm[: len(LEVELS)], landmarks_lps_mm[-len(LEVELS) :]
    return np.where(np.isfinite(canal), canal, disc)
