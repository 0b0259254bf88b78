"""Training cells that another classifier's answers leave out or fill in."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_crops import fake_study
from fake_prepared import write_prepared
from lumbargrade.cache import cached_studies, load_cached, write_truth
from lumbargrade.classifier.dataset import StudyCrops, stacked_labels
from lumbargrade.competition import write_submission
from lumbargrade.cross_validation import run_cross_validation
from lumbargrade.judged_cells import (
    judged_probabilities,
    with_pseudo_labels,
    without_doubtful,
)
from lumbargrade.labels import MISSING_GRADE, TARGETS
from lumbargrade.metric import reweight_for_metric
from lumbargrade.recipe_settings import Recipe
from lumbargrade.settings import ConfigError
from tiny_members import TINY


def two_studies() -> tuple[list[StudyCrops], np.ndarray]:
    """Both without most grades; the judge is sure of some cells."""
    labels = np.full((2, 25), MISSING_GRADE)
    labels[0, 0], labels[0, 1], labels[1, 0] = 2, 0, 0
    p = np.full((2, 25, 3), 1 / 3)
    p[0, 0] = 0.97, 0.02, 0.01  # somebody said severe
    p[0, 1] = 0.9, 0.06, 0.04
    p[0, 2] = 0.02, 0.02, 0.96
    p[1, 0] = 0.9, 0.06, 0.04
    p[1, 7] = 0.03, 0.95, 0.02
    p[1, 8] = 0.06, 0.94, 0.0
    studies = [
        replace(fake_study(str(number)), labels=row) for number, row in enumerate(labels, start=1)
    ]
    return studies, p


def lines_of(path: Path) -> list[tuple[str, str]]:
    with path.open(newline="") as file:
        return [(row["row_id"], row["grade"]) for row in csv.DictReader(file)]


def test_only_cells_that_nobody_graded_get_a_grade(tmp_path: Path) -> None:
    studies, p = two_studies()
    given = stacked_labels(studies)
    filled = stacked_labels(with_pseudo_labels(studies, p, 0.95, tmp_path, given=given))
    changed = np.argwhere(filled != given).tolist()
    assert changed == [[0, 2], [1, 7]]
    assert (filled[0, 2], filled[1, 7]) == (2, 1)
    assert lines_of(tmp_path / "pseudo_labels.csv") == [
        (TARGETS[2].row_id("1"), "severe"), (TARGETS[7].row_id("2"), "moderate"),
    ]  # fmt: skip


def test_a_grade_that_was_left_out_is_not_filled_in(tmp_path: Path) -> None:
    studies, p = two_studies()
    given = stacked_labels(studies)
    cleaned = without_doubtful(studies, p, 0.05, tmp_path)
    assert np.argwhere(stacked_labels(cleaned) != given).tolist() == [[0, 0]]
    filled = with_pseudo_labels(cleaned, p, 0.95, tmp_path, given=given)
    assert stacked_labels(filled)[0, 0] == MISSING_GRADE
    assert lines_of(tmp_path / "doubts.csv") == [(TARGETS[0].row_id("1"), "severe")]


def test_a_judges_answers_are_found_by_row_whatever_their_table(tmp_path: Path) -> None:
    studies, p = two_studies()
    tables = []
    for study, rows in zip(studies, p, strict=True):
        path = tmp_path / f"{study.study_id}.csv"
        write_submission(path, {study.study_id: reweight_for_metric(rows)})
        tables.append(path)
    np.testing.assert_allclose(judged_probabilities(studies, tables[::-1]), p, atol=1e-9)


JUDGED = {
    **TINY,
    "detectors": {},
    "classifiers": {"more": {"fill_in": {"judge": "plain", "above": 0.51}}, "plain": {}},
    "ensemble": {},
}


@pytest.mark.parametrize("judge", ["more", "nobody"])
def test_a_judge_must_be_a_classifier_without_one(judge: str) -> None:
    with pytest.raises(ConfigError, match=r"more\.fill_in\.judge.*no judge itself: plain"):
        Recipe.from_dict(JUDGED, {"classifiers.more.fill_in.judge": judge})


def test_a_classifier_without_the_setting_is_written_as_before() -> None:
    plain = Recipe.from_dict(JUDGED).classifiers["plain"].model_dump(mode="json")
    assert "fill_in" not in plain


@pytest.mark.slow
def test_a_classifier_with_pseudo_labels_trains_after_its_judge(tmp_path: Path) -> None:
    cache = write_prepared(tmp_path / "prepared", 8)
    for folder in cached_studies(cache):
        truth = load_cached(folder).truth
        labels = truth.labels.copy()
        labels[::2] = MISSING_GRADE
        write_truth(replace(truth, labels=labels), folder)
    run = tmp_path / "run"
    done = run_cross_validation(Recipe.from_dict(JUDGED), cache, run, device="cpu").done
    judge, member = "out_of_fold/plain/fold1", "members/classifier_more/fold0"
    assert done.index(judge) < done.index(member)
    step = json.loads((run / member / "step.json").read_text())
    assert set(step["after"]) == {"folds", "points/detector/fold1", judge}
    trained = json.loads((run / member / "studies.json").read_text())["training"]
    allowed = {target.row_id(study_id) for study_id in trained for target in TARGETS[::2]}
    assert {row_id for row_id, _ in lines_of(run / member / "pseudo_labels.csv")} <= allowed
    assert not (run / member / "doubts.csv").exists()
    changed = {"classifiers.more.fill_in.above": 0.6}
    again = run_cross_validation(Recipe.from_dict(JUDGED, changed), cache, run, device="cpu").done
    assert {name for name in again if "classifier_" in name} == {
        "members/classifier_more/fold0",
        "members/classifier_more/fold1",
    }
