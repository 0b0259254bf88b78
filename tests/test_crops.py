import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fake_geometry import Array, directions, orientations, rotation, series
from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import cut_crops, stack_neighbours, wider
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import TARGETS, Flag, View
from lumbargrade.records import Crop, Landmark, ViewVolume
from lumbargrade.settings import ConfigError

CANAL_L4_L5 = TARGETS[3]
SETTINGS = CropSettings(slices=5, size_px=32, side_mm=32.0)


def sagittal_volume(
    images: list[np.ndarray],
    *,
    spacing_mm: tuple[float, float] = (1.0, 1.0),
    thickness_mm: float = 4.0,
    stack_ids: list[int] | None = None,
) -> ViewVolume:
    """Slices from the patient's right to left; columns run to the back, rows to the feet."""
    affines = np.stack(
        [
            slice_affine((k * thickness_mm, 0, 0), (0, 1, 0, 0, 0, -1), spacing_mm, thickness_mm)
            for k in range(len(images))
        ]
    )
    return ViewVolume(
        view=View.SAGITTAL_T2,
        slices=images,
        affines=affines,
        stack_ids=np.array(stack_ids or [0] * len(images)),
        series_index=np.zeros(len(images), dtype=int),
        slice_index=np.arange(len(images)),
    )


def crop_at(
    volume: ViewVolume, index_vox: tuple[float, float, float], settings: CropSettings = SETTINGS
) -> Crop:
    slice_index, row, column = index_vox
    position = volume.affines[0] @ np.array([0, row, column, 1.0])
    position[0] = slice_index * 4.0
    landmark = Landmark(target=CANAL_L4_L5, position_lps_mm=position[:3], score=1.0)
    (crop,) = cut_crops({volume.view: volume}, [landmark], settings)
    assert crop is not None
    return crop


def gradient(rows: int = 100, columns: int = 120) -> np.ndarray:
    return np.add.outer(np.arange(rows), np.arange(columns)).astype(np.uint8)


def test_crop_samples_pixels_at_their_millimetres() -> None:
    crop = crop_at(sagittal_volume([gradient()] * 7), (3, 50.5, 60.5))
    # 32 px over 32 mm at 1 mm: pixel centres 35..66 and 45..76
    expected = gradient()[35:67, 45:77] / 255
    np.testing.assert_allclose(crop.pixels[2], expected, atol=1e-6)


@pytest.mark.parametrize("spacing", [(0.5, 0.5), (0.5, 0.8), (1.7, 0.6)])
def test_crop_shows_the_same_millimetres_at_any_pixel_size(spacing: tuple[float, float]) -> None:
    """A linear ramp in mm looks the same whatever grid it was stored on."""
    row_mm = np.arange(round(100 / spacing[0])) * spacing[0]
    column_mm = np.arange(round(100 / spacing[1])) * spacing[1]
    ramp = np.rint(np.add.outer(row_mm, column_mm)).astype(np.uint8)
    volume = sagittal_volume([ramp] * 5, spacing_mm=spacing)
    crop = crop_at(volume, (2, 50 / spacing[0], 50 / spacing[1]))
    offsets = np.arange(32) - 15.5
    expected = (100 + np.add.outer(offsets, offsets)) / 255
    np.testing.assert_allclose(crop.pixels[2], expected, atol=0.6 / 255)


def test_finer_images_are_averaged_not_sampled() -> None:
    checkerboard = (np.indices((400, 400)).sum(axis=0) % 2 * 255).astype(np.uint8)
    volume = sagittal_volume([checkerboard] * 5, spacing_mm=(0.25, 0.25))
    crop = crop_at(volume, (2, 200, 200))
    np.testing.assert_allclose(crop.pixels[2], 0.5, atol=0.01)


def test_border_landmark_is_zero_padded_not_stretched() -> None:
    volume = sagittal_volume([np.full((100, 120), 255, np.uint8)] * 5)
    crop = crop_at(volume, (2, 0.0, 119.0))
    # centred on the corner pixel: 15.5 px above and to the right of it lie outside
    assert (crop.pixels[:, :15] == 0).all()
    assert (crop.pixels[:, :, 17:] == 0).all()
    np.testing.assert_allclose(crop.pixels[:, 16:, :15], 1.0)


