"""A study reads alike wherever it lies, and tells no patient's name."""

import logging
import shutil
from pathlib import Path

import pytest

from fake_studies import edit, refusal, truncate, write_study
from lumbargrade.dicom import read_study


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


def test_a_study_reads_the_same_wherever_it_lies(tmp_path: Path) -> None:
    write_study(tmp_path / "here")
    (tmp_path / "here" / "t2_tse_sag" / "6.dcm").unlink()
    shutil.copytree(tmp_path / "here", tmp_path / "there" / "deeper")
    first, second = read_study(tmp_path / "here"), read_study(tmp_path / "there")
    assert first.reports == second.reports
    assert first.warnings == second.warnings != ()
    assert [s.series_uid for s in first.series] == [s.series_uid for s in second.series]
