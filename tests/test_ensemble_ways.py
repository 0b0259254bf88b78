"""The tool that measures ensembles on studies that nothing was fitted on."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_prepared import write_prepared
from lumbargrade.classifier.infer import load_classifier
from lumbargrade.ensemble_comparison import BEST_SINGLE, PLAIN, POINTS_FIRST, compare
from lumbargrade.metric import competition_metric, reweight_for_metric
from lumbargrade.out_of_fold import read_landmarks
from lumbargrade.prepared import PreparedStudies
from lumbargrade.recipe import run_recipe
from lumbargrade.run_layout import CLASSIFIER_PATH
from lumbargrade.settings import ConfigError
from test_phantom_tools import tool
from test_recipe import TINY

ways = tool("ensemble_ways")

TESTED = ("11", "12", "13", "14")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    place = tmp_path_factory.mktemp("ways")
    fit = write_prepared(place / "fit", 14)
    test = place / "test"
    test.mkdir()
    for study_id in TESTED:
        shutil.move(fit / study_id, test / study_id)
    run = run_recipe(TINY, fit, place / "run", device="cpu").out
    shutil.copytree(run, place / "again")
    return {"fit": fit, "test": test, "run": run, "again": place / "again", "place": place}


def words(folders: dict[str, Path], out: Path, *sets: str) -> list[str]:
    member = folders["run"] / CLASSIFIER_PATH
    return [
        *("--fit", str(folders["fit"]), "--fit-studies", str(folders["run"] / "split.json")),
        *("--test", str(folders["test"]), "--points", *(str(folders[name]) for name in sets)),
        *("--classifiers", str(member), "--out", str(out), "--bootstrap", "50"),
    ]


def test_two_sets_that_agree_are_worth_what_one_is(
    folders: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found: list[dict[str, Any]] = []
    for sets in (("run",), ("run", "again")):
        ways.main(words(folders, tmp_path, *sets))
        found.append(json.loads(capsys.readouterr().out))
    one, two = found
    assert POINTS_FIRST not in one
    assert set(two["members"]) == {"classifier at run", "classifier at again"}
    for name in (BEST_SINGLE, PLAIN):
        assert two[name]["score"] == pytest.approx(one[name]["score"], abs=1e-9)
    assert two[POINTS_FIRST]["score"] == pytest.approx(two[PLAIN]["score"], abs=1e-6)
    assert two[PLAIN]["minus best-single"]["difference"] == pytest.approx(0.0, abs=1e-9)
    kept = read_landmarks(tmp_path / "run.jsonl")
    split = json.loads((folders["run"] / "split.json").read_text())
    assert set(kept) == {*TESTED, *split["classifier_validation"]}


def test_two_folders_of_one_name_are_refused() -> None:
    folders = [Path("a/classifier_0/fold0"), Path("b/classifier_0")]
    with pytest.raises(ConfigError, match="one name"):
        ways.by_name(folders)
    assert list(ways.by_name([folders[0], Path("a/classifier_1/fold0")])) == [
        "classifier_0", "classifier_1",
    ]  # fmt: skip


def test_nothing_is_fitted_on_a_test_study(folders: dict[str, Path], tmp_path: Path) -> None:
    split = json.loads((folders["run"] / "split.json").read_text())
    fit = PreparedStudies(folders["fit"], split["classifier_validation"])
    test = PreparedStudies(folders["test"], TESTED)
    sets = {
        name: [ways.points_of(folders[name], studies, tmp_path) for studies in (fit, test)]
        for name in ("run", "again")
    }
    classifier = load_classifier(folders["run"] / CLASSIFIER_PATH)
    found = ways.answer((fit, test), sets, {"only": classifier})
    unseen = found.fold == ways.TEST
    assert unseen.sum() == len(TESTED)
    assert found.study_ids[-len(TESTED) :] == TESTED
    others = found.labels.copy()
    others[unseen] = (others[unseen] + 1) % 3
    before, after = compare(found), compare(replace(found, labels=others))
    for name, answers in before.items():
        np.testing.assert_array_equal(after[name][unseen], answers[unseen])
    report = ways.document(found, 50)
    q = reweight_for_metric(found.members[0][unseen])
    expected = competition_metric(found.labels[unseen], q).score
    assert report["members"]["only at run"]["test"] == pytest.approx(expected)
