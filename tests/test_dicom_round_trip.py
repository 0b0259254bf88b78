"""What is written is read back equal by SimpleITK, a reader that shares no code with this one."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK

from fake_studies import AXIAL, SAGITTAL, T1_TIMES, T2_TIMES, axial_blocks, series, slices
from lumbargrade.dicom import read_study
from lumbargrade.dicom.write_mr import HeaderProfile, MrSlice, write_mr_series
from lumbargrade.geometry import Plane, lps_to_slices, plane_of
from lumbargrade.labels import View
from lumbargrade.records import SliceImage, Study

ENHANCED_MR = b"1.2.840.10008.5.1.4.1.1.4.1"
"""What the competition's file meta claims of single-frame files."""

BLOB_MM = 6.0
"""Standard deviation of a planted blob, in the plane."""


def turned(orientation: np.ndarray, degrees: Sequence[float]) -> np.ndarray:
    """Image orientation turned about x, then y, then z."""
    axes = orientation.reshape(2, 3).T
    for axis, angle in enumerate(np.deg2rad(degrees)):
        turn = np.eye(3)
        i, j = [other for other in range(3) if other != axis]
        turn[[i, i, j, j], [i, j, i, j]] = (
            np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
        )  # fmt: skip
        axes = turn @ axes
    return np.asarray(axes.T.reshape(6))


def planted(images: list[MrSlice], point_lps_mm: np.ndarray) -> list[MrSlice]:
    """The same slices, dark, with a blob at a point on each slice that passes by within 3 mm."""
    result = []
    for image in images:
        along_columns, along_rows = image.image_orientation.reshape(2, 3)
        offset = point_lps_mm - image.position_lps_mm
        row = offset @ along_rows / image.pixel_spacing_mm[0]
        column = offset @ along_columns / image.pixel_spacing_mm[1]
        distance = abs(offset @ np.cross(along_columns, along_rows))
        rows, columns = np.indices(image.pixels.shape)
        squared = ((rows - row) * image.pixel_spacing_mm[0]) ** 2
        squared = squared + ((columns - column) * image.pixel_spacing_mm[1]) ** 2
        height = 4000 if distance < 3 else 40
        blob = height * np.exp(-squared / (2 * BLOB_MM**2))
        result.append(replace(image, pixels=np.rint(blob).astype(np.uint16)))
    return result


def read_with_simpleitk(path: Path) -> SimpleITK.Image:
    """A file as SimpleITK reads it.

    Where the file meta claims Enhanced MR, GDCM looks for functional groups, finds none and takes
    origin 0 and spacing 1; it is given a copy that claims the MR image that the file is.
    """
    raw = path.read_bytes()
    if ENHANCED_MR in raw[:1024]:
        path = path.with_suffix(".single")
        path.write_bytes(raw.replace(ENHANCED_MR, ENHANCED_MR[:-2] + b"\0\0", 1))
    return SimpleITK.ReadImage(str(path))


def centroid_for_simpleitk(path: Path) -> np.ndarray:
    """Where the brightness of a file centres, in LPS mm."""
    image = read_with_simpleitk(path)
    pixels = SimpleITK.GetArrayFromImage(image)[0].astype(float)
    rows, columns = np.indices(pixels.shape)
    row, column = (rows * pixels).sum() / pixels.sum(), (columns * pixels).sum() / pixels.sum()
    return np.array(image.TransformContinuousIndexToPhysicalPoint((column, row, 0.0)))


LAYOUTS = {
    "sagittal T2": (View.SAGITTAL_T2, T2_TIMES, slices(pixel_mm=4.0)),
    "sagittal T1, turned": (
        View.SAGITTAL_T1, T1_TIMES, slices(turned(SAGITTAL, (3, -7, 11)), pixel_mm=4.0),
    ),
    "sagittal, left to right": (
        View.SAGITTAL_T2, T2_TIMES, slices(SAGITTAL * [1, -1, 1, 1, 1, 1], pixel_mm=4.0),
    ),
    "sagittal, foot up": (
        View.SAGITTAL_T2, T2_TIMES, slices(SAGITTAL * [1, 1, 1, 1, 1, -1], pixel_mm=4.0),
    ),
    "axial, tilted blocks": (View.AXIAL_T2, T2_TIMES, axial_blocks()),
    "axial, turned": (
        View.AXIAL_T2, T2_TIMES, slices(turned(AXIAL, (-12, 5, 4)), pixel_mm=4.0, count=18),
    ),
    "axial, transposed": (
        View.AXIAL_T2, T2_TIMES, slices(AXIAL[[3, 4, 5, 0, 1, 2]], pixel_mm=4.0, count=18),
    ),
}  # fmt: skip


