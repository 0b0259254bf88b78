"""Encoders, and what their weights start from: random ones, timm's pre-trained ones, or a file.

What must stay true: only training reads weights from elsewhere, so prediction never asks for a file
or a connection; the first layer is fitted to the input's channels as timm does it; a file of
another network is refused, not loaded in part.
"""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor, nn

import lumbargrade.timm_import  # noqa: F401  (before timm and segmentation_models_pytorch)
from lumbargrade.atomic_files import write_beside
from lumbargrade.settings import ConfigError

RANDOM, PRETRAINED = "none", "pretrained"
"""What a setting says instead of a file's path."""

RECORD = "encoder_weights.json"
"""In a member's folder: what its encoders started from."""

NOT_STATED = "not stated"

_HUB_FILE = "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartingWeights:
    """A file of timm weights for one encoder."""

    encoder: str
    path: Path
    source: str
    """The hub's name of it, or the file's own name."""
    sha256: str
    licence: str

    def facts(self) -> dict[str, str]:
        """What a run remembers of it."""
        return {name: value for name, value in asdict(self).items() if name != "path"}


def find_weights(
    encoder: str, wanted: str, licence: str | None = None, *, setting: str = "encoder_weights"
) -> StartingWeights | None:
    """Find the file that a setting asks for; fetch it where it is timm's own.

    Args:
        encoder: timm's name of the network.
        wanted: ``none``, ``pretrained`` or the path of a file of timm weights.
        licence: of the file; None for what timm says of its own, else not stated.
        setting: its name, for messages.

    Returns:
        None for ``none``.

    Raises:
        ConfigError: there is no such file, or timm's own can neither be found nor fetched.
    """
    if wanted == RANDOM:
        return None
    if wanted == PRETRAINED:
        path, source, stated = _fetch(encoder, setting)
    else:
        path, stated = Path(wanted).expanduser(), NOT_STATED
        source = path.name
        if not path.is_file():
            raise ConfigError(
                f"{setting}: expected {RANDOM}, {PRETRAINED} or a file of timm weights "
                f"(.safetensors, .pth), found {wanted!r}, which is no file"
            )
    return StartingWeights(
        encoder=encoder,
        path=path,
        source=source,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence=licence or stated,
    )


def _fetch(encoder: str, setting: str) -> tuple[Path, str, str]:
    """Path, name and licence of timm's own weights, from the cache or the hub."""
    from huggingface_hub import hf_hub_download  # seconds to import, as timm
    from timm.models import get_pretrained_cfg

    card = get_pretrained_cfg(encoder)
    if card is None or not card.hf_hub_id:
        raise ConfigError(f"{setting}: timm has no pre-trained weights of {encoder} on the hub")
    name = card.hf_hub_filename or _HUB_FILE
    try:
        path = Path(hf_hub_download(card.hf_hub_id, name))
    except OSError as error:
        raise ConfigError(
            f"{setting}: {card.hf_hub_id} is not in this machine's cache, and the hub cannot be "
            f"reached ({type(error).__name__}). Fetch its {name} where there is a connection and "
            f"give the file's path as {setting}, or set {setting} to {RANDOM}"
        ) from error
    return path, card.hf_hub_id, card.license or NOT_STATED


def pooling_encoder(
    name: str, *, channels: int, weights: StartingWeights | None = None
) -> tuple[nn.Module, int]:
    """A timm network that pools each image into a vector, and its width.

    Args:
        name: timm's.
        channels: of the images.
        weights: None for random ones.

    Raises:
        ConfigError: the weights are of another network.
    """

    def make(**arguments: Any) -> nn.Module:
        import timm  # takes seconds to import

        made: nn.Module = timm.create_model(name, in_chans=channels, num_classes=0, **arguments)
        return made

    encoder = _start(make, weights)
    # some timm networks widen their features once more behind the pooling
    return encoder, int(getattr(encoder, "head_hidden_size", encoder.num_features))  # type: ignore[arg-type]


