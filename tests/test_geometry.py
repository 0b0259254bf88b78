"""Round trips over axis orders, flips and oblique planes; display; coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_geometry import (
    SHAPE,
    SIGNED_AXES,
    Array,
    coordinates,
    directions,
    orientations,
    rotation,
    series,
    tilted,
    tilted_orientation,
    tilts,
)
from lumbargrade import geometry
from lumbargrade.geometry import Plane


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


@given(orientations, directions, tilts, coordinates)
def test_a_position_keeps_its_place_through_display_shift_and_resampling(
    axes: tuple[Array, Array], axis: Array, degrees: float, index: Array
) -> None:
    """Whatever is done to the pixels' grid, millimetres lead back to where they were."""
    turn = rotation(axis, degrees)
    _, _, affines = series(turn @ axes[0], turn @ axes[1])
    position = affines[0] @ [0.0, index[1], index[2], 1.0]
    moved, shape = geometry.canonical_affine(affines[0], SHAPE)
    moved = geometry.shift_affine(moved, rows=-2.5, columns=1.25)
    moved = geometry.resample_affine(moved, 0.5, 2.0)
    row, column = np.linalg.solve(moved, position)[1:3]
    row, column = (row + 0.5) / 0.5 - 0.5 - 2.5, (column + 0.5) / 2.0 - 0.5 + 1.25
    transpose, flip_rows, flip_columns = geometry.canonical_axes(affines[0])
    row = shape[0] - 1 - row if flip_rows else row
    column = shape[1] - 1 - column if flip_columns else column
    found = (column, row) if transpose else (row, column)
    np.testing.assert_allclose(found, index[1:], atol=1e-9)


@given(orientations, directions, st.floats(-25, 25), coordinates)
def test_every_slices_own_coordinates_lead_to_the_same_place(
    axes: tuple[Array, Array], axis: Array, degrees: float, index: Array
) -> None:
    turn = rotation(axis, degrees)
    positions, _, affines = series(turn @ axes[0], turn @ axes[1])
    place = geometry.index_vox_to_lps(affines, index)
    normal = geometry.normal_of(affines[0])
    for k, (distance, row, column) in enumerate(geometry.lps_to_slices(affines, place)):
        foot = affines[k] @ [0.0, row, column, 1.0]
        np.testing.assert_allclose(foot[:3] + distance * normal, place, atol=1e-9)
        assert distance == pytest.approx(float((place - positions[k]) @ normal), abs=1e-9)


@given(directions, st.floats(-40, 40))
def test_up_to_40_degrees_the_plane_is_that_of_the_nearest_axis(
    axis: Array, degrees: float
) -> None:
    for number, plane in enumerate((Plane.SAGITTAL, Plane.CORONAL, Plane.AXIAL)):
        normal = rotation(axis, degrees) @ np.eye(3)[number]
        assert geometry.plane_of(normal) is plane
        assert geometry.plane_of(-normal) is plane
