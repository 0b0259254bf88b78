from pathlib import Path

import numpy as np
import pydicom
import pytest

from lumbargrade.dicom.header import read_slice_geometry
from lumbargrade.dicom.write_mr import HeaderProfile, MrSeries, MrSlice, write_mr_series
from lumbargrade.geometry import normal_of, spacing_of
from lumbargrade.records import InvalidStudyError


def write_slice(folder: Path, profile: HeaderProfile = HeaderProfile.RSNA) -> Path:
    series = MrSeries(
        study_uid="1.2",
        series_uid="1.2.3",
        frame_of_reference_uid="1.2.4",
        series_number=1,
        series_description="T2",
        protocol_name="T2",
        patient_id="1",
        patient_name="A",
        study_date="20240101",
        slice_thickness_mm=3.0,
        spacing_between_slices_mm=4.5,
        echo_time_ms=100.0,
        repetition_time_ms=3000.0,
    )
    image = MrSlice(
        pixels=np.zeros((24, 32), dtype=np.uint16),
        position_lps_mm=np.array([-12.5, -80.0, 60.0]),
        image_orientation=np.array([0.0, 1, 0, 0, 0, -1]),
        pixel_spacing_mm=np.array([0.5, 0.75]),
        instance_number=4,
        sop_instance_uid="1.2.3.4",
        window=(500.0, 1000.0),
    )
    (path,) = write_mr_series(folder, series, [image], profile=profile)
    return path


@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_geometry_comes_from_the_header(tmp_path: Path, profile: HeaderProfile) -> None:
    affine, shape = read_slice_geometry(write_slice(tmp_path, profile))
    assert shape == (24, 32)
    assert affine[:3, 3].tolist() == [-12.5, -80.0, 60.0]
    assert spacing_of(affine) == pytest.approx([4.5, 0.5, 0.75], abs=1e-12)
    assert np.abs(normal_of(affine)).tolist() == [1, 0, 0]


def test_the_thickness_serves_where_the_spacing_is_missing(tmp_path: Path) -> None:
    path = write_slice(tmp_path)
    header = pydicom.dcmread(path)
    del header.SpacingBetweenSlices
    header.save_as(path)
    affine, _ = read_slice_geometry(path)
    assert spacing_of(affine)[0] == pytest.approx(3.0, abs=1e-12)


@pytest.mark.parametrize(
    "tag", ["PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "Rows"]
)
def test_a_missing_tag_is_named_with_the_file(tmp_path: Path, tag: str) -> None:
    path = write_slice(tmp_path)
    header = pydicom.dcmread(path)
    delattr(header, tag)
    header.save_as(path)
    with pytest.raises(
        InvalidStudyError, match=rf"4\.dcm.*(lacks geometry.*{tag} None|has 0 {tag})"
    ):
        read_slice_geometry(path)


def test_what_is_no_slice_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudyError, match=r"7\.dcm does not exist"):
        read_slice_geometry(tmp_path / "7.dcm")
    (tmp_path / "8.dcm").write_text("not an image, but long enough to hold a preamble " * 9)
    with pytest.raises(InvalidStudyError, match=r"8\.dcm"):
        read_slice_geometry(tmp_path / "8.dcm")


def test_skewed_axes_are_refused(tmp_path: Path) -> None:
    path = write_slice(tmp_path)
    header = pydicom.dcmread(path)
    header.ImageOrientationPatient = [0, 1, 0, 0, 0.1, -1]
    header.save_as(path)
    with pytest.raises(InvalidStudyError, match=r"4\.dcm: .*not orthonormal"):
        read_slice_geometry(path)
