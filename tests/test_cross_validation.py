"""A run with folds and several members: what it leaves, what it does again, how it goes on."""

import copy
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fake_prepared import write_prepared
from fake_records import make_study
from lumbargrade.bundle import strip_run
from lumbargrade.competition import read_points, read_submission
from lumbargrade.cross_validation import CrossValidated, run_cross_validation
from lumbargrade.ensemble_file import Ensemble
from lumbargrade.member_steps import MemberSteps
from lumbargrade.models import open_models
from lumbargrade.out_of_fold import read_landmarks
from lumbargrade.pipeline import Pipeline
from lumbargrade.recipe_settings import Recipe
from lumbargrade.settings import ConfigError
from lumbargrade.steps import UNFINISHED
from lumbargrade.training.checkpoint import save_weights
from lumbargrade.training.stopping import Stop, Stopped
from tiny_members import TINY

STUDIES = 12


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"), STUDIES, without_axial=("4",))


@pytest.fixture(scope="module")
def finished(cache: Path, tmp_path_factory: pytest.TempPathFactory) -> CrossValidated:
    return train(cache, tmp_path_factory.mktemp("run") / "run")


def train(cache: Path, out: Path, changes: Mapping[str, Any] | None = None) -> CrossValidated:
    recipe = Recipe.from_dict(TINY, dict(changes or {}))
    return run_cross_validation(recipe, cache, out, device="cpu")


