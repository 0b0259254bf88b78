"""Which slice shows which point: a sequence model over the slices of a run.

What must stay true: a slice's logits depend on the slices of its own run alone, and not on how runs
are put together in a batch.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lumbargrade.recurrent import LSTM

POINTER_BIAS = -2.0
POINTER_WIDTH = 96
"""Pooled features are narrowed to this before the sequence model."""

HEADS = 4
"""Of the transformer's attention."""


class Pointer(nn.Module):
    """Pooled features and the place of each slice → how strongly it shows each point."""

    def __init__(
        self, *, kind: str, pooled: int, features: int, hidden: int, channels: int
    ) -> None:
        """Bind sizes; ``kind`` is a bi-LSTM or a pre-norm transformer layer, both 2 · hidden."""
        super().__init__()
        self.narrow = nn.Sequential(
            nn.Linear(pooled + features, POINTER_WIDTH), nn.LayerNorm(POINTER_WIDTH), nn.ReLU()
        )
        self.lstm: nn.LSTM | None = None
        if kind == "lstm":
            self.lstm = LSTM(POINTER_WIDTH, hidden, batch_first=True, bidirectional=True)
        else:
            self.widen = nn.Linear(POINTER_WIDTH, 2 * hidden)
            self.layer = nn.TransformerEncoderLayer(
                2 * hidden, HEADS, dim_feedforward=4 * hidden, batch_first=True, norm_first=True
            )
        self.head = nn.Linear(2 * hidden + features, channels)
        nn.init.constant_(self.head.bias, POINTER_BIAS)

    def forward(
        self,
        pooled: Float[Tensor, "slice pooled"],
        features: Float[Tensor, "slice feature"],
        lengths: Int[Tensor, "run"],
    ) -> Float[Tensor, "slice channel"]:
        """Logits of all slices; runs lie one after the other, ``lengths`` slices each."""
        narrow = self.narrow(torch.cat([pooled, features], dim=1))
        runs = list(torch.split(narrow, lengths.tolist()))
        states = self._recur(self.lstm, runs) if self.lstm is not None else self._attend(runs)
        logits: Tensor = self.head(torch.cat([states, features], dim=1))
        return logits

    @staticmethod
    def _recur(lstm: nn.LSTM, runs: list[Tensor]) -> Float[Tensor, "slice state"]:
        packed, _ = lstm(nn.utils.rnn.pack_sequence(runs, enforce_sorted=False))
        return torch.cat(nn.utils.rnn.unpack_sequence(packed))

    def _attend(self, runs: list[Tensor]) -> Float[Tensor, "slice state"]:
        padded = nn.utils.rnn.pad_sequence(runs, batch_first=True)  # (run, slice, width)
        lengths = torch.tensor([len(run) for run in runs], device=padded.device)
        absent = torch.arange(padded.shape[1], device=padded.device) >= lengths[:, None]
        states: Tensor = self.layer(self.widen(padded), src_key_padding_mask=absent)
        return states[~absent]
