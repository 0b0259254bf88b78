"""Which training grades are left out, and what a run with such a classifier does."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from fake_prepared import write_prepared
from lumbargrade.cross_validation import run_cross_validation
from lumbargrade.label_doubts import doubtful
from lumbargrade.labels import GRADES, MISSING_GRADE, TARGETS
from lumbargrade.phantom.label_set import draw_label_set
from lumbargrade.phantom.labels import label_model
from lumbargrade.recipe_settings import Recipe
from lumbargrade.settings import ConfigError
from tiny_members import TINY

CANAL, FORAMEN = 0, 5
"""A target of each family."""


def make(
    rows: dict[tuple[int, int], tuple[int, tuple[float, float, float]]],
) -> tuple[np.ndarray, np.ndarray]:
    """Labels and p of two studies; cells that are not named have no grade and no preference."""
    labels = np.full((2, 25), MISSING_GRADE)
    p = np.full((2, 25, 3), 1 / 3)
    for place, (grade, probabilities) in rows.items():
        labels[place], p[place] = grade, probabilities
    return labels, p


def test_a_grade_is_doubtful_where_another_one_is_seen_as_surely_as_where_it_is_given() -> None:
    labels, p = make(
        {
            (0, CANAL): (0, (0.9, 0.05, 0.05)),
            (0, CANAL + 1): (0, (0.7, 0.2, 0.1)),  # normal is seen with 0.8 on average
            (1, CANAL): (2, (0.82, 0.1, 0.08)),  # doubtful: normal as sure as on normal cells
            (1, CANAL + 1): (2, (0.75, 0.2, 0.05)),  # improbable, but normal is not sure
            (1, CANAL + 2): (2, (0.8, 0.0, 0.2)),  # normal is sure, but severe is not below 0.2
        }
    )
    assert np.argwhere(doubtful(labels, p, below=0.2)).tolist() == [[1, CANAL]]


def test_each_family_has_its_own_measure_of_sure_and_empty_cells_are_never_doubtful() -> None:
    rows = {
        (0, CANAL): (0, (0.95, 0.03, 0.02)),
        (0, FORAMEN): (0, (0.6, 0.3, 0.1)),
        (1, CANAL): (2, (0.8, 0.15, 0.05)),
        (1, FORAMEN): (2, (0.8, 0.15, 0.05)),
        (1, FORAMEN + 1): (MISSING_GRADE, (0.98, 0.01, 0.01)),
    }
    found = doubtful(*make(rows), below=0.2)
    assert np.argwhere(found).tolist() == [[1, FORAMEN]]


def test_planted_errors_are_found_more_often_than_honest_noise() -> None:
    """The true probabilities judge 2,000 drawn studies in which 5 % of the grades are turned."""
    drawn = draw_label_set(label_model(), studies=2000, seed=7)
    rng = np.random.default_rng(0)
    wrong = rng.random(drawn.grades.shape) < 0.05
    turned = (drawn.grades + rng.integers(1, len(GRADES), wrong.shape)) % len(GRADES)
    labels = np.where(wrong, turned, drawn.grades)
    found = doubtful(labels, drawn.probabilities, below=0.05)
    assert found[wrong].mean() > 0.6
    assert found[~wrong].mean() < 0.01


@pytest.mark.parametrize("below", [0.0, 1.0])
def test_a_bound_that_is_no_probability_is_refused(below: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        doubtful(*make({}), below=below)


JUDGED = {
    **TINY,
    "detectors": {},
    "classifiers": {
        "cleaned": {"leave_out": {"judge": "plain", "below": 0.4}},
        "plain": {},
    },
    "ensemble": {},
}


def test_a_judge_must_be_a_classifier_that_leaves_nothing_out() -> None:
    for judge in ("cleaned", "nobody"):
        with pytest.raises(ConfigError, match=r"cleaned\.leave_out\.judge.*plain"):
            Recipe.from_dict(JUDGED, {"classifiers.cleaned.leave_out.judge": judge})


@pytest.mark.slow
def test_a_cleaned_classifier_trains_after_its_judge_and_lists_what_it_left_out(
    tmp_path: Path,
) -> None:
    cache = write_prepared(tmp_path / "prepared", 8)
    run = tmp_path / "run"
    done = run_cross_validation(Recipe.from_dict(JUDGED), cache, run, device="cpu").done
    judge, member = "out_of_fold/plain/fold1", "members/classifier_cleaned/fold0"
    assert done.index(judge) < done.index(member)
    assert set(json.loads((run / member / "step.json").read_text())["after"]) == {
        "folds", "points/detector/fold1", judge,
    }  # fmt: skip
    trained = json.loads((run / member / "studies.json").read_text())["training"]
    with (run / member / "doubts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    allowed = {target.row_id(study_id) for study_id in trained for target in TARGETS}
    assert {row["row_id"] for row in rows} <= allowed
    assert all(float(row["probability"]) < 0.4 for row in rows)
    assert not (run / "members/classifier_plain/fold0/doubts.csv").exists()
    changed = {"classifiers.cleaned.leave_out.below": 0.1}
    again = run_cross_validation(Recipe.from_dict(JUDGED, changed), cache, run, device="cpu").done
    assert {name for name in again if "classifier_" in name} == {
        "members/classifier_cleaned/fold0",
        "members/classifier_cleaned/fold1",
    }
