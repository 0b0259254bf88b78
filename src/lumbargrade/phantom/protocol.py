"""How a synthetic study is scanned: planes, matrices, timings and faults of every series.

What must stay true: the distributions follow the real data (slices, spacings, matrices, order), the
sagittal stacks hold all foramina, and what an axial series does not reach depends on the study's
coverage stream alone, never on severity.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.labels import View
from lumbargrade.phantom.faults import Faults, draw_faults
from lumbargrade.phantom.planes import draw_axial_stack, plane_affine, tilted
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Sequence

SUB_SLICES = 3
"""Planes sampled through the thickness of a slice."""

PIXELS_PER_STUDY = 15_000_000
"""About 30 MB of files."""

UNCOVERED = {"l1_l2": 0.0823, "l2_l3": 0.0415}
"""Share of studies whose axial slices do not reach these levels; L1/L2 includes L2/L3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesProtocol:
    """One series as planned on the scanner."""

    view: View
    description: str
    sequence: Sequence
    acquired: tuple[int, int]
    """Rows, columns measured in k-space."""
    stored: tuple[int, int]
    """Rows, columns after zero-filling."""
    thickness_mm: float
    spacing_mm: float
    affines: Float64[np.ndarray, "slice 4 4"]
    """(slice, row, column, 1) → LPS of the *acquired* grid, in instance order."""
    faults: Faults


STREAM_OF_VIEW = {
    View.SAGITTAL_T2: Stream.SAGITTAL_T2,
    View.SAGITTAL_T1: Stream.SAGITTAL_T1,
    View.AXIAL_T2: Stream.AXIAL_T2,
}


def plan_study(seed: int, spine: Spine) -> tuple[SeriesProtocol, ...]:
    """Plan all series of the study of a seed: sagittal T1, sagittal T2, one to three axial T2."""
    rng = generator(seed, Stream.COVERAGE)
    field = 1.5 if rng.random() < 0.5 else 3.0
    series = [
        _plan_sagittal(seed, spine, View.SAGITTAL_T1, field),
        _plan_sagittal(seed, spine, View.SAGITTAL_T2, field),
        *_plan_axial(seed, spine, field, rng),
    ]
    return _within_budget(series, rng.permutation(len(series)))


def _within_budget(
    series: list[SeriesProtocol], order: NDArray[np.intp]
) -> tuple[SeriesProtocol, ...]:
    """Leave out zero-filling, series by series, until a study's files are small enough.

    Only what is stored changes, never what is measured.
    """
    for index in order:
        pixels = sum(len(one.affines) * one.stored[0] * one.stored[1] for one in series)
        if pixels > PIXELS_PER_STUDY:
            series[index] = replace(series[index], stored=series[index].acquired)
    return tuple(series)


def draw_sequence(rng: np.random.Generator, view: View, field: float) -> tuple[Sequence, str]:
    """Timing of a series and the words that describe it."""
    if view is View.SAGITTAL_T1:
        sequence = Sequence(
            echo_time_ms=float(rng.uniform(7, 14)), repetition_time_ms=float(rng.uniform(446, 746)),
            inversion_time_ms=None, field_t=field,
        )  # fmt: skip
        return sequence, "SAG T1"
    if view is View.SAGITTAL_T2 and rng.random() < 0.08:
        sequence = Sequence(
            echo_time_ms=float(rng.uniform(40, 65)),
            repetition_time_ms=float(rng.uniform(3000, 5000)),
            inversion_time_ms=float(rng.uniform(150, 175) if field < 2 else rng.uniform(185, 205)),
            field_t=field,
        )  # fmt: skip
        return sequence, "SAG STIR"
    sequence = Sequence(
        echo_time_ms=float(rng.uniform(80, 124)), repetition_time_ms=float(rng.uniform(2400, 5570)),
        inversion_time_ms=None, field_t=field,
    )  # fmt: skip
    return sequence, "SAG T2" if view is View.SAGITTAL_T2 else "AX T2"


_ACQUIRED_PIXEL_MM = (0.45, 0.9)
_SMALLEST_STORED_PIXEL_MM = 0.3

_SAGITTAL = {
    View.SAGITTAL_T2: (
        {320: 0.12, 352: 0.1, 384: 0.22, 448: 0.3, 512: 0.15, 576: 0.11}, 4.8, 0.28, 0.72,
    ),
    View.SAGITTAL_T1: (
        {320: 0.16, 352: 0.08, 384: 0.16, 448: 0.2, 512: 0.25, 576: 0.15}, 4.48, 0.5, 0.6,
    ),
}  # fmt: skip
"""How often how many rows are acquired; median slice spacing in mm, its spread below and above."""

_AXIAL_MATRICES = {224: 0.1, 256: 0.26, 288: 0.1, 320: 0.3, 384: 0.24}
_LONG_AXIAL_MATRICES = {224: 0.5, 256: 0.5}
_MANY_SLICES = 60
"""A stack of more is measured at fewer rows, for time and size."""


