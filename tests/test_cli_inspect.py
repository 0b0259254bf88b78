"""``lumbargrade inspect``: one JSON document, exit codes, nothing of the patient, no torch."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from fake_studies import SHARED_DATA, edit_all, write_study
from lumbargrade.cli import app
from lumbargrade.dicom import find_studies, read_study
from lumbargrade.records import InvalidStudyError

CASES = SHARED_DATA / "dicom_cases"
needs_cases = pytest.mark.skipif(
    not CASES.is_dir(), reason="the public DICOM cases are not beside the repository"
)


def document(path: Path) -> dict[str, Any]:
    result = CliRunner().invoke(app, ["inspect", str(path), "--json"])
    assert result.exit_code == 0, result.output
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


def test_json_names_every_series_and_the_views_it_serves(tmp_path: Path) -> None:
    write_study(tmp_path)
    (tmp_path / "notes.txt").write_text("no image")
    found = document(tmp_path)
    assert found["schema"] == "lumbargrade/inspect/1"
    assert found["files"] == {"dicom": 49, "foreign": 1}
    (study,) = found["studies"]
    assert {view: len(ids) for view, ids in study["views"].items()} == {
        "sagittal_t2": 1,
        "sagittal_t1": 1,
        "axial_t2": 1,
    }
    for report in study["series"]:
        assert report["used"]
        assert report["reason"]
        assert report["pixel_spacing_mm"] in ([5.0, 5.0], [4.0, 4.0])


def test_refused_series_and_foreign_files_are_no_failure(tmp_path: Path) -> None:
    write_study(tmp_path)
    edit_all(tmp_path, Modality="CT")
    (study,) = document(tmp_path)["studies"]
    assert not any(report["used"] for report in study["series"])
    for view, warning in zip(
        ("sagittal T2", "sagittal T1", "axial T2"), study["warnings"], strict=True
    ):
        assert warning.startswith(f"no series serves {view}; refused: series 2.25.")
        assert "Modality is CT, not MR (t2_tse_tra/1.dcm)" in warning


def test_the_table_shows_the_reason_and_nothing_of_the_patient(tmp_path: Path) -> None:
    write_study(tmp_path)
    result = CliRunner().invoke(app, ["inspect", str(tmp_path)])
    assert result.exit_code == 0
    assert "sagittal_t2" in result.output
    for private in ("Secret", "ID-7731"):
        assert private not in result.output
        assert private not in json.dumps(document(tmp_path))


def test_nothing_readable_is_exit_code_3_and_a_wrong_path_is_2(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    result = CliRunner().invoke(app, ["inspect", str(tmp_path), "--json"])
    assert result.exit_code == 3
    assert json.loads(result.stdout)["studies"] == []
    assert CliRunner().invoke(app, ["inspect", str(tmp_path / "absent")]).exit_code == 2


def test_inspect_imports_no_torch(tmp_path: Path) -> None:
    write_study(tmp_path)
    code = (
        "import sys; from lumbargrade.cli import app\n"
        "try: app(['inspect', sys.argv[1], '--json'])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert 'torch' not in sys.modules and 'pandas' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True)


@needs_cases
def test_of_the_public_cases_nothing_is_used_and_nothing_crashes() -> None:
    found = document(CASES)
    assert found["files"]["dicom"] == 27
    assert len(found["studies"]) == 7
    assert not any(report["used"] for study in found["studies"] for report in study["series"])


@needs_cases
@pytest.mark.parametrize("index", range(7))
def test_of_the_public_cases_no_study_is_usable(index: int) -> None:
    with pytest.raises(InvalidStudyError, match="no usable view"):
        read_study(find_studies(CASES)[index])
