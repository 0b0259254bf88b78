import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from lumbargrade.atomic_files import WriteError
from lumbargrade.cli import app
from lumbargrade.competition import write_submission, write_table
from lumbargrade.competition.answers import POINT_COLUMNS
from lumbargrade.competition.dataset import COORDINATE_COLUMNS, LABEL_COLUMNS
from lumbargrade.competition.truth import TRUTH_COLUMNS
from lumbargrade.dicom.write_mr import HeaderProfile, MrSeries, MrSlice, write_mr_series
from lumbargrade.labels import GRADES
from lumbargrade.metric import competition_metric, reweight_for_metric
from lumbargrade.records import InvalidStudyError
from lumbargrade.settings import ConfigError

LINE = ("100", "7", 3, "Spinal Canal Stenosis", "L3/L4", 20.0, 10.0)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def document_of(*arguments: str | Path) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    return document


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Forty studies with true probabilities, in a folder with train.csv and submission.csv."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet((4.0, 1.0, 0.7), size=(40, 25))
    labels = (rng.random((40, 25, 1)) > p.cumsum(axis=-1)[..., :2]).sum(axis=-1)
    words = [[GRADES[grade].spelling for grade in row] for row in labels]
    ids = [str(100 + index) for index in range(40)]
    rows = [[study_id, *row] for study_id, row in zip(ids, words, strict=True)]
    write_table(tmp_path / "train.csv", LABEL_COLUMNS, rows)
    answers = reweight_for_metric(p)
    write_submission(tmp_path / "submission.csv", dict(zip(ids, answers, strict=True)))
    write_submission(tmp_path / "plain.csv", dict(zip(ids, p, strict=True)))
    np.save(tmp_path / "labels.npy", labels)
    np.save(tmp_path / "answers.npy", answers)
    return tmp_path


def score_arguments(folder: Path) -> tuple[str | Path, ...]:
    truth, submission = folder / "train.csv", folder / "submission.csv"
    return ("evaluate", "--truth", truth, "--submission", submission)


def test_evaluate_json_holds_the_official_metric(folder: Path) -> None:
    document = document_of(*score_arguments(folder))
    labels, answers = np.load(folder / "labels.npy"), np.load(folder / "answers.npy")
    parts = competition_metric(labels, answers)
    for name in ("score", "spinal", "foraminal", "subarticular", "any_severe_spinal"):
        assert document[name] == pytest.approx(getattr(parts, name), abs=1e-12)
    assert 0.5 < document["auc"] < 1
    assert (document["studies"], document["rows"]) == (40, 1000)
    assert document["weighted_prior"] > document["score"]
    assert not {"floor", "interval", "against"} & set(document)


def test_bootstrap_adds_an_interval_around_every_part(folder: Path) -> None:
    document = document_of(*score_arguments(folder), "--bootstrap", "200")
    for name in ("score", "spinal", "foraminal", "subarticular", "any_severe_spinal"):
        low, high = document["interval"][name]
        assert low < document[name] < high
    assert document == document_of(*score_arguments(folder), "--bootstrap", "200")


def test_the_interval_repeats_the_shape_of_the_document(folder: Path) -> None:
    document = document_of(*score_arguments(folder), "--bootstrap", "50")
    interval = document["interval"]
    low, high = interval["auc"]
    assert low < document["auc"] < high
    for family in ("spinal", "foraminal", "subarticular"):
        low, high = interval["kappa"][family]
        assert low < document["kappa"][family] < high
    for kind, size in {"family": 3, "condition": 5, "level": 5, "target": 25}.items():
        groups = document[f"by_{kind}"]
        assert list(groups) == list(interval[f"by_{kind}"])
        assert len(groups) == size
        assert sum(figures["rows"] for figures in groups.values()) == 1000
        for name, figures in groups.items():
            low, high = interval[f"by_{kind}"][name]["loss"]
            assert low < figures["loss"] < high
            assert set(figures["calibration_error"]) == {grade.value for grade in GRADES}
            assert figures["weighted_prior_loss"] > 0
    assert interval["by_level"]["l4_l5"]["calibration_error"]["severe"][0] >= 0
    difference = document["against_weighted_prior"]
    expected = document["score"] - document["weighted_prior"]
    assert difference["difference"] == pytest.approx(expected, abs=1e-12)
    assert difference["interval"]["high"] < 0
    assert set(difference["parts"]) == {"spinal", "foraminal", "subarticular", "any_severe_spinal"}


