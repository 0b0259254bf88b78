import torch
from torch import nn

from lumbargrade.recurrent import LSTM


def test_inside_autocast_it_answers_as_outside_whatever_it_is_given() -> None:
    torch.manual_seed(0)
    ours, theirs = LSTM(6, 4, bidirectional=True), nn.LSTM(6, 4, bidirectional=True)
    theirs.load_state_dict(ours.state_dict())
    runs = [torch.randn(5, 6), torch.randn(3, 6)]
    packed = nn.utils.rnn.pack_sequence(runs)
    expected = theirs(packed)[0].data
    assert torch.equal(ours(packed)[0].data, expected)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(ours(packed)[0].data, expected)
        halved = ours(runs[0].bfloat16()[:, None])[0]
    assert halved.dtype == torch.float32
    assert torch.equal(halved, theirs(runs[0].bfloat16().float()[:, None])[0])
