from dataclasses import replace

import numpy as np
import pytest

from fake_points import (
    AXIAL,
    LEFT,
    MARKED,
    OTHER_MATRIX,
    RIGHT,
    SAGITTAL,
    SPACING_MM,
    predict,
    read_slice,
)
from lumbargrade.competition import CoordinateRow, PredictedPoint, TruthPoint
from lumbargrade.evaluation_points import PointFigures, evaluate_points
from lumbargrade.labels import LEVELS, TARGETS, Condition, Target, View
from lumbargrade.point_errors import PointError, StudyPoints, point_errors
from lumbargrade.records import InvalidStudyError


def exact(target: Target, position: tuple[float, float, float], **changes: object) -> TruthPoint:
    point = TruthPoint(
        study_id="9",
        condition=target.condition,
        level=target.level,
        measure=1.0,
        unit="mm",
        severity=0.0,
        position_lps_mm=np.array(position, dtype=np.float64),
        series_id=SAGITTAL,
        instance_number=11,
        covered=True,
        variant="",
    )
    return replace(point, **changes)  # type: ignore[arg-type]


def error_of(
    marked: CoordinateRow,
    predicted: PredictedPoint,
    truth: TruthPoint | None = None,
    others: tuple[CoordinateRow, ...] = MARKED,
) -> PointError:
    study = StudyPoints(
        study_id="9",
        marked={row.target: row for row in others} | {marked.target: marked},
        predicted={predicted.target: predicted},
        exact={} if truth is None else {marked.target: truth},
    )
    (error,) = point_errors(study, read_slice)
    return error


def test_marked_points_have_no_error() -> None:
    evaluation = evaluate_points(MARKED, [predict(row) for row in MARKED], read_slice=read_slice)
    assert (evaluation.studies, evaluation.studies_without_points) == (1, 0)
    assert evaluation.overall == PointFigures(
        truths=25,
        found=1.0,
        within_5px=1.0,
        median_px=0.0,
        p95_px=0.0,
        median_mm_in_plane=0.0,
        median_mm_along_z=0.0,
        median_mm=0.0,
        p95_mm=0.0,
        within_mm=1.0,
        slice_exact=1.0,
        slice_within_1=1.0,
        level_correct=1.0,
        side_correct=1.0,
        coverage_precision=None,
        coverage_recall=None,
        uncovered_left_out=None,
    )
    assert [evaluation.by_view[view].truths for view in View] == [5, 10, 10]
    assert evaluation.by_view[View.SAGITTAL_T2].side_correct is None


def test_pixels_are_measured_on_the_256_grid() -> None:
    row = MARKED[2]  # 256 columns and 320 rows of 0.8 mm
    error = error_of(row, predict(row, column=row.column + 3, row=row.row + 5))
    assert error.px == pytest.approx(5.0, abs=1e-12)  # 3 / 256 · 256 and 5 / 320 · 256
    assert error.in_plane_mm == pytest.approx(0.8 * np.hypot(3, 5), abs=1e-12)
    assert error.along_z_mm == pytest.approx(0.0, abs=1e-12)


def test_a_hit_is_within_5_px() -> None:
    row = MARKED[2]
    for shift, share in ((4.99, 1.0), (5.01, 0.0)):
        point = predict(row, column=row.column + shift)
        evaluation = evaluate_points([row], [point], read_slice=read_slice)
        assert evaluation.overall.within_5px == share


@pytest.mark.parametrize(
    ("index", "tolerance_mm"), [(2, 10.0), (7, 14.0), (12, 14.0), (17, 12.0), (22, 12.0)]
)
def test_each_family_has_its_own_tolerance_in_millimetres(index: int, tolerance_mm: float) -> None:
    row = MARKED[index]
    pixel_mm = 0.4 if row.series_id == AXIAL else 0.8
    for shift_mm, share in ((tolerance_mm - 0.1, 1.0), (tolerance_mm + 0.1, 0.0)):
        point = predict(row, row=row.row + shift_mm / pixel_mm)
        evaluation = evaluate_points([row], [point], read_slice=read_slice)
        assert evaluation.overall.within_mm == share


def test_the_tolerance_counts_millimetres_across_slices_too() -> None:
    row = MARKED[2]  # canal: 10 mm
    for steps, share in ((2, 1.0), (3, 0.0)):  # 8 and 12 mm
        point = predict(row, instance_number=row.instance_number + steps)
        evaluation = evaluate_points([row], [point], read_slice=read_slice)
        assert evaluation.overall.within_mm == share


