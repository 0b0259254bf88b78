"""What each view is worth: the same studies graded without it."""

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fake_dataset import break_study, write_dataset
from fake_records import FakePredictor, make_study
from lumbargrade.cli import app
from lumbargrade.competition import write_table
from lumbargrade.competition.dataset import LABEL_COLUMNS
from lumbargrade.labels import GRADES, TARGETS, VIEWS, Flag, View
from lumbargrade.metric import competition_metric
from lumbargrade.records import Grades, InvalidStudyError, Study
from lumbargrade.view_removal import grade_without_views, measure_removals, without_view

UNIFORM = np.full(3, 1 / 3)


def truth_of(*study_ids: str) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    return {study_id: rng.integers(0, 3, 25) for study_id in study_ids}


class SeesWhatIsThere:
    """Knows the truth of targets whose view is there, as far as 0.8; of others nothing."""

    def __init__(self, truth: Mapping[str, np.ndarray]) -> None:
        self.truth = truth

    def predict(self, study: Study) -> Grades:
        views = {series.view for series in study.series}
        q = np.full((25, 3), 0.1)
        q[np.arange(25), self.truth[study.study_id]] = 0.8
        for target in TARGETS:
            if target.condition.view not in views:
                q[target.index] = UNIFORM
        grades: Any = SimpleNamespace(metric_probabilities=q)
        found: Grades = grades
        return found


def test_a_removed_view_is_flagged_missing_and_nothing_else_changes() -> None:
    study = make_study()
    whole = FakePredictor().run(study)
    for view in VIEWS:
        prediction = FakePredictor().run(without_view(study, view))
        for target in TARGETS:
            removed = target.condition.view is view
            flags = prediction.landmarks[target.index].flags
            assert (Flag.VIEW_MISSING in flags) == removed
            if not removed:
                assert flags == whole.landmarks[target.index].flags
    assert study.series_of(View.AXIAL_T2), "the study itself stays as it is"


def test_each_part_is_lost_with_its_own_view() -> None:
    study = make_study()
    truth = truth_of(study.study_id)
    answers = grade_without_views(SeesWhatIsThere(truth), study)
    found = measure_removals(
        truth, {study.study_id: answers}, {study.study_id: VIEWS}, resamples=10
    )
    labels = truth[study.study_id][None]
    assert found.complete == competition_metric(labels, answers[None][None])
    changed = {
        view: {
            part for part, item in found.without[view].differences.items() if item.difference > 0
        }
        for view in VIEWS
    }
    assert changed == {
        View.SAGITTAL_T2: {"score", "spinal", "any_severe_spinal"},
        View.SAGITTAL_T1: {"score", "foraminal"},
        View.AXIAL_T2: {"score", "subarticular"},
    }
    lost = found.without[View.SAGITTAL_T1]
    assert lost.parts.foraminal == pytest.approx(np.log(3))
    assert lost.differences["foraminal"].difference == pytest.approx(np.log(3) + np.log(0.8))


def test_a_study_that_never_had_the_view_answers_as_it_is() -> None:
    study = make_study(views=(View.SAGITTAL_T2, View.SAGITTAL_T1))
    truth = truth_of(study.study_id)
    answers = grade_without_views(SeesWhatIsThere(truth), study)
    assert answers[View.AXIAL_T2] is answers[None]
    assert (answers[View.SAGITTAL_T2] != answers[None]).any()
    views = (View.SAGITTAL_T2, View.SAGITTAL_T1)
    found = measure_removals(
        truth, {study.study_id: answers}, {study.study_id: views}, resamples=10
    )
    counts = [item.studies_with_view for item in found.without.values()]
    assert dict(zip(found.without, counts, strict=True)) == {
        View.SAGITTAL_T2: 1, View.SAGITTAL_T1: 1, View.AXIAL_T2: 0,
    }  # fmt: skip
    assert found.without[View.AXIAL_T2].differences["score"].difference == 0


def test_answers_without_any_truth_are_refused() -> None:
    with pytest.raises(InvalidStudyError, match="no study with grades"):
        measure_removals({}, {"1": {None: np.zeros((25, 3))}}, {"1": VIEWS}, resamples=10)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    truth = truth_of("101", "102")
    write_dataset(tmp_path, *truth)
    words = [[GRADES[grade].spelling for grade in row] for row in truth.values()]
    rows = [[study_id, *row] for study_id, row in zip(truth, words, strict=True)]
    write_table(tmp_path / "train.csv", LABEL_COLUMNS, rows)
    grader = SeesWhatIsThere(truth)
    monkeypatch.setattr("lumbargrade.cli.evaluate_views.load_pipeline", lambda *_: grader)
    return tmp_path


def run(*words: object) -> Result:
    return CliRunner().invoke(app, ["evaluate-views", *map(str, words)])


def test_the_command_scores_every_removal(dataset: Path) -> None:
    result = run(dataset, "--bootstrap", "20", "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["studies"] == 2
    assert set(document["without"]) == {view.value for view in VIEWS}
    lost = document["without"]["axial_t2"]
    assert lost["studies_with_view"] == 2
    assert lost["parts"]["subarticular"] == pytest.approx(np.log(3))
    assert lost["parts"]["spinal"] == document["complete"]["spinal"]
    assert lost["differences"]["score"]["difference"] > 0
    shown = run(dataset, "--bootstrap", "20")
    assert all(view.words in shown.stdout for view in VIEWS)
    assert f"{document['complete']['score']:.4f}" in shown.stdout
    assert "not a medical device" in shown.stdout


def test_a_study_that_cannot_be_read_is_named_and_the_others_are_scored(dataset: Path) -> None:
    break_study(dataset, "102")
    result = run(dataset, "--bootstrap", "20", "--json")
    assert result.exit_code == 1
    assert "102" in result.stderr
    assert json.loads(result.stdout)["studies"] == 1