def test_the_first_five_keys_are_the_metric_and_curves_are_in_the_document(folder: Path) -> None:
    document = document_of(*score_arguments(folder))
    first = ["score", "spinal", "foraminal", "subarticular", "any_severe_spinal"]
    assert list(document)[:5] == first
    canal = document["curves"]["spinal"]
    assert np.sum(canal["confusion"]) == canal["rows"] == 200
    assert sum(item["rows"] for item in canal["reliability"]["severe"]) == 200
    roc = canal["roc"]["severe"]
    assert roc["positives"] + roc["negatives"] == 200
    assert len(roc["true_positive_rate"]) == len(roc["false_positive_rate"])


def some_lines(folder: Path, studies: int) -> Path:
    """The rows of the first few studies."""
    lines = (folder / "submission.csv").read_text().splitlines()
    (folder / "part.csv").write_text("\n".join(lines[: 1 + 25 * studies]) + "\n")
    return folder / "part.csv"


def test_a_part_of_the_studies_is_scored_only_when_asked_for(folder: Path) -> None:
    arguments = ("evaluate", "--truth", folder / "train.csv")
    part = some_lines(folder, 7)
    refused = run(*arguments, "--submission", part)
    assert "row 107_spinal_canal_stenosis_l1_l2 and 824 more are missing" in str(refused.exception)
    assert "--subset" in str(refused.exception)
    document = document_of(*arguments, "--submission", part, "--subset")
    labels, answers = np.load(folder / "labels.npy"), np.load(folder / "answers.npy")
    assert document["score"] == pytest.approx(competition_metric(labels[:7], answers[:7]).score)
    assert document["studies"] == 7
    part.write_text(part.read_text().replace("100_spinal_canal_stenosis_l1_l2", "1_x"))
    missing = run(*arguments, "--submission", part, "--subset")
    assert "row 100_spinal_canal_stenosis_l1_l2 is missing" in str(missing.exception)
    part.write_text("row_id,normal_mild,moderate,severe\n")
    nothing = run(*arguments, "--submission", part, "--subset")
    assert "no row belongs to any of the truth's 40 studies" in str(nothing.exception)


def test_one_study_has_figures_and_an_interval_without_width(folder: Path) -> None:
    lines = (folder / "train.csv").read_text().splitlines()
    (folder / "one.csv").write_text("\n".join(lines[:2]) + "\n")
    arguments = ("evaluate", "--truth", folder / "one.csv", "--submission", some_lines(folder, 1))
    document = document_of(*arguments, "--bootstrap", "20")
    assert (document["studies"], document["rows"], document["auc"]) == (1, 25, None)
    assert document["interval"]["score"] == pytest.approx([document["score"]] * 2)
    assert document["interval"]["auc"] is None
    assert run(*arguments, "--bootstrap", "20").exit_code == 0
    assert "1 study, 25 graded rows" in run(*arguments).stdout


def test_grades_of_one_class_leave_auc_and_kappa_without_a_value(folder: Path) -> None:
    text = (folder / "train.csv").read_text()
    for word in ("Moderate", "Severe"):
        text = text.replace(word, "Normal/Mild")
    (folder / "train.csv").write_text(text)
    document = document_of(*score_arguments(folder), "--bootstrap", "20")
    assert document["auc"] is None
    assert document["by_condition"]["spinal_canal_stenosis"]["auc_severe"] is None
    assert document["interval"]["auc"] is None
    assert document["curves"]["spinal"]["roc"]["severe"]["auc"] is None
    assert run(*score_arguments(folder)).exit_code == 0


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (",0.5,0.5", "holds no number"),
        ("none,0.5,0.5", "holds no number"),
        ("nan,0.5,0.5", "is not finite"),
        ("0.5,0.5", "expected 4 cells, found 3"),
    ],
)
def test_a_row_without_numbers_is_named(folder: Path, cells: str, message: str) -> None:
    submission = folder / "submission.csv"
    lines = submission.read_text().splitlines()
    name = lines[30].split(",")[0]
    lines[30] = f"{name},{cells}"
    submission.write_text("\n".join(lines))
    told = str(run(*score_arguments(folder)).exception)
    assert message in told
    assert name in told or "line 31" in told


def test_the_floor_is_scored_on_the_rows_of_the_truth(folder: Path) -> None:
    oracle = (folder / "submission.csv").read_text()
    (folder / "oracle.csv").write_text(oracle + oracle.splitlines()[1].replace("100_", "999_"))
    document = document_of(*score_arguments(folder))
    assert document["floor"] == document["score"]