def test_a_point_in_a_series_of_another_matrix_is_compared_in_the_marked_one() -> None:
    row = MARKED[2]
    same_place = predict(
        row,
        series_id=OTHER_MATRIX,
        column=(row.column + 0.5) * 2 - 0.5,
        row=(row.row + 0.5) * 2 - 0.5,
    )
    error = error_of(row, same_place)
    assert error.px == pytest.approx(0.0, abs=1e-9)
    assert error.in_plane_mm == pytest.approx(0.0, abs=1e-9)
    assert error.slice_exact


@pytest.mark.parametrize(
    ("steps", "is_exact", "is_near"),
    [(0, True, True), (1, False, True), (-1, False, True), (2, False, False)],
)
def test_without_exact_truth_the_marked_slice_is_the_best(
    steps: int, is_exact: bool, is_near: bool
) -> None:
    row = MARKED[2]
    error = error_of(row, predict(row, instance_number=row.instance_number + steps))
    assert (error.slice_exact, error.slice_within_1) == (is_exact, is_near)
    assert error.along_z_mm == pytest.approx(abs(steps) * SPACING_MM, abs=1e-12)


@pytest.mark.parametrize(
    ("x_mm", "instance", "is_exact"),
    [
        (1.4, 11, True),  # 1.4 mm from the slice at 0, 2.6 from the one at 4
        (1.4, 12, False),  # 1.2 mm farther than the best: more than a quarter of 4 mm
        (1.6, 12, True),  # 0.8 mm farther
        (-1.6, 12, False),
        (-1.6, 10, True),
    ],
)
def test_a_slice_within_a_quarter_spacing_of_the_best_counts_as_exact(
    x_mm: float, instance: int, is_exact: bool
) -> None:
    row = MARKED[2]
    position = (x_mm, 12.0, 0.0)
    error = error_of(row, predict(row, instance_number=instance), exact(row.target, position))
    assert error.slice_exact is is_exact
    assert error.slice_within_1


def test_millimetres_are_measured_from_the_exact_truth() -> None:
    row = MARKED[2]
    y_mm, z_mm = -100 + 0.8 * (row.column + 0.5), 120 - 0.8 * (row.row + 0.5)
    error = error_of(row, predict(row), exact(row.target, (1.5, y_mm + 3, z_mm - 4)))
    assert error.along_z_mm == pytest.approx(1.5, abs=1e-12)
    assert error.in_plane_mm == pytest.approx(5.0, abs=1e-12)
    assert error.px == pytest.approx(0.0, abs=1e-12)


def test_a_point_at_the_next_level_has_the_wrong_level_and_the_right_side() -> None:
    row, below = MARKED[7], MARKED[8]
    wrong = error_of(row, predict(row, row=below.row - 10))
    assert (wrong.level_correct, wrong.side_correct) == (False, True)
    assert error_of(row, predict(row, row=row.row + 10)).level_correct


def test_a_point_on_the_other_side_has_the_wrong_side_and_the_right_level() -> None:
    left, right = MARKED[7], MARKED[12]
    assert (left.target.level, right.target.condition) == (right.target.level, RIGHT)
    wrong = error_of(left, predict(left, instance_number=right.instance_number + 1))
    assert (wrong.level_correct, wrong.side_correct) == (True, False)


def test_level_and_side_have_no_value_where_there_is_nothing_to_confuse_with() -> None:
    row = MARKED[7]
    error = error_of(row, predict(row), others=())
    assert (error.level_correct, error.side_correct) == (None, None)


@pytest.mark.parametrize(("steps", "off"), [(0, 0), (1, 1), (-1, 1), (2, 2), (-4, 4)])
def test_slices_off_agree_with_exact_and_within_one(steps: int, off: int) -> None:
    row = MARKED[2]
    error = error_of(row, predict(row, instance_number=row.instance_number + steps))
    assert error.slices_off == off
    assert (error.slice_exact, error.slice_within_1) == (off == 0, off <= 1)
    assert error.distance_mm == pytest.approx(off * SPACING_MM)


