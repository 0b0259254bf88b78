"""Slices of one series → stacks: blocks of parallel, evenly spaced slices, in geometric order.

What must stay true: order is the projection on a stack's normal, never a file name, an instance
number or a single coordinate; blocks that merely have the same tilt stay apart.
"""

import numpy as np
from jaxtyping import Float64, Int

from lumbargrade.arrays import Point, Points
from lumbargrade.geometry import (
    ORDER_DIRECTION,
    PLANE_OF_AXIS,
    SAME_ORIENTATION_COSINE,
    Plane,
    plane_of,
)

STEP_TOLERANCE_MM = 0.1
"""Distances between slices that differ by less than this count as the same."""

STEPS_BRIDGED = 2
"""Neighbours within a stack are one or two usual steps apart: one missing slice is bridged."""

STEP_MISFIT = 0.25
"""Largest deviation from whole steps between neighbours, as a share of the usual step."""

OWN_PLANE_COSINE = 0.26
"""Stacks whose normal leans more than 75° from the series' axis are ordered as their own plane
asks: only a localizer has such, since slices more than 70° apart serve no view."""


def group_into_stacks(
    positions_lps_mm: Points, orientations: Float64[np.ndarray, "slice 6"]
) -> list[Int[np.ndarray, "_"]]:
    """Group slices into stacks and order them by geometry.

    A stack is a run of evenly spaced slices of one orientation. Slices are ordered by their
    projection on the common normal, in ``ORDER_DIRECTION`` of the plane (right to left, head to
    foot), stacks by their centre along the same direction. Two parallel blocks that overlap or
    lie apart are two stacks.

    Args:
        positions_lps_mm: (slice, 3), the same point of every slice; take the image's centre, or
            tilted blocks are ordered by a corner that the tilt moved.
        orientations: (slice, 6), ImageOrientationPatient.

    Returns:
        One index array per stack, into the inputs.
    """
    orientations = np.asarray(orientations, dtype=np.float64).reshape(-1, 2, 3)
    normals = np.cross(orientations[:, 0], orientations[:, 1])
    common_plane = series_plane(normals)
    ordered: list[tuple[float, Int[np.ndarray, "_"]]] = []
    for group in _parallel_groups(orientations, normals):
        normal = normals[group].mean(axis=0)
        direction = ORDER_DIRECTION[_plane_near(normal, common_plane)]
        along = normal if normal @ direction > 0 else -normal
        projection = positions_lps_mm[group] @ along
        for block in _even_blocks(projection):
            indices = group[block]
            ordered.append((float((positions_lps_mm[indices] @ direction).mean()), indices))
    ordered.sort(key=lambda item: item[0])
    return [indices for _, indices in ordered]


def series_plane(normals: Points) -> Plane:
    """The plane of most slices: that of the mean normal, whichever way each of them points.

    A block tilted by more than 45° to its disc would otherwise count as another plane than its
    neighbours at 44°.
    """
    aligned = normals * np.where(normals @ normals[0] < 0, -1.0, 1.0)[:, None]
    return plane_of(aligned.mean(axis=0))


def _plane_near(normal: Point, common_plane: Plane) -> Plane:
    """The series' plane where a normal is near its axis, else the normal's own plane."""
    axis = abs(float(normal[PLANE_OF_AXIS.index(common_plane)]))
    near = axis >= OWN_PLANE_COSINE * float(np.linalg.norm(normal))
    return common_plane if near else plane_of(normal)


def _parallel_groups(
    orientations: Float64[np.ndarray, "slice 2 3"], normals: Points
) -> list[Int[np.ndarray, "_"]]:
    groups: list[list[int]] = []
    for i in range(len(orientations)):
        for group in groups:
            first = group[0]
            if (
                normals[i] @ normals[first] > SAME_ORIENTATION_COSINE
                and orientations[i, 0] @ orientations[first, 0] > SAME_ORIENTATION_COSINE
            ):
                group.append(i)
                break
        else:
            groups.append([i])
    return [np.array(group) for group in groups]


def _even_blocks(projection: Float64[np.ndarray, "_"]) -> list[Int[np.ndarray, "_"]]:
    """Split parallel slices into runs of even steps; each run is sorted by projection."""
    step = _usual_step(projection)
    blocks: list[list[int]] = []
    for i in np.argsort(projection, kind="stable"):
        gaps = [float(projection[i] - projection[block[-1]]) for block in blocks]
        fitting = [
            (abs(gap - step), k)
            for k, gap in enumerate(gaps)
            if 1 <= round(gap / step) <= STEPS_BRIDGED
            and abs(gap / step - round(gap / step)) <= STEP_MISFIT
        ]
        if fitting:
            blocks[min(fitting)[1]].append(int(i))
        else:
            blocks.append([int(i)])
    return [np.array(block) for block in blocks]


def _usual_step(projection: Float64[np.ndarray, "_"]) -> float:
    """The most frequent distance between two slices, the smallest of equally frequent ones."""
    distances = np.abs(projection[:, None] - projection[None])[np.triu_indices(len(projection), 1)]
    distances = np.sort(distances[distances > STEP_TOLERANCE_MM])
    if not distances.size:
        return 1.0
    upper = np.searchsorted(distances, distances + STEP_TOLERANCE_MM, side="right")
    frequency = upper - np.arange(len(distances))
    start = int(frequency.argmax())
    return float(distances[start : upper[start]].mean())
