from pathlib import Path

import numpy as np
import pytest

from lumbargrade.atomic_files import write_beside
from lumbargrade.competition import (
    instance_path,
    read_coordinate_images,
    read_coordinates,
    read_labels,
    read_points,
    read_series_descriptions,
    read_submission,
    read_truth,
    study_ids,
    write_points,
    write_submission,
    write_table,
)
from lumbargrade.competition.dataset import COORDINATE_COLUMNS, LABEL_COLUMNS
from lumbargrade.competition.truth import TRUTH_COLUMNS
from lumbargrade.labels import MISSING_GRADE, TARGETS, Condition, Level, Target, View
from lumbargrade.records import Grades, InvalidStudyError, PointOnSlice

REAL_COORDINATES = Path(__file__).parents[2] / "shared" / "data" / "lumbar_coordinates"


def write_labels(folder: Path, *rows: list[str], columns: tuple[str, ...] = LABEL_COLUMNS) -> Path:
    write_table(folder / "train.csv", columns, rows)
    return folder


def grades(study_id: str, points: tuple[PointOnSlice | None, ...]) -> Grades:
    p = np.full((25, 3), 1 / 3)
    q = np.tile([1 / 7, 2 / 7, 4 / 7], (25, 1))
    return Grades(
        study_id=study_id,
        study_uid="1.2.3",
        probabilities=p,
        metric_probabilities=q,
        points=points,
        flags=((),) * 25,
        warnings=(),
        models_hash="",
        models_name="",
    )


def test_labels_come_in_target_order_whatever_the_column_order(tmp_path: Path) -> None:
    words = ["Severe", "Moderate", *["Normal/Mild"] * 22, ""]
    write_labels(tmp_path, ["0123", *words])
    labels = read_labels(tmp_path)["0123"]
    assert labels.tolist() == [2, 1, *[0] * 22, MISSING_GRADE]
    write_labels(tmp_path, [*words[::-1], "0123"], columns=LABEL_COLUMNS[::-1])
    assert (read_labels(tmp_path / "train.csv")["0123"] == labels).all()


def test_an_unknown_grade_names_study_and_column(tmp_path: Path) -> None:
    write_labels(tmp_path, ["77", *["Normal/Mild"] * 3, "Mild", *[""] * 21])
    with pytest.raises(
        InvalidStudyError, match="study 77: .*line 2: spinal_canal_stenosis_l4_l5 is 'Mild'"
    ):
        read_labels(tmp_path)


def test_a_study_given_twice_is_an_error(tmp_path: Path) -> None:
    write_labels(tmp_path, ["77", *[""] * 25], ["77", *[""] * 25])
    with pytest.raises(InvalidStudyError, match="line 3: study 77 is given twice"):
        read_labels(tmp_path)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    write_labels(tmp_path, ["77", *[""] * 24], columns=LABEL_COLUMNS[:-1])
    with pytest.raises(InvalidStudyError, match="no column right_subarticular_stenosis_l5_s1"):
        read_labels(tmp_path)


def test_a_truncated_line_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.csv").write_text(",".join(LABEL_COLUMNS) + "\n77,Severe\n")
    with pytest.raises(InvalidStudyError, match="line 2: expected 26 cells, found 2"):
        read_labels(tmp_path)


