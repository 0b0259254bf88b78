"""The largest canal answer, and moving its odds for the metric's any-severe term."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_records import make_prediction
from lumbargrade.any_severe import any_severe_maximum, fit_odds, raise_largest
from lumbargrade.calibration import Calibration, fit_calibration, metric_answers
from lumbargrade.labels import MISSING_GRADE
from lumbargrade.metric import StudyAnswers, StudyLabels, competition_metric, reweight_for_metric
from lumbargrade.outputs import finished_grades, grades_document, write_prediction
from lumbargrade.recipe_settings import Recipe


def drawn_case(studies: int = 2000) -> tuple[StudyLabels, np.ndarray]:
    """Grades drawn level by level from p: rows are answered perfectly."""
    rng = np.random.default_rng(0)
    p = rng.dirichlet((3.0, 1.0, 0.5), size=(studies, 25))
    labels = (rng.random((studies, 25, 1)) > p.cumsum(axis=-1)[..., :2]).sum(axis=-1)
    return labels, p


def test_the_largest_canal_answers_odds_are_multiplied_and_nothing_else() -> None:
    q = np.full((2, 25, 3), (0.5, 0.3, 0.2))
    q[0, 3], q[1, 0] = (0.3, 0.2, 0.5), (0.6, 0.1, 0.3)
    q[:, 9] = (0.0, 0.0, 1.0)  # a foramen
    raised = raise_largest(q, 3.0)
    np.testing.assert_allclose(raised[0, 3], [0.15, 0.1, 0.75])
    np.testing.assert_allclose(raised[1, 0], np.array([0.6, 0.1, 0.9]) / 1.6)
    same = np.ones((2, 25), dtype=bool)
    same[0, 3] = same[1, 0] = False
    np.testing.assert_array_equal(raised[same], q[same])
    np.testing.assert_array_equal(raise_largest(q[0], 3.0), raised[0])
    np.testing.assert_array_equal(raise_largest(q, 1.0), q)
    known = np.ones((2, 25), dtype=bool)
    known[0, 3] = False
    np.testing.assert_array_equal(raise_largest(q, 3.0, known)[0, 3], q[0, 3])


def test_perfect_rows_of_independent_levels_answer_any_severe_too_low() -> None:
    """Several levels may each be severe: the chance of any exceeds the largest of them."""
    labels, p = drawn_case()
    q = reweight_for_metric(p)
    found = any_severe_maximum(labels, q)
    assert found.true > found.answered + 0.02
    assert found.best_odds > 1.1
    assert found.gain > 0.001
    raised = raise_largest(q, found.best_odds)
    before, after = competition_metric(labels, q), competition_metric(labels, raised)
    assert after.any_severe_spinal < before.any_severe_spinal
    assert before.score - after.score == pytest.approx(found.gain, abs=1e-12)
    for odds in (0.9 * found.best_odds, 1.1 * found.best_odds):
        assert competition_metric(labels, raise_largest(q, odds)).score > after.score


def test_unlabelled_levels_do_not_count() -> None:
    labels, p = drawn_case(200)
    q: StudyAnswers = reweight_for_metric(p)
    labels[:, 2] = MISSING_GRADE
    wild = q.copy()
    wild[:, 2] = (0.0, 0.0, 1.0)
    assert any_severe_maximum(labels, wild) == any_severe_maximum(labels, q)


def test_odds_are_fitted_with_the_temperatures_only_when_asked_for(tmp_path: Path) -> None:
    labels, p = drawn_case()
    plain = fit_calibration(labels, p)
    assert plain.any_severe_odds == 1.0
    np.testing.assert_array_equal(metric_answers(plain, p), reweight_for_metric(p))
    plain.to_yaml(tmp_path / "plain.yaml")
    assert "any_severe" not in (tmp_path / "plain.yaml").read_text()
    raised = fit_calibration(labels, p, any_severe=True)
    assert raised.spinal == plain.spinal
    assert raised.any_severe_odds == pytest.approx(
        fit_odds(labels, reweight_for_metric(p)), rel=0.1
    )
    raised.to_yaml(tmp_path / "raised.yaml")
    assert Calibration.from_yaml(tmp_path / "raised.yaml") == raised
    assert "fit_any_severe" not in Recipe(name="a").model_dump()
    assert Recipe.from_dict({"name": "a", "fit_any_severe": True}).model_dump()["fit_any_severe"]


def test_a_finished_study_gives_the_same_answers_again_with_odds(tmp_path: Path) -> None:
    prediction = make_prediction()
    q = metric_answers(Calibration(any_severe_odds=1.7), prediction.grades.probabilities)
    grades = replace(prediction.grades, metric_probabilities=q, any_severe_odds=1.7)
    raised = replace(prediction, grades=grades)
    write_prediction(tmp_path, raised, "report")
    again = finished_grades(
        tmp_path,
        raised.study,
        models_hash=grades.models_hash,
        sop_instances_sha256=raised.sop_instances_sha256,
    )
    assert again is not None
    np.testing.assert_array_equal(again.metric_probabilities, q)
    assert (q != reweight_for_metric(grades.probabilities)).any(axis=1).sum() == 1
    assert grades_document(raised)["models"]["any_severe_odds"] == 1.7
    assert set(grades_document(prediction)["models"]) == {"hash", "name"}