def test_against_reports_the_paired_difference(folder: Path) -> None:
    document = document_of(
        *score_arguments(folder), "--against", folder / "plain.csv", "--bootstrap", "100"
    )
    against = document["against"]
    plain = document_of(
        "evaluate", "--truth", folder / "train.csv", "--submission", folder / "plain.csv"
    )
    assert against["difference"] == pytest.approx(document["score"] - plain["score"], abs=1e-12)
    assert against["interval"]["low"] < against["difference"] < against["interval"]["high"]


def test_the_prior_can_come_from_other_studies(folder: Path) -> None:
    lines = (folder / "train.csv").read_text().splitlines()
    (folder / "few.csv").write_text("\n".join(lines[:6]) + "\n")
    own = document_of(*score_arguments(folder))["weighted_prior"]
    other = document_of(*score_arguments(folder), "--prior-from", folder / "few.csv")
    assert other["weighted_prior"] > own


def test_without_json_a_table_is_printed(folder: Path) -> None:
    result = run(*score_arguments(folder), "--bootstrap", "50")
    assert result.exit_code == 0
    for word in ("score", "any_severe_spinal", "weighted_prior", "AUC", "kappa", "40 studies"):
        assert word in result.stdout


def test_a_bad_row_ends_the_command_with_its_name(folder: Path) -> None:
    submission = folder / "submission.csv"
    lines = submission.read_text().splitlines()
    lines[1] = "100_spinal_canal_stenosis_l1_l2,0.5,0.5,0.5"
    submission.write_text("\n".join(lines))
    result = run(*score_arguments(folder))
    assert isinstance(result.exception, InvalidStudyError)
    command = [sys.executable, "-m", "lumbargrade", *map(str, score_arguments(folder)), "--json"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (finished.returncode, finished.stdout) == (3, "")
    message = " ".join(finished.stderr.split())
    assert "row 100_spinal_canal_stenosis_l1_l2 sums to 1.5" in message
    assert "Traceback" not in message


def test_wrong_usage_exits_with_2(folder: Path) -> None:
    assert run("evaluate", "--truth", folder / "train.csv").exit_code == 2
    assert run(*score_arguments(folder), "--bootstrap", "-1").exit_code == 2


def write_points(folder: Path, *, shift: int = 0) -> tuple[str | Path, ...]:
    write_table(folder / "train_label_coordinates.csv", COORDINATE_COLUMNS, [LINE])
    point = (*LINE[:2], 3 + shift, *LINE[3:5], 22.0, 10.0, 0.8)
    write_table(folder / "points.csv", POINT_COLUMNS, [point])
    truth, points = folder / "train_label_coordinates.csv", folder / "points.csv"
    return ("evaluate-points", "--truth", truth, "--points", points)


def write_images(folder: Path) -> None:
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
        slice_thickness_mm=4.0,
        spacing_between_slices_mm=4.0,
        echo_time_ms=100.0,
        repetition_time_ms=3000.0,
    )
    slices = [
        MrSlice(
            pixels=np.zeros((64, 128), dtype=np.uint16),
            position_lps_mm=np.array([4.0 * number, -64.0, 32.0]),
            image_orientation=np.array([0.0, 1, 0, 0, 0, -1]),
            pixel_spacing_mm=np.array([1.0, 1.0]),
            instance_number=number,
            sop_instance_uid=f"1.2.3.{number}",
            window=(500.0, 1000.0),
        )
        for number in range(1, 6)
    ]
    write_mr_series(
        folder / "train_images" / "100" / "7", series, slices, profile=HeaderProfile.RSNA
    )


def test_evaluate_points_reads_matrix_and_slices_beside_the_truth(tmp_path: Path) -> None:
    write_images(tmp_path)
    document = document_of(*write_points(tmp_path))
    canal = document["sagittal_t2"]
    assert canal["median_px"] == pytest.approx(4.0, abs=1e-12)  # 2 of 128 columns
    assert canal["median_mm_in_plane"] == pytest.approx(2.0, abs=1e-9)
    assert (canal["within_5px"], canal["slice_exact"]) == (1.0, 1.0)
    assert document["axial_t2"]["truths"] == 0
    assert document["all"] == canal
    shifted = document_of(*write_points(tmp_path, shift=1))["all"]
    assert (shifted["slice_exact"], shifted["slice_within_1"]) == (0.0, 1.0)
    assert shifted["median_mm_along_z"] == pytest.approx(4.0, abs=1e-9)