def files_of(folder: Path) -> dict[str, bytes]:
    """All but the log and the report that shows it, in which clocks are allowed."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in ("log", "report.html")
    }


def studies_of(table: Path) -> set[str]:
    return {row_id.split("_")[0] for row_id in read_submission(table).row_ids}


def test_no_member_answers_for_a_study_that_it_was_trained_on(finished: CrossValidated) -> None:
    run = finished.out
    folds = json.loads((run / "folds" / "split.json").read_text())["folds"]
    held_out = [set(fold["held_out"]) for fold in folds]
    assert not held_out[0] & held_out[1]
    assert len(held_out[0] | held_out[1]) == STUDIES
    members = sorted(
        path
        for top in ("members", "first_steps")
        for path in run.glob(f"{top}/*/fold*/studies.json")
    )
    assert len(members) == 2 * (2 * 3 + 2) + 2  # two-step's first steps, too
    for path in members:
        seen = json.loads(path.read_text())
        fold = int(path.parent.name.removeprefix("fold"))
        training, validation = set(seen["training"]), set(seen["validation"])
        assert training
        assert validation
        assert not training & validation
        assert not (training | validation) & held_out[fold], path
    tables = sorted(run.glob("out_of_fold/*/fold*/answers_*.csv"))
    assert len(tables) == 2 * 2 * 3  # classifiers, folds, two sets and their mean
    for path in tables:
        fold = int(path.parent.name.removeprefix("fold"))
        classifier = path.parent.parent.name
        assert path.name.startswith(f"answers_{classifier}_")
        assert path.name.endswith(f"_fold{fold}.csv")
        assert studies_of(path) == held_out[fold]
    for fold in (0, 1):
        for name in ("short", "long", "mean"):
            folder = run / "points" / name / f"fold{fold}"
            assert set(read_landmarks(folder / "landmarks.jsonl")) == held_out[fold]
            points = read_points(folder / f"points_{name}_fold{fold}.csv")
            assert {point.study_id for point in points} <= held_out[fold]


def test_the_run_is_a_model_folder_with_all_members_and_weights(finished: CrossValidated) -> None:
    models = open_models(finished.out)
    assert models.detector_keys == ((0, "long"), (0, "short"), (1, "long"), (1, "short"))
    assert models.classifier_keys == (
        (0, "plain"), (0, "two-step"), (1, "plain"), (1, "two-step"),
    )  # fmt: skip
    ensemble = models.ensemble
    assert ensemble is not None
    assert {(pair.classifier, pair.points) for pair in ensemble.pairs} == {
        (classifier, points) for classifier in ("plain", "two-step") for points in ("short", "long")
    }
    assert sum(pair.weight for pair in ensemble.pairs) == pytest.approx(1.0)
    assert studies_of(finished.out / "out_of_fold.csv") == {str(i + 1) for i in range(STUDIES)}
    points = {point.study_id for point in read_points(finished.out / "points_out_of_fold.csv")}
    assert points == {str(i + 1) for i in range(STUDIES)}
    assert not (finished.out / UNFINISHED).exists()


def test_the_same_call_again_does_nothing(finished: CrossValidated, cache: Path) -> None:
    before = files_of(finished.out)
    assert train(cache, finished.out).done == ()
    assert files_of(finished.out) == before


@pytest.mark.slow
def test_a_changed_setting_does_again_what_depends_on_it(
    finished: CrossValidated, cache: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished.out, out)
    changes = {"classifiers.two-step.classifier.weighted_fit.epochs": 2}
    again = train(cache, out, changes)
    assert set(again.done) == {
        "members/classifier_two-step/fold0",
        "members/classifier_two-step/fold1",
        "out_of_fold/two-step/fold0",
        "out_of_fold/two-step/fold1",
        "ensemble",
        "calibration",
        "evaluation",
    }
    before, after = files_of(finished.out), files_of(out)
    assert before.keys() == after.keys()
    kept = [name for name in before if "/classifier_plain/" in name or "detector" in name]
    assert kept
    assert all(before[name] == after[name] for name in kept)
    weights = "members/classifier_two-step/fold0/weights.safetensors"
    assert before[weights] != after[weights]
    assert files_of(train(cache, tmp_path / "anew", changes).out) == after


def test_old_outputs_stay_until_new_ones_replace_them(
    finished: CrossValidated, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "run"
    shutil.copytree(finished.out, out)

    def broken(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("lumbargrade.member_steps.train_classifier", broken)
        with pytest.raises(KeyboardInterrupt):
            train(cache, out, {"classifiers.plain.seed": 9})
    weights = "members/classifier_plain/fold0/weights.safetensors"
    assert (out / weights).read_bytes() == (finished.out / weights).read_bytes()
    with pytest.raises(ConfigError, match=r"no manifest\.json"):
        open_models(out)  # half of one run and half of another is no model folder
    assert len(train(cache, out).done) == 0
    assert files_of(out) == files_of(finished.out)


class CountedStop(Stop):
    """Asks to stop by itself after a number of held blocks."""

    def __init__(self, blocks: int) -> None:
        super().__init__()
        self.left = blocks

    def _heed(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise Stopped(15)
        super()._heed()


@pytest.mark.slow
def test_a_run_stopped_all_the_time_ends_in_the_same_bytes(
    finished: CrossValidated, cache: Path, tmp_path: Path
) -> None:
    recipe = Recipe.from_dict(TINY)
    out = tmp_path / "run"
    stopped = 0
    while True:
        stop = CountedStop(7)
        try:
            run_cross_validation(recipe, cache, out, device="cpu", stop=stop)
            break
        except Stopped:
            stopped += 1
    assert stopped >= 10
    assert files_of(out) == files_of(finished.out)


def test_other_data_and_a_split_recipes_folder_are_refused(
    finished: CrossValidated, cache: Path, tmp_path: Path
) -> None:
    fewer = tmp_path / "fewer"
    shutil.copytree(cache, fewer)
    shutil.rmtree(fewer / "7")
    with pytest.raises(ConfigError, match="other data"):
        train(fewer, finished.out)
    (tmp_path / "split" / "members").mkdir(parents=True)
    with pytest.raises(ConfigError, match="with a split"):
        train(cache, tmp_path / "split")


def test_answers_do_not_depend_on_the_order_of_members(
    finished: CrossValidated, cache: Path, tmp_path: Path
) -> None:
    turned = copy.deepcopy(TINY)
    turned["classifiers"] = dict(reversed(TINY["classifiers"].items()))
    turned["classifiers"]["plain"] = {"points": "short"}
    out = tmp_path / "run"
    shutil.copytree(finished.out, out)
    again = run_cross_validation(Recipe.from_dict(turned), cache, out, device="cpu")
    assert not any(name.startswith("members") for name in again.done)
    first, second = (Ensemble.from_yaml(folder / "ensemble.yaml") for folder in (finished.out, out))
    weights = [
        {(pair.classifier, pair.points): pair.weight for pair in item.pairs}
        for item in (first, second)
    ]
    assert weights[0].keys() == weights[1].keys()
    for key, weight in weights[0].items():
        np.testing.assert_allclose(weights[1][key], weight, atol=0.02)


def test_predict_averages_each_folds_pairs_with_the_weights_of_the_run(
    finished: CrossValidated, tmp_path: Path
) -> None:
    pipeline = Pipeline.load(finished.out, "cpu")
    ensemble = open_models(finished.out).ensemble
    assert ensemble is not None
    weighty = [pair for pair in ensemble.pairs if pair.weight > 0]
    assert len(pipeline.detectors) == len(pipeline.classifiers) == 4
    assert len(pipeline.passes) == 2 * len(weighty)
    assert sum(item.weight for item in pipeline.passes) == pytest.approx(1.0)
    assert pipeline.uncertain_above == ensemble.uncertain_above
    study = make_study()
    once = pipeline.predict(study)
    np.testing.assert_allclose(once.probabilities.sum(axis=1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(once.probabilities, pipeline.predict(study).probabilities)
    passes = tuple(item for item in pipeline.passes if item.member == 0)
    if len(passes) < len(pipeline.passes):
        alone = replace(pipeline, passes=passes).predict(study)
        assert np.abs(alone.probabilities - once.probabilities).max() > 1e-6


def test_a_stripped_run_answers_as_its_run_does(finished: CrossValidated, tmp_path: Path) -> None:
    strip_run(finished.out, tmp_path / "bundle")
    before, after = (
        Pipeline.load(folder, "cpu").predict(make_study())
        for folder in (finished.out, tmp_path / "bundle")
    )
    np.testing.assert_allclose(after.probabilities, before.probabilities, atol=5e-3)
    names = {path.name for path in (tmp_path / "bundle").rglob("*") if path.is_file()}
    assert names == {
        "manifest.json", "config.yaml", "calibration.yaml", "ensemble.yaml",
        "point_confidence.yaml", "metrics.jsonl", "weights.safetensors",
    }  # fmt: skip


def test_a_strip_that_fails_leaves_the_earlier_bundle(
    finished: CrossValidated, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "bundle"
    strip_run(finished.out, out)
    before = files_of(out)
    calls: list[Path] = []

    def full(weights: Mapping[str, Any], path: Path) -> None:
        calls.append(path)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        save_weights(weights, path)

    monkeypatch.setattr("lumbargrade.bundle.save_weights", full)
    with pytest.raises(OSError, match="No space"):
        strip_run(finished.out, out)
    assert files_of(out) == before
    assert [path.name for path in tmp_path.iterdir()] == ["bundle"]


@pytest.mark.parametrize(
    ("changes", "settings"),
    [
        ({}, {}),
        ({"crops.xy": "dynamic"}, {"follow": True}),
        ({"crops.mask": True}, {"follow": True}),
    ],
)
def test_points_are_found_with_tracks_where_a_classifier_follows_them(
    tmp_path: Path, changes: dict[str, Any], settings: dict[str, Any]
) -> None:
    """Otherwise the step's settings stay empty, as they were: finished runs stay finished."""
    members = MemberSteps(
        recipe=Recipe.from_dict(TINY, changes), run=tmp_path, cache=tmp_path, facts={},
        device="cpu", stop=Stop(),
    )  # fmt: skip
    points = [step for step in members.steps() if step.kind.startswith("points ")]
    assert len(points) == 4
    assert all(step.settings == settings for step in points)


