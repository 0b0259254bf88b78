"""The label distribution against the real labels' statistics."""

import json
from functools import cache
from importlib.resources import files

import numpy as np
import pytest
from scipy.stats import spearmanr

from lumbargrade.labels import GRADE_WEIGHTS, mirror_left_right
from lumbargrade.metric import competition_metric
from lumbargrade.phantom.label_set import LabelSet, draw_label_set
from lumbargrade.phantom.labels import label_model, label_study

STUDIES = 20_000


@cache
def drawn() -> LabelSet:
    return draw_label_set(label_model(), studies=STUDIES, seed=0)


def grades() -> np.ndarray:
    return drawn().grades


def targets() -> dict[str, list[list[float]]]:
    data: dict[str, list[list[float]]] = json.loads(
        (files("lumbargrade.phantom") / "label_targets.json").read_text()
    )
    return data


def test_prevalence_is_the_real_one_within_a_point_sides_pooled() -> None:
    found = np.stack([(grades() == grade).mean(axis=0) for grade in range(3)], axis=1)
    pooled = (found + mirror_left_right(found)) / 2
    assert np.abs(pooled - np.array(targets()["prevalence"])).max() < 0.010


def test_any_severe_canal_is_18_percent() -> None:
    assert (grades()[:, :5] == 2).any(axis=1).mean() == pytest.approx(0.18, abs=0.015)


def test_spearman_at_the_same_level_is_the_real_one_within_4_hundredths() -> None:
    real = json.loads((files("lumbargrade.phantom") / "label_targets.json").read_text())
    for k, level in enumerate(("l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1")):
        wanted = np.array(real["spearman_same_level"][level])
        found = spearmanr(grades()[:, k::5]).statistic
        mirrored = np.array([0, 2, 1, 4, 3])
        pooled = (found + found[np.ix_(mirrored, mirrored)]) / 2
        assert np.abs(pooled - wanted).max() < 0.04


def test_the_floor_is_0_314_and_families_are_ordered_by_difficulty() -> None:
    oracle = drawn().oracle
    score = competition_metric(grades(), oracle)
    assert score.score == pytest.approx(0.314, abs=0.010)
    assert score.spinal < score.foraminal < score.subarticular


def test_the_oracle_beats_the_true_probabilities_by_the_grade_weights() -> None:
    oracle = drawn().oracle
    truth = drawn().probabilities
    assert competition_metric(grades(), truth).score == pytest.approx(0.343, abs=0.010)
    weighted = truth * np.array(GRADE_WEIGHTS)
    np.testing.assert_allclose(oracle, weighted / weighted.sum(axis=2, keepdims=True))


@pytest.mark.parametrize("power", [0.85, 0.95, 1.05, 1.2])
def test_no_power_rescaling_of_the_oracle_lowers_the_score(power: float) -> None:
    oracle = drawn().oracle
    changed = oracle**power
    changed /= changed.sum(axis=2, keepdims=True)
    floor = competition_metric(grades(), oracle).score
    assert competition_metric(grades(), changed).score > floor - 0.001


def test_a_study_depends_on_its_seed_alone() -> None:
    model = label_model()
    first, again = (label_study(model, 77, model.draw_severity(77)) for _ in range(2))
    np.testing.assert_array_equal(again.grades, first.grades)
    np.testing.assert_array_equal(again.grades, grades()[77])
    np.testing.assert_array_equal(again.severity, first.severity)


def test_without_halo_a_severity_is_perceived_as_it_is() -> None:
    model = label_model(0.0)
    severity = model.draw_severity(5)
    np.testing.assert_allclose(model.perceive(severity), severity)