def test_an_empty_file_is_an_error_and_an_absent_one_too(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read_labels(tmp_path)
    (tmp_path / "train.csv").touch()
    with pytest.raises(InvalidStudyError, match="found nothing"):
        read_labels(tmp_path)


def test_coordinates_are_read_as_column_and_row(tmp_path: Path) -> None:
    path = tmp_path / "train_label_coordinates.csv"
    path.write_text(
        "study_id,series_id,instance_number,condition,level,x,y\r\n"
        "123,9002,5,Left Neural Foraminal Narrowing,L4/L5,261.4,300.9\r\n"
    )
    (point,) = read_coordinates(path)
    assert (point.study_id, point.series_id, point.instance_number) == ("123", "9002", 5)
    assert point.target == Target(
        condition=Condition.LEFT_NEURAL_FORAMINAL_NARROWING, level=Level.L4_L5
    )
    assert (point.column, point.row) == (261.4, 300.9)
    assert read_coordinates(tmp_path) == (point,)


@pytest.mark.parametrize(
    ("column", "cell", "message"),
    [
        ("condition", "spinal_canal_stenosis", "condition is 'spinal_canal_stenosis'"),
        ("level", "L6/S1", "level is 'L6/S1', expected one of L1/L2, L2/L3"),
        ("x", "nan", "x must be finite"),
        ("y", "left", "y must be a number, found 'left'"),
        ("instance_number", "5.5", "instance_number must be a whole number"),
        ("series_id", "", "series_id is empty"),
    ],
)
def test_a_bad_coordinate_names_its_line(
    tmp_path: Path, column: str, cell: str, message: str
) -> None:
    good = dict(
        zip(
            COORDINATE_COLUMNS,
            ("1", "2", "3", "Spinal Canal Stenosis", "L1/L2", "4", "5"),
            strict=True,
        )
    )
    path = tmp_path / "points.csv"
    write_table(
        path, COORDINATE_COLUMNS, [list(good.values()), list((good | {column: cell}).values())]
    )
    with pytest.raises(InvalidStudyError, match=f"line 3: {message}"):
        read_coordinates(path)


def test_series_descriptions_give_the_view(tmp_path: Path) -> None:
    path = tmp_path / "train_series_descriptions.csv"
    path.write_text("study_id,series_id,series_description\n1,10,Sagittal T2/STIR\n1,11,Axial T2\n")
    assert [item.view for item in read_series_descriptions(tmp_path)] == [
        View.SAGITTAL_T2,
        View.AXIAL_T2,
    ]
    path.write_text("study_id,series_id,series_description\n1,10,Coronal T1\n")
    with pytest.raises(InvalidStudyError, match="line 2: series_description is 'Coronal T1'"):
        read_series_descriptions(path)


def test_exact_truth_keeps_disc_points_apart_from_targets(tmp_path: Path) -> None:
    rows = [
        (
            "7",
            "spinal_canal_stenosis",
            "l1_l2",
            92.5,
            "mm2",
            0.2,
            1,
            2,
            3,
            "12",
            8,
            True,
            "scoliosis",
        ),
        ("7", "disc", "l1_l2", None, "", None, 1.0, -4.0, 3.0, "12", 8, True, ""),
        (
            "7",
            "left_subarticular_stenosis",
            "l1_l2",
            3.5,
            "mm",
            0.0,
            1.5,
            2,
            3,
            "",
            None,
            False,
            "",
        ),
    ]
    write_table(tmp_path / "phantom_truth.csv", TRUTH_COLUMNS, rows)
    canal, disc, recess = read_truth(tmp_path)
    assert (canal.measure, canal.unit, canal.severity, canal.covered) == (92.5, "mm2", 0.2, True)
    assert canal.position_lps_mm.tolist() == [1, 2, 3]
    assert (disc.condition, disc.target, disc.measure, disc.severity) == (None, None, None, None)
    assert (recess.instance_number, recess.series_id, recess.covered) == (None, "", False)
    assert (canal.variant, disc.variant) == ("scoliosis", "")


def test_exact_truth_without_a_variant_column_is_read_as_usual_spines(tmp_path: Path) -> None:
    row = ("7", "spinal_canal_stenosis", "l1_l2", 92.5, "mm2", 0.2, 1, 2, 3, "12", 8, True)
    write_table(tmp_path / "phantom_truth.csv", TRUTH_COLUMNS[:-1], [row])
    (canal,) = read_truth(tmp_path)
    assert canal.variant == ""


def test_submission_round_trips_every_digit(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).dirichlet((1, 1, 1), size=25)
    path = tmp_path / "submission.csv"
    write_submission(path, {"0042": rows})
    submission = read_submission(path)
    assert submission.row_ids == tuple(target.row_id("0042") for target in TARGETS)
    assert (submission.probabilities == rows).all()
    assert path.read_text().startswith("row_id,normal_mild,moderate,severe\n0042_spinal_canal_")


def test_a_submission_without_a_number_names_the_row(tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text("row_id,normal_mild,moderate,severe\n1_x,0.5,,0.5\n")
    with pytest.raises(InvalidStudyError, match="line 2: row 1_x holds no number"):
        read_submission(path)


def test_points_round_trip_and_targets_without_a_point_have_no_line(tmp_path: Path) -> None:
    found = PointOnSlice(
        series_uid="1.2.3.4",
        series_id="9001",
        sop_instance_uid="1.2.3.4.5",
        instance_number=7,
        frame_number=None,
        column=231.4,
        row=302.0,
        position_lps_mm=np.zeros(3),
        score=np.float64(0.93),
    )
    path = tmp_path / "points.csv"
    write_points(path, [grades("123", (None, found, *[None] * 23))])
    assert path.read_text() == (
        "study_id,series_id,instance_number,condition,level,x,y,score\n"
        "123,9001,7,Spinal Canal Stenosis,L2/L3,231.4,302.0,0.93\n"
    )
    (point,) = read_points(path)
    assert point.target == TARGETS[1]
    assert (point.column, point.row, point.score) == (231.4, 302.0, 0.93)
    assert [row.target for row in read_coordinates(path)] == [TARGETS[1]]


def test_a_target_with_two_points_is_an_error(tmp_path: Path) -> None:
    line = "123,9001,7,Spinal Canal Stenosis,L2/L3,231.4,302.0,0.93\n"
    path = tmp_path / "points.csv"
    path.write_text("study_id,series_id,instance_number,condition,level,x,y,score\n" + line * 2)
    with pytest.raises(InvalidStudyError, match="line 3: 123_spinal_canal_stenosis_l2_l3"):
        read_points(path)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    write_table(path, ["a", "b"], [(1, 'say "x, y"'), (None, True)])
    assert path.read_text() == 'a,b\n1,"say ""x, y"""\n,1\n'

    def rows() -> list[tuple[object, ...]]:
        raise RuntimeError("stopped")

    with pytest.raises(RuntimeError, match="stopped"):
        write_table(path, ["a", "b"], (row for row in rows()))
    with pytest.raises(TypeError):
        write_beside(path, 3)  # type: ignore[arg-type]
    assert path.read_text().startswith("a,b\n1,")
    assert [item.name for item in tmp_path.iterdir()] == ["table.csv"]


def test_image_folders_follow_the_competition_layout(tmp_path: Path) -> None:
    path = instance_path(tmp_path, "100", "9", 3)
    assert path == tmp_path / "train_images" / "100" / "9" / "3.dcm"
    assert instance_path(tmp_path, "100", "9", 3, "test").parts[-4] == "test_images"
    path.parent.mkdir(parents=True)
    (tmp_path / "train_images" / "050").mkdir()
    (tmp_path / "train_images" / "notes.txt").touch()
    assert study_ids(tmp_path) == ("050", "100")


def write_coordinate_images(folder: Path, *lines: str) -> Path:
    images = folder / "data" / "processed_lsd_jpgs"
    images.mkdir(parents=True, exist_ok=True)
    (images / "a.jpg").touch()
    header = "filename,source,x,y,level,relative_x,relative_y\n"
    (folder / "coords_pretrain.csv").write_text(header + "\n".join(lines) + "\n")
    return folder


def test_coordinate_images_hold_points_by_level_on_the_256_grid(tmp_path: Path) -> None:
    folder = write_coordinate_images(
        tmp_path, "a.jpg,lsd,64,192,L5/S1,0.25,0.75", "a.jpg,lsd,32,64,L1/L2,0.125,0.25"
    )
    (image,) = read_coordinate_images(folder)
    assert image.points[[0, 4]].tolist() == [[32, 64], [64, 192]]
    assert image.present.tolist() == [True, False, False, False, True]
    assert np.isnan(image.points[1:4]).all()
    assert (image.source, image.path.name) == ("lsd", "a.jpg")


def test_coordinate_images_refuse_absent_files_and_repeated_levels(tmp_path: Path) -> None:
    line = "a.jpg,lsd,64,192,L5/S1,0.25,0.75"
    with pytest.raises(InvalidStudyError, match="line 3: a.jpg has L5/S1 twice"):
        read_coordinate_images(write_coordinate_images(tmp_path, line, line))
    with pytest.raises(InvalidStudyError, match=r"b\.jpg, which is absent"):
        read_coordinate_images(write_coordinate_images(tmp_path, line.replace("a.jpg", "b.jpg")))


@pytest.mark.skipif(not REAL_COORDINATES.is_dir(), reason="the real coordinate images are absent")
def test_real_coordinate_images_run_head_to_foot() -> None:
    images = read_coordinate_images(REAL_COORDINATES)
    assert len(images) == 142
    for image in images:
        assert image.present.all()
        assert (np.diff(image.points[:, 1]) > 5).all(), image.path
        assert ((image.points >= 0) & (image.points <= 256)).all(), image.path
