"""``submit`` on whole datasets of tiny images, with a stand-in for the networks."""

import csv
import re
from pathlib import Path

import pytest

from fake_dataset import break_study, write_dataset
from fake_records import WITHOUT_IMAGES
from lumbargrade.competition import read_submission
from lumbargrade.labels import TARGETS
from test_cli_predict import fake_pipeline as fake_pipeline
from test_cli_predict import run


def studies_of(table: Path) -> list[str]:
    """In the order of the rows, each once."""
    rows = read_submission(table).row_ids
    assert len(rows) == len(set(rows))
    ids = list(dict.fromkeys(row.partition("_")[0] for row in rows))
    assert len(rows) == 25 * len(ids)
    return ids


def fall_backs(table: Path) -> dict[str, tuple[str, str]]:
    with table.open(newline="") as file:
        return {row["row_id"]: (row["reason"], row["detail"]) for row in csv.DictReader(file)}


def test_submit_takes_the_test_set_before_the_training_set(tmp_path: Path) -> None:
    write_dataset(tmp_path / "in", "201", split="test")
    write_dataset(tmp_path / "in", "101")
    out = tmp_path / "new" / "submission.csv"
    result = run("submit", tmp_path / "in", "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(out)
    assert studies_of(out) == ["201"]


def test_submit_takes_the_training_set_where_there_is_no_other(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "102", "101")
    assert run("submit", dataset, "--out", tmp_path / "s.csv").exit_code == 0
    assert studies_of(tmp_path / "s.csv") == ["101", "102"]
    assert run("submit", tmp_path, "--out", tmp_path / "s.csv").exit_code == 2


def test_every_study_that_the_test_set_names_has_its_rows_and_a_reason(tmp_path: Path) -> None:
    """201 can be read, 202 cannot, 203 has an empty folder, 204 and 205 stand in tables alone."""
    dataset = write_dataset(tmp_path / "in", "201", "202", split="test")
    break_study(dataset, "202", split="test")
    (dataset / "test_images" / "203").mkdir()
    (dataset / "test_images" / ".ipynb_checkpoints").mkdir()
    (dataset / "test_series_descriptions.csv").write_text(
        "study_id,series_id,series_description\n204,9,Axial T2\n201,9001,Sagittal T2/STIR\n"
    )
    (dataset / "sample_submission.csv").write_text(
        f"row_id,normal_mild,moderate,severe\n{TARGETS[0].row_id('205')},0.3,0.3,0.4\n"
    )
    out = tmp_path / "submission.csv"
    result = run("submit", dataset, "--out", out)
    assert result.exit_code == 1
    assert studies_of(out) == ["201", "202", "203", "204", "205"]
    table = read_submission(out)
    instead = {
        row_id.partition("_")[0]
        for row_id, row in zip(table.row_ids, table.probabilities, strict=True)
        if tuple(row) == WITHOUT_IMAGES
    }
    assert instead == {"202", "203", "204", "205"}
    listed = fall_backs(tmp_path / "submission_fallbacks.csv")
    of_study = {name: {listed[t.row_id(name)] for t in TARGETS} for name in ("203", "204", "205")}
    assert of_study == {key: {("no_images", "")} for key in of_study}
    reason, detail = listed[TARGETS[0].row_id("202")]
    assert reason == "study_failed"
    assert "no usable view" in detail
    assert "1 of 5 studies graded" in result.stderr
    assert "75 no_images" in result.stderr
    assert "25 study_failed" in result.stderr


def test_a_row_answered_from_other_views_is_listed(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "201", split="test")
    for path in (dataset / "test_images" / "201" / "9003").iterdir():
        path.unlink()
    assert run("submit", dataset, "--out", tmp_path / "s.csv").exit_code == 0
    listed = fall_backs(tmp_path / "s_fallbacks.csv")
    missing = {row_id for row_id, (reason, _) in listed.items() if reason == "view_missing"}
    assert missing == {target.row_id("201") for target in TARGETS[15:]}


def test_a_table_that_cannot_be_read_costs_no_row_of_a_study_with_images(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "201", split="test")
    (dataset / "sample_submission.csv").write_text("nothing,of,use\n1,2,3\n")
    assert run("submit", dataset, "--out", tmp_path / "s.csv").exit_code == 0
    assert studies_of(tmp_path / "s.csv") == ["201"]


def test_rows_are_written_where_nothing_is_readable_and_the_exit_code_is_3(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "201", split="test")
    break_study(dataset, "201", split="test")
    assert run("submit", dataset, "--out", tmp_path / "s.csv").exit_code == 3
    assert studies_of(tmp_path / "s.csv") == ["201"]
    (tmp_path / "none" / "test_images").mkdir(parents=True)
    assert run("submit", tmp_path / "none", "--out", tmp_path / "t.csv").exit_code == 3
    assert not (tmp_path / "t.csv").exists()


@pytest.mark.parametrize("count", [1, 3])
def test_an_estimate_says_device_hours_and_how_sure_and_writes_nothing(
    tmp_path: Path, count: int
) -> None:
    dataset = write_dataset(
        tmp_path / "in", *(str(201 + index) for index in range(count)), split="test"
    )
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    result = run("submit", dataset, "--estimate", "--studies", "500")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "device: cpu"
    assert lines[1].startswith(f"measured: {count} studies of test_images, {count} studies: ")
    assert re.match(r"500 studies: \d+\.\d\d h; ", lines[2])
    sure = "how much others differ is unknown" if count == 1 else "with 95 % certainty"
    assert sure in lines[2]
    assert "the 9 h" in lines[3]
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_an_estimate_or_a_file_must_be_asked_for(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "201", split="test")
    result = run("submit", dataset)
    assert result.exit_code == 2
    assert "--estimate" in result.stderr


def test_a_table_of_views_that_is_no_utf_8_loses_no_row(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "201", split="test")
    (dataset / "test_series_descriptions.csv").write_bytes(
        "study_id,series_id,series_description\n201,9001,Sagittal T2/STIR é\n".encode("latin-1")
    )
    result = run("submit", dataset, "--out", tmp_path / "s.csv")
    assert result.exit_code in (0, 1), result.output
    assert studies_of(tmp_path / "s.csv") == ["201"]
