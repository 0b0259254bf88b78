"""The label set's figures against the real labels', and the command that shows them."""

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from lumbargrade.cli import app
from lumbargrade.labels import MISSING_GRADE
from lumbargrade.phantom.calibration import Calibration, check_labels
from lumbargrade.phantom.dataset import write_labels
from lumbargrade.phantom.label_set import LabelSet, draw_label_set, read_label_set
from lumbargrade.phantom.labels import label_model, label_study
from lumbargrade.phantom.rescaling import rescaled_scores
from lumbargrade.records import InvalidStudyError


@cache
def few() -> LabelSet:
    return draw_label_set(label_model(), studies=1500, seed=500)


@cache
def calibration() -> Calibration:
    return check_labels(draw_label_set(label_model(), studies=20_000, seed=0))


def test_a_drawn_set_holds_the_studies_of_its_seeds() -> None:
    model = label_model()
    for k in range(0, 1500, 50):
        study = label_study(model, 500 + k, model.draw_severity(500 + k))
        np.testing.assert_array_equal(few().grades[k], study.grades)
        np.testing.assert_allclose(few().oracle[k], study.oracle, atol=1e-12)
        np.testing.assert_allclose(few().probabilities[k], study.probabilities, atol=1e-12)


def test_a_written_set_reads_as_it_was_drawn(tmp_path: Path) -> None:
    write_labels(tmp_path, studies=30, seed=500)
    labels = read_label_set(tmp_path)
    np.testing.assert_array_equal(labels.grades, few().grades[:30])
    np.testing.assert_allclose(labels.oracle, few().oracle[:30], atol=1e-12)


def test_tables_of_different_studies_are_refused(tmp_path: Path) -> None:
    write_labels(tmp_path, studies=2, seed=7)
    lines = (tmp_path / "oracle.csv").read_text().splitlines()
    (tmp_path / "oracle.csv").write_text("\n".join([lines[0], *lines[26:], *lines[1:26]]) + "\n")
    with pytest.raises(InvalidStudyError, match="oracle.csv: found row 100008_"):
        read_label_set(tmp_path)
    (tmp_path / "oracle.csv").write_text("\n".join(lines[:26]) + "\n")
    with pytest.raises(InvalidStudyError, match="found 25 rows, expected 50"):
        read_label_set(tmp_path)


@pytest.mark.parametrize(("power", "best"), [(0.7, "power"), (1.5, "power")])
def test_answers_with_the_wrong_temperature_are_found_out(power: float, best: str) -> None:
    changed = few().oracle ** power
    spoiled = replace(few(), oracle=changed / changed.sum(axis=2, keepdims=True))
    right = {item.name: item.score for item in rescaled_scores(few())}
    found = {item.name: item.score for item in rescaled_scores(spoiled)}
    assert found[best] == pytest.approx(right[best], abs=1e-4)
    check = {c.name: c for c in check_labels(spoiled).checks}["gain of a monotone rescaling"]
    assert not check.met
    assert check.gap > 0.004


def test_answers_of_one_wrong_grade_are_found_out_by_severe_and_isotonic_maps() -> None:
    spoiled = replace(few(), oracle=few().probabilities)  # p where q is due
    right = {item.name: item.score for item in rescaled_scores(few())}
    found = {item.name: item.score for item in rescaled_scores(spoiled)}
    assert found["affine"] == pytest.approx(right["affine"], abs=0.002)
    assert found["isotonic"] == pytest.approx(right["isotonic"], abs=0.004)


def test_empty_cells_count_nowhere() -> None:
    grades = few().grades.copy()
    grades[:700, 15] = MISSING_GRADE
    figures = {item.name: item for item in check_labels(replace(few(), grades=grades)).prevalence}
    seen = np.concatenate([grades[700:, 15], grades[:, 20]])
    assert figures["subarticular L1/L2 moderate"].found == pytest.approx((seen == 1).mean())


@pytest.mark.slow
@pytest.mark.parametrize("number", range(8))
def test_every_target_is_met_by_20_000_studies(number: int) -> None:
    check = calibration().checks[number]
    assert check.met, f"{check.name}: {check.found}, wanted {check.low} to {check.high}"


@pytest.mark.slow
def test_all_families_levels_and_neighbours_are_compared() -> None:
    assert len(calibration().checks) == 8
    assert len(calibration().prevalence) == 3 * 5 * 3
    assert len(calibration().spearman) == 5 * 10 + 3 * 4
    assert max(abs(item.found - item.real) for item in calibration().spearman) > 0


def test_the_command_writes_one_json_document_and_fails_where_a_target_is_missed() -> None:
    result = CliRunner().invoke(app, ["phantom-check", "--studies", "300", "--json"])
    document = json.loads(result.stdout)
    met = [check["met"] for check in document["checks"]]
    assert result.exit_code == (0 if all(met) else 1)
    assert not all(met)  # 300 studies are too few for a prevalence within a point
    assert document["studies"] == 300
    assert {item["name"] for item in document["rescaled"]} >= {"power", "isotonic"}


def test_the_command_shows_every_target() -> None:
    result = CliRunner().invoke(app, ["phantom-check", "--studies", "300"])
    assert "weighted prior" in result.stdout
    assert "missed by" in result.stdout
