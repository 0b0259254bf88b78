"""Round trips over axis orders, flips and oblique planes; slice order; stacks; display."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lumbargrade import geometry
from lumbargrade.geometry import Plane
from lumbargrade.stacks import group_into_stacks

Array = NDArray[np.float64]

SIGNED_AXES = [
    (sign_c * np.eye(3)[c], sign_r * np.eye(3)[r])
    for c in range(3)
    for r in range(3)
    if r != c
    for sign_c in (1, -1)
    for sign_r in (1, -1)
]
"""The 24 ways in which columns and rows can run along the patient's axes."""

SHAPE = (12, 9)
"""Rows, columns."""


def rotation(axis: Array, degrees: float) -> Array:
    axis = axis / np.linalg.norm(axis)
    cross = np.cross(np.eye(3), axis)
    angle = np.deg2rad(degrees)
    result: Array = np.eye(3) - np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    return result


def series(
    along_columns: Array,
    along_rows: Array,
    *,
    slices: int = 7,
    spacing_mm: float = 4.0,
    pixel_mm: tuple[float, float] = (0.7, 0.5),
    origin: Array | None = None,
) -> tuple[Array, Array, Array]:
    """Positions (slice, 3), orientations (slice, 6) and affines of one stack."""
    normal = np.cross(along_columns, along_rows)
    start = np.array([10.0, -20.0, 30.0]) if origin is None else origin
    positions = start + np.arange(slices)[:, None] * spacing_mm * normal
    orientation = np.concatenate([along_columns, along_rows])
    affines = np.stack(
        [geometry.slice_affine(p, orientation, pixel_mm, spacing_mm) for p in positions]
    )
    return positions, np.tile(orientation, (slices, 1)), affines


def tilted(degrees: float, *, slices: int, centre: Array, spacing_mm: float = 4.0) -> Array:
    """Image centres of an axial block whose normal leans by so many degrees, head to foot."""
    normal = rotation(np.array([1.0, 0, 0]), degrees) @ np.array([0.0, 0, -1])
    return np.asarray(
        centre + (np.arange(slices) - (slices - 1) / 2)[:, None] * spacing_mm * normal
    )


def tilted_orientation(degrees: float, slices: int) -> Array:
    back = rotation(np.array([1.0, 0, 0]), degrees) @ np.array([0.0, 1, 0])
    return np.tile(np.concatenate([[1.0, 0, 0], back]), (slices, 1))


orientations = st.sampled_from(SIGNED_AXES)
tilts = st.floats(-40, 40)
directions = st.tuples(st.floats(-1, 1), st.floats(-1, 1), st.floats(0.1, 1)).map(np.array)
coordinates = st.tuples(st.floats(0, 6), st.floats(-2, 14), st.floats(-2, 11)).map(np.array)


@given(orientations, directions, tilts, coordinates)
def test_index_to_lps_and_back_is_exact_to_a_nanometre(
    axes: tuple[Array, Array], axis: Array, degrees: float, index: Array
) -> None:
    turn = rotation(axis, degrees)
    _, _, affines = series(turn @ axes[0], turn @ axes[1])
    position = geometry.index_vox_to_lps(affines, index)
    nearest = int(np.rint(index[0]))
    distance, row, column = geometry.lps_to_slices(affines, position)[nearest]
    np.testing.assert_allclose([row, column], index[1:], atol=1e-6)
    assert distance == pytest.approx((index[0] - nearest) * 4.0, abs=1e-6)


@given(orientations, directions, tilts)
def test_pixel_centres_lie_where_dicom_puts_them(
    axes: tuple[Array, Array], axis: Array, degrees: float
) -> None:
    turn = rotation(axis, degrees)
    along_columns, along_rows = turn @ axes[0], turn @ axes[1]
    positions, _, affines = series(along_columns, along_rows)
    expected = positions[3] + along_rows * 0.7 * 5 + along_columns * 0.5 * 2  # row 5, column 2
    np.testing.assert_allclose(
        geometry.index_vox_to_lps(affines, np.array([3.0, 5, 2])), expected, atol=1e-9
    )


@given(orientations, directions, tilts)
def test_affine_gives_back_spacing_and_normal(
    axes: tuple[Array, Array], axis: Array, degrees: float
) -> None:
    turn = rotation(axis, degrees)
    _, _, affines = series(turn @ axes[0], turn @ axes[1])
    np.testing.assert_allclose(geometry.spacing_of(affines[0]), [4.0, 0.7, 0.5], atol=1e-9)
    np.testing.assert_allclose(
        geometry.normal_of(affines[0]), turn @ np.cross(axes[0], axes[1]), atol=1e-9
    )


