"""Any folder of DICOM files becomes a study, or an error that names the file and the rule."""

import logging
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence

from fake_studies import (
    SHARED_DATA,
    edit,
    edit_all,
    series,
    slices,
    write_study,
)
from lumbargrade.dicom import find_studies, read_study, sop_instances_sha256
from lumbargrade.dicom.files import find, looks_like_dicom
from lumbargrade.dicom.pixels import UndecodableError, decode
from lumbargrade.dicom.write_mr import HeaderProfile, derived_uid, write_mr_series
from lumbargrade.labels import View
from lumbargrade.records import InvalidStudyError, Series, Study

CASES = SHARED_DATA / "dicom_cases"
needs_cases = pytest.mark.skipif(
    not CASES.is_dir(), reason="the public DICOM cases are not beside the repository"
)


@pytest.fixture
def sagittal(tmp_path: Path) -> Path:
    """A folder with one sagittal T2 series of 12 slices."""
    write_mr_series(tmp_path / "study", series(), slices())
    return tmp_path / "study"


def only_series(study: Study) -> Series:
    (found,) = study.series
    return found


def positions(found: Series) -> np.ndarray:
    return np.stack([image.affine[:3, 3] for image in found.slices])


def refusal(folder: Path) -> str:
    with pytest.raises(InvalidStudyError) as caught:
        read_study(folder)
    return str(caught.value)


# Files -------------------------------------------------------------------------------------------


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


def test_foreign_files_among_the_images_change_nothing(sagittal: Path) -> None:
    before = sop_instances_sha256(read_study(sagittal))
    (sagittal / "thumbs.db").write_bytes(bytes(range(256)) * 4)
    (sagittal / "._1.dcm").write_bytes(b"\0\x05\x16\x07" + b"\0" * 200)
    (sagittal / "empty.dcm").write_bytes(b"")
    (sagittal / "report.txt").write_text("no image")
    (sagittal / "broken.dcm").write_bytes((sagittal / "1.dcm").read_bytes()[:140])
    assert sop_instances_sha256(read_study(sagittal)) == before
    assert find(sagittal).foreign_files == 4


@pytest.mark.parametrize("implicit", [True, False])
def test_files_without_preamble_and_meta_are_read(sagittal: Path, implicit: bool) -> None:
    before = read_study(sagittal)
    for path in sagittal.iterdir():
        bare = pydicom.dcmread(path)
        bare.file_meta = pydicom.dataset.FileMetaDataset()
        bare.preamble = None
        pydicom.dcmwrite(path, bare, implicit_vr=implicit, little_endian=True, force_encoding=True)
        assert path.read_bytes()[128:132] != b"DICM"
    after = read_study(sagittal)
    assert sop_instances_sha256(after) == sop_instances_sha256(before)
    first, second = only_series(before).slices[3], only_series(after).slices[3]
    np.testing.assert_array_equal(first.pixels, second.pixels)


