from pathlib import Path

import numpy as np
import pytest

from lumbargrade.arrays import Labels
from lumbargrade.competition import Submission
from lumbargrade.evaluation import Aligned, align, evaluate, prior_score
from lumbargrade.labels import MISSING_GRADE, TARGETS
from lumbargrade.metric import competition_metric
from lumbargrade.records import InvalidStudyError

ROW_0 = "10_spinal_canal_stenosis_l1_l2"


def some_truth(studies: int = 6) -> dict[str, Labels]:
    rng = np.random.default_rng(5)
    labels = rng.choice([0, 1, 2], size=(studies, 25), p=[0.6, 0.25, 0.15])
    labels[1, 15] = MISSING_GRADE
    return {str(10 + index): row for index, row in enumerate(labels)}


def some_submission(truth: dict[str, Labels]) -> Submission:
    rng = np.random.default_rng(6)
    row_ids = tuple(target.row_id(study_id) for study_id in truth for target in TARGETS)
    return Submission(
        path=Path("submission.csv"),
        row_ids=row_ids,
        probabilities=rng.dirichlet((3, 1, 1), size=len(row_ids)),
    )


def with_row(submission: Submission, row_id: str, row: tuple[float, ...]) -> Submission:
    probabilities = submission.probabilities.copy()
    probabilities[submission.row_ids.index(row_id)] = row
    return Submission(path=submission.path, row_ids=submission.row_ids, probabilities=probabilities)


def select(submission: Submission, lines: list[int]) -> Submission:
    return Submission(
        path=submission.path,
        row_ids=tuple(submission.row_ids[line] for line in lines),
        probabilities=submission.probabilities[lines],
    )


def test_rows_are_matched_by_row_id_in_any_order() -> None:
    truth = some_truth()
    submission = some_submission(truth)
    order = np.random.default_rng(0).permutation(150).tolist()
    first, second = align(truth, submission), align(truth, select(submission, order))
    assert (first.answers == second.answers).all()
    assert (first.answers[2, 7] == submission.probabilities[57]).all()
    assert first.study_ids == tuple(truth)


def test_a_row_is_ignored_where_the_truth_is_empty_and_may_be_absent_there() -> None:
    truth = some_truth()
    submission = some_submission(truth)
    empty = submission.row_ids.index("11_left_subarticular_stenosis_l1_l2")
    without = select(submission, [line for line in range(150) if line != empty])
    assert (align(truth, submission).answers == align(truth, without).answers).all()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((0.5, 0.3, 0.1985), f"row {ROW_0} sums to 0.9985, expected 1 within 0.001"),
        ((0.5, 0.3, 0.202), f"row {ROW_0} sums to 1.002"),
        ((1.1, -0.05, -0.05), f"row {ROW_0} is negative"),
        ((0.5, 0.5, np.nan), f"row {ROW_0} is not finite"),
        ((np.inf, 0.5, 0.5), f"row {ROW_0} is not finite"),
    ],
)
def test_a_bad_row_is_an_error_naming_it(row: tuple[float, ...], message: str) -> None:
    truth = some_truth()
    with pytest.raises(InvalidStudyError, match=message):
        align(truth, with_row(some_submission(truth), ROW_0, row))


def test_a_row_off_by_less_than_a_thousandth_is_normalised() -> None:
    truth = some_truth()
    exact = with_row(some_submission(truth), ROW_0, (0.5, 0.3, 0.2))
    near = with_row(exact, ROW_0, (0.50045, 0.30027, 0.20018))
    scores = [evaluate(align(truth, item)).parts.score for item in (exact, near)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-14)


def test_missing_duplicate_and_extra_rows_are_errors_naming_the_row() -> None:
    truth = some_truth()
    submission = some_submission(truth)
    with pytest.raises(InvalidStudyError, match=f"row {ROW_0} is missing"):
        align(truth, select(submission, list(range(1, 150))))
    with pytest.raises(InvalidStudyError, match=f"row {ROW_0} and 24 more are missing"):
        align(truth, select(submission, list(range(25, 150))))
    with pytest.raises(InvalidStudyError, match=f"row {ROW_0} is given twice"):
        align(truth, select(submission, [*range(150), 0]))
    del truth["15"]
    with pytest.raises(InvalidStudyError, match=r"15_spinal.*l1_l2 and 24 more are of no study"):
        align(truth, submission)
    assert align(truth, submission, allow_others=True).answers.shape == (5, 25, 3)


def test_a_row_of_an_unknown_cell_is_an_error() -> None:
    truth = some_truth()
    submission = some_submission(truth)
    odd = Submission(
        path=submission.path,
        row_ids=(*submission.row_ids, "10_spinal_canal_stenosis_l6_s1"),
        probabilities=np.vstack([submission.probabilities, [1, 0, 0]]),
    )
    with pytest.raises(InvalidStudyError, match="row 10_spinal_canal_stenosis_l6_s1 is of no"):
        align(truth, odd)


def test_study_order_does_not_change_the_evaluation() -> None:
    truth = some_truth(40)
    submission = some_submission(truth)
    first = evaluate(align(truth, submission))
    second = evaluate(align(dict(reversed(truth.items())), submission))
    assert first.parts.score == pytest.approx(second.parts.score, abs=1e-14)
    assert first.auc == pytest.approx(second.auc, abs=1e-14)
    assert first.kappa == pytest.approx(second.kappa)


def test_evaluation_counts_labelled_rows_and_agrees_with_the_metric() -> None:
    truth = some_truth()
    aligned = align(truth, some_submission(truth))
    evaluation = evaluate(aligned)
    assert (evaluation.studies, evaluation.rows) == (6, 149)
    assert evaluation.parts == competition_metric(aligned.labels, aligned.answers)
    assert set(evaluation.loss_by_target) == {target.column for target in TARGETS}


def test_calibration_is_measured_on_probabilities_not_on_answers() -> None:
    # p = (0.5, 0.25, 0.25) everywhere and grades in just that proportion: calibrated,
    # although q(severe) = 0.5.
    labels = np.tile(np.array([0, 0, 1, 2])[:, None], (1, 25))
    q = np.tile([0.25, 0.25, 0.5], (4, 25, 1))
    evaluation = evaluate(Aligned(study_ids=("a", "b", "c", "d"), labels=labels, answers=q))
    assert evaluation.calibration_error == pytest.approx(
        {"spinal": 0, "foraminal": 0, "subarticular": 0}, abs=1e-15
    )


def test_a_cell_without_any_grade_has_no_loss() -> None:
    truth = some_truth()
    for labels in truth.values():
        labels[20] = MISSING_GRADE
    losses = evaluate(align(truth, some_submission(truth))).loss_by_target
    assert losses["right_subarticular_stenosis_l1_l2"] is None
    assert losses["right_subarticular_stenosis_l2_l3"] is not None


def test_prior_score_of_other_studies_is_no_better_than_of_the_truth_itself() -> None:
    truth = some_truth(200)
    aligned = align(truth, some_submission(truth))
    own = prior_score(aligned, truth)
    assert own < prior_score(aligned, dict(list(truth.items())[:20]))
