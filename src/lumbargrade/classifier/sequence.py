"""Sequence models over the 25 vectors of a study: what one crop may learn from another.

What must stay true: a grouping decides alone which cells can reach each other (in eval mode the
Jacobian is block-diagonal by group); cells come out in the order in which they went in.

Source: the level-wise model and its variants after the 5th-place solution of the RSNA 2024
competition, which found level-wise clearly better than one sequence of all 25.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from lumbargrade.config import SequenceSettings
from lumbargrade.labels import CONDITIONS, LEVELS
from lumbargrade.recurrent import LSTM
from lumbargrade.settings import ConfigError

Cells = Float[Tensor, "study 5 5 width"]
"""One vector per cell, by condition and level."""

LEVEL, CONDITION, ALL = "level", "condition", "all"

GROUPINGS: dict[str, tuple[str, ...]] = {
    "none": (),
    "level": (LEVEL,),
    "condition": (CONDITION,),
    "level+condition": (LEVEL, CONDITION),
    "all": (ALL,),
}
"""Setting → the groupings whose answers are put together."""

LENGTH = {
    LEVEL: len(CONDITIONS),
    CONDITION: len(LEVELS),
    ALL: len(CONDITIONS) * len(LEVELS),
}
"""Cells of a group: the conditions of a level, the levels of a condition, or all."""

FEED_FORWARD = 2
"""Width of the transformer's inner layer, in widths of its vectors."""


class Recurrent(nn.Module):
    """A bi-LSTM along each group."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.lstm = LSTM(width, width // 2, batch_first=True, bidirectional=True)

    def forward(
        self, sequences: Float[Tensor, "group cell width"]
    ) -> Float[Tensor, "group cell width"]:
        """Mix the cells of each group."""
        mixed: Tensor = self.lstm(sequences)[0]
        return mixed


class Attention(nn.Module):
    """One pre-norm transformer layer along each group, with a learned vector for each place.

    Its residual connections carry a cell's own vector whether or not the setting ``skip`` adds it
    once more.
    """

    def __init__(self, width: int, length: int, settings: SequenceSettings) -> None:
        super().__init__()
        if width % settings.attention_heads:
            raise ConfigError(
                f"a transformer of {settings.attention_heads} heads needs vectors whose width is a "
                f"multiple of that, found {width} (twice lstm_hidden)"
            )
        self.place = nn.Parameter(torch.zeros(length, width))
        nn.init.normal_(self.place, std=0.02)
        self.layer = nn.TransformerEncoderLayer(
            width,
            settings.attention_heads,
            dim_feedforward=FEED_FORWARD * width,
            dropout=settings.attention_dropout,
            batch_first=True,
            norm_first=True,
        )

    def forward(
        self, sequences: Float[Tensor, "group cell width"]
    ) -> Float[Tensor, "group cell width"]:
        """Mix the cells of each group."""
        mixed: Tensor = self.layer(sequences + self.place)
        return mixed


class SequenceModel(nn.Module):
    """Mixes the vectors of a study's cells within groups."""

    def __init__(self, width: int, settings: SequenceSettings) -> None:
        super().__init__()
        self.skip = settings.skip
        self.mixers = nn.ModuleDict(
            {
                grouping: Recurrent(width)
                if settings.kind == "lstm"
                else Attention(width, LENGTH[grouping], settings)
                for grouping in GROUPINGS[settings.over]
            }
        )
        self.join = nn.Linear(len(self.mixers) * width, width) if len(self.mixers) > 1 else None

    def forward(self, vectors: Cells) -> Cells:
        """Mix; without any grouping the vectors stay as they are."""
        if not len(self.mixers):
            return vectors
        answers = [
            _ungroup(mixer(_group(vectors, grouping)), grouping)
            for grouping, mixer in self.mixers.items()
        ]
        mixed: Tensor = torch.cat(answers, dim=-1)  # (study, 5, 5, groupings · width)
        if self.join is not None:
            mixed = self.join(mixed)
        return mixed + vectors if self.skip else mixed


def _group(vectors: Cells, grouping: str) -> Float[Tensor, "group cell width"]:
    """Lay the cells of each group in a row."""
    if grouping == ALL:
        return vectors.flatten(1, 2)
    return (vectors.transpose(1, 2) if grouping == LEVEL else vectors).flatten(0, 1)


def _ungroup(mixed: Float[Tensor, "group cell width"], grouping: str) -> Cells:
    """Undo :func:`_group`."""
    width = mixed.shape[-1]
    if grouping == LEVEL:
        by_level: Tensor = mixed.reshape(-1, len(LEVELS), len(CONDITIONS), width).transpose(1, 2)
        return by_level
    return mixed.reshape(-1, len(CONDITIONS), len(LEVELS), width)
