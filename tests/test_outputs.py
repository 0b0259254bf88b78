import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_records import MODELS_HASH, make_prediction
from lumbargrade.competition import read_points, read_submission
from lumbargrade.labels import TARGETS, Flag, View
from lumbargrade.metric import undo_metric_weights
from lumbargrade.outputs import (
    finished_grades,
    grades_document,
    study_folder,
    write_prediction,
    write_summary,
)
from lumbargrade.prediction import Prediction, place_landmarks
from lumbargrade.records import Grades, InvalidStudyError

WITHOUT_POINT = {"view_missing", "level_not_covered"}


@pytest.fixture
def prediction() -> Prediction:
    return make_prediction()


def _finished(out: Path, prediction: Prediction, **changes: str) -> Grades | None:
    expected = {
        "models_hash": MODELS_HASH,
        "sop_instances_sha256": prediction.sop_instances_sha256,
    } | changes
    return finished_grades(out, prediction.study, **expected)


def test_grades_json_has_the_documented_keys_in_their_order(prediction: Prediction) -> None:
    document = grades_document(prediction)
    assert list(document) == [
        *("schema", "study_id", "models", "source", "warnings", "views", "grades"),
    ]
    assert document["schema"] == "lumbargrade/grades/1"
    assert document["models"]["hash"] == MODELS_HASH
    assert document["source"] == {"sop_instances_sha256": prediction.sop_instances_sha256}
    assert list(document["views"]) == ["sagittal_t2", "sagittal_t1", "axial_t2"]
    row = document["grades"][0]
    assert list(row) == [
        *("row_id", "condition", "level", "probabilities", "grade", "point", "flags"),
    ]
    assert list(row["point"]) == [
        *("series_uid", "sop_instance_uid", "instance_number", "frame_number"),
        *("column", "row", "position_lps_mm", "score"),
    ]


def test_the_25_rows_stand_in_target_order_and_sum_to_one(prediction: Prediction) -> None:
    rows = grades_document(prediction)["grades"]
    assert [row["row_id"] for row in rows] == [target.row_id("100001") for target in TARGETS]
    for row in rows:
        values = row["probabilities"]
        assert list(values) == ["normal_mild", "moderate", "severe"]
        assert sum(values.values()) == pytest.approx(1.0, abs=1e-12)
        assert row["grade"] == max(values, key=values.__getitem__)


@pytest.mark.parametrize("views", [tuple(View), (View.SAGITTAL_T2,), (View.AXIAL_T2,)])
def test_points_are_null_exactly_with_the_two_flags(views: tuple[View, ...]) -> None:
    rows = grades_document(make_prediction(views=views))["grades"]
    for row in rows:
        assert (row["point"] is None) == bool(WITHOUT_POINT & set(row["flags"]))
    with_point = {
        row["condition"] for row in rows if row["point"] is not None and row["level"] == "l4_l5"
    }
    assert len(with_point) == sum(
        {View.SAGITTAL_T2: 1, View.SAGITTAL_T1: 2, View.AXIAL_T2: 2}[view] for view in views
    )


def test_a_missing_view_is_null_and_its_rows_are_flagged() -> None:
    document = grades_document(make_prediction(views=(View.SAGITTAL_T2, View.SAGITTAL_T1)))
    assert document["views"]["axial_t2"] is None
    subarticular = document["grades"][15:]
    assert all("view_missing" in row["flags"] for row in subarticular)


def test_an_uncovered_level_is_flagged_without_a_point(prediction: Prediction) -> None:
    rows = grades_document(prediction)["grades"]
    assert [row["row_id"] for row in rows if "level_not_covered" in row["flags"]] == [
        "100001_left_subarticular_stenosis_l1_l2",
        "100001_right_subarticular_stenosis_l1_l2",
    ]


def test_slices_count_distinct_slices_given_to_the_detector(prediction: Prediction) -> None:
    volume = prediction.volumes[View.SAGITTAL_T2]
    twice = replace(
        volume,
        series_index=np.tile(volume.series_index, 2),
        slice_index=np.tile(volume.slice_index, 2),
    )
    doubled = replace(prediction, volumes={**prediction.volumes, View.SAGITTAL_T2: twice})
    entry = grades_document(doubled)["views"]["sagittal_t2"]
    assert entry["slices"] == 10
    assert [series["slices"] for series in entry["series"]] == [10]


def test_column_row_and_position_name_one_place_within_a_micrometre(
    prediction: Prediction,
) -> None:
    slices = {
        item.sop_instance_uid: item for series in prediction.study.series for item in series.slices
    }
    for point in prediction.grades.points:
        if point is not None:
            affine = slices[point.sop_instance_uid].affine
            position = affine @ [0.0, point.row, point.column, 1.0]
            np.testing.assert_allclose(position[:3], point.position_lps_mm, atol=1e-3)


def test_a_landmark_outside_the_image_loses_its_point(prediction: Prediction) -> None:
    far = [
        replace(item, position_lps_mm=np.array([0.0, 500.0, 0.0])) for item in prediction.landmarks
    ]
    landmarks, points = place_landmarks(prediction.study, far)
    assert points == (None,) * 25
    assert all(item.flags == (Flag.LEVEL_NOT_COVERED,) for item in landmarks)
    assert all(item.position_lps_mm is None for item in landmarks)


