"""Slices stand where their tags say, or their series is refused by name."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from fake_studies import T1_TIMES, edit, edit_all, only_series, positions, refusal, series, slices
from fuzz_mutations import TAGS, encode, find_element
from lumbargrade.dicom import read_study
from lumbargrade.dicom.write_mr import write_mr_series


def test_slices_come_in_geometric_order_whatever_names_and_numbers(tmp_path: Path) -> None:
    images = slices(count=9)
    shuffled = np.random.default_rng(1).permutation(9)
    renumbered = [replace(images[i], instance_number=int(n) + 1) for n, i in enumerate(shuffled)]
    write_mr_series(tmp_path / "a", series(), renumbered)
    for index, path in enumerate(sorted((tmp_path / "a").iterdir())):
        nested = tmp_path / "b" / f"{index % 3}" / f"IM{7919 * index % 101:06d}"  # no suffix
        nested.parent.mkdir(parents=True, exist_ok=True)
        path.rename(nested)
    found = only_series(read_study(tmp_path))
    np.testing.assert_allclose(np.diff(positions(found)[:, 0]), 4.4, atol=1e-6)
    expected = sorted(images, key=lambda image: image.position_lps_mm[0])
    for read, written in zip(found.slices, expected, strict=True):
        assert read.sop_instance_uid == written.sop_instance_uid
        np.testing.assert_array_equal(read.pixels, written.pixels)


def test_planted_points_come_back_within_a_micrometre(tmp_path: Path) -> None:
    images = slices(centre_lps_mm=(1 / 3, -61.2345678, 812.7))
    write_mr_series(tmp_path, series(), images)
    by_uid = {image.sop_instance_uid: image for image in images}
    for read in only_series(read_study(tmp_path)).slices:
        written = by_uid[read.sop_instance_uid]
        along_columns, along_rows = written.image_orientation.reshape(2, 3)
        point = written.position_lps_mm + 5.0 * (17.25 * along_rows + 8.5 * along_columns)
        np.testing.assert_allclose((read.affine @ [0, 17.25, 8.5, 1])[:3], point, atol=1e-6)


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"PixelSpacing": None}, "PixelSpacing is missing"),
        ({"PixelSpacing": [0, 0]}, "PixelSpacing is missing, malformed or not positive"),
        ({"PixelSpacing": [0.5]}, "PixelSpacing is missing"),
        ({"ImageOrientationPatient": None}, "ImageOrientationPatient is missing"),
        ({"ImagePositionPatient": None}, "ImagePositionPatient is missing"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0.5, -1]}, "is not orthonormal"),
        ({"ImageOrientationPatient": [0, 0, 0, 0, 0, 0]}, "is not orthonormal"),
        ({"SOPInstanceUID": None}, "SOPInstanceUID is missing"),
        ({"FrameOfReferenceUID": "1.2.3"}, "2 frames of reference in one series"),
        ({"FrameOfReferenceUID": None}, "2 frames of reference in one series"),
    ],
)
def test_a_slice_that_cannot_be_placed_refuses_its_series_by_name(
    sagittal: Path, tags: dict[str, Any], reason: str
) -> None:
    edit(sagittal / "7.dcm", **tags)
    text = refusal(sagittal)
    assert reason in text
    assert "study/7.dcm" in text


def test_a_malformed_number_counts_as_missing(sagittal: Path) -> None:
    path = sagittal / "7.dcm"
    path.write_bytes(path.read_bytes().replace(b"5.0\\5.0", b"x.0\\5.0"))
    assert "PixelSpacing is missing, malformed" in refusal(sagittal)


def test_slice_spacing_is_measured_before_it_is_believed(sagittal: Path) -> None:
    edit_all(sagittal, SpacingBetweenSlices="9.9", SliceThickness="1")
    spacing = np.linalg.norm(only_series(read_study(sagittal)).slices[0].affine[:3, 0])
    assert spacing == pytest.approx(4.4, abs=1e-6)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [({}, 4.4), ({"SpacingBetweenSlices": None}, 4.0)],
)
def test_a_lone_slice_takes_its_spacing_from_its_tags(
    tmp_path: Path, tags: dict[str, Any], expected: float
) -> None:
    images = [*slices(count=8), slices(count=1, centre_lps_mm=(60, 0, 0), first_number=9)[0]]
    write_mr_series(tmp_path, series(), images)
    edit_all(tmp_path, **tags)
    found = only_series(read_study(tmp_path))
    assert [image.stack for image in found.slices] == [0] * 8 + [1]
    assert np.linalg.norm(found.slices[-1].affine[:3, 0]) == pytest.approx(expected)


def test_a_lone_slice_without_any_spacing_is_refused(tmp_path: Path) -> None:
    images = [*slices(count=8), slices(count=1, centre_lps_mm=(60, 0, 0), first_number=9)[0]]
    write_mr_series(tmp_path, series(), images)
    edit_all(tmp_path, SpacingBetweenSlices=None, SliceThickness=None)
    assert "a lone slice without SpacingBetweenSlices and SliceThickness" in refusal(tmp_path)


def test_duplicates_are_left_out_with_a_warning(sagittal: Path) -> None:
    shutil.copy(sagittal / "3.dcm", sagittal / "copy.dcm")
    shutil.copy(sagittal / "4.dcm", sagittal / "again.dcm")
    edit(sagittal / "again.dcm", SOPInstanceUID="1.2.3.4", InstanceNumber=99)
    study = read_study(sagittal)
    assert len(only_series(study).slices) == 12
    assert any("1 left out, copies of the same SOP instance" in line for line in study.warnings)
    assert any("1 left out, at the place of another slice" in line for line in study.warnings)
    assert any(line.endswith("study/again.dcm") for line in study.warnings)


def test_one_uid_at_two_places_is_refused(sagittal: Path) -> None:
    edit(sagittal / "5.dcm", SOPInstanceUID=pydicom.dcmread(sagittal / "4.dcm").SOPInstanceUID)
    assert "share one SOPInstanceUID" in refusal(sagittal)


def test_a_missing_slice_is_a_warning(sagittal: Path) -> None:
    (sagittal / "6.dcm").unlink()
    study = read_study(sagittal)
    assert len(only_series(study).slices) == 11
    assert any("gap of 8.8 mm in stack 1" in line for line in study.warnings)


def test_slices_of_different_matrices_keep_their_own_pixels(sagittal: Path) -> None:
    images = slices(count=2, shape=(30, 36), centre_lps_mm=(30.8, 0, 0), first_number=13)
    write_mr_series(sagittal, series(), images)
    study = read_study(sagittal)
    shapes = {image.pixels.shape for image in only_series(study).slices}
    assert shapes == {(48, 40), (30, 36)}
    assert any("different matrices: 30 x 36, 48 x 40" in line for line in study.warnings)


def put_value(path: Path, tag: str, value: str) -> None:
    """Write a value that pydicom would not: the element's bytes are replaced."""
    raw = path.read_bytes()
    found = find_element(raw, TAGS[tag], np.random.default_rng(0))
    assert found is not None
    path.write_bytes(
        raw[: found.start] + encode(TAGS[tag], b"DS", value.encode()) + raw[found.end :]
    )


