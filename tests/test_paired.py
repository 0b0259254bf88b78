"""Two ways of answering, compared on the same studies."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from lumbargrade.cli import app
from lumbargrade.competition import write_submission, write_table
from lumbargrade.competition.dataset import LABEL_COLUMNS
from lumbargrade.intervals import score_intervals
from lumbargrade.labels import GRADES, MISSING_GRADE
from lumbargrade.metric import (
    PARTS,
    StudyAnswers,
    StudyLabels,
    competition_metric,
    reweight_for_metric,
)
from lumbargrade.paired import INDISTINGUISHABLE, Verdict, compare_answers


def some_case(studies: int = 60) -> tuple[StudyLabels, StudyAnswers]:
    """Labels drawn from the probabilities of which the answers are made."""
    rng = np.random.default_rng(3)
    p = rng.dirichlet((4.0, 1.0, 0.7), size=(studies, 25))
    labels = (rng.random((studies, 25, 1)) > p.cumsum(axis=-1)[..., :2]).sum(axis=-1)
    labels[rng.random(labels.shape) < 0.1] = MISSING_GRADE
    return labels, reweight_for_metric(p)


def spoiled(answers: StudyAnswers, share: float, seed: int = 0) -> StudyAnswers:
    """Partly other answers."""
    other = np.random.default_rng(seed).dirichlet((1.0, 1.0, 1.0), size=answers.shape[:2])
    mixed: StudyAnswers = (1 - share) * answers + share * other
    return mixed


def test_differences_are_those_of_the_scores_and_their_interval_is_on_the_same_draws() -> None:
    labels, good = some_case()
    bad = spoiled(good, 0.5)
    found = compare_answers(labels, [good], [bad], resamples=200, seed=4)
    for parts, answers in ((found.first, good), (found.second, bad)):
        assert asdict(parts) == pytest.approx(asdict(competition_metric(labels, answers)))
    expected = score_intervals(labels, good, others={"bad": bad}, resamples=200, seed=4)
    assert set(found.differences) == {"score", *PARTS}
    for part, item in found.differences.items():
        same = expected.differences["bad"][part]
        assert item.difference == pytest.approx(same.difference, abs=1e-12)
        assert item.interval is not None
        assert same.interval is not None
        assert asdict(item.interval) == pytest.approx(asdict(same.interval), abs=1e-12)
    assert found.verdict is Verdict.FIRST
    turned = compare_answers(labels, [bad], [good], resamples=200, seed=4)
    assert turned.verdict is Verdict.SECOND
    assert turned.differences["score"].difference == -found.differences["score"].difference


def test_losses_of_repeats_are_averaged_not_their_answers() -> None:
    labels, good = some_case()
    repeats = [spoiled(good, 0.6, seed) for seed in range(3)]
    found = compare_answers(labels, repeats, [good], resamples=50)
    scores = [competition_metric(labels, rows).score for rows in repeats]
    assert found.first.score == pytest.approx(np.mean(scores), abs=1e-12)
    together = competition_metric(labels, np.mean(repeats, axis=0)).score
    assert together < found.first.score - 0.02
    assert found.repeats == (3, 1)


def test_small_differences_are_called_none_and_uncertain_ones_undecided() -> None:
    labels, good = some_case(400)
    near = compare_answers(labels, [good], [spoiled(good, 0.05)], resamples=200)
    score = near.differences["score"]
    assert score.interval is not None
    assert score.interval.high < 0, "better on every draw"
    assert score.difference > -INDISTINGUISHABLE
    assert near.verdict is Verdict.INDISTINGUISHABLE
    few = labels[:5]
    one, two = (spoiled(good[:5], 0.8, seed) for seed in (1, 8))
    wide = compare_answers(few, [one], [two], resamples=200)
    assert abs(wide.differences["score"].difference) > INDISTINGUISHABLE
    assert wide.verdict is Verdict.UNDECIDED


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["compare", *(str(argument) for argument in arguments)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Sixty studies: train.csv, good.csv, and three bad answers in a folder."""
    labels, good = some_case()
    ids = [str(100 + index) for index in range(60)]
    words = [
        ["" if grade == MISSING_GRADE else GRADES[grade].spelling for grade in row]
        for row in labels
    ]
    rows = [[study_id, *row] for study_id, row in zip(ids, words, strict=True)]
    write_table(tmp_path / "train.csv", LABEL_COLUMNS, rows)
    write_submission(tmp_path / "good.csv", dict(zip(ids, good, strict=True)))
    (tmp_path / "bad").mkdir()
    for seed in range(3):
        answers = spoiled(good, 0.6, seed)
        write_submission(tmp_path / f"bad/seed{seed}.csv", dict(zip(ids, answers, strict=True)))
    some = dict(zip(ids[:20], good[:20], strict=True))
    write_submission(tmp_path / "some.csv", some)
    return tmp_path


def test_the_command_compares_a_table_with_a_folder_of_seeds(folder: Path) -> None:
    arguments = (folder / "good.csv", folder / "bad", "--truth", folder / "train.csv")
    result = run(*arguments, "--bootstrap", "100", "--json")
    assert result.exit_code == 0, result.output
    document: dict[str, Any] = json.loads(result.stdout)
    labels, good = some_case()
    repeats = [spoiled(good, 0.6, seed) for seed in range(3)]
    expected = compare_answers(labels, [good], repeats, resamples=100)
    assert document["verdict"] == "first is better"
    assert document["studies"] == 60
    assert document["repeats"] == [1, 3]
    assert document["first"]["score"] == pytest.approx(expected.first.score, abs=1e-12)
    for part, item in expected.differences.items():
        found = document["differences"][part]
        assert found["difference"] == pytest.approx(item.difference, abs=1e-12)
        assert item.interval is not None
        assert found["interval"]["low"] == pytest.approx(item.interval.low, abs=1e-12)
    shown = run(*arguments, "--bootstrap", "100").stdout
    assert "first is better: on almost every draw of studies" in shown
    assert "not a medical device" in shown
    assert "means over 1 and 3 tables" in shown


def test_both_must_answer_the_same_studies(folder: Path) -> None:
    truth = ("--truth", folder / "train.csv", "--bootstrap", "10")
    missing = run(folder / "good.csv", folder / "some.csv", *truth)
    assert "row 120_spinal_canal_stenosis_l1_l2" in str(missing.exception)
    extra = run(folder / "some.csv", folder / "good.csv", *truth)
    assert "of no study and cell" in str(extra.exception)
    (folder / "empty").mkdir()
    empty = run(folder / "empty", folder / "good.csv", *truth)
    assert "holds no table" in str(empty.exception)