def test_one_file_or_a_dicomdir_stands_for_a_study(sagittal: Path) -> None:
    assert [study.study_id for study in find_studies(sagittal / "1.dcm")] == [derived_uid("study")]
    (sagittal / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    assert len(find_studies(sagittal / "DICOMDIR")[0].paths) == 12


def test_two_studies_in_one_folder_are_told_apart(sagittal: Path) -> None:
    other = series(study_uid=derived_uid("other"), series_uid=derived_uid("s2"))
    write_mr_series(sagittal / "other", other, slices(name="other"))
    studies = find_studies(sagittal.parent)
    assert sorted(study.study_id for study in studies) == sorted(
        [derived_uid("study"), derived_uid("other")]
    )
    assert [len(study.paths) for study in studies] == [12, 12]
    assert "holds 2 studies" in refusal(sagittal)


def test_links_to_folders_are_followed_once(sagittal: Path) -> None:
    (sagittal / "loop").symlink_to(sagittal, target_is_directory=True)
    assert len(find_studies(sagittal)[0].paths) == 12


def test_nothing_readable_is_an_error_that_counts_the_files(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    assert find_studies(tmp_path) == []
    assert "holds no DICOM study (1 files are not DICOM)" in refusal(tmp_path)
    with pytest.raises(FileNotFoundError):
        find_studies(tmp_path / "absent")


@pytest.mark.parametrize(
    ("start", "expected"),
    [
        (b"\0" * 128 + b"DICM", True),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100", True),
        (b"\x08\0\x08\0\x16\0\0\0ORIGINAL", True),
        (b"\x08\0\x08\0\xff\xff\xff\x7fORIGINAL", False),
        (b"\x89PNG\r\n\x1a\n" + b"\0" * 20, False),
        (b"PK\x03\x04" + b"\0" * 150, False),
        (b"", False),
    ],
)
def test_dicom_is_told_by_its_first_bytes(tmp_path: Path, start: bytes, expected: bool) -> None:
    (tmp_path / "x").write_bytes(start)
    assert looks_like_dicom(tmp_path / "x") is expected


# Identity ----------------------------------------------------------------------------------------


def rsna_study(root: Path, study_id: str, split: str = "train") -> Path:
    folder = root / f"{split}_images" / study_id
    write_study(folder, HeaderProfile.RSNA)
    for number, child in enumerate(sorted(folder.iterdir())):
        child.rename(folder / str(1000 + number))
    return folder


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("part", ["", "{split}_images", "{split}_images/4003253"])
def test_rsna_folders_name_study_and_series(tmp_path: Path, split: str, part: str) -> None:
    rsna_study(tmp_path, "4003253", split)
    (files,) = find_studies(tmp_path / part.format(split=split))
    study = read_study(files)
    assert study.study_id == "4003253"
    assert study.study_uid == derived_uid("study")
    assert {found.series_id for found in study.series} == {"1000", "1001", "1002"}
    assert [found.view for found in study.series] == list(View)


def test_elsewhere_the_uids_are_the_ids(tmp_path: Path) -> None:
    write_study(tmp_path / "Some_Patient" / "visit_1")
    study = read_study(tmp_path)
    assert study.study_id == study.study_uid == derived_uid("study")
    assert all(found.series_id == found.series_uid for found in study.series)


def test_a_folder_name_with_an_underscore_is_no_study_id(tmp_path: Path) -> None:
    rsna_study(tmp_path, "my_study")
    assert find_studies(tmp_path)[0].study_id == derived_uid("study")


def test_a_study_uid_that_is_no_uid_names_no_folder(sagittal: Path) -> None:
    for path in sagittal.iterdir():
        raw = path.read_bytes().replace(
            derived_uid("study").encode(), b"../../etc_".ljust(len(derived_uid("study")), b"x")
        )
        path.write_bytes(raw)
    findings = find(sagittal)
    assert findings.studies == ()
    assert "StudyInstanceUID is missing or is not a UID" in findings.problems[0]


def test_the_hash_depends_on_the_used_images_alone(tmp_path: Path) -> None:
    write_study(tmp_path)
    before = sop_instances_sha256(read_study(tmp_path))
    write_mr_series(tmp_path / "loc", series("localizer"), slices(count=3, name="localizer"))
    assert sop_instances_sha256(read_study(tmp_path)) == before
    assert len(before) == 64
    (tmp_path / "t2_tse_sag" / "12.dcm").unlink()
    assert sop_instances_sha256(read_study(tmp_path)) != before


# Geometry tags -----------------------------------------------------------------------------------


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
        ({"FrameOfReferenceUID": "1.2.3"}, "2 frames of reference"),
    ],
)
def test_a_slice_that_cannot_be_placed_refuses_its_series_by_name(
    sagittal: Path, tags: dict[str, Any], reason: str
) -> None:
    edit(sagittal / "7.dcm", **tags)
    text = refusal(sagittal)
    assert reason in text
    assert "frames of reference" in reason or str(sagittal / "7.dcm") in text


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


# Pixels ------------------------------------------------------------------------------------------


def set_pixels(path: Path, change: Callable[[Dataset, np.ndarray], np.ndarray]) -> None:
    dataset = pydicom.dcmread(path)
    array = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData = change(dataset, array).astype("<u2").tobytes()
    dataset.save_as(path)


def first_pixels(folder: Path) -> np.ndarray:
    return decode(folder / "1.dcm", (None,))[0].pixels


def test_dirty_high_bits_are_masked(sagittal: Path) -> None:
    clean = first_pixels(sagittal)
    set_pixels(sagittal / "1.dcm", lambda _, array: array | 0xA000)
    np.testing.assert_array_equal(first_pixels(sagittal), clean)


def test_bits_stored_high_in_the_word_are_shifted_down(sagittal: Path) -> None:
    clean = first_pixels(sagittal)

    def shift(dataset: Dataset, array: np.ndarray) -> np.ndarray:
        dataset.HighBit = 15
        return (array << 4) | 0x5

    set_pixels(sagittal / "1.dcm", shift)
    np.testing.assert_array_equal(first_pixels(sagittal), clean)


def test_signed_pixels_keep_their_sign(sagittal: Path) -> None:
    def negative(dataset: Dataset, array: np.ndarray) -> np.ndarray:
        dataset.PixelRepresentation = 1
        return np.full_like(array, 0x0FFE)  # 12 bits: −2

    set_pixels(sagittal / "1.dcm", negative)
    assert (first_pixels(sagittal) == -2).all()