@pytest.mark.parametrize(
    ("orientation", "spacing", "slice_mm", "message"),
    [
        ((1, 0, 0, 0.1, 1, 0), (0.5, 0.5), 4.0, "not orthonormal"),
        ((2, 0, 0, 0, 1, 0), (0.5, 0.5), 4.0, "not orthonormal"),
        ((1, 0, 0, 0, 1, 0), (0.0, 0.5), 4.0, "must be positive"),
        ((1, 0, 0, 0, 1, 0), (0.5, 0.5), -4.0, "must be positive"),
    ],
)
def test_impossible_geometry_is_refused(
    orientation: tuple[float, ...], spacing: tuple[float, float], slice_mm: float, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        geometry.slice_affine((0, 0, 0), orientation, spacing, slice_mm)


@settings(max_examples=60)
@given(orientations, directions, st.floats(-30, 30), st.permutations(list(range(7))))
def test_slice_order_is_geometric_whatever_the_file_order(
    axes: tuple[Array, Array], axis: Array, degrees: float, shuffle: list[int]
) -> None:
    turn = rotation(axis, degrees)
    positions, orientation, _ = series(turn @ axes[0], turn @ axes[1])
    (stack,) = group_into_stacks(positions[shuffle], orientation)
    normal = turn @ np.cross(axes[0], axes[1])
    direction = geometry.ORDER_DIRECTION[geometry.plane_of(normal)]
    ordered = positions[shuffle][stack]
    along = normal if normal @ direction > 0 else -normal
    np.testing.assert_allclose(np.diff(ordered @ along), 4.0, atol=1e-9)


def test_sagittal_slices_run_right_to_left_and_axial_head_to_foot() -> None:
    for along_columns, along_rows in SIGNED_AXES:
        positions, orientation, _ = series(along_columns, along_rows)
        (stack,) = group_into_stacks(positions, orientation)
        steps = np.diff(positions[stack], axis=0)
        plane = geometry.plane_of(np.cross(along_columns, along_rows))
        if plane is Plane.SAGITTAL:
            assert (steps[:, 0] > 0).all()  # +x is the patient's left
        elif plane is Plane.AXIAL:
            assert (steps[:, 2] < 0).all()  # +z is the head


def test_blocks_tilted_to_their_discs_are_stacks_ordered_by_their_centres() -> None:
    tilts = (7.0, 4.0, -4.0, -12.0, -28.0)
    centres = [tilted(t, slices=7, centre=np.array([0, 0, -35.0 * i])) for i, t in enumerate(tilts)]
    orientation = np.concatenate([tilted_orientation(t, 7) for t in tilts])
    shuffle = np.random.default_rng(0).permutation(35)
    stacks = group_into_stacks(np.concatenate(centres)[shuffle], orientation[shuffle])
    assert [sorted(shuffle[stack] // 7) for stack in stacks] == [[i] * 7 for i in range(5)]
    assert all((np.diff(shuffle[stack]) == 1).all() for stack in stacks)


@given(st.floats(0.3, 1.7), st.integers(4, 9), st.integers(4, 9))
def test_overlapping_parallel_blocks_are_never_interleaved(
    offset_mm: float, first: int, second: int
) -> None:
    upper = np.array([0.0, 0, -4.0]) * np.arange(first)[:, None]
    lower = upper[-3] + [0, 0, -offset_mm] + np.array([0.0, 0, -4.0]) * np.arange(second)[:, None]
    centres = np.concatenate([upper, lower])
    stacks = group_into_stacks(centres, tilted_orientation(0, first + second))
    blocks = sorted([np.arange(first).tolist(), np.arange(first, first + second).tolist()])
    assert sorted(stack.tolist() for stack in stacks) == blocks


def test_parallel_blocks_that_lie_apart_are_two_stacks_and_one_missing_slice_is_bridged() -> None:
    z = -np.array([0.0, 4, 8, 12, 27, 31, 35])
    centres = np.stack([np.zeros(7), np.zeros(7), z], axis=1)
    stacks = group_into_stacks(centres, tilted_orientation(0, 7))
    assert [stack.tolist() for stack in stacks] == [[0, 1, 2, 3], [4, 5, 6]]
    z[4:] += 8.4  # 6.6 mm after the last of the upper block: no whole number of steps
    stacks = group_into_stacks(np.stack([z * 0, z * 0, z], axis=1), tilted_orientation(0, 7))
    assert [stack.tolist() for stack in stacks] == [[0, 1, 2, 3], [4, 5, 6]]
    stacks = group_into_stacks(centres[[0, 1, 3]], tilted_orientation(0, 3))
    assert [stack.tolist() for stack in stacks] == [[0, 1, 2]]


def test_a_one_slice_stack_is_a_stack() -> None:
    (stack,) = group_into_stacks(np.zeros((1, 3)), tilted_orientation(0, 1))
    assert stack.tolist() == [0]


def test_a_block_tilted_by_48_degrees_belongs_to_its_axial_series() -> None:
    tilts = (0.0, -20.0, -48.0)
    centres = [tilted(t, slices=5, centre=np.array([0, 0, -35.0 * i])) for i, t in enumerate(tilts)]
    orientation = np.concatenate([tilted_orientation(t, 5) for t in tilts])
    stacks = group_into_stacks(np.concatenate(centres), orientation)
    assert np.concatenate(stacks).tolist() == list(range(15))
    steep = geometry.slice_affine((0, 0, 0), orientation[-1], (0.5, 0.5), 4.0)
    assert geometry.plane_of(geometry.normal_of(steep)) is Plane.CORONAL
    assert geometry.canonical_axes(steep, Plane.AXIAL) == (False, False, False)


@given(orientations, directions, st.floats(-25, 25))
def test_canonical_display_moves_pixels_and_keeps_points(
    axes: tuple[Array, Array], axis: Array, degrees: float
) -> None:
    turn = rotation(axis, degrees)
    _, _, affines = series(turn @ axes[0], turn @ axes[1])
    affine = affines[0]
    transpose, flip_rows, flip_columns = geometry.canonical_axes(affine)
    labels = np.arange(SHAPE[0] * SHAPE[1]).reshape(SHAPE)
    shown = labels.T if transpose else labels
    shown = shown[::-1] if flip_rows else shown
    shown = shown[:, ::-1] if flip_columns else shown
    canonical, shape = geometry.canonical_affine(affine, SHAPE)
    assert shown.shape == shape
    for row, column in ((0, 0), (2, 5), (shape[0] - 1, shape[1] - 1)):
        old_row, old_column = np.argwhere(labels == shown[row, column])[0]
        np.testing.assert_allclose(
            canonical @ [0, row, column, 1], affine @ [0, old_row, old_column, 1], atol=1e-9
        )
    display = geometry.CANONICAL_DIRECTIONS[geometry.plane_of(geometry.normal_of(affine))]
    assert (np.sum(display * canonical[:3, 1:3].T, axis=1) > 0).all()
    assert geometry.canonical_axes(canonical) == (False, False, False)
    np.testing.assert_allclose(canonical[:3, 0], affine[:3, 0])


@given(st.integers(2, 5), st.integers(1, 4))
def test_area_resampling_keeps_the_image_borders(row_factor: int, column_factor: int) -> None:
    _, _, affines = series(*SIGNED_AXES[0])
    small = geometry.resample_affine(affines[0], 1 / row_factor, 1 / column_factor)
    big_corner = affines[0] @ [0, -0.5, -0.5, 1]
    np.testing.assert_allclose(small @ [0, -0.5, -0.5, 1], big_corner, atol=1e-9)
    big_end = affines[0] @ [0, 4 * row_factor - 0.5, 3 * column_factor - 0.5, 1]
    np.testing.assert_allclose(small @ [0, 3.5, 2.5, 1], big_end, atol=1e-9)


def test_a_shifted_grid_starts_at_the_old_pixel() -> None:
    _, _, affines = series(*SIGNED_AXES[3])
    shifted = geometry.shift_affine(affines[0], rows=-3.5, columns=2.25)
    np.testing.assert_allclose(shifted @ [0, 0, 0, 1], affines[0] @ [0, -3.5, 2.25, 1])


@given(orientations, st.integers(0, 6), st.floats(-0.4, 0.4), st.floats(0, 11), st.floats(0, 8))
def test_locate_finds_the_nearest_slice_and_its_pixel(
    axes: tuple[Array, Array], index: int, shift: float, row: float, column: float
) -> None:
    _, _, affines = series(*axes)
    shapes = np.tile(SHAPE, (7, 1))
    position = geometry.index_vox_to_lps(affines, np.array([index + shift, row, column]))
    found = geometry.locate(affines, shapes, position)
    assert found.slice_index == index
    assert found.covered
    assert found.distance_mm == pytest.approx(abs(shift) * 4.0, abs=1e-6)
    assert (found.row, found.column) == pytest.approx((row, column), abs=1e-6)


@pytest.mark.parametrize(
    ("index", "covered"),
    [
        ((-0.99, 5, 5), True),
        ((-1.01, 5, 5), False),
        ((6.99, 5, 5), True),
        ((7.01, 5, 5), False),
        ((3, -0.49, 5), True),
        ((3, -0.51, 5), False),
        ((3, 11.49, 5), True),
        ((3, 5, 8.51), False),
    ],
)
def test_coverage_ends_one_spacing_and_half_a_pixel_outside(
    index: tuple[float, float, float], covered: bool
) -> None:
    _, _, affines = series(*SIGNED_AXES[0])
    position = geometry.index_vox_to_lps(affines, np.array(index, dtype=np.float64))
    assert geometry.locate(affines, np.tile(SHAPE, (7, 1)), position).covered is covered


def test_locate_prefers_the_block_that_is_tilted_like_the_disc() -> None:
    blocks = [
        geometry.slice_affine(centre - o[:3] * 50 - o[3:] * 50, o, (1.0, 1.0), 4.0)
        for t in (0.0, -28.0)
        for centre, o in zip(
            tilted(t, slices=3, centre=np.zeros(3)), tilted_orientation(t, 3), strict=True
        )
    ]
    affines, shapes = np.stack(blocks), np.tile((101, 101), (6, 1))
    position = np.array([0.0, 0.0, 0.4])
    for t, middle in ((0.0, 1), (-28.0, 4)):
        normal = rotation(np.array([1.0, 0, 0]), t) @ np.array([0.0, 0, 1])
        assert geometry.locate(affines, shapes, position, normal=normal).slice_index == middle