def test_landmark_far_outside_the_image_gives_zeros() -> None:
    volume = sagittal_volume([np.full((100, 120), 255, np.uint8)] * 5)
    assert crop_at(volume, (2, 400.0, -300.0)).pixels.max() == 0


@pytest.mark.parametrize(
    ("middle", "expected"),
    [
        (0, [None, None, 0, 1, 2]),
        (2, [0, 1, 2, 3, None]),
        (3, [1, 2, 3, None, None]),
        (4, [None, None, 4, 5, None]),
        (5, [None, 4, 5, None, None]),
    ],
)
def test_neighbours_never_cross_stacks_or_wrap_around(
    middle: int, expected: list[int | None]
) -> None:
    assert stack_neighbours(np.array([0, 0, 0, 0, 1, 1]), middle, 5) == expected


def test_crop_never_crosses_stacks() -> None:
    images = [np.full((100, 120), 10 * (k + 1), np.uint8) for k in range(6)]
    volume = sagittal_volume(images, stack_ids=[0, 0, 0, 1, 1, 1])
    crop = crop_at(volume, (2, 50, 60))
    assert crop.slice_present.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(crop.pixels[:, 16, 16] * 255, [10, 20, 30, 0, 0], atol=1e-4)


@pytest.mark.parametrize("beside", [-0.49, -0.3, 0.0, 0.3, 0.49])
def test_a_point_between_slices_is_shown_by_whole_slices_never_by_a_mixture(beside: float) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (100, 120), dtype=np.uint8) for _ in range(7)]
    crop = crop_at(sagittal_volume(images), (3 + beside, 50.5, 60.5))
    expected = np.stack([image[35:67, 45:77] for image in images[1:6]]) / 255
    np.testing.assert_allclose(crop.pixels, expected, atol=1e-6)


def test_one_slice_stack_gives_one_slice() -> None:
    crop = crop_at(sagittal_volume([gradient()]), (0, 50, 60))
    assert crop.slice_present.tolist() == [False, False, True, False, False]
    assert crop.pixels[[0, 1, 3, 4]].max() == 0


def test_crop_affine_leads_back_to_the_landmark_and_its_neighbour() -> None:
    volume = sagittal_volume([gradient()] * 7, spacing_mm=(0.5, 0.7))
    crop = crop_at(volume, (3, 80.25, 60.75))
    centre = crop.affine @ np.array([0, 15.5, 15.5, 1])
    np.testing.assert_allclose(centre[:3], [12.0, 60.75 * 0.7, -80.25 * 0.5], atol=1e-9)
    following = crop.affine @ np.array([1, 15.5, 15.5, 1])
    assert following[0] == pytest.approx(16.0)  # towards the patient's left, as the stack runs


def test_landmark_without_position_gives_no_crop() -> None:
    missing = Landmark(
        target=CANAL_L4_L5, position_lps_mm=None, score=0.0, flags=(Flag.VIEW_MISSING,)
    )
    assert cut_crops({}, [missing], SETTINGS) == [None]


def test_position_on_a_missing_view_is_refused() -> None:
    landmark = Landmark(target=CANAL_L4_L5, position_lps_mm=np.zeros(3), score=1.0)
    with pytest.raises(ValueError, match="no sagittal_t2"):
        cut_crops({}, [landmark], SETTINGS)


def test_wider_crop_holds_the_crop_in_its_middle() -> None:
    volume = sagittal_volume([gradient()] * 9)
    crop = crop_at(volume, (4, 50.2, 60.7))
    large = crop_at(volume, (4, 50.2, 60.7), wider(SETTINGS, margin_px=6, margin_slices=1))
    assert large.pixels.shape == (7, 44, 44)
    np.testing.assert_allclose(large.pixels[1:-1, 6:-6, 6:-6], crop.pixels, atol=1e-6)