def test_rescale_is_applied(sagittal: Path) -> None:
    clean = first_pixels(sagittal)
    edit(sagittal / "1.dcm", RescaleSlope="2.5", RescaleIntercept="-10")
    np.testing.assert_allclose(first_pixels(sagittal), clean * 2.5 - 10)


def test_monochrome1_is_turned_bright_is_high(sagittal: Path) -> None:
    clean = decode(sagittal / "1.dcm", (None,))[0]
    set_pixels(sagittal / "1.dcm", lambda _, array: 4095 - array)
    edit(sagittal / "1.dcm", PhotometricInterpretation="MONOCHROME1", WindowCenter="3895")
    inverted = decode(sagittal / "1.dcm", (None,))[0]
    np.testing.assert_array_equal(inverted.pixels, clean.pixels)
    assert inverted.window == clean.window == (200.0, 400.0)


def test_padding_becomes_the_darkest_real_value(sagittal: Path) -> None:
    def pad(dataset: Dataset, array: np.ndarray) -> np.ndarray:
        dataset.add_new("PixelPaddingValue", "US", 4000)
        padded = array.copy() + 50
        padded[:5] = 4000
        return padded

    set_pixels(sagittal / "1.dcm", pad)
    pixels = first_pixels(sagittal)
    assert (pixels[:5] == pixels[5:].min()).all()
    assert pixels.max() < 4000


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def test_one_undecodable_slice_of_12_is_left_out_with_a_warning(sagittal: Path) -> None:
    truncate(sagittal / "2.dcm")
    study = read_study(sagittal)
    assert len(only_series(study).slices) == 11
    assert any("slice left out: study/2.dcm" in line for line in study.warnings)


def test_two_undecodable_slices_of_12_refuse_the_series(sagittal: Path) -> None:
    truncate(sagittal / "2.dcm")
    truncate(sagittal / "3.dcm")
    text = refusal(sagittal)
    assert "2 of 12 slices cannot be decoded" in text
    assert str(sagittal / "3.dcm") in text  # the first of them in reading order


def test_a_broken_rle_stream_is_an_error_not_the_end_of_the_process(tmp_path: Path) -> None:
    (path,) = write_mr_series(tmp_path, series(), slices(count=1), profile=HeaderProfile.RSNA)
    raw = path.read_bytes()
    segments = raw.index(b"\xfe\xff\x00\xe0", raw.index(b"\xe0\x7f\x10\x00") + 20) + 8 + 64
    path.write_bytes(raw[:segments] + b"\x81" * (len(raw) - segments - 8) + raw[-8:])
    with pytest.raises(UndecodableError, match="pixels cannot be decoded"):
        decode(path, (None,))


def test_the_next_best_series_takes_the_place_of_an_undecodable_one(sagittal: Path) -> None:
    write_mr_series(sagittal / "coarse", series("coarse"), slices(pixel_mm=6.0, name="coarse"))
    for number in range(1, 5):
        truncate(sagittal / f"{number}.dcm")
    study = read_study(sagittal)
    assert only_series(study).description == "coarse"
    (bad,) = (report for report in study.reports if not report.used)
    assert "4 of 12 slices cannot be decoded" in bad.reason


def test_a_series_of_constant_images_is_refused(sagittal: Path) -> None:
    for path in sagittal.iterdir():
        set_pixels(path, lambda _, array: np.zeros_like(array))
    assert "every slice is one constant value" in refusal(sagittal)


@needs_cases
def test_nine_files_in_seven_transfer_syntaxes_hold_the_same_pixels() -> None:
    files = sorted((CASES / "transfer_syntaxes").glob("*.dcm"))
    syntaxes = {str(pydicom.dcmread(file).file_meta.TransferSyntaxUID) for file in files}
    assert (len(files), len(syntaxes)) == (9, 7)
    expected = decode(files[0], (None,))[0].pixels
    assert expected.max() == 2362
    for file in files[1:]:
        np.testing.assert_array_equal(decode(file, (None,))[0].pixels, expected)


@needs_cases
def test_real_dirty_bits_are_masked() -> None:
    raw = pydicom.dcmread(CASES / "bits" / "12bitUnsigned_0x0F0F.dcm")
    assert np.frombuffer(raw.PixelData, "<u2").max() == 65535
    pixels = decode(CASES / "bits" / "12bitUnsigned_0x0F0F.dcm", (None,))[0].pixels
    assert (pixels.min(), pixels.max()) == (0, 4095)
    signed = decode(CASES / "bits" / "12bitSigned_0x0F0F.dcm", (None,))[0].pixels
    assert (signed.min(), signed.max()) == (-2048, 2047)


