"""The detector: a U-Net that says where in the plane, and a pointer that says on which slice.

After the two-branch detector of the 5th-place solution of the RSNA 2024 competition: encoder →
decoder cut at the heatmap's stride → heatmaps, and the same encoder (or one of the pointer's own) →
pooled features + place of the slice → sequence model over the slices → pointer (``pointer.py``).
``volume_model.py`` has a 3-D U-Net in the place of the 2-D one, to compare.

What must stay true: a slice's heatmap depends on that slice and its two neighbours alone, its
pointer on the slices of its own run alone, and neither on how runs are put together in a batch.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lumbargrade.config import DetectorSettings
from lumbargrade.detector.features import feature_count
from lumbargrade.detector.pointer import Pointer
from lumbargrade.detector.starts import RANDOM_STARTS, Starts, take_weights
from lumbargrade.detector.targets import Channels, channels_of
from lumbargrade.encoder_weights import pooling_encoder, pyramid_encoder
from lumbargrade.labels import View
from lumbargrade.settings import ConfigError

HEATMAP_BIAS = -5.0
"""Of the heatmaps' last layer: nearly all cells are background from the start."""


CHUNK = 8
"""Slices looked at in one go where a whole view is: faster on a CPU than one large batch."""


class DetectorOutput(NamedTuple):
    """What the network says about slices, as logits."""

    heatmap_logits: Float[Tensor, "slice map height width"]
    pointer_logits: Float[Tensor, "slice channel"]


