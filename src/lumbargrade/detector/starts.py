"""What a detector's weights start from: random ones, files of timm's, or another detector.

What must stay true: only training reads them; an encoder and a decoder are taken whole or refused;
what tells points (heatmaps, pointer) is taken only from a detector of the same view.
"""

import hashlib
import json
from pathlib import Path
from typing import NamedTuple

from torch import Tensor, nn

from lumbargrade.config import DetectorMember, DetectorSettings
from lumbargrade.encoder_weights import (
    NOT_STATED,
    RANDOM,
    StartingWeights,
    claim_weights,
    find_weights,
)
from lumbargrade.labels import View
from lumbargrade.settings import ConfigError
from lumbargrade.training.checkpoint import CONFIG, WEIGHTS, is_complete, load_weights

PRETRAINING = "pretraining.json"
"""In the folder of a detector that was trained on plain slices alone: what those were."""

TRUNK = ("encoder.", "decoder.")
"""What looks at images, whatever it looks for."""

_TRUNK_SETTINGS = ("network", "encoder", "encoder_depth", "heatmap_stride", "decoder_channels")


class Starts(NamedTuple):
    """What a detector starts from; None for random weights."""

    encoder: StartingWeights | None = None
    pointer_encoder: StartingWeights | None = None
    detector: StartingWeights | None = None
    """All weights of another detector, in whose member's folder they lie."""


RANDOM_STARTS = Starts()


def find_starts(settings: DetectorSettings) -> Starts:
    """The files that a detector's settings ask for.

    Raises:
        ConfigError: one of them cannot be had, or is of another network, or two are asked for in
            the same place.
    """
    licence, own = settings.encoder_weights_licence, settings.pointer_encoder
    name = "pointer_encoder_weights"
    if own is None and settings.pointer_encoder_weights != RANDOM:
        raise ConfigError(f"{name} is given, but no pointer_encoder")
    if RANDOM not in (settings.encoder_weights, settings.start_from):
        raise ConfigError(
            f"start_from is {settings.start_from}, which holds the encoder, too: "
            f"set encoder_weights to {RANDOM}"
        )
    return Starts(
        find_weights(settings.encoder, settings.encoder_weights, licence),
        None
        if own is None
        else find_weights(own, settings.pointer_encoder_weights, licence, setting=name),
        _find_detector(settings),
    )


def starts_of(settings: DetectorSettings, out: Path) -> Starts:
    """What a member is to start from; nothing once it is trained. Nothing is written.

    Raises:
        ConfigError: as :func:`find_starts`.
    """
    return RANDOM_STARTS if is_complete(out) else find_starts(settings)


def claim_starts(out: Path, starts: Starts) -> None:
    """Let the folder of a member in training remember its starts, or check that they are the same.

    Raises:
        ConfigError: the folder was begun with other files.
    """
    if not is_complete(out):
        claim_weights(out, starts)


def _find_detector(settings: DetectorSettings) -> StartingWeights | None:
    if settings.start_from == RANDOM:
        return None
    folder = Path(settings.start_from).expanduser()
    path = folder / WEIGHTS
    if not path.is_file() or not (folder / CONFIG).is_file():
        raise ConfigError(
            f"start_from: expected {RANDOM} or the folder of a trained detector, found {folder}, "
            f"which holds no {CONFIG if path.is_file() else WEIGHTS}"
        )
    trained = DetectorMember.from_yaml(folder / CONFIG).detector
    differing = [
        f"{name} is {getattr(settings, name)} here, {getattr(trained, name)} there"
        for name in _TRUNK_SETTINGS
        if getattr(settings, name) != getattr(trained, name)
    ]
    if differing or settings.network == "3d":
        reason = ", ".join(differing) or "network 3d has no encoder and decoder to take"
        raise ConfigError(f"a detector cannot start from {folder}: {reason}")
    return StartingWeights(
        encoder=settings.encoder,
        path=path,
        source=folder.name,
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        licence=_licence_of(folder),
    )


def _licence_of(folder: Path) -> str:
    """Of what the detector was trained on, where its folder says."""
    path = folder / PRETRAINING
    return str(json.loads(path.read_text())["licence"]) if path.is_file() else NOT_STATED


def take_weights(detector: nn.Module, view: View, start: StartingWeights) -> None:
    """Let a detector begin with another one's encoder and decoder, and of the same view with all.

    Args:
        detector: changed in place; tensors of other shapes than the other one's stay as they are.
        view: what it looks at.
        start: as :func:`find_starts` gives it.

    Raises:
        ConfigError: its file lacks a tensor of encoder or decoder.
    """
    found = load_weights(start.path)
    same_view = DetectorMember.from_yaml(start.path.parent / CONFIG).view == view.value
    own = detector.state_dict()

    def fits(name: str, tensor: Tensor) -> bool:
        return name in own and own[name].shape == tensor.shape

    taken = {
        name: tensor
        for name, tensor in found.items()
        if name.startswith(TRUNK) or (same_view and fits(name, tensor))
    }
    left = [name for name in own if name.startswith(TRUNK) and name not in taken]
    if left:
        raise ConfigError(f"{start.path}: expected all of encoder and decoder, found no {left[0]}")
    detector.load_state_dict({**own, **taken})
