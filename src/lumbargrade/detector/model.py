"""The detector: a U-Net that says where in the plane, and a pointer that says on which slice.

After the two-branch detector of the 5th-place solution of the RSNA 2024 competition: encoder →
decoder cut at the heatmap's stride → heatmaps, and the same encoder (or one of the pointer's own) →
pooled features + place of the slice → sequence model over the slices → pointer (``pointer.py``).

What must stay true: a slice's heatmap depends on that slice and its two neighbours alone, its
pointer on the slices of its own run alone, and neither on how runs are put together in a batch.
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

import lumbargrade.timm_import  # noqa: F401  (before segmentation_models_pytorch)
from lumbargrade.config import DetectorSettings
from lumbargrade.detector.features import feature_count
from lumbargrade.detector.pointer import Pointer, pooling_encoder
from lumbargrade.detector.targets import Channels, channels_of
from lumbargrade.labels import View
from lumbargrade.settings import ConfigError

HEATMAP_BIAS = -5.0
"""Of the heatmaps' last layer: nearly all cells are background from the start."""


class DetectorOutput(NamedTuple):
    """What the network says about slices, as logits."""

    heatmap_logits: Float[Tensor, "slice map height width"]
    pointer_logits: Float[Tensor, "slice channel"]


class Detector(nn.Module):
    """Points of one view."""

    def __init__(self, view: View, settings: DetectorSettings) -> None:
        super().__init__()
        import segmentation_models_pytorch as smp

        blocks = settings.encoder_depth - int(math.log2(settings.heatmap_stride))
        if len(settings.decoder_channels) != blocks:
            raise ConfigError(
                f"decoder_channels must have {blocks} entries for encoder_depth "
                f"{settings.encoder_depth} and heatmap_stride {settings.heatmap_stride}, "
                f"found {list(settings.decoder_channels)}"
            )
        self.view = view
        self.settings = settings
        self.channels: Channels = channels_of(view, share_maps=settings.share_maps)
        maps = self.channels.map_count
        self.encoder = smp.encoders.get_encoder(
            f"tu-{settings.encoder}", in_channels=3, depth=settings.encoder_depth, weights=None
        )
        self.decoder = smp.decoders.unet.decoder.UnetDecoder(
            encoder_channels=self.encoder.out_channels,
            decoder_channels=settings.decoder_channels,
            n_blocks=blocks,
        )
        self.heatmap_head = nn.Conv2d(settings.decoder_channels[-1], maps, kernel_size=3, padding=1)
        nn.init.normal_(self.heatmap_head.weight, std=1e-2)
        self.heatmap_head.bias = nn.Parameter(torch.full((maps,), HEATMAP_BIAS))
        pooled = self.encoder.out_channels[-1]
        if settings.pointer_encoder is not None:
            self.own_encoder, pooled = pooling_encoder(settings.pointer_encoder)
        self.pointer = Pointer(
            kind=settings.pointer,
            pooled=pooled + maps,
            features=feature_count(view),
            hidden=settings.lstm_hidden,
            channels=len(self.channels.landmarks),
        )

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
        heatmap_logits, pooled = self.look(images)
        return DetectorOutput(heatmap_logits, self.pointer(pooled, features, lengths))

    def look(
        self, images: Float[Tensor, "slice 3 row column"]
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """Heatmap logits and pooled features, slice by slice."""
        centred = (images - 0.5) * 4
        return self.look_at(centred.contiguous(memory_format=torch.channels_last))

    def look_at(
        self, centred: Float[Tensor, "slice 3 row column"]
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """As :meth:`look`, of images whose values lie around 0, in the layout that they have."""
        stages = self.encoder(centred)
        decoded = self.decoder(stages)  # (slice, channel, row / stride, column / stride)
        logits = self.heatmap_head(decoded).contiguous()  # (slice, map, height, width)
        peaks = logits.detach().amax(dim=(2, 3)) / abs(HEATMAP_BIAS)
        own = self.settings.pointer_encoder is not None
        pooled = self.own_encoder(centred) if own else stages[-1].mean(dim=(2, 3))
        return logits, torch.cat([pooled, peaks], dim=1)


def build_detector(view: View, settings: DetectorSettings) -> Detector:
    """A detector with fresh weights, drawn from torch's global generator.

    Raises:
        ConfigError: the decoder does not fit the encoder and the heatmap's stride.
    """
    detector = Detector(view, settings)
    detector.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return detector