def test_the_report_shows_every_way_step_and_member_and_needs_nothing_else(
    finished: CrossValidated,
) -> None:
    page = (finished.out / "report.html").read_text()
    ways = json.loads((finished.out / "ensemble" / "comparison.json").read_text())["scores"]
    assert set(ways) == {"best-single", "plain", "points-first", "weighted", "stacked"}
    for name, parts in ways.items():
        assert f"<td>{name}</td><td>{parts['score']:.4f}</td>" in page
    for name in ("members/classifier_two-step/fold1", "ensemble", "two-step at long"):
        assert f"<td>{name}</td>" in page
    assert page.count("data:image/png;base64,") == 6
    assert "not a medical device" in page
    assert "No floor" in page
    addresses = re.findall(r'(?:src|href)="([^"]{0,40})', page)
    assert all(item.startswith(("data:", "#")) for item in addresses)
    assert str(finished.out) not in page


def test_the_weighted_answers_of_a_run_are_those_of_its_table(finished: CrossValidated) -> None:
    chosen = read_submission(finished.out / "out_of_fold.csv")
    weighted = read_submission(finished.out / "ensemble" / "answers_weighted.csv")
    assert chosen.row_ids == weighted.row_ids
    np.testing.assert_array_equal(chosen.probabilities, weighted.probabilities)
