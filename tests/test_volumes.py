from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_geometry import tilted, tilted_orientation
from lumbargrade.geometry import index_vox_to_lps, lps_to_slices, slice_affine
from lumbargrade.labels import View
from lumbargrade.records import InvalidStudyError, Series, SliceImage, Study
from lumbargrade.volumes import (
    letterbox,
    scale_pixels_to_bytes,
    square_volume,
    view_volume,
    view_volumes,
)

SAGITTAL = np.array([0, 1, 0, 0, 0, -1.0])
AXIAL = np.array([1, 0, 0, 0, 1, 0.0])


def slice_image(affine: np.ndarray, pixels: np.ndarray, *, stack: int = 0) -> SliceImage:
    return SliceImage(
        pixels=pixels.astype(np.float32),
        affine=affine,
        stack=stack,
        sop_instance_uid="1.2",
        instance_number=1,
        frame_number=None,
        path=Path("1.dcm"),
    )


def study_of(*all_series: tuple[View, list[SliceImage]]) -> Study:
    series = tuple(
        Series(
            series_uid=f"1.2.{index}",
            series_id=str(index),
            description="",
            view=view,
            reason="",
            slices=tuple(slices),
        )
        for index, (view, slices) in enumerate(all_series)
    )
    return Study(study_uid="1", study_id="1", series=series, reports=())


def dot(affine: np.ndarray, shape: tuple[int, int], point: np.ndarray) -> np.ndarray:
    """Brightest at a position."""
    _, row, column = lps_to_slices(affine[None], point)[0]
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    image: np.ndarray = 10 + 1000 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 18)
    return image


@pytest.mark.parametrize(
    "orientation",
    [
        (0, 1, 0, 0, 0, -1),
        (0, -1, 0, 0, 0, -1),
        (0, 1, 0, 0, 0, 1),
        (0, 0, -1, 0, 1, 0),
        (0, 0, 1, 0, -1, 0),
    ],
)
def test_any_storage_order_is_shown_head_up_and_front_left(orientation: tuple[float, ...]) -> None:
    centre = np.array([3.0, 20.0, -40.0])
    directions = np.array(orientation, dtype=float).reshape(2, 3)
    shape, spacing = (30, 40), (2.0, 2.0)
    origin = centre - directions[0] * 2.0 * 19.5 - directions[1] * 2.0 * 14.5
    affine = slice_affine(origin, orientation, spacing, 4.0)
    point = centre + np.array([0, -6.0, 12.0])  # front of the middle, above it
    shown = view_volume(
        study_of((View.SAGITTAL_T2, [slice_image(affine, dot(affine, shape, point))])),
        View.SAGITTAL_T2,
    )
    row, column = np.argwhere(shown.slices[0] == 255).mean(axis=0)
    middle = (np.array(shown.slices[0].shape) - 1) / 2
    assert row < middle[0]
    assert column < middle[1]
    found = index_vox_to_lps(shown.affines, np.array([0.0, row, column]))
    assert np.abs(found - point).max() < 1.0  # half a pixel of 2 mm
    np.testing.assert_allclose(shown.affines[0][:3, 1], [0, 0, -2.0], atol=1e-12)
    np.testing.assert_allclose(shown.affines[0][:3, 2], [0, 2.0, 0], atol=1e-12)


def test_stacks_of_several_series_follow_each_other_from_head_to_foot() -> None:
    def block(z_values: list[float], stack: int) -> list[SliceImage]:
        return [
            slice_image(
                slice_affine((0, 0, z), AXIAL, (1, 1), 4.0),
                np.random.default_rng(int(z)).uniform(1, 9, (8, 8)),
                stack=stack,
            )
            for z in z_values
        ]

    low, high = block([10, 6], 0), block([90, 86], 0)
    middle = block([50, 46], 1)
    volume = view_volume(
        study_of((View.AXIAL_T2, [*low, *middle]), (View.AXIAL_T2, high)), View.AXIAL_T2
    )
    np.testing.assert_array_equal(volume.affines[:, 2, 3], [90, 86, 50, 46, 10, 6])
    np.testing.assert_array_equal(volume.stack_ids, [0, 0, 1, 1, 2, 2])
    np.testing.assert_array_equal(volume.series_index, [1, 1, 0, 0, 0, 0])
    np.testing.assert_array_equal(volume.slice_index, [0, 1, 2, 3, 0, 1])


@pytest.mark.parametrize("tilt_deg", [-12.0, -44.0, -48.0, -65.0])
def test_a_steep_block_keeps_its_place_from_head_to_foot(tilt_deg: float) -> None:
    """Beyond 45° its own nearest plane is coronal; the view's reading direction counts."""
    tilts = (7.0, 0.0, tilt_deg)
    blocks = []
    for stack, tilt in enumerate(tilts):
        orientation = tilted_orientation(tilt, 1)[0]
        for centre in tilted(tilt, slices=3, centre=np.array([0.0, -80 * stack, -35.0 * stack])):
            corner = centre - 3.5 * orientation[:3] - 3.5 * orientation[3:]
            affine = slice_affine(corner, orientation, (1, 1), 4.0)
            blocks.append(slice_image(affine, np.arange(64.0).reshape(8, 8), stack=stack))
    volume = view_volume(study_of((View.AXIAL_T2, blocks)), View.AXIAL_T2)
    np.testing.assert_array_equal(volume.slice_index, np.arange(9))
    np.testing.assert_array_equal(volume.stack_ids, np.repeat([0, 1, 2], 3))


