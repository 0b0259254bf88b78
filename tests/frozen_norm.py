"""``python -m torch.distributed.run ... frozen_norm.py WORDS...`` is ``lumbargrade WORDS...``.

Batch norm always takes its running statistics here: on a CPU each process would normalise by its
own part of a batch, and several processes could not come to the same weights as one.
"""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lumbargrade.cli import main


def stay(norm: _BatchNorm, mode: bool = True) -> nn.Module:
    return nn.Module.train(norm, False)


if __name__ == "__main__":
    _BatchNorm.train = stay  # type: ignore[assignment, method-assign]
    main()
