"""A study reads alike wherever it lies, tells no patient's name, and survives damage."""

import logging
import shutil
from pathlib import Path

import numpy as np
import pytest

from fake_studies import edit, refusal, series, slices, truncate, write_study
from lumbargrade.dicom import find_studies, read_study
from lumbargrade.dicom.write_mr import write_mr_series
from lumbargrade.records import InvalidStudyError


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
