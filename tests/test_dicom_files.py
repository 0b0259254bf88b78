"""Studies are found among files of any name, depth and kind."""

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

from fake_studies import only_series, refusal, series, slices, write_study
from lumbargrade.dicom import find_studies, read_study, sop_instances_sha256
from lumbargrade.dicom.files import find, looks_like_dicom
from lumbargrade.dicom.write_mr import HeaderProfile, derived_uid, write_mr_series
from lumbargrade.labels import View


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


def test_a_broken_dicomdir_and_what_one_lists_in_vain_are_named(sagittal: Path) -> None:
    directory = sagittal / "DICOMDIR"
    directory.write_bytes(b"\0" * 128 + b"DICM")
    (problem,) = find(directory).problems
    assert problem.startswith("DICOMDIR: broken (")
    listing = pydicom.dataset.FileDataset(directory, pydicom.Dataset(), preamble=b"\0" * 128)
    listing.DirectoryRecordSequence = [pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()]
    for record, name in zip(listing.DirectoryRecordSequence, ("1", "2", "99"), strict=True):
        record.ReferencedFileID = name
    listing.file_meta = pydicom.dataset.FileMetaDataset()
    listing.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    listing.save_as(directory)
    (problem,) = find(directory).problems
    assert problem.startswith("DICOMDIR: 1 of 3 listed files are not there, the first is 99")
    assert len(find_studies(directory)[0].paths) == 12


def test_half_written_files_of_a_killed_run_are_passed_over(sagittal: Path) -> None:
    (sagittal / "1.dcm").rename(sagittal / ".1.dcm.12.partial")
    (sagittal / ".study.12.partial").mkdir()
    (sagittal / "2.dcm").rename(sagittal / ".study.12.partial" / "2.dcm")
    findings = find(sagittal)
    assert len(findings.studies[0].paths) == 10
    assert (findings.foreign_files, findings.problems) == (0, ())


def test_a_file_that_the_system_refuses_to_open_is_named(
    sagittal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.open

    def refusing(path: Path, *arguments: Any) -> Any:
        if path.name == "3.dcm":
            raise PermissionError(13, "Permission denied")
        return real(path, *arguments)

    monkeypatch.setattr(Path, "open", refusing)  # a mode would not stop the superuser
    findings = find(sagittal)
    assert len(findings.studies[0].paths) == 11
    (problem,) = findings.problems
    assert "3.dcm" in problem
    assert "Permission denied" in problem


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
