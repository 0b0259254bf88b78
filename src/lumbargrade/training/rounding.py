"""Weights in a quarter of their bytes, for models that travel with the package.

What must stay true: a row's largest weight keeps its size, so rounding what was rounded changes
nothing more; biases and batch norm stay exact; files without rounded weights are read as they are.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

SCALE = "::scale"
"""Ends the name of the tensor that holds the step of each row of a rounded one."""

STEPS = 127
"""Either side of zero."""

SHORTEST_ROW = 16
"""Rows of fewer weights (depth-wise kernels) would gain little; they are kept in half precision."""


def rounded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Round matrices and kernels to 8 bits, each row (output channel) to steps of its own.

    Returns:
        int8 tensors, each with its float32 steps beside it; matrices of short rows as float16; all
        else (vectors, integers) as it was.
    """
    kept: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if tensor.dtype != torch.float32 or tensor.ndim < 2:
            kept[name] = tensor
        elif tensor[0].numel() < SHORTEST_ROW:
            kept[name] = tensor.half()
        else:
            rows = tensor.flatten(1)
            largest = rows.abs().amax(dim=1)
            step = torch.where(largest > 0, largest / STEPS, torch.ones_like(largest))
            whole = (rows / step[:, None]).round().clamp(-STEPS, STEPS)
            kept[name] = whole.to(torch.int8).reshape(tensor.shape)
            kept[name + SCALE] = step
    return kept


def restored(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as a network takes them, from :func:`rounded` ones or any others: float32."""
    found: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        if name.endswith(SCALE):
            continue
        step = weights.get(name + SCALE)
        if step is not None:
            shape = (-1, *[1] * (tensor.ndim - 1))
            found[name] = tensor.float() * step.reshape(shape)
        else:
            found[name] = tensor.float() if tensor.dtype == torch.float16 else tensor
    return found
