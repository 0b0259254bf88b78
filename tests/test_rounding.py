"""Weights rounded to 8 bits, each row to steps of its own."""

import torch
from torch import nn

from lumbargrade.training.rounding import SCALE, restored, rounded


def test_hand_computed_rows() -> None:
    matrix = torch.zeros(3, 16)
    matrix[0, :3] = torch.tensor([1.27, -0.634, 0.004])
    matrix[1, 0] = -254.0
    kept = rounded({"weight": matrix})
    assert kept["weight"].dtype == torch.int8
    assert kept["weight"][0, :3].tolist() == [127, -63, 0]
    assert kept["weight"][1, 0] == -127
    torch.testing.assert_close(kept["weight" + SCALE], torch.tensor([0.01, 2.0, 1.0]))
    back = restored(kept)["weight"]
    torch.testing.assert_close(back[0, :3], torch.tensor([1.27, -0.63, 0.0]))
    assert back[1, 0] == -254
    assert not back[2].any()


def test_vectors_and_integers_stay_and_short_rows_lose_little() -> None:
    weights = {
        "bias": torch.randn(64),
        "steps": torch.tensor(7),
        "depthwise": torch.randn(32, 1, 3, 3),
    }
    back = restored(rounded(weights))
    assert torch.equal(back["bias"], weights["bias"])
    assert torch.equal(back["steps"], weights["steps"])
    assert torch.equal(back["depthwise"], weights["depthwise"].half().float())


def test_no_weight_moves_by_more_than_half_a_step_and_a_second_rounding_changes_nothing() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 24, 3), nn.BatchNorm2d(24), nn.LSTM(24, 16))
    weights = network.state_dict()
    kept = rounded(weights)
    back = restored(kept)
    assert back.keys() == weights.keys()
    for name, tensor in weights.items():
        if name + SCALE in kept:
            moved = (back[name] - tensor).flatten(1).abs().amax(dim=1)
            assert (moved <= kept[name + SCALE] * 0.5001).all()
    again = rounded(back)
    assert all(torch.equal(again[name], kept[name]) for name in kept if not name.endswith(SCALE))