def pyramid_encoder(
    name: str, *, channels: int, depth: int, weights: StartingWeights | None = None
) -> nn.Module:
    """A timm network that gives the features of each of its stages, with ``out_channels``.

    Args:
        name: timm's.
        channels: of the images.
        depth: stages.
        weights: None for random ones.

    Raises:
        ConfigError: the weights are of another network.
    """

    def make(*, pretrained: bool, **arguments: Any) -> nn.Module:
        import segmentation_models_pytorch as smp

        made: nn.Module = smp.encoders.get_encoder(
            f"tu-{name}",
            in_channels=channels,
            depth=depth,
            weights=True if pretrained else None,
            **arguments,
        )
        return made

    encoder = _start(make, weights)
    _drop_unseen_blocks(encoder)
    return encoder


def _drop_unseen_blocks(encoder: nn.Module) -> None:
    """Remove what lies behind the deepest stage asked for, which timm's EfficientNets run, too."""
    network: Any = encoder.model
    blocks = getattr(network, "blocks", None)
    stages = [info["stage"] for info in network.feature_info.get_dicts() if "stage" in info]
    if isinstance(blocks, nn.Sequential) and stages:
        network.blocks = blocks[: max(stages)]
        network.register_load_state_dict_pre_hook(_skip_unseen_blocks)


def _skip_unseen_blocks(network: Any, state: dict[str, Tensor], prefix: str, *_: Any) -> None:
    """Weights from when encoders held them, too."""
    start = f"{prefix}blocks."
    for name in [name for name in state if name.startswith(start)]:
        if int(name.removeprefix(start).split(".")[0]) >= len(network.blocks):
            del state[name]


def _start(make: Callable[..., nn.Module], weights: StartingWeights | None) -> nn.Module:
    """Make an encoder; with weights, make sure that they are of this very network."""
    if weights is None:
        return make(pretrained=False)
    overlay = {"file": str(weights.path), "custom_load": False}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        fresh = make(pretrained=False).state_dict()
        torch.manual_seed(0)  # so that what the file does not hold is as in the fresh one
        try:
            encoder = make(pretrained=True, pretrained_cfg_overlay=overlay)
        except _unreadable() as error:
            raise ConfigError(
                f"{weights.path}: not timm weights of {weights.encoder}: {error}"
            ) from error
    left = [
        key
        for key, tensor in encoder.state_dict().items()
        if tensor.ndim > 1 and torch.equal(tensor, fresh[key])
    ]
    if left:
        raise ConfigError(
            f"{weights.path}: expected timm weights of {weights.encoder}, found none for "
            f"{len(left)} of its layers, {left[0]} among them"
        )
    return encoder


def _unreadable() -> tuple[type[Exception], ...]:
    """What is raised where a file is no weights, or those of a network with other shapes."""
    from safetensors import SafetensorError

    others = (RuntimeError, KeyError, ValueError, OSError, EOFError, UnpicklingError)
    return (*others, SafetensorError)


def claim_weights(out: Path, weights: Iterable[StartingWeights | None]) -> None:
    """Write what a member's encoders start from, or check that it is the same.

    Raises:
        ConfigError: the folder was begun with other weights.
    """
    facts = [item.facts() for item in weights if item is not None]
    path = out / RECORD
    begun = _read_record(path)
    if not path.is_file() and facts:
        write_beside(path, json.dumps(facts, indent=1) + "\n")
    elif begun != facts:
        raise ConfigError(
            f"{out} was begun with encoder weights {_names(begun)}, found {_names(facts)}: "
            "give the same files to go on with it, or another --out"
        )


def recorded_weights(members: Iterable[Path]) -> dict[str, list[dict[str, str]]]:
    """What the manifest says of the weights that members started from; nothing where none did.

    Args:
        members: their folders.
    """
    found = [facts for member in members for facts in _read_record(member / RECORD)]
    distinct = list({json.dumps(facts): facts for facts in found}.values())
    return {"encoder_weights": distinct} if distinct else {}


def _read_record(path: Path) -> list[dict[str, str]]:
    facts: list[dict[str, str]] = json.loads(path.read_text()) if path.is_file() else []
    return facts


def _names(facts: list[dict[str, str]]) -> str:
    return ", ".join(f"{item['source']} ({item['sha256'][:12]})" for item in facts) or RANDOM
