"""The tool that trains classifiers which differ in one setting alone."""

import json
from pathlib import Path

import numpy as np
import pytest

from fake_prepared import write_prepared
from lumbargrade.competition import read_submission
from lumbargrade.metric import competition_metric
from lumbargrade.prepared import survey
from lumbargrade.settings import ConfigError
from test_phantom_tools import tool

one_factor = tool("one_factor")

RECIPE = """
name: tiny
crops: {slices: 3, size_px: 16, side_mm: 64.0}
split: {detector: 0.2, detector_validation: 0.1, classifier_validation: 0.4}
classifier: {encoder: test_resnet, lstm_hidden: 8, fit: {epochs: 1, batch_size: 2}}
"""


def test_arms_share_split_and_seeds_and_losses_are_averaged_over_seeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = write_prepared(tmp_path / "prepared", 8)
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    common = [str(tmp_path / "tiny.yaml"), "--data", str(cache), "--device", "cpu"]
    out = tmp_path / "out"
    factor = "crops.side_mm=48.0 classifier.dropout=0"
    arguments = [*common, "--out", str(out), "--seeds", "0", "5", "--bootstrap", "20"]
    one_factor.main([*arguments, "--factor", factor])
    document = json.loads(capsys.readouterr().out)
    (name,) = document
    assert name == "crops.side-mm=48.0-classifier.dropout=0"
    assert document[name]["repeats"] == [2, 2]
    splits = {
        (arm, seed): json.loads((out / arm / seed / "split.json").read_text())
        for arm in ("base", name)
        for seed in ("seed0", "seed5")
    }
    assert [item.pop("seed") for item in splits.values()] == [0, 5, 0, 5]
    assert all(item == splits["base", "seed0"] for item in splits.values())
    weights = {(out / a / s / "weights.safetensors").read_bytes() for a, s in splits}
    assert len(weights) == 4
    truth = survey(cache)
    scores = []
    for seed in ("seed0", "seed5"):
        table = read_submission(out / "base" / seed / "out_of_fold.csv")
        ids = list(dict.fromkeys(row_id.split("_")[0] for row_id in table.row_ids))
        labels = np.stack([truth[study_id].labels for study_id in ids])
        scores.append(competition_metric(labels, table.probabilities.reshape(-1, 25, 3)).score)
    assert document[name]["second"]["score"] == pytest.approx(sum(scores) / 2, abs=1e-12)


def test_a_factor_may_not_change_which_studies_train(tmp_path: Path) -> None:
    (tmp_path / "tiny.yaml").write_text(RECIPE)
    arguments = [str(tmp_path / "tiny.yaml"), "--data", str(tmp_path), "--out", str(tmp_path)]
    with pytest.raises(ConfigError, match="seed and split must be the same"):
        one_factor.main([*arguments, "--factor", "seed=4"])