def test_a_point_lies_on_its_nearest_slice_within_half_a_spacing(prediction: Prediction) -> None:
    for landmark, point in zip(prediction.landmarks, prediction.grades.points, strict=True):
        if landmark.position_lps_mm is not None and point is not None:
            distance = np.linalg.norm(landmark.position_lps_mm - point.position_lps_mm)
            assert distance <= 3.0 + 1e-9


def test_a_finished_study_reads_back_as_it_was(tmp_path: Path, prediction: Prediction) -> None:
    write_prediction(tmp_path, prediction, "<html></html>")
    grades = _finished(tmp_path, prediction)
    assert grades is not None
    np.testing.assert_array_equal(grades.probabilities, prediction.grades.probabilities)
    np.testing.assert_array_equal(
        grades.metric_probabilities, prediction.grades.metric_probabilities
    )
    assert grades.flags == prediction.grades.flags
    for read, written in zip(grades.points, prediction.grades.points, strict=True):
        assert (read is None) == (written is None)
        if read is not None and written is not None:
            assert (read.series_id, read.column) == (written.series_id, written.column)


def test_other_models_or_other_instances_are_not_finished(
    tmp_path: Path, prediction: Prediction
) -> None:
    assert _finished(tmp_path, prediction) is None
    write_prediction(tmp_path, prediction, "")
    assert _finished(tmp_path, prediction) is not None
    assert _finished(tmp_path, prediction, models_hash="other") is None
    assert _finished(tmp_path, prediction, sop_instances_sha256="other") is None


def test_a_broken_grades_json_means_predict_again(tmp_path: Path, prediction: Prediction) -> None:
    folder = write_prediction(tmp_path, prediction, "")
    path = folder / "grades.json"
    path.write_text(path.read_text()[:900])
    assert _finished(tmp_path, prediction) is None


def test_equal_predictions_give_equal_bytes(tmp_path: Path) -> None:
    first = write_prediction(tmp_path / "a", make_prediction(), "page")
    second = write_prediction(tmp_path / "elsewhere" / "b", make_prediction(), "page")
    for name in ("grades.json", "grades.csv", "report.html"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_a_run_killed_while_writing_leaves_no_finished_study(
    tmp_path: Path, prediction: Prediction, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_prediction(tmp_path, prediction, "old")
    real = Path.replace

    def killed(self: Path, target: Path) -> Path:
        if target.name == "report.html":
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_prediction(tmp_path, prediction, "new")
    monkeypatch.undo()
    folder = tmp_path / "100001"
    assert sorted(path.name for path in folder.iterdir()) == ["grades.csv", "report.html"]
    assert (folder / "report.html").read_text() == "old"
    assert _finished(tmp_path, prediction) is None


def test_the_csv_tables_hold_q_and_the_points_of_every_study(tmp_path: Path) -> None:
    predictions = [make_prediction("2000"), make_prediction("100")]
    write_summary(tmp_path, [item.grades for item in predictions])
    submission = read_submission(tmp_path / "predictions.csv")
    assert submission.row_ids == tuple(
        target.row_id(study) for study in ("100", "2000") for target in TARGETS
    )
    np.testing.assert_allclose(
        undo_metric_weights(submission.probabilities[:25]),
        predictions[1].grades.probabilities,
        atol=1e-12,
    )
    points = read_points(tmp_path / "points.csv")
    assert len(points) == 2 * 23
    assert {point.series_id for point in points} == {"9000", "9001", "9002"}


def test_grades_csv_has_a_line_per_target(tmp_path: Path, prediction: Prediction) -> None:
    folder = write_prediction(tmp_path, prediction, "")
    lines = (folder / "grades.csv").read_text().splitlines()
    assert len(lines) == 26
    assert lines[0].startswith("row_id,condition,level,grade,normal_mild,moderate,severe,")
    uncovered = lines[1 + 15]
    assert uncovered.startswith("100001_left_subarticular_stenosis_l1_l2,")
    assert uncovered.endswith(",,,,,,,,,,level_not_covered")


@pytest.mark.parametrize("study_id", ["..", "a/b", "", "a_b", ".hidden"])
def test_a_study_id_that_leads_elsewhere_is_refused(tmp_path: Path, study_id: str) -> None:
    with pytest.raises(InvalidStudyError, match="study id"):
        study_folder(tmp_path, study_id)


def _numbers(value: object) -> Iterator[float]:
    if isinstance(value, dict):
        for item in value.values():
            yield from _numbers(item)
    elif isinstance(value, list):
        for item in value:
            yield from _numbers(item)
    elif isinstance(value, float):
        yield value


def test_json_numbers_are_unrounded(tmp_path: Path, prediction: Prediction) -> None:
    folder = write_prediction(tmp_path, prediction, "")
    read = json.loads((folder / "grades.json").read_text())
    assert list(_numbers(read)) == list(_numbers(grades_document(prediction)))