@settings(max_examples=40)
@given(
    orientations, directions, st.floats(-40, 40),
    st.integers(0, 4), st.floats(-0.49, 0.49), st.floats(35, 45), st.floats(40, 50),
)  # fmt: skip
def test_a_crop_shows_what_lies_at_its_millimetres_in_any_orientation(
    axes: tuple[Array, Array], axis: Array, degrees: float,
    index: int, beside: float, row: float, column: float,
) -> None:  # fmt: skip
    """The images hold a linear function of the place in the patient, and so must the crop."""
    turn = rotation(axis, degrees)
    _, _, affines = series(turn @ axes[0], turn @ axes[1], slices=5, pixel_mm=(0.7, 0.6))
    centre = (affines[2] @ [0, 40, 45, 1.0])[:3]

    def painted(places: Array) -> Array:
        brightness: Array = 128 + (places - centre) @ np.array([1.1, -0.9, 0.7])
        return brightness

    rows, columns = np.mgrid[:81, :91]
    grid = np.stack([rows * 0, rows, columns, rows * 0 + 1], axis=-1).astype(float)
    images = [np.rint(painted((grid @ a.T)[..., :3])).astype(np.uint8) for a in affines]
    zero = np.zeros(5, dtype=int)
    volume = ViewVolume(
        view=View.SAGITTAL_T2, slices=images, affines=affines,
        stack_ids=zero, series_index=zero, slice_index=np.arange(5),
    )  # fmt: skip
    position = (affines[index] @ [beside, row, column, 1.0])[:3]
    landmark = Landmark(target=CANAL_L4_L5, position_lps_mm=position, score=1.0)
    small = CropSettings(slices=3, size_px=20, side_mm=20.0)
    (crop,) = cut_crops({volume.view: volume}, [landmark], small)
    assert crop is not None
    rows, columns = np.mgrid[:20, :20]
    grid = np.stack([rows * 0, rows, columns, rows * 0 + 1], axis=-1).astype(float)
    expected = painted((grid @ crop.affine.T)[..., :3])
    assert np.abs(crop.pixels[1] * 255 - expected).max() <= 0.51


def test_crops_on_the_images_grid_follow_its_proportions_and_their_affine_says_so() -> None:
    """Of an image of 128 x 192 px taken as 64 x 64, a sample is 2 px high and 3 px wide."""
    on_grid = CropSettings(slices=3, size_px=20, grid_px=64)
    image = np.add.outer(np.arange(128) * 1.0, np.arange(192) * 0.5).astype(np.uint8)
    crop = crop_at(sagittal_volume([image] * 5), (2, 60, 90), on_grid)
    offsets = np.arange(20) - 9.5
    expected = 60 + 45 + np.add.outer(offsets * 2, offsets * 3 * 0.5)
    np.testing.assert_allclose(crop.pixels[1] * 255, expected, atol=1.0)
    np.testing.assert_allclose(np.linalg.norm(crop.affine[:3, 1:3], axis=0), [2.0, 3.0])


def test_a_view_can_have_crops_of_its_own_size_in_the_same_number_of_pixels() -> None:
    settings = CropSettings.from_dict(
        {"slices": 3, "size_px": 20, "side_mm": 40.0, "view_side_mm": {"sagittal_t2": 20.0}}
    )
    assert CropSettings.from_dict(settings.model_dump()) == settings
    volume = sagittal_volume([gradient()] * 5)
    own = crop_at(volume, (2, 50, 60), settings)
    alone = crop_at(volume, (2, 50, 60), CropSettings(slices=3, size_px=20, side_mm=20.0))
    np.testing.assert_array_equal(own.pixels, alone.pixels)
    np.testing.assert_array_equal(own.affine, alone.affine)
    assert settings.for_view(View.SAGITTAL_T1) == CropSettings(slices=3, size_px=20, side_mm=40.0)
    around = crop_at(volume, (2, 50, 60), wider(settings, margin_px=4, margin_slices=0))
    np.testing.assert_allclose(around.pixels[:, 4:-4, 4:-4], own.pixels, atol=1e-6)


def test_sides_by_view_say_nothing_on_the_images_grid() -> None:
    with pytest.raises(ConfigError, match="view_side_mm says nothing"):
        CropSettings.from_dict({"grid_px": 512, "view_side_mm": {"axial_t2": 28.0}})
