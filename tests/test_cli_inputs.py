"""What is given to the command line → its exit code, its message, its files.

Each case starts a process; only the networks are replaced.
"""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.fileset import FileSet

from fake_archives import SUFFIXES, TGZ, ZIP, add_entry, packed
from fake_dataset import break_study, write_dataset
from fake_enhanced import as_enhanced
from fake_main import command, run, settings
from fake_studies import edit_all, series, slices, write_study
from lumbargrade.cache import cached_studies
from lumbargrade.dicom.files import find
from lumbargrade.dicom.write_mr import derived_uid, write_mr_series

STUDY = derived_uid("study")


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def grades(out: Path, study_id: str = STUDY) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / study_id / "grades.json").read_text())
    return document


# What is found → exit code and message -----------------------------------------------------------


def empty(place: Path) -> Path:
    return place


def only_text(place: Path) -> Path:
    (place / "note.txt").write_text("no image")
    return place


def no_mr(place: Path) -> Path:
    write_study(place)
    edit_all(place, Modality="CT")
    return place


def one_slice(place: Path) -> Path:
    write_mr_series(place / "t2", series(), slices(count=1))
    return place


def one_slice_file(place: Path) -> Path:
    return one_slice(place) / "t2" / "1.dcm"


def localizers(place: Path) -> Path:
    write_mr_series(place / "a", series("localizer"), slices())
    write_mr_series(place / "b", series("survey"), slices(name="b"))
    return place


def screenshots(place: Path) -> Path:
    write_study(place)
    edit_all(
        place,
        SOPClassUID=pydicom.uid.SecondaryCaptureImageStorage,
        ImageType=["DERIVED", "SECONDARY"],
        BurnedInAnnotation="YES",
    )
    return place


def broken_headers(place: Path) -> Path:
    write_study(place)
    for path in place.rglob("*.dcm"):
        path.write_bytes(path.read_bytes()[:140])
    return place


def absent(place: Path) -> Path:
    return place / "absent"


def broken_archive(place: Path) -> Path:
    write_study(place / "in")
    archive = packed(place / "in", ZIP)
    archive.write_bytes(archive.read_bytes()[:5000])
    return archive


def rising_archive(place: Path) -> Path:
    write_study(place / "in")
    archive = packed(place / "in", TGZ)
    add_entry(archive, "../evil.dcm")
    return archive


CASES = [
    (empty, 3, "no DICOM study found"),
    (only_text, 3, "no DICOM study found"),
    (broken_headers, 3, "t2_tse_sag/1.dcm: "),
    (broken_archive, 3, "archive in.zip: broken or cut off"),
    (rising_archive, 3, "archive in.tar.gz: entry '../evil.dcm': its name leads out of the"),
    (absent, 2, "does not exist"),
    (no_mr, 1, "Modality is CT, not MR (t2_tse_sag/1.dcm)"),
    (one_slice, 1, "a localizer by its coverage: 1 sagittal slices"),
    (one_slice_file, 1, "a localizer by its coverage: 1 sagittal slices"),
    (localizers, 1, "SeriesDescription or ProtocolName says 'localizer'"),
    (screenshots, 1, "SOPClassUID 1.2.840.10008.5.1.4.1.1.7 is not an MR image (t2_tse_sag/1.dcm)"),
]


@pytest.mark.parametrize(("make", "code", "message"), CASES)
def test_predict_says_why_nothing_came_of_it_and_writes_nothing(
    tmp_path: Path, make: Callable[[Path], Path], code: int, message: str
) -> None:
    (tmp_path / "given").mkdir()
    path = make(tmp_path / "given")
    result = run("predict", path, "--out", tmp_path / "out")
    assert result.returncode == code, result.stderr
    assert message in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("make", "code"),
    [(only_text, 0), (broken_headers, 0), (broken_archive, 1), (rising_archive, 1), (no_mr, 1)],
)
def test_what_cannot_be_done_stops_no_other_study(
    tmp_path: Path, make: Callable[[Path], Path], code: int
) -> None:
    (tmp_path / "given").mkdir()
    path = make(tmp_path / "given")
    good = write_dataset(tmp_path / "good", "101")
    result = run("predict", path, good, "--out", tmp_path / "out")
    assert result.returncode == code, result.stderr
    assert len(grades(tmp_path / "out", "101")["grades"]) == 25
    assert result.stdout == f"{tmp_path / 'out' / '101' / 'report.html'}\n"


