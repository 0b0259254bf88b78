"""LSTMs that stay in single precision where the network around them does not.

What must stay true: outside autocast nothing differs from torch's own.
"""

from typing import Any

import torch
from torch import nn


class LSTM(nn.LSTM):
    """torch's LSTM, in float32 inside autocast, too.

    On CUDA it would answer in float16 there, which autocast refuses to join with bfloat16 and whose
    gradients vanish without scaling.
    """

    def forward(self, input: Any, hx: Any = None) -> Any:
        """As torch's, of a tensor or a packed sequence."""
        with torch.autocast(input.data.device.type, enabled=False):
            return super().forward(input.float(), hx)