def test_evaluate_points_uses_the_exact_truth_beside_the_truth(tmp_path: Path) -> None:
    write_images(tmp_path)
    cells = ("100", "spinal_canal_stenosis", "l3_l4", 90, "mm2", 0.1)
    row = (*cells, 13.8, -44.0, 22.0, "7", 3, True, "")  # 1.8 mm from slice 3, 2.2 from slice 4
    write_table(tmp_path / "phantom_truth.csv", TRUTH_COLUMNS, [row])
    document = document_of(*write_points(tmp_path, shift=1))["all"]
    assert document["slice_exact"] == 1.0
    assert document["coverage_precision"] == 1.0
    assert document["median_mm_along_z"] == pytest.approx(2.2, abs=1e-9)


def test_evaluate_points_without_images_leaves_geometry_null(tmp_path: Path) -> None:
    document = document_of(*write_points(tmp_path))
    assert document["all"]["found"] == 1.0
    assert document["all"]["median_px"] is None
    assert document["all"]["slice_exact"] is None
    result = run(*write_points(tmp_path))
    assert result.exit_code == 0
    assert "sagittal_t2" in result.stdout


def test_plots_are_drawn_beside_the_json_document(folder: Path) -> None:
    plots = folder / "plots"
    result = run(*score_arguments(folder), "--json", "--plots", plots)
    assert result.exit_code == 0
    assert json.loads(result.stdout)["studies"] == 40
    assert "reliability.png" in result.stderr
    assert len(list(plots.glob("*.png"))) == 5


def test_evaluate_points_lists_the_farthest_points_and_draws(tmp_path: Path) -> None:
    write_images(tmp_path)
    arguments = write_points(tmp_path, shift=1)
    document = document_of(*arguments, "--bootstrap", "20", "--plots", tmp_path / "plots")
    (worst,) = document["worst"]
    assert (worst["row_id"], worst["slices_off"]) == ("100_spinal_canal_stenosis_l3_l4", 1)
    assert worst["marked"] == {"series_id": "7", "instance_number": 3, "x": 20.0, "y": 10.0}
    assert worst["predicted"]["instance_number"] == 4
    assert worst["mm"] == pytest.approx(np.hypot(4.0, 2.0), abs=1e-9)
    assert document["by_condition"]["spinal_canal_stenosis"] == document["all"]
    assert document["by_level"]["l3_l4"] == document["all"]
    assert document["interval"]["all"]["median_px"] == pytest.approx([4.0, 4.0])
    assert sum(document["histogram"]["sagittal_t2"]["px"]) == 1
    assert len(list((tmp_path / "plots").glob("point_*.png"))) == 5
    table = run(*arguments, "--bootstrap", "20").stdout
    assert "100.0%" in table
    assert "3 → 4" in table


def test_a_folder_as_truth_is_its_table_with_all_that_lies_beside_it(
    folder: Path, tmp_path: Path
) -> None:
    shutil.copy(folder / "submission.csv", folder / "oracle.csv")
    table = document_of(*score_arguments(folder))
    truth = ("evaluate", "--truth", folder, "--submission", folder / "submission.csv")
    assert document_of(*truth) == table
    assert table["floor"] == table["score"]
    write_images(tmp_path)
    command, _, marked, *rest = write_points(tmp_path)
    document = document_of(command, "--truth", Path(marked).parent, *rest)
    assert document == document_of(command, "--truth", marked, *rest)
    assert document["all"]["median_px"] is not None


@pytest.mark.parametrize("command", ["evaluate", "compare"])
def test_tables_that_are_no_text_or_no_file_are_named(folder: Path, command: str) -> None:
    def words(submission: Path) -> tuple[str | Path, ...]:
        if command == "compare":
            return (command, folder / "plain.csv", submission, "--truth", folder / "train.csv")
        return (command, "--truth", folder / "train.csv", "--submission", submission)

    latin = folder / "latin.csv"
    latin.write_bytes((folder / "submission.csv").read_bytes() + b"\xe9")
    result = run(*words(latin))
    assert isinstance(result.exception, InvalidStudyError)
    assert f"{latin}: not a text file in UTF-8" in str(result.exception)
    place = folder / "place"
    place.mkdir()
    result = run(*words(place))
    assert isinstance(result.exception, (InvalidStudyError, ConfigError))
    assert str(place) in str(result.exception)


def test_figures_are_told_before_pictures_that_cannot_be_drawn(folder: Path) -> None:
    (folder / "inside").write_text("a file in the way")
    result = run(*score_arguments(folder), "--json", "--plots", folder / "inside" / "plots")
    assert isinstance(result.exception, WriteError)
    assert json.loads(result.stdout)["studies"] == 40