@pytest.mark.parametrize(
    ("make", "inspect_code", "prepare_code"),
    [
        (empty, 3, 3),
        (broken_headers, 0, 3),
        (rising_archive, 3, 3),
        (absent, 2, 2),
        (no_mr, 0, 1),
        (screenshots, 0, 1),
    ],
)
def test_inspect_and_prepare_have_the_same_codes(
    tmp_path: Path, make: Callable[[Path], Path], inspect_code: int, prepare_code: int
) -> None:
    (tmp_path / "given").mkdir()
    path = make(tmp_path / "given")
    result = run("inspect", path, "--json")
    assert result.returncode == inspect_code, result.stderr
    if inspect_code != 2:
        assert json.loads(result.stdout)["schema"] == "lumbargrade/inspect/1"
    result = run("prepare", path, "--out", tmp_path / "cache")
    assert result.returncode == prepare_code, result.stderr


WITHOUT_RIGHTS = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
"""Root may read everything; without these capabilities it is a user like others."""


def may_give_up_rights() -> bool:
    if shutil.which("setpriv") is None:
        return False
    tried = subprocess.run([*WITHOUT_RIGHTS, "true"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.skipif(not may_give_up_rights(), reason="setpriv cannot take the rights of root away")
def test_files_that_may_not_be_read_are_named(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "101", "102")
    (dataset / "train_images" / "101" / "9001" / "1.dcm").chmod(0)
    for path in (dataset / "train_images" / "102").rglob("*.dcm"):
        path.chmod(0)
    (tmp_path / "in" / "closed").mkdir(mode=0)
    out = tmp_path / "out"
    words = [*WITHOUT_RIGHTS, *command("predict", dataset, "--out", out)]
    result = subprocess.run(words, env=settings(), capture_output=True, text=True, check=False)
    assert result.returncode == 1, result.stderr
    assert "study 102: no usable view" in result.stderr
    assert "9001/1.dcm: cannot be read (Permission denied)" in result.stderr
    assert "in/closed: folder cannot be read (Permission denied)" in result.stderr
    assert "9001/1.dcm: cannot be read (Permission denied)" in grades(out, "101")["warnings"]


# Archives, multi-frame files, DICOMDIR ------------------------------------------------------------


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_archive_gives_the_bytes_of_its_folder_and_a_second_run_skips(
    tmp_path: Path, suffix: str
) -> None:
    write_study(tmp_path / "study")
    (tmp_path / "study" / "t2_tse_sag" / "6.dcm").unlink()  # a gap, which is a warning
    archive = packed(tmp_path / "study", suffix)
    for name, path in (("folder", tmp_path / "study"), ("archive", archive)):
        assert run("predict", path, "--out", tmp_path / name).returncode == 0
    assert contents(tmp_path / "archive") == contents(tmp_path / "folder")
    assert any("gap of" in line for line in grades(tmp_path / "archive")["warnings"])
    again = run("predict", archive, "--out", tmp_path / "folder")
    assert again.returncode == 0
    assert "1 skipped" in again.stderr


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_dataset_in_an_archive_keeps_its_ids_in_every_command(
    tmp_path: Path, suffix: str
) -> None:
    dataset = write_dataset(tmp_path / "data", "101", "102")
    archive = packed(dataset, suffix)
    break_study(dataset, "102")
    broken = packed(dataset, suffix, tmp_path / f"broken{suffix}")
    assert run("predict", archive, "--out", tmp_path / "out").returncode == 0
    assert {"101", "102"} < {path.name for path in (tmp_path / "out").iterdir()}
    found = json.loads(run("inspect", archive, "--json").stdout)
    assert [study["study_id"] for study in found["studies"]] == ["101", "102"]
    prepared = run("prepare", archive, "--out", tmp_path / "cache")
    assert prepared.returncode == 0, prepared.stderr
    assert [path.name for path in cached_studies(tmp_path / "cache")] == ["101", "102"]
    result = run("predict", broken, "--out", tmp_path / "out2")
    assert result.returncode == 1
    assert "study 102: no usable view" in result.stderr
    assert (tmp_path / "out2" / "101" / "grades.json").is_file()


def test_a_refused_archive_in_a_folder_is_a_failure_of_every_command(tmp_path: Path) -> None:
    rising_archive(tmp_path)
    images = write_dataset(tmp_path, "101") / "train_images"
    shutil.move(tmp_path / "in.tar.gz", images / "in.tar.gz")
    shutil.rmtree(tmp_path / "in")
    for words in (
        ("inspect", tmp_path),
        ("predict", tmp_path, "--out", tmp_path / "out"),
        ("submit", tmp_path, "--out", tmp_path / "submission.csv"),
        ("prepare", tmp_path, "--out", tmp_path / "cache"),
    ):
        result = run(*words)
        assert result.returncode == 1, words
        assert "archive in.tar.gz: entry '../evil.dcm'" in result.stderr
    assert (tmp_path / "out" / "101" / "grades.json").is_file()
    assert (tmp_path / "submission.csv").read_text().count("\n101_") == 25


def test_multi_frame_files_give_the_points_of_single_frames(tmp_path: Path) -> None:
    write_study(tmp_path / "single")
    frames_of = as_enhanced(tmp_path / "single", tmp_path / "multi")
    for name in ("single", "multi"):
        assert run("predict", tmp_path / name, "--out", tmp_path / f"{name}_out").returncode == 0
    single, multi = grades(tmp_path / "single_out"), grades(tmp_path / "multi_out")
    assert len(multi["grades"]) == 25
    for one, other in zip(single["grades"], multi["grades"], strict=True):
        assert other["probabilities"] == one["probabilities"]
        point, moved = one["point"], other["point"]
        if point is None:
            assert moved is None
            continue
        np.testing.assert_allclose(moved["position_lps_mm"], point["position_lps_mm"], atol=1e-9)
        assert (moved["column"], moved["row"]) == (point["column"], point["row"])
        frame = frames_of[moved["sop_instance_uid"]][moved["frame_number"] - 1]
        assert frame == point["sop_instance_uid"]
        assert point["frame_number"] is None


def write_dicomdir(folder: Path) -> Path:
    """A medium with a DICOMDIR, made of the study in a folder."""
    medium = FileSet()
    for path in sorted(folder.rglob("*.dcm")):
        dataset = pydicom.dcmread(path)
        dataset.PatientName, dataset.PatientID = "Secret^Name", "ID-7731"
        dataset.StudyID, dataset.StudyDate, dataset.StudyTime = "1", "20240102", "120000"
        medium.add(dataset)
    medium.write(folder.parent / "medium")
    medium._stage["t"].cleanup()  # else it warns when it is collected
    return folder.parent / "medium" / "DICOMDIR"


def test_a_dicomdir_stands_for_its_folder(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    dicomdir = write_dicomdir(tmp_path / "study")
    assert find(dicomdir).problems == ()
    for name, path in (("a", dicomdir), ("b", dicomdir.parent)):
        result = run("predict", path, "--out", tmp_path / name)
        assert result.returncode == 0, result.stderr
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_a_dicomdir_that_lists_what_is_not_there_is_a_warning(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    dicomdir = write_dicomdir(tmp_path / "study")
    listed = sorted(path for path in dicomdir.parent.rglob("*") if path.is_file())
    listed = [path for path in listed if path != dicomdir]
    listed[0].rename(listed[0].with_name(listed[0].name.lower() + ".dcm"))  # as some copies do
    for path in listed[1:4]:
        path.unlink()
    (problem,) = find(dicomdir).problems
    assert problem.startswith(f"DICOMDIR: 3 of {len(listed)} listed files are not there, the first")
    result = run("predict", dicomdir, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert problem in result.stderr
    assert "Secret" not in result.stderr


@pytest.mark.parametrize("content", [b"", b"\0" * 128 + b"DICM", b"no directory" * 50])
def test_a_broken_dicomdir_still_stands_for_its_folder(tmp_path: Path, content: bytes) -> None:
    write_study(tmp_path / "study")
    dicomdir = tmp_path / "study" / "DICOMDIR"
    dicomdir.write_bytes(content)
    result = run("predict", dicomdir, "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "DICOMDIR: broken (" in result.stderr
    assert len(grades(tmp_path / "out")["grades"]) == 25


def test_a_dicomdir_alone_is_nothing_readable(tmp_path: Path) -> None:
    write_study(tmp_path / "study")
    dicomdir = write_dicomdir(tmp_path / "study")
    alone = tmp_path / "alone"
    alone.mkdir()
    shutil.copy(dicomdir, alone)
    result = run("predict", alone / "DICOMDIR", "--out", tmp_path / "out")
    assert result.returncode == 3
    assert "49 of 49 listed files are not there" in result.stderr
