"""How a synthetic study is scanned: planes, matrices, timings and faults of every series.

What must stay true: the distributions follow the real data (slices, spacings, matrices, order), the
sagittal stacks hold all foramina, and what an axial series does not reach depends on the study's
coverage stream alone, never on severity.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.arrays import Affine
from lumbargrade.labels import View
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Sequence

SUB_SLICES = 3
"""Planes sampled through the thickness of a slice."""

PIXELS_PER_STUDY = 15_000_000
"""About 30 MB of files."""

UNCOVERED = {"l1_l2": 0.0823, "l2_l3": 0.0415}
"""Share of studies whose axial slices do not reach these levels; L1/L2 includes L2/L3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturationBand:
    """A slab in front of the spine whose signal was taken away before the sequence."""

    depth_mm: float
    """d of its edge at the middle of the lumbar spine."""
    slope: float
    """How far the edge moves backwards per mm towards the head."""
    edge_mm: float
    """Softness of the edge: distance over which the loss grows from 27 to 73 %."""
    left: float
    """Share of the signal that is left in the slab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What keeps a series from being perfect."""

    signal_to_noise: float
    """Of CSF on T2, of marrow on T1."""
    shading: float
    """Loss of signal per 100 mm in front of the back's skin, as an exponent."""
    saturation_band: SaturationBand | None
    ghosting: float


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


def plane_affine(
    position: Float64[np.ndarray, "3"],
    rows: Float64[np.ndarray, "3"],
    columns: Float64[np.ndarray, "3"],
    pixel_mm: tuple[float, float],
    spacing_mm: float,
) -> Affine:
    """Affine whose row and column indices grow along the given unit directions."""
    affine = np.eye(4)
    affine[:3, 0] = np.cross(columns, rows) * spacing_mm
    affine[:3, 1] = rows * pixel_mm[0]
    affine[:3, 2] = columns * pixel_mm[1]
    affine[:3, 3] = position
    return affine


def _tilted(
    rng: np.random.Generator,
    rows: Float64[np.ndarray, "3"],
    columns: Float64[np.ndarray, "3"],
    degrees: float,
) -> tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]:
    """Turn two orthonormal directions by small random angles, keeping them orthonormal."""
    normal = np.cross(columns, rows)
    a, b, c = np.deg2rad(rng.normal(0, degrees, 3))
    new_rows = rows + a * columns + b * normal
    new_rows /= np.linalg.norm(new_rows)
    new_columns = columns - a * rows + c * normal
    new_columns -= (new_columns @ new_rows) * new_rows
    return new_rows, new_columns / np.linalg.norm(new_columns)


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

_AXIAL_MATRICES = {224: 0.12, 256: 0.28, 288: 0.1, 320: 0.3, 384: 0.2}


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
    rows, columns = _tilted(rng, np.array([0.0, 0, -1]), np.array([0.0, 1, 0]), 1.2)
    height = float(rng.uniform(270, 340) * max(spine.size, 0.92))
    width = height * (1.0 if rng.random() < 0.68 else float(rng.uniform(0.75, 0.95)))
    matrix = _draw_matrix(rng, matrices, height)
    pixel = height / matrix
    acquired = (matrix, round(width / pixel))
    factor = _draw_factor(rng, {1.0: 0.6, 1.25: 0.15, 1.5: 0.25}, pixel)
    stored = (round(acquired[0] * factor), round(acquired[1] * factor))

    middle = spine.to_lps(0, 5, float(spine.graded_s_mm()[2]))
    reach = 2 * (18.5 * spine.size + 8 + abs(float(rng.normal(0, 3))))
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
    spacing = float(np.clip(rng.normal(4.5, 0.35), 3.6, 5.0))
    thickness = float(np.clip(spacing - rng.uniform(0, 0.9), 3.5, spacing))
    centres = spine.graded_s_mm()
    blocks = (
        _flat_block(rng, spine, first, spacing)
        if rng.random() < 0.4
        else [
            _tilted_block(rng, spine, float(s), spacing, upward=2.2 if i == 0 else 3.0)
            for i, s in enumerate(centres[first:])
        ]
    )
    parts = 1 if rng.random() > 0.15 else int(rng.integers(2, 4))
    groups = [group for group in np.array_split(np.arange(len(blocks)), parts) if len(group)]
    field_mm = float(rng.uniform(160, 220))
    matrix = _draw_matrix(rng, _AXIAL_MATRICES, field_mm)
    pixel = field_mm / matrix
    factor = _draw_factor(rng, {1.0: 0.45, 1.5: 0.35, 2.0: 0.2}, pixel)
    downward = rng.random() < 0.88
    series = []
    for group in groups:
        sequence, description = draw_sequence(rng, View.AXIAL_T2, field)
        affines = []
        for index in group:
            for centre, rows, columns in blocks[index]:
                corner = centre - (rows + columns) * pixel * (matrix - 1) / 2
                affines.append(plane_affine(corner, rows, columns, (pixel, pixel), spacing))
        series.append(
            SeriesProtocol(
                view=View.AXIAL_T2, description=description, sequence=sequence,
                acquired=(matrix, matrix), stored=(round(matrix * factor),) * 2,
                thickness_mm=thickness, spacing_mm=spacing,
                affines=np.stack(affines if downward else affines[::-1]),
                faults=draw_faults(rng, View.AXIAL_T2),
            )
        )  # fmt: skip
    return series


