"""The tool that puts classifiers trained alone into one run."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from fake_prepared import write_prepared
from fake_records import make_study
from lumbargrade.calibration import Calibration
from lumbargrade.competition import read_submission
from lumbargrade.models import open_models
from lumbargrade.pipeline import Pipeline
from lumbargrade.recipe import run_recipe
from lumbargrade.run_layout import CLASSIFIER_PATH
from test_phantom_tools import tool
from test_recipe import TINY

join_classifiers = tool("join_classifiers")


def test_the_mean_of_classifiers_gets_temperatures_of_its_own(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = write_prepared(tmp_path / "cache", 10)
    run = run_recipe(TINY, cache, tmp_path / "run", device="cpu").out
    own = run / CLASSIFIER_PATH
    other = tmp_path / "other"
    shutil.copytree(own, other)
    weights = load_file(own / "weights.safetensors")
    generator = torch.Generator().manual_seed(0)
    for name, tensor in weights.items():
        if name.startswith("heads.linear"):
            tensor.add_(torch.randn(tensor.shape, generator=generator))
    save_file(weights, other / "weights.safetensors")

    def joined(name: str, *classifiers: Path) -> dict[str, Any]:
        out, bundle = tmp_path / name, tmp_path / f"{name} bundle"
        words = [run, cache, *classifiers, "--out", out, "--bundle", bundle]
        join_classifiers.main([str(word) for word in words])
        found: dict[str, Any] = json.loads(capsys.readouterr().out)
        assert len(open_models(bundle).classifiers) == len(classifiers)
        return found

    twice = joined("twice", own, own)
    assert twice["mean"] == pytest.approx(
        json.loads((run / "manifest.json").read_text())["out_of_fold"]["score"]
    )
    assert read_calibration(tmp_path / "twice") == pytest.approx(read_calibration(run))
    both = joined("both", own, other)
    assert both["mean"] not in both["classifiers"]
    answers = read_submission(tmp_path / "both" / "out_of_fold.csv").probabilities
    assert answers.sum(axis=1) == pytest.approx(np.ones(len(answers)))
    pipelines = [Pipeline.load(tmp_path / name, "cpu") for name in ("both", "both bundle")]
    first, second = (item.predict(make_study()).probabilities for item in pipelines)
    np.testing.assert_allclose(first, second, atol=0.01)
    with pytest.raises(FileExistsError):
        joined("both", own)


def read_calibration(folder: Path) -> dict[str, float]:
    values = Calibration.from_yaml(folder / "calibration.yaml").model_dump()
    return {name: value for name, value in values.items() if isinstance(value, float)}