# Multi-frame -------------------------------------------------------------------------------------


def enhanced(folder: Path) -> Path:
    """The 12 sagittal slices of a folder as one enhanced multi-frame file."""
    files = sorted(folder.glob("*.dcm"), key=lambda path: int(path.stem))
    frames = [pydicom.dcmread(file) for file in files]
    merged = pydicom.dcmread(files[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                    "EchoTime", "RepetitionTime", "WindowCenter", "WindowWidth"):  # fmt: skip
        delattr(merged, keyword)
    merged.SOPClassUID = merged.file_meta.MediaStorageSOPClassUID = (
        pydicom.uid.EnhancedMRImageStorage
    )
    merged.NumberOfFrames = len(frames)
    merged.PixelData = b"".join(frame.PixelData for frame in frames)
    merged.SharedFunctionalGroupsSequence = DicomSequence([Dataset()])
    shared = merged.SharedFunctionalGroupsSequence[0]
    shared.MRTimingAndRelatedParametersSequence = [item(RepetitionTime="3500")]
    shared.PixelMeasuresSequence = [item(PixelSpacing=[5, 5], SliceThickness="4")]
    merged.PerFrameFunctionalGroupsSequence = DicomSequence(
        [
            item(
                PlanePositionSequence=[item(ImagePositionPatient=frame.ImagePositionPatient)],
                PlaneOrientationSequence=[
                    item(ImageOrientationPatient=frame.ImageOrientationPatient)
                ],
                MREchoSequence=[item(EffectiveEchoTime=100.0)],
                FrameVOILUTSequence=[item(WindowCenter="250", WindowWidth="500")],
                PixelValueTransformationSequence=[item(RescaleSlope="2", RescaleIntercept="0")],
            )
            for frame in frames
        ]
    )
    target = folder.parent / "enhanced" / "IM1"
    target.parent.mkdir()
    merged.save_as(target)
    return target


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def test_frames_of_an_enhanced_file_are_slices(sagittal: Path) -> None:
    single = only_series(read_study(sagittal))
    multi = only_series(read_study(enhanced(sagittal)))
    assert [image.frame_number for image in multi.slices] == [
        image.instance_number for image in single.slices
    ]
    for one, other in zip(single.slices, multi.slices, strict=True):
        np.testing.assert_allclose(one.affine, other.affine, atol=1e-6)
        np.testing.assert_array_equal(other.pixels, one.pixels * 2)
        assert other.window == (250.0, 500.0)


# Privacy and robustness --------------------------------------------------------------------------


def test_the_patient_never_reaches_a_log_or_a_message(
    sagittal: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    (sagittal / "6.dcm").unlink()
    edit(sagittal / "7.dcm", PatientID="ID-7731" * 20)  # too long: pydicom would quote it
    study = read_study(sagittal)
    truncate(sagittal / "1.dcm")
    truncate(sagittal / "2.dcm")
    text = refusal(sagittal) + caplog.text + repr(study.reports) + repr(study.warnings)
    assert "gap of" in caplog.text
    assert "Secret" not in text
    assert "7731" not in text


def test_random_damage_is_refused_or_survived_never_a_crash(tmp_path: Path) -> None:
    write_mr_series(tmp_path / "good", series(), slices(count=6))
    rng = np.random.default_rng(5)
    raw = (tmp_path / "good" / "3.dcm").read_bytes()
    header = raw.index(b"\xe0\x7f\x10\x00")
    for trial in range(60):
        damaged = bytearray(raw)
        for place in rng.integers(132, header + 12, size=rng.integers(1, 12)):
            damaged[place] = rng.integers(256)
        if trial % 4 == 0:
            damaged = damaged[: rng.integers(200, len(damaged))]
        folder = tmp_path / f"trial{trial}"
        shutil.copytree(tmp_path / "good", folder)
        (folder / "3.dcm").write_bytes(bytes(damaged))
        for files in find_studies(folder):
            try:
                study = read_study(files)
            except InvalidStudyError:
                continue
            assert study.series


def test_a_study_reads_the_same_wherever_it_lies(tmp_path: Path) -> None:
    write_study(tmp_path / "here")
    (tmp_path / "here" / "t2_tse_sag" / "6.dcm").unlink()
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deeper")
    first, second = read_study(tmp_path / "here"), read_study(tmp_path / "there")
    assert first.reports == second.reports
    assert first.warnings == second.warnings != ()
    assert [s.series_uid for s in first.series] == [s.series_uid for s in second.series]
