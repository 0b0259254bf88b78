"""Moving-average weights.

What must stay true: short runs forget their initial weights; buffers are copied, not averaged.
"""

import torch
from torch import nn


def update_average(averaged: nn.Module, model: nn.Module, step: int | None) -> None:
    """Move averaged weights towards the model's; buffers (batch norm) are copied.

    The decay min(0.999, (1 + t) / (10 + t)) lets short runs forget their initial weights.

    Args:
        averaged: changed in place.
        model: the model in training.
        step: t, from 0; None copies the weights.
    """
    decay = 0.0 if step is None else min(0.999, (1 + step) / (10 + step))
    with torch.no_grad():
        pairs = zip(averaged.parameters(), model.parameters(), strict=True)
        for average, parameter in pairs:
            if parameter.requires_grad:
                average.lerp_(parameter, 1.0 - decay)
        for kept, buffer in zip(averaged.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)