@pytest.mark.parametrize("profile", list(HeaderProfile))
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_simpleitk_and_the_reader_place_every_slice_alike(
    tmp_path: Path, layout: str, profile: HeaderProfile
) -> None:
    view, times, images = LAYOUTS[layout]
    images = [replace(image, pixel_spacing_mm=np.array([4.0, 3.75])) for image in images]
    header = series("made", **times)
    if profile is HeaderProfile.RSNA:
        word = "T1" if view is View.SAGITTAL_T1 else "T2"
        header = replace(header, series_description=word, protocol_name="")
    write_mr_series(tmp_path, header, images, profile=profile)
    study = read_study(tmp_path)
    assert [found.view for found in study.series] == [view]
    assert compare(study) == len(images)


@pytest.mark.parametrize("layout", list(LAYOUTS))
@pytest.mark.parametrize("point", [(3.0, -6.5, 11.0), (-8.25, 4.0, -31.5)])
def test_a_planted_point_is_recovered_within_a_tenth_of_a_millimetre(
    tmp_path: Path, layout: str, point: tuple[float, float, float]
) -> None:
    _, times, images = LAYOUTS[layout]
    place = np.array(point)
    write_mr_series(tmp_path, series("made", **times), planted(images, place))
    (found,) = read_study(tmp_path).series
    affines = np.stack([image.affine for image in found.slices])
    local = lps_to_slices(affines, place)
    assert np.abs(local[:, 0]).min() < 3
    for image, (distance, row, column) in zip(found.slices, local, strict=True):
        if abs(distance) > 3:
            continue
        foot = (image.affine @ [0, row, column, 1])[:3]
        assert np.linalg.norm(foot - place) == pytest.approx(abs(distance), abs=1e-9)
        assert np.linalg.norm(centroid_for_simpleitk(image.path) - foot) < 0.1


def compare(study: Study) -> int:
    """Hold every slice against SimpleITK; returns how many there were."""
    images = [image for found in study.series for image in found.slices]
    for image in images:
        compare_slice(image)
    return len(images)


def compare_slice(image: SliceImage) -> None:
    other = read_with_simpleitk(image.path)
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(other)[0], image.pixels)
    rows, columns = image.pixels.shape
    for row, column in ((0, 0), (rows - 1, 0), (0, columns - 1), (rows / 3, columns / 7)):
        theirs = other.TransformContinuousIndexToPhysicalPoint((float(column), float(row), 0.0))
        ours = (image.affine @ [0, row, column, 1])[:3]
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=1e-4)
    normal = np.array(other.GetDirection()).reshape(3, 3)[:, 2]
    step = image.affine[:3, 0]
    np.testing.assert_allclose(step / np.linalg.norm(step), normal, rtol=0, atol=1e-6)


@pytest.mark.parametrize("profile", list(HeaderProfile))
def test_every_slice_of_a_phantom_lies_where_simpleitk_finds_it(
    phantom_dataset: Path, tmp_path: Path, profile: HeaderProfile
) -> None:
    study_folder = phantom_dataset / "train_images" / "102000"
    if profile is HeaderProfile.RSNA:
        study_folder = as_rsna(study_folder, tmp_path)
    study = read_study(study_folder)
    assert {found.view for found in study.series} == set(View)
    axial = [image for found in study.series_of(View.AXIAL_T2) for image in found.slices]
    assert {plane_of(image.affine[:3, 0]) for image in axial} == {Plane.AXIAL}
    files = len(list(study_folder.rglob("*.dcm")))
    assert compare(study) == files


def as_rsna(study: Path, root: Path) -> Path:
    """The same slices under the competition's few tags, RLE compressed."""
    target = root / "train_images" / study.name
    for folder in study.iterdir():
        for path in folder.iterdir():
            old = pydicom.dcmread(path)
            image = MrSlice(
                pixels=old.pixel_array,
                position_lps_mm=np.array(old.ImagePositionPatient, dtype=float),
                image_orientation=np.array(old.ImageOrientationPatient, dtype=float),
                pixel_spacing_mm=np.array(old.PixelSpacing, dtype=float),
                instance_number=int(old.InstanceNumber),
                sop_instance_uid=str(old.SOPInstanceUID),
                window=(float(old.WindowCenter), float(old.WindowWidth)),
            )
            word = "T1" if float(old.EchoTime) < 35 else "T2"
            header = series(
                series_uid=str(old.SeriesInstanceUID),
                series_description=word,
                slice_thickness_mm=float(old.SliceThickness),
                spacing_between_slices_mm=float(old.SpacingBetweenSlices),
            )
            write_mr_series(target / folder.name, header, [image], profile=HeaderProfile.RSNA)
    return target
