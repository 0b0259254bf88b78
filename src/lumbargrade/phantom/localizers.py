"""Localizers of a hospital's studies: few thick slices of a large field.

What must stay true: their coverage and slice geometry differ from every diagnostic series', because
their echo times do not.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float64

from lumbargrade.labels import View
from lumbargrade.phantom.faults import draw_faults
from lumbargrade.phantom.planes import plane_affine
from lumbargrade.phantom.protocol import SeriesProtocol
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.tissue import Sequence as Timing

_DOWN, _BACK, _LEFT = np.array([0.0, 0, -1]), np.array([0.0, 1, 0]), np.array([1.0, 0, 0])


def _parallel(
    centre: Float64[np.ndarray, "3"],
    rows: Float64[np.ndarray, "3"],
    columns: Float64[np.ndarray, "3"],
    *,
    count: int,
    spacing_mm: float,
    field_mm: float,
    matrix: int,
) -> list[Float64[np.ndarray, "4 4"]]:
    """Affines of parallel square slices around a centre."""
    pixel = field_mm / matrix
    corner = centre - (rows + columns) * pixel * (matrix - 1) / 2
    normal = np.cross(columns, rows)
    return [
        plane_affine(corner + normal * k * spacing_mm, rows, columns, (pixel, pixel), spacing_mm)
        for k in np.arange(count) - (count - 1) / 2
    ]


def _localizer(
    rng: np.random.Generator,
    like: SeriesProtocol,
    timing: Timing,
    affines: list[Float64[np.ndarray, "4 4"]],
    *,
    matrix: int,
    thickness_mm: float,
    spacing_mm: float,
) -> SeriesProtocol:
    return replace(
        like, sequence=timing, acquired=(matrix, matrix), stored=(matrix, matrix),
        thickness_mm=thickness_mm, spacing_mm=spacing_mm, affines=np.stack(affines),
        faults=draw_faults(rng, View.SAGITTAL_T2),
    )  # fmt: skip


def planes_localizer(
    rng: np.random.Generator, spine: Spine, like: SeriesProtocol, timing: Timing
) -> SeriesProtocol:
    """Three to five slices in each of the three planes, in one series.

    Args:
        rng: for counts and sizes.
        spine: to aim at.
        like: a series whose words and view are taken over.
        timing: of the sequence.
    """
    centre = spine.to_lps(0, 0, float(spine.graded_s_mm()[2]))
    count, matrix = int(rng.integers(3, 6)), 192
    field_mm, spacing_mm = float(rng.uniform(380, 450)), float(rng.uniform(10, 20))
    affines = [
        affine
        for rows, columns in ((_DOWN, _BACK), (_DOWN, _LEFT), (_BACK, _LEFT))
        for affine in _parallel(
            centre, rows, columns, count=count, spacing_mm=spacing_mm, field_mm=field_mm,
            matrix=matrix,
        )
    ]  # fmt: skip
    return _localizer(
        rng, like, timing, affines, matrix=matrix, thickness_mm=8.0, spacing_mm=spacing_mm
    )


def sagittal_localizer(
    rng: np.random.Generator, spine: Spine, like: SeriesProtocol, timing: Timing
) -> SeriesProtocol:
    """Six to eight sagittal slices of a large field; arguments as for ``planes_localizer``."""
    centre = spine.to_lps(0, -20, float(spine.graded_s_mm()[2]))
    count, matrix = int(rng.integers(6, 9)), 256
    field_mm, spacing_mm = float(rng.uniform(385, 445)), float(rng.uniform(5.5, 7.5))
    affines = _parallel(
        centre, _DOWN, _BACK, count=count, spacing_mm=spacing_mm, field_mm=field_mm, matrix=matrix
    )
    return _localizer(
        rng, like, timing, affines, matrix=matrix, thickness_mm=5.0, spacing_mm=spacing_mm
    )
