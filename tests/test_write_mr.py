"""What is written is read back: geometry within 1e-6 mm, pixels exactly, bytes always the same."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fake_studies import AXIAL, SHARED_DATA, edit, series, slices
from lumbargrade.dicom import read_study
from lumbargrade.dicom.volume import RAS_TO_LPS, sagittal_slices
from lumbargrade.dicom.write_mr import (
    HeaderProfile,
    decimal_string,
    derived_uid,
    write_mr_series,
    write_mr_slice,
)
from lumbargrade.labels import View
from nifti import read_nifti

NIFTI = SHARED_DATA / "t2_lumbar_volume" / "t2_lumbar.nii.gz"


@given(st.floats(-2000, 2000))
def test_decimal_strings_fit_16_characters_and_keep_a_micrometre(value: float) -> None:
    text = decimal_string(value)
    assert len(text) <= 16
    assert abs(float(text) - value) <= 1e-6


@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_written_geometry_and_pixels_come_back(tmp_path: Path, profile: HeaderProfile) -> None:
    turn = np.deg2rad(17.3)
    orientation = np.array([0, np.cos(turn), -np.sin(turn), 0, -np.sin(turn), -np.cos(turn)])
    images = slices(orientation, count=6, centre_lps_mm=(1 / 3, -123.456789, 2 / 7))
    header = series(series_description="T2")
    paths = write_mr_series(tmp_path, header, images, profile=profile)
    assert [path.name for path in paths] == [f"{n}.dcm" for n in range(1, 7)]
    for path, image in zip(paths, images, strict=True):
        dataset = pydicom.dcmread(path)
        np.testing.assert_array_equal(dataset.pixel_array, image.pixels)
        for keyword, expected in (
            ("ImagePositionPatient", image.position_lps_mm),
            ("ImageOrientationPatient", image.image_orientation),
            ("PixelSpacing", image.pixel_spacing_mm),
        ):
            np.testing.assert_allclose(dataset[keyword].value, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_the_same_arguments_give_the_same_bytes(tmp_path: Path, profile: HeaderProfile) -> None:
    for name in ("a", "b"):
        write_mr_slice(tmp_path / name, series(), slices()[0], profile=profile)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_hospital_headers_say_what_an_mr_image_must_say(tmp_path: Path) -> None:
    write_mr_slice(tmp_path / "x", series(inversion_time_ms=160.0), slices()[0])
    dataset = pydicom.dcmread(tmp_path / "x")
    assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.ExplicitVRLittleEndian
    assert dataset.SOPClassUID == pydicom.uid.MRImageStorage
    assert (dataset.Modality, dataset.BodyPartExamined) == ("MR", "LSPINE")
    assert (dataset.EchoTime, dataset.RepetitionTime, dataset.InversionTime) == (100, 3500, 160)
    assert (dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit) == (16, 12, 11)


def test_rsna_headers_carry_25_tags_and_no_modality(tmp_path: Path) -> None:
    write_mr_slice(tmp_path / "x", series(), slices()[0], profile=HeaderProfile.RSNA)
    dataset = pydicom.dcmread(tmp_path / "x")
    assert dataset.file_meta.TransferSyntaxUID == pydicom.uid.RLELossless
    assert dataset.file_meta.MediaStorageSOPClassUID == pydicom.uid.EnhancedMRImageStorage
    assert len(dataset) == 25
    assert not {"Modality", "SOPClassUID", "EchoTime", "RepetitionTime"} & set(dataset.dir())


def test_pixels_beyond_12_bits_and_repeated_numbers_are_refused(tmp_path: Path) -> None:
    first, second = slices(count=2)
    bright = replace(first, pixels=np.full((4, 4), 4096, dtype=np.uint16))
    with pytest.raises(ValueError, match="below 4096, found 4096"):
        write_mr_slice(tmp_path / "x", series(), bright)
    with pytest.raises(ValueError, match="instance numbers must differ"):
        write_mr_series(tmp_path, series(), [first, replace(second, instance_number=1)])


def test_derived_uids_depend_on_their_parts_alone() -> None:
    assert derived_uid("a", 1) == derived_uid("a", 1)
    assert derived_uid("a", 1) != derived_uid("a", 2)
    assert pydicom.uid.UID(derived_uid("a", 1)).is_valid


def test_edit_helper_changes_what_the_reader_sees(tmp_path: Path) -> None:
    write_mr_slice(tmp_path / "x", series(), slices(AXIAL)[0])
    edit(tmp_path / "x", Modality="CT", EchoTime=None)
    dataset = pydicom.dcmread(tmp_path / "x")
    assert dataset.Modality == "CT"
    assert "EchoTime" not in dataset


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
@pytest.mark.parametrize("flipped", [(), (0,), (1, 2)])
def test_a_voxel_of_a_volume_keeps_its_place(
    order: tuple[int, int, int], flipped: tuple[int, ...]
) -> None:
    volume = np.zeros((16, 30, 24))  # x right to left, y front to back, z foot to head
    volume[4:8, 13, 17] = 1.0
    affine = np.diag([1.0, 2.0, 3.0, 1.0])
    affine[:3, 3] = -10, -20, -30
    bright = affine @ [5.5, 13, 17, 1]
    stored, stored_affine = volume.transpose(order), affine[:, [*order, 3]]
    for axis in flipped:
        stored = np.flip(stored, axis)
        stored_affine = stored_affine.copy()
        stored_affine[:, 3] += stored_affine[:, axis] * (stored.shape[axis] - 1)
        stored_affine[:, axis] *= -1
    images = sagittal_slices(
        stored, stored_affine, thickness_mm=4, spacing_mm=4, sop_instance_uid=str
    )
    assert len(images) == 4
    brightest = max(images, key=lambda image: int(image.pixels.max()))
    row, column = np.argwhere(brightest.pixels == 4095)[0]
    along_columns, along_rows = brightest.image_orientation.reshape(2, 3)
    between_rows, between_columns = brightest.pixel_spacing_mm
    place = (
        brightest.position_lps_mm
        + along_rows * between_rows * row
        + along_columns * between_columns * column
    )
    np.testing.assert_allclose(place, bright[:3], atol=1e-9)


def test_slabs_average_the_voxels_they_share() -> None:
    volume = np.arange(6.0)[:, None, None] * np.ones((1, 4, 4))
    images = sagittal_slices(
        volume, np.eye(4), thickness_mm=2.5, spacing_mm=3.0, sop_instance_uid=str
    )
    # slabs over 0.25..2.75 and 3.25..5.75 mm from the first voxel's edge, at 4095 / 4.3 per unit
    low = (0.75 * 0 + 1 * 1 + 0.75 * 2) / 2.5
    high = (0.75 * 3 + 1 * 4 + 0.75 * 5) / 2.5
    assert [int(image.pixels[0, 0]) for image in images] == [round(4095 * low / high), 4095]
    assert [image.position_lps_mm[0] for image in images] == pytest.approx([1.0, 4.0])


def test_a_volume_thinner_than_a_slab_is_refused() -> None:
    with pytest.raises(ValueError, match="thinner than the volume's 3.00 mm"):
        sagittal_slices(
            np.ones((3, 4, 4)), np.eye(4), thickness_mm=4, spacing_mm=4, sop_instance_uid=str
        )


@pytest.mark.skipif(not NIFTI.is_file(), reason="the real volume is not beside the repository")
def test_a_real_volume_becomes_a_sagittal_t2_study(tmp_path: Path) -> None:
    voxels, ras = read_nifti(NIFTI)
    images = sagittal_slices(
        voxels,
        RAS_TO_LPS @ ras,
        thickness_mm=4,
        spacing_mm=4,
        sop_instance_uid=lambda number: derived_uid("volume", number),
    )
    header = series(slice_thickness_mm=4.0, spacing_between_slices_mm=4.0)
    write_mr_series(tmp_path, header, images)
    study = read_study(tmp_path)
    (found,) = study.series_of(View.SAGITTAL_T2)
    assert len(found.slices) == 9  # 38 mm in slices of 4 mm
    middle = found.slices[4]
    assert middle.pixels.shape == (201, 257) or middle.pixels.shape == (257, 201)
    # the brightest voxel of the volume lies where the slices say it does
    brightest = np.unravel_index(int(voxels.argmax()), voxels.shape)
    place = (RAS_TO_LPS @ ras @ [*brightest, 1])[:3]
    distances = []
    for image in found.slices:
        row, column = np.unravel_index(int(image.pixels.argmax()), image.pixels.shape)
        distances.append(np.linalg.norm((image.affine @ [0, row, column, 1])[:3] - place))
    assert min(distances) < 4.0