Plane = tuple[Float64[np.ndarray, "3"], Float64[np.ndarray, "3"], Float64[np.ndarray, "3"]]
"""Centre, direction of rows, direction of columns."""


def _tilted_block(
    rng: np.random.Generator, spine: Spine, s: float, spacing: float, *, upward: float
) -> list[Plane]:
    """Slices parallel to a disc, head to foot."""
    x_axis, d_axis, s_axis = spine.axes_lps(s)
    rows, columns = _tilted(rng, d_axis, x_axis, 2.0)
    normal = np.cross(columns, rows)
    up = normal if normal @ s_axis > 0 else -normal
    above, below = round(upward + rng.uniform(-0.5, 0.5)), round(3.0 + rng.uniform(-0.7, 0.7))
    centre = spine.to_lps(0, 2, s) + x_axis * rng.normal(0, 4) + d_axis * rng.normal(0, 5)
    shift = rng.uniform(-0.5, 0.5)
    return [
        (centre + up * (k + shift) * spacing, rows, columns) for k in range(above, -below - 1, -1)
    ]


def _flat_block(
    rng: np.random.Generator, spine: Spine, first: int, spacing: float
) -> list[list[Plane]]:
    """One block of parallel slices from above the first covered disc to S1, head to foot."""
    centres = spine.graded_s_mm()
    x_axis, d_axis, s_axis = spine.axes_lps(float(centres[2]))
    rows, columns = _tilted(rng, d_axis, x_axis, 2.5)
    normal = np.cross(columns, rows)
    up = normal if normal @ s_axis > 0 else -normal
    middle = spine.to_lps(0, 4, float(centres[2])) + x_axis * rng.normal(0, 4)
    top_disc = spine.to_lps(0, 4, float(centres[first]))
    bottom_disc = spine.to_lps(0, 4, float(centres[4]))
    top = float((top_disc - middle) @ up) + rng.uniform(6, 10)
    bottom = float((bottom_disc - middle) @ up) - rng.uniform(10, 20)
    if first > 0:
        above = spine.to_lps(0, 4, float(spine.disc_s_mm[FIRST_GRADED_DISC + first - 1]))
        top = min(top, float((above - middle) @ up) - 14)
    return [[(middle + up * h, rows, columns) for h in np.arange(top, bottom - spacing, -spacing)]]


def draw_faults(rng: np.random.Generator, view: View) -> Faults:
    """What keeps a series of a view from being perfect."""
    low, high = (15, 50) if view is View.SAGITTAL_T1 else (12, 40)
    return Faults(
        signal_to_noise=float(rng.uniform(low, high)),
        shading=float(rng.uniform(0.15, 0.75)) if rng.random() < 0.45 else 0.1,
        saturation_band=_draw_band(rng)
        if view is not View.AXIAL_T2 and rng.random() < 0.35
        else None,
        ghosting=float(rng.uniform(0.03, 0.08)) if rng.random() < 0.1 else 0.0,
    )


def _draw_band(rng: np.random.Generator) -> SaturationBand:
    return SaturationBand(
        depth_mm=float(rng.uniform(-85, -50)),
        slope=float(rng.normal(0, 0.12)),
        edge_mm=float(rng.uniform(6, 16)),
        left=float(rng.uniform(0.25, 0.6)),
    )
