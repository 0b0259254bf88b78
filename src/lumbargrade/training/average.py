"""Moving-average weights.

What must stay true: short runs forget their initial weights; buffers are copied, not averaged.
"""

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


def update_average(averaged: nn.Module, model: nn.Module, step: int | None) -> None:
    """Move averaged weights towards the model's, in few calls of the device.

    The decay min(0.999, (1 + t) / (10 + t)) lets short runs forget their initial weights.

    Args:
        averaged: changed in place; its buffers stay.
        model: the model in training.
        step: t, from 0; None copies the weights.
    """
    decay = 0.0 if step is None else min(0.999, (1 + step) / (10 + step))
    pairs = [
        (average, parameter)
        for average, parameter in zip(averaged.parameters(), model.parameters(), strict=True)
        if parameter.requires_grad
    ]
    averages, parameters = ([pair[side] for pair in pairs] for side in (0, 1))
    get_ema_multi_avg_fn(decay)(averages, parameters, 0)  # type: ignore[no-untyped-call]


def copy_buffers(averaged: nn.Module, model: nn.Module) -> None:
    """Give averaged weights the model's buffers (batch norm), which are wanted to look at images.

    Args:
        averaged: changed in place.
        model: the model in training.
    """
    with torch.no_grad():
        for kept, buffer in zip(averaged.buffers(), model.buffers(), strict=True):
            kept.copy_(buffer)