@pytest.mark.parametrize("number", ["1e400", "-1e400", "nan", "inf", "1e308", "1e-320", "-5", "x"])
@pytest.mark.parametrize("tag", ["PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"])
def test_a_number_that_no_slice_can_have_refuses_its_series_by_name(
    sagittal: Path, tag: str, number: str
) -> None:
    count = {"PixelSpacing": 2, "ImagePositionPatient": 3, "ImageOrientationPatient": 6}[tag]
    put_value(sagittal / "7.dcm", tag, "\\".join([number] * count))
    if tag == "ImagePositionPatient" and number in ("1e-320", "-5"):
        assert read_study(sagittal).warnings  # a position like any other
        return
    text = refusal(sagittal)
    assert f"{tag} is " in text
    assert "study/7.dcm" in text


@pytest.mark.parametrize("value", ["nan", "1e400", "-4.4", "0", "1e300"])
@pytest.mark.parametrize("tag", ["SpacingBetweenSlices", "SliceThickness"])
def test_an_impossible_extent_says_nothing(sagittal: Path, tag: str, value: str) -> None:
    before = only_series(read_study(sagittal))
    for path in sagittal.iterdir():
        put_value(path, tag, value)
    after = only_series(read_study(sagittal))
    for one, other in zip(before.slices, after.slices, strict=True):
        np.testing.assert_array_equal(one.affine, other.affine)


def test_the_slice_location_is_not_read(sagittal: Path) -> None:
    before = only_series(read_study(sagittal))
    for number in range(1, 13):
        edit(sagittal / f"{number}.dcm", SliceLocation=str(number * 7 % 13))
    after = only_series(read_study(sagittal))
    assert [i.sop_instance_uid for i in after.slices] == [i.sop_instance_uid for i in before.slices]


@pytest.mark.parametrize(
    "keyword", ["SpacingBetweenSlices", "SliceThickness", "WindowCenter", "InstanceNumber"]
)
def test_a_tag_that_half_of_the_slices_lack_changes_no_place(sagittal: Path, keyword: str) -> None:
    before = only_series(read_study(sagittal))
    for number in range(1, 7):
        edit(sagittal / f"{number}.dcm", **{keyword: None})
    after = only_series(read_study(sagittal))
    np.testing.assert_array_equal(positions(before), positions(after))
    without = [image for image in after.slices if image.window is None]
    assert len(without) == (6 if keyword == "WindowCenter" else 0)


@pytest.mark.parametrize(
    "keyword", ["PixelSpacing", "ImageOrientationPatient", "ImagePositionPatient"]
)
def test_a_geometry_tag_that_half_of_the_slices_lack_refuses_the_series(
    sagittal: Path, keyword: str
) -> None:
    for number in range(1, 7):
        edit(sagittal / f"{number}.dcm", **{keyword: None})
    text = refusal(sagittal)
    assert f"{keyword} is missing" in text
    assert "study/1.dcm" in text


def test_a_slice_of_another_pixel_spacing_is_named(sagittal: Path) -> None:
    edit(sagittal / "4.dcm", PixelSpacing=[5, 4.5])
    study = read_study(sagittal)
    assert any(
        line.endswith(
            "slices of different pixel spacings: 5 x 4.5, 5 x 5 mm, the rarest in study/4.dcm"
        )
        for line in study.warnings
    )


def test_a_slice_apart_from_the_others_is_named(sagittal: Path) -> None:
    edit(sagittal / "12.dcm", ImagePositionPatient=[90, -97.5, 117.5])
    study = read_study(sagittal)
    assert any(
        line.endswith("a slice stands apart from the others: study/12.dcm")
        for line in study.warnings
    )


def test_series_in_different_frames_of_reference_are_a_warning(tmp_path: Path) -> None:
    write_mr_series(tmp_path / "a", series(), slices())
    other = series("t1", frame_of_reference_uid="1.2.3", **T1_TIMES)
    write_mr_series(tmp_path / "b", other, slices(name="t1"))
    study = read_study(tmp_path)
    assert len(study.series) == 2
    assert any("the series have different frames of reference" in w for w in study.warnings)