def _draw_matrix(rng: np.random.Generator, matrices: dict[int, float], field_mm: float) -> int:
    """Rows of a field, such that pixels are neither too large nor too small."""
    low, high = _ACQUIRED_PIXEL_MM
    weights = np.array([p * (low <= field_mm / m <= high) for m, p in matrices.items()])
    return int(rng.choice(list(matrices), p=weights / weights.sum()))


def _draw_factor(rng: np.random.Generator, factors: dict[float, float], pixel_mm: float) -> float:
    """By how much a series is zero-filled."""
    weights = np.array(
        [p * (pixel_mm / f >= _SMALLEST_STORED_PIXEL_MM) for f, p in factors.items()]
    )
    return float(rng.choice(list(factors), p=weights / weights.sum()))


def _plan_sagittal(seed: int, spine: Spine, view: View, field: float) -> SeriesProtocol:
    rng = generator(seed, STREAM_OF_VIEW[view])
    sequence, description = draw_sequence(rng, view, field)
    matrices, median, below, above = _SAGITTAL[view]
    away = float(rng.normal())
    spacing = float(np.clip(median + away * (above if away > 0 else below), 3.6, 6.5))
    thickness = float(np.clip(spacing - rng.uniform(0, 1.2), 3.5, 5.5))
    rows, columns = tilted(rng, np.array([0.0, 0, -1]), np.array([0.0, 1, 0]), 1.2)
    height = float(rng.uniform(270, 340) * max(spine.size, 0.92))
    width = height * (1.0 if rng.random() < 0.68 else float(rng.uniform(0.75, 0.95)))
    matrix = _draw_matrix(rng, matrices, height)
    pixel = height / matrix
    acquired = (matrix, round(width / pixel))
    factor = _draw_factor(rng, {1.0: 0.6, 1.25: 0.1, 1.5: 0.3}, pixel)
    stored = (round(acquired[0] * factor), round(acquired[1] * factor))

    middle = spine.to_lps(0, 5, float(spine.graded_s_mm()[2]))
    reach = 2 * (18.5 * spine.size + 8 + abs(float(rng.normal(0, 3))))
    if spine.curve is not None:
        aside = np.interp(spine.graded_s_mm(), spine.s_mm, spine.bend_mm)
        reach += 2 * float(np.abs(aside).max())
    count = max(int(rng.normal(17.4, 2.5)), int(np.ceil(reach / spacing)) + 1, 11)
    centre = (
        middle
        + columns * (-0.03 * width + rng.normal(0, 6))
        + rows * (-0.033 * height + rng.normal(0, 6))
        + np.cross(columns, rows) * rng.uniform(-0.5, 0.5) * spacing
    )
    corner = centre - rows * pixel * (acquired[0] - 1) / 2 - columns * pixel * (acquired[1] - 1) / 2
    normal = np.cross(columns, rows)
    along = normal if normal[0] > 0 else -normal
    order = np.arange(count) - (count - 1) / 2
    if rng.random() > 0.64:
        order = order[::-1]
    affines = np.stack(
        [
            plane_affine(corner + along * k * spacing, rows, columns, (pixel, pixel), spacing)
            for k in order
        ]
    )
    return SeriesProtocol(
        view=view, description=description, sequence=sequence, acquired=acquired, stored=stored,
        thickness_mm=thickness, spacing_mm=spacing, affines=affines, faults=draw_faults(rng, view),
    )  # fmt: skip


def _plan_axial(
    seed: int, spine: Spine, field: float, coverage: np.random.Generator
) -> list[SeriesProtocol]:
    rng = generator(seed, Stream.AXIAL_T2)
    reach = coverage.random()
    first = 2 if reach < UNCOVERED["l2_l3"] else 1 if reach < UNCOVERED["l1_l2"] else 0
    stack = draw_axial_stack(rng, spine, first)
    field_mm = float(rng.uniform(160, 220))
    long = sum(map(len, stack.series)) > _MANY_SLICES
    matrix = _draw_matrix(rng, _LONG_AXIAL_MATRICES if long else _AXIAL_MATRICES, field_mm)
    pixel = field_mm / matrix
    factor = _draw_factor(rng, {1.0: 0.4, 1.5: 0.35, 2.0: 0.25}, pixel)
    downward = rng.random() < 0.88
    sequence, description = draw_sequence(rng, View.AXIAL_T2, field)
    series = []
    for planes in stack.series:
        affines = [
            plane_affine(
                centre - (rows + columns) * pixel * (matrix - 1) / 2,
                rows, columns, (pixel, pixel), stack.spacing_mm,
            )
            for centre, rows, columns in planes
        ]  # fmt: skip
        series.append(
            SeriesProtocol(
                view=View.AXIAL_T2, description=description, sequence=sequence,
                acquired=(matrix, matrix), stored=(round(matrix * factor),) * 2,
                thickness_mm=stack.thickness_mm, spacing_mm=stack.spacing_mm,
                affines=np.stack(affines if downward else affines[::-1]),
                faults=draw_faults(rng, View.AXIAL_T2),
            )
        )  # fmt: skip
    return series