def test_conditions_levels_and_targets_part_the_points() -> None:
    points = [predict(row, column=row.column + number) for number, row in enumerate(MARKED)]
    found = evaluate_points(MARKED, points, read_slice=read_slice)
    assert [f.truths for f in found.by_condition.values()] == [5] * 5
    assert [f.truths for f in found.by_level.values()] == [5] * 5
    assert [f.truths for f in found.by_target.values()] == [1] * 25
    left = found.by_condition[LEFT]
    assert left.median_px == pytest.approx(7.0)  # columns 5 to 9 of 256
    assert found.by_view[View.SAGITTAL_T1].median_px == pytest.approx(9.5)
    assert found.by_target[TARGETS[4]].within_5px == 1.0
    assert found.by_target[TARGETS[6]].within_5px == 0.0


def test_the_farthest_points_come_first_with_their_study_and_slices() -> None:
    points = [predict(row, column=row.column + number) for number, row in enumerate(MARKED[:10])]
    errors = evaluate_points(MARKED[:10], points, read_slice=read_slice).errors
    assert [error.target for error in errors] == [row.target for row in reversed(MARKED[:10])]
    worst = errors[0]
    assert (worst.study_id, worst.marked, worst.predicted) == ("9", MARKED[9], points[9])
    assert worst.distance_mm == pytest.approx(9 * 0.8)


def test_axial_levels_are_told_apart_by_slice() -> None:
    row = next(r for r in MARKED if r.target.condition is Condition.LEFT_SUBARTICULAR_STENOSIS)
    assert error_of(row, predict(row, instance_number=row.instance_number + 4)).level_correct
    assert not error_of(row, predict(row, instance_number=row.instance_number + 5)).level_correct


def test_coverage_counts_points_that_should_not_be_there() -> None:
    axial = [row for row in MARKED if row.target.condition.view is View.AXIAL_T2]
    truths = [
        exact(row.target, (0, 0, 0), series_id=AXIAL, covered=row.target.level is not LEVELS[0])
        for row in axial
    ]
    marked = [row for row in axial if row.target.level is not LEVELS[0]]
    predicted = [predict(row) for row in axial[:-2]]  # 1 of 2 too many at L1/L2 on the left, ...
    figures = evaluate_points(marked, predicted, exact=truths).by_view[View.AXIAL_T2]
    assert figures.coverage_precision == pytest.approx(6 / 8, abs=1e-15)
    assert figures.coverage_recall == pytest.approx(6 / 8, abs=1e-15)
    assert figures.found == pytest.approx(6 / 8, abs=1e-15)


def test_uncovered_targets_count_as_left_out_where_nothing_was_predicted() -> None:
    axial = [row for row in MARKED if row.target.condition.view is View.AXIAL_T2]
    uncovered = [row for row in axial if row.target.level in LEVELS[:2]]
    truths = [exact(row.target, (0, 0, 0), covered=row not in uncovered) for row in axial]
    marked = [row for row in axial if row not in uncovered]
    predicted = [predict(row) for row in [*marked, uncovered[0]]]
    figures = evaluate_points(marked, predicted, exact=truths).by_view[View.AXIAL_T2]
    assert figures.uncovered_left_out == 0.75


def test_without_images_only_counts_and_coverage_have_values() -> None:
    evaluation = evaluate_points(MARKED, [predict(row) for row in MARKED[:5]])
    assert evaluation.overall.found == 0.2
    assert evaluation.by_view[View.SAGITTAL_T1].found == 0.0
    for name in ("within_5px", "median_px", "p95_px", "median_mm_in_plane", "slice_exact"):
        assert getattr(evaluation.overall, name) is None


def test_studies_without_a_predicted_point_are_counted_apart() -> None:
    elsewhere = replace(MARKED[0], study_id="10")
    evaluation = evaluate_points([*MARKED, elsewhere], [predict(row) for row in MARKED])
    assert (evaluation.studies, evaluation.studies_without_points) == (1, 1)
    assert evaluation.overall.truths == 25


def test_disc_points_are_no_targets() -> None:
    disc = exact(TARGETS[0], (0, 0, 0), condition=None)
    evaluation = evaluate_points(MARKED, [predict(row) for row in MARKED], exact=[disc])
    assert evaluation.overall.coverage_recall is None


def test_points_that_cannot_be_compared_are_errors() -> None:
    row = MARKED[0]
    with pytest.raises(InvalidStudyError, match="l1_l2 has no instance_number"):
        evaluate_points([row], [predict(row, instance_number=None)], read_slice=read_slice)
    with pytest.raises(InvalidStudyError, match="9_spinal_canal_stenosis_l1_l2 is marked twice"):
        evaluate_points([row, row], [predict(row)])
    with pytest.raises(InvalidStudyError, match="no study in common"):
        evaluate_points([row], [predict(row, study_id="10")])