class Detector(nn.Module):
    """Points of one view."""

    def __init__(
        self, view: View, settings: DetectorSettings, starts: Starts = RANDOM_STARTS
    ) -> None:
        super().__init__()
        self.view = view
        self.settings = settings
        self.channels: Channels = channels_of(view, share_maps=settings.share_maps)
        pooled = self._build_trunk(starts)
        self.pointer = Pointer(
            kind=settings.pointer,
            pooled=pooled + (self.channels.map_count if settings.pointer_peaks else 0),
            features=feature_count(view),
            hidden=settings.lstm_hidden,
            channels=len(self.channels.landmarks),
        )

    def _build_trunk(self, starts: Starts) -> int:
        """Make what looks at images; returns how many features it pools."""
        import segmentation_models_pytorch as smp

        settings, maps = self.settings, self.channels.map_count
        blocks = settings.encoder_depth - int(math.log2(settings.heatmap_stride))
        if len(settings.decoder_channels) != blocks:
            raise ConfigError(
                f"decoder_channels must have {blocks} entries for encoder_depth "
                f"{settings.encoder_depth} and heatmap_stride {settings.heatmap_stride}, "
                f"found {list(settings.decoder_channels)}"
            )
        self.encoder = pyramid_encoder(
            settings.encoder, channels=3, depth=settings.encoder_depth, weights=starts.encoder
        )
        widths: Sequence[int] = self.encoder.out_channels  # type: ignore[assignment]
        self.decoder = smp.decoders.unet.decoder.UnetDecoder(
            encoder_channels=widths,
            decoder_channels=settings.decoder_channels,
            n_blocks=blocks,
        )
        self.heatmap_head: nn.Module = start_empty(
            nn.Conv2d(settings.decoder_channels[-1], maps, kernel_size=3, padding=1)
        )
        if settings.pointer_encoder is None:
            return widths[-1]
        self.own_encoder, pooled = pooling_encoder(
            settings.pointer_encoder, channels=3, weights=starts.pointer_encoder
        )
        return pooled

    def forward(
        self,
        images: Float[Tensor, "slice 3 row column"],
        features: Float[Tensor, "slice feature"],
        lengths: Int[Tensor, "run"],
    ) -> DetectorOutput:
        """Look at runs of slices.

        Args:
            images: each slice between its neighbours, 0..1.
            features: place of each slice.
            lengths: slices of each run; runs lie one after the other.
        """
        heatmap_logits, pooled = self.look_at_runs(images, features, lengths)
        return DetectorOutput(heatmap_logits, self.pointer(pooled, features, lengths))

    def look_at_runs(
        self,
        images: Float[Tensor, "slice 3 row column"],
        features: Float[Tensor, "slice feature"],
        lengths: Int[Tensor, "run"],
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """Heatmap logits, and what the pointer is told; here slice by slice."""
        return self.look(images)

    def look_at_view(
        self, images: Float[Tensor, "slice 3 row column"], features: Float[Tensor, "slice feature"]
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """Likewise of a whole view, a few slices at a time, where the features lie."""
        looks = [self.look(chunk.to(features.device)) for chunk in torch.split(images, CHUNK)]
        return torch.cat([logits for logits, _ in looks]), torch.cat([rest for _, rest in looks])

    def look(
        self, images: Float[Tensor, "slice 3 row column"]
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """Heatmap logits and pooled features, slice by slice."""
        return self.look_at(_centred(images))

    def look_at(
        self, centred: Float[Tensor, "slice 3 row column"]
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """As :meth:`look`, of images whose values lie around 0, in the layout that they have."""
        stages = self.encoder(centred)
        logits = self._segment(stages)
        pooled = self._pool(centred, stages)
        return logits, self.tell_pointer(pooled, logits)

    def glance(
        self, images: Float[Tensor, "slice 3 row column"]
    ) -> tuple[Float[Tensor, "slice pooled"], list[Tensor] | None]:
        """What a pointer is told that is told no peaks, and the encoder's stages if it needs them.

        No heatmap is made for it.
        """
        centred = _centred(images)
        if self.settings.pointer_encoder is not None:
            return self._pool(centred, []), None
        stages = self.encoder(centred)
        return self._pool(centred, stages), stages

    def segment(
        self, images: Float[Tensor, "slice 3 row column"], stages: list[Tensor] | None
    ) -> Float[Tensor, "slice map height width"]:
        """Heatmap logits of slices; ``stages`` as :meth:`glance` gave them, for these slices."""
        return self._segment(self.encoder(_centred(images)) if stages is None else stages)

    def _segment(self, stages: list[Tensor]) -> Float[Tensor, "slice map height width"]:
        decoded = self.decoder(stages)  # (slice, channel, row / stride, column / stride)
        logits: Tensor = self.heatmap_head(decoded)
        return logits.contiguous()  # (slice, map, height, width)

    def _pool(self, centred: Tensor, stages: list[Tensor]) -> Float[Tensor, "slice pooled"]:
        own = self.settings.pointer_encoder is not None
        pooled: Tensor = self.own_encoder(centred) if own else stages[-1].mean(dim=(2, 3))
        return pooled

    def tell_pointer(
        self,
        pooled: Float[Tensor, "slice pooled"],
        logits: Float[Tensor, "slice map height width"],
    ) -> Float[Tensor, "slice told"]:
        """Pooled features, with each heatmap's peak unless the settings leave it out."""
        if not self.settings.pointer_peaks:
            return pooled
        peaks = logits.detach().amax(dim=(2, 3)) / abs(HEATMAP_BIAS)
        return torch.cat([pooled, peaks], dim=1)


def _centred(images: Tensor) -> Tensor:
    """Values around 0, channels last."""
    return ((images - 0.5) * 4).contiguous(memory_format=torch.channels_last)


Head = TypeVar("Head", nn.Conv2d, nn.Conv3d)


def start_empty(head: Head) -> Head:
    """Let a layer that makes heatmaps begin with nearly empty ones."""
    nn.init.normal_(head.weight, std=1e-2)
    head.bias = nn.Parameter(torch.full((head.out_channels,), HEATMAP_BIAS))
    return head


def build_detector(
    view: View, settings: DetectorSettings, starts: Starts = RANDOM_STARTS
) -> Detector:
    """A detector with fresh weights, drawn from torch's global generator.

    Args:
        view: which points.
        settings: of the network.
        starts: what it, or its encoders, start from instead.

    Raises:
        ConfigError: the decoder does not fit the encoder and the heatmap's stride, starting weights
            are of another network, or a 3-D network is asked for and its library is not there.
    """
    if settings.network == "3d":
        from lumbargrade.detector.volume_model import VolumeDetector  # needs an optional library

        return VolumeDetector(view, settings, starts)
    detector = Detector(view, settings, starts)
    if starts.detector is not None:
        take_weights(detector, view, starts.detector)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return detector
