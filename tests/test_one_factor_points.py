"""The tool that trains detectors which differ in one setting alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from fake_prepared import write_prepared
from lumbargrade.recipe_settings import Recipe
from test_phantom_tools import tool
from test_recipe import TINY

tool("one_factor")  # which it imports
points = tool("one_factor_points")


def test_hand_computed_figures_and_their_difference() -> None:
    near, far = [1.0, 2.0, 0.2], [np.inf, np.inf, np.inf]
    beside = [4.0, 6.0, 1.2]
    errors = {
        "base": [[np.array([near, near]), np.array([far, beside])]],
        "factor": [
            [np.array([near, near]), np.array([near, near])],
            [np.array([near, beside]), np.array([near, near])],
        ],
    }
    found = points.compare_arms(errors, 200)
    base, factor = found["base"], found["factor"]
    assert base["mean_mm"]["mean"] == pytest.approx((1 + 1 + 30 + 4) / 4)
    assert base["within_5px"]["mean"] == 0.5
    assert base["exact_slice"]["mean"] == 0.5
    assert base["slice_within_1"]["mean"] == 0.75
    assert factor["mean_mm"]["by_seed"] == [1.0, pytest.approx(7 / 4)]
    assert factor["mean_mm"]["minus_base"] == pytest.approx((1 + 7 / 4) / 2 - 9)
    assert factor["exact_slice"]["minus_base"] == pytest.approx(7 / 8 - 0.5)
    interval = factor["exact_slice"]["interval"]
    # drawn twice, the first study gives 3/4 - 1, the second 1 - 0
    assert (interval["low"], interval["high"]) == pytest.approx((-0.25, 1.0))


def test_arms_train_on_one_split_and_are_judged_on_other_studies(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_prepared(tmp_path / "data", 10)
    test = write_prepared(tmp_path / "test", 3)
    recipe: Recipe = TINY
    recipe.to_yaml(tmp_path / "tiny.yaml")
    words = [
        *(str(tmp_path / "tiny.yaml"), "--view", "sagittal_t1", "--data", str(data)),
        *("--test", str(test), "--out", str(tmp_path / "out"), "--seeds", "0", "5"),
        *("--factor", "sagittal_t1.pointer=transformer", "--bootstrap", "20", "--device", "cpu"),
    ]
    points.main([*words, "--train-only"])
    assert not capsys.readouterr().out
    members = sorted((tmp_path / "out").glob("*/seed*/weights.safetensors"))
    assert len(members) == 4
    assert len({path.read_bytes() for path in members}) == 4
    splits = [json.loads((path.parent / "split.json").read_text()) for path in members]
    assert all(split == splits[0] for split in splits)
    before = [path.stat().st_mtime_ns for path in members]
    points.main(words)
    assert [path.stat().st_mtime_ns for path in members] == before
    document = json.loads(capsys.readouterr().out)
    arm = document["sagittal-t1.pointer=transformer"]
    assert len(arm["mean_mm"]["by_seed"]) == 2
    assert arm["mean_mm"]["minus_base"] == pytest.approx(
        arm["mean_mm"]["mean"] - document["base"]["mean_mm"]["mean"]
    )
