from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from fake_prepared import write_prepared
from lumbargrade.cli import app
from lumbargrade.cross_validation import run_cross_validation
from lumbargrade.dry_run import forecast
from lumbargrade.recipe_settings import Recipe
from test_recipe import TINY as SINGLE
from tiny_members import TINY


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"), 8)


@pytest.fixture(scope="module")
def one_member() -> dict[str, object]:
    return {**TINY, "detectors": {}, "classifiers": {}, "ensemble": {}}


def test_a_run_that_was_not_begun_is_listed_and_nothing_is_written(
    cache: Path, tmp_path: Path, one_member: dict[str, object]
) -> None:
    out = tmp_path / "run"
    steps = forecast(Recipe.from_dict(one_member), cache, out, device="cpu")
    assert [step.name for step in steps if not step.reason] == ["prepare"]
    assert len(steps) == 2 + 2 * (3 + 1 + 1 + 1) + 3
    assert {step.seconds for step in steps[1:]} == {None}
    assert not out.exists()


@pytest.mark.slow
def test_a_finished_run_says_what_a_changed_setting_costs(
    cache: Path, tmp_path: Path, one_member: dict[str, object]
) -> None:
    out = tmp_path / "run"
    run_cross_validation(Recipe.from_dict(one_member), cache, out, device="cpu")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    steps = forecast(Recipe.from_dict(one_member), cache, out, device="cpu")
    assert not any(step.reason for step in steps)
    changed = Recipe.from_dict(one_member, {"classifier.fit.epochs": 2})
    steps = forecast(changed, cache, out, device="cpu")
    reasons = {step.name: step.reason for step in steps if step.reason}
    assert reasons == {
        "members/classifier_classifier/fold0": "other settings: classifier.fit.epochs",
        "members/classifier_classifier/fold1": "other settings: classifier.fit.epochs",
        "out_of_fold/classifier/fold0": "after members/classifier_classifier/fold0",
        "out_of_fold/classifier/fold1": "after members/classifier_classifier/fold1",
        "ensemble": "after out_of_fold/classifier/fold0 and 1 more",
        "calibration": "after ensemble",
        "evaluation": "after ensemble and 1 more",
    }
    assert all(step.seconds is not None and step.seconds > 0 for step in steps if step.reason)
    elsewhere = forecast(changed, cache, out, device="cuda")
    assert {step.seconds for step in elsewhere if step.reason} == {None}
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_single_split_is_listed_too(cache: Path, tmp_path: Path) -> None:
    member = tmp_path / "members" / "detector_sagittal_t2" / "fold0"
    (member / "checkpoint").mkdir(parents=True)
    steps = forecast(SINGLE, cache, tmp_path, device="cpu")
    assert [(step.name, step.reason) for step in steps[:3]] == [
        ("prepare", ""),
        ("members/detector_sagittal_t2/fold0", "not done yet, begun"),
        ("members/detector_sagittal_t1/fold0", "not done yet"),
    ]
    (member / "weights.safetensors").write_bytes(b"")
    assert forecast(SINGLE, cache, tmp_path, device="cpu")[1].reason == ""


def test_the_command_prints_the_steps_and_the_sum(
    cache: Path, tmp_path: Path, one_member: dict[str, object]
) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(yaml.safe_dump(one_member))
    words = ["train", recipe, "--data", cache, "--out", tmp_path / "run", "--dry-run"]
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert lines[0].split() == ["prepare", "done"]
    assert lines[2].split()[:4] == [
        "members/detector_detector_sagittal_t2/fold0", "to", "do", "unknown",
    ]  # fmt: skip
    assert lines[-1] == "1 of 17 steps done; left: about 0 s for 0 steps, unknown for 16"
    assert not (tmp_path / "run").exists()
