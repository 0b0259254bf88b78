"""Nothing that names the patient leaves the DICOM files: not into a file, a name, or a message."""

import base64
import logging
import re
from pathlib import Path

import pytest

from fake_archives import ZIP, packed
from fake_main import run
from fake_studies import edit_all, refusal, series, slices, write_study
from lumbargrade.dicom import read_study
from lumbargrade.dicom.write_mr import derived_uid, write_mr_series

MARK = "Zq7Sentinel"
TAGS = {
    keyword: f"{MARK}{number}"
    for number, keyword in enumerate(
        (
            *("PatientName", "PatientID", "AccessionNumber", "StudyID", "ReferringPhysicianName"),
            *("OtherPatientIDs", "OtherPatientNames", "PatientAddress", "PatientComments"),
            *("InstitutionName", "InstitutionAddress", "InstitutionalDepartmentName"),
            *("PerformingPhysicianName", "OperatorsName", "RequestingPhysician", "StationName"),
            *("ImageComments", "StudyDescription", "DeviceSerialNumber", "IssuerOfPatientID"),
            *("PatientBirthName", "PatientMotherBirthName", "RequestedProcedureID"),
        )
    )
} | {"PatientBirthDate": "19470113", "PatientTelephoneNumbers": f"{MARK}-555"}
SECRETS = (MARK, "19470113")


@pytest.fixture
def marked(tmp_path: Path) -> Path:
    """Studies that give grades with warnings, fail, and cannot be read, all of one marked patient.

    They lie in folders and an archive.
    """
    place = tmp_path / "in"
    write_study(place / "good")
    failing = series("ct", study_uid=derived_uid("b"), series_uid=derived_uid("b", "ct"))
    write_mr_series(place / "failing", failing, slices(name="b"))
    edit_all(place, **TAGS)
    edit_all(place / "failing", Modality="CT")
    edit_all(place / "good" / "t1_tse_sag", PatientID=MARK * 20)  # pydicom quotes what is too long
    t2 = place / "good" / "t2_tse_sag"
    (t2 / "6.dcm").unlink()
    (t2 / "2.dcm").write_bytes((t2 / "2.dcm").read_bytes()[:-400])
    raw = (t2 / "3.dcm").read_bytes()
    (place / "no_uid.dcm").write_bytes(raw[:140] + raw[raw.index(MARK.encode()) - 8 :])
    (place / "cut.dcm").write_bytes(raw[: raw.index(MARK.encode()) + 60])
    packed(place / "good" / "t2_tse_tra", ZIP)
    return place


def assert_clean(text: str | bytes) -> None:
    raw = text.encode() if isinstance(text, str) else text
    for secret in SECRETS:
        for encoding in ("utf-8", "utf-16-le"):
            assert secret.lower().encode(encoding) not in raw.lower()


def assert_files_clean(folder: Path) -> None:
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert files
    for path in files:
        assert_clean(path.relative_to(folder).as_posix())
        content = path.read_bytes()
        assert_clean(content)
        for packed_part in re.findall(rb"[A-Za-z0-9+/]{24,}={0,2}", content):
            whole = packed_part[: len(packed_part) // 4 * 4]
            assert_clean(base64.b64decode(whole))


def test_nothing_of_the_patient_is_written_or_said(
    marked: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    assert MARK.encode() in (marked / "good" / "t1_tse_sag" / "1.dcm").read_bytes()
    out, cache = tmp_path / "out", tmp_path / "cache"
    results = [
        run("inspect", marked),
        run("inspect", marked, "--json"),
        run("predict", marked, "--out", out),
        run("predict", marked, "--out", out),
        run("prepare", marked, "--out", cache),
    ]
    assert [result.returncode for result in results] == [0, 0, 1, 1, 1]
    for result in results:
        assert_clean(result.stdout)
        assert_clean(result.stderr)
    assert "gap of" in results[2].stderr
    assert "slice left out" in results[2].stderr
    assert "Modality is CT" in results[2].stderr
    assert_files_clean(out)
    assert_files_clean(cache)
    with caplog.at_level(logging.DEBUG):
        assert_clean(refusal(marked / "failing"))
        assert_clean(repr(read_study(marked / "good")))
    assert caplog.text
    assert_clean(caplog.text)


def test_a_folder_written_like_a_name_is_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "in" / "DOE^JOHN"
    write_mr_series(folder, series(), slices())
    (folder / "6.dcm").unlink()
    (folder / "2.dcm").write_bytes((folder / "2.dcm").read_bytes()[:-400])
    (folder / "3.dcm").write_bytes((folder / "3.dcm").read_bytes()[:140])
    out = tmp_path / "out"
    result = run("predict", tmp_path / "in", "--out", out)
    assert result.returncode == 0, result.stderr
    assert "slice left out: …/2.dcm" in result.stderr
    written = [path.read_text() for path in out.rglob("*") if path.is_file()]
    assert not any("DOE" in text for text in (result.stdout, result.stderr, *written))


def test_reports_hold_no_path_of_this_machine(tmp_path: Path) -> None:
    write_study(tmp_path / "hidden_place" / "study")
    edit_all(tmp_path / "hidden_place" / "study" / "t1_tse_sag", Modality="CT")
    assert run("predict", tmp_path / "hidden_place", "--out", tmp_path / "out").returncode == 0
    written = [path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()]
    assert any("Modality is CT, not MR (t1_tse_sag/1.dcm)" in text for text in written)
    assert not any("hidden_place" in text for text in written)


def test_text_burned_into_the_pixels_refuses_the_image(tmp_path: Path) -> None:
    write_study(tmp_path)
    edit_all(tmp_path / "t2_tse_tra", BurnedInAnnotation="YES")
    edit_all(tmp_path / "t1_tse_sag", BurnedInAnnotation="NO")
    study = read_study(tmp_path)
    (refused,) = (report for report in study.reports if not report.used)
    assert refused.description == "t2_tse_tra"
    assert refused.reason == (
        "text is burned into its pixels, which may name the patient: BurnedInAnnotation YES "
        "(t2_tse_tra/1.dcm)"
    )