def test_brightness_is_scaled_over_the_whole_series_without_its_black_border() -> None:
    dark = np.zeros((20, 20))
    dark[5:] = 100.0
    bright = np.zeros((20, 20))
    bright[5:] = np.linspace(100, 300, 15 * 20).reshape(15, 20)
    low, high = scale_pixels_to_bytes([dark, bright], name="x")
    assert low[10, 10] == 0  # the same 100 on either slice
    assert high[-1, -1] == 255
    assert abs(int(high[12, 10]) - 127) < 8
    assert low.dtype == np.uint8


@pytest.mark.parametrize("level", [0.0, 7.0])
def test_a_constant_series_is_refused_by_name(level: float) -> None:
    affine = slice_affine((0, 0, 0), SAGITTAL, (1, 1), 4.0)
    study = study_of((View.SAGITTAL_T2, [slice_image(affine, np.full((9, 9), level))]))
    with pytest.raises(InvalidStudyError, match=r"series 1\.2\.0: no brightness"):
        view_volumes(study)


def test_a_missing_view_has_no_entry_and_cannot_be_asked_for() -> None:
    affine = slice_affine((0, 0, 0), SAGITTAL, (1, 1), 4.0)
    ramp = np.arange(81.0).reshape(9, 9)
    study = study_of((View.SAGITTAL_T2, [slice_image(affine, ramp)]))
    assert list(view_volumes(study)) == [View.SAGITTAL_T2]
    with pytest.raises(InvalidStudyError, match="study 1 has no axial T2"):
        view_volume(study, View.AXIAL_T2)


@pytest.mark.parametrize("shape", [(200, 200), (300, 181), (97, 260), (64, 64), (40, 31)])
@pytest.mark.parametrize("spacing", [(0.6, 0.6), (0.9, 0.5)])
def test_letterbox_keeps_a_blob_where_its_position_says(
    shape: tuple[int, int], spacing: tuple[float, float]
) -> None:
    affine = slice_affine((5, -60, 80), SAGITTAL, spacing, 4.5)
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    centre = np.array([0.37 * shape[0], 0.61 * shape[1]])
    distance = np.hypot((rows - centre[0]) * spacing[0], (columns - centre[1]) * spacing[1])
    sigma_mm = 0.04 * max(shape[0] * spacing[0], shape[1] * spacing[1])
    blob = (250 * np.exp(-0.5 * (distance / sigma_mm) ** 2)).astype(np.uint8)
    square, new = letterbox(blob, affine, 96)
    weights = square.astype(float)
    found = np.array([(np.indices(square.shape)[axis] * weights).sum() for axis in (0, 1)])
    found /= weights.sum()
    truth = (affine @ [0, *centre, 1])[:3]
    _, row, column = lps_to_slices(new[None], truth)[0]
    assert np.abs(found - [row, column]).max() < 0.15  # of a new pixel
    lengths = np.linalg.norm(new[:3, 1:3], axis=0)
    assert lengths[0] == pytest.approx(lengths[1], rel=1e-9)
    side_mm = max(shape[0] * spacing[0], shape[1] * spacing[1])
    assert lengths[0] == pytest.approx(side_mm / 96, rel=1e-9)


def test_letterbox_pads_with_black_and_does_not_stretch() -> None:
    affine = slice_affine((0, 0, 0), SAGITTAL, (1, 1), 4.0)
    square, _ = letterbox(np.full((100, 50), 200, dtype=np.uint8), affine, 64)
    assert square.shape == (64, 64)
    assert (square[:, :15] == 0).all()
    assert (square[:, 49:] == 0).all()
    assert (square[:, 17:47] == 200).all()


def test_shrinking_averages_instead_of_picking() -> None:
    checkers = (np.indices((256, 256)).sum(axis=0) % 2 * 200).astype(np.uint8)
    affine = slice_affine((0, 0, 0), SAGITTAL, (1, 1), 4.0)
    square, _ = letterbox(checkers, affine, 64)
    assert np.abs(square.astype(int) - 100).max() <= 2


def test_slices_of_different_size_share_one_square_matrix() -> None:
    first = slice_affine((0, 0, 0), SAGITTAL, (1, 1), 4.0)
    second = slice_affine((4, 0, 0), SAGITTAL, (2, 2), 4.0)
    ramp = np.add.outer(np.arange(60.0), np.arange(60.0)) + 1
    study = study_of(
        (View.SAGITTAL_T1, [slice_image(first, ramp)]),
        (View.SAGITTAL_T1, [slice_image(second, ramp[:40, :30])]),
    )
    square = square_volume(view_volume(study, View.SAGITTAL_T1), 48)
    assert square.pixels.shape == (2, 48, 48)
    assert square.affines.shape == (2, 4, 4)
    np.testing.assert_allclose(square.affines[:, 0, 3], [0, 4])


def test_the_studys_own_order_of_series_does_not_change_the_volume() -> None:
    def one(x: float) -> SliceImage:
        pixels = np.random.default_rng(int(x)).uniform(1, 9, (8, 8))
        return slice_image(slice_affine((x, 0, 0), SAGITTAL, (1, 1), 4.0), pixels)

    study = study_of((View.SAGITTAL_T1, [one(0), one(4)]), (View.SAGITTAL_T1, [one(20), one(24)]))
    turned = replace(study, series=study.series[::-1])
    for a, b in zip(
        view_volume(study, View.SAGITTAL_T1).slices,
        view_volume(turned, View.SAGITTAL_T1).slices,
        strict=True,
    ):
        np.testing.assert_array_equal(a, b)
