"""One crop → one vector: a 2.5-D CNN, slice by slice or all slices at once.

What must stay true: a crop's vector depends on that crop alone; an absent slice has no influence,
whatever its pixels hold, and missing crops stay out of the batch statistics.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from lumbargrade.config import ClassifierSettings
from lumbargrade.encoder_weights import StartingWeights, pooling_encoder
from lumbargrade.recurrent import LSTM

PIXEL_CENTRE, PIXEL_SPREAD = 0.5, 0.25
"""Crops (0..1) are moved and scaled by these before the encoder."""


class AttentionPool(nn.Module):
    """Weighted mean over slices; the weights are learned, absent slices weigh nothing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.score = nn.Sequential(
            nn.Linear(width, width // 2), nn.Tanh(), nn.Linear(width // 2, 1)
        )

    def forward(
        self, vectors: Float[Tensor, "crop slice width"], present: Bool[Tensor, "crop slice"]
    ) -> Float[Tensor, "crop width"]:
        """Pool; every crop needs at least one present slice."""
        scores = self.score(vectors)[..., 0].masked_fill(~present, float("-inf"))
        pooled: Tensor = (scores.softmax(dim=1)[..., None] * vectors).sum(dim=1)
        return pooled


class CropEncoder(nn.Module):
    """A timm network over the slices of each crop, and what makes one vector of its answers."""

    def __init__(
        self,
        settings: ClassifierSettings,
        weights: StartingWeights | None,
        *,
        channels: int,
        slices: int,
    ) -> None:
        """Bind settings.

        Args:
            settings: of the classifier.
            weights: what the timm network starts from, None for random ones.
            channels: of a slice.
            slices: of a crop.
        """
        super().__init__()
        self.settings = settings
        self._slices_together = settings.slices_as == "channels"
        self.encoder, self.features = pooling_encoder(
            settings.encoder,
            channels=channels * slices if self._slices_together else channels,
            weights=weights,
        )
        self.encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU
        width = 2 * settings.lstm_hidden
        if self._slices_together:
            self.project = nn.Linear(self.features, width)
        else:
            self.over_slices = LSTM(
                self.features, settings.lstm_hidden, batch_first=True, bidirectional=True
            )
            self.pool = AttentionPool(width)

    def forward(
        self,
        images: Float[Tensor, "crop *channel slice row column"],
        present: Bool[Tensor, "crop slice"],
    ) -> Float[Tensor, "crop width"]:
        """Vectors of crops, 0..1; that of a crop without any present slice means nothing."""
        pooled: Tensor
        if self._slices_together:
            pooled = self.project(self._encode_together(images, present))
        else:
            sequence, _ = self.over_slices(self._encode_singly(images, present))
            pooled = self.pool(sequence, present | ~present.any(dim=1)[:, None])
        return pooled

    def _encode_together(
        self,
        images: Float[Tensor, "crop *channel slice row column"],
        present: Bool[Tensor, "crop slice"],
    ) -> Float[Tensor, "crop feature"]:
        """Slices as channels; absent ones hold zeros, the middle of the grey scale."""
        seen = self._resized((images - PIXEL_CENTRE) / PIXEL_SPREAD)
        shown = present.reshape(len(present), *[1] * (seen.ndim - 4), -1, 1, 1)
        planes = torch.where(shown, seen, 0.0).flatten(1, -3)  # (crop, plane, row, column)
        return self._encode(planes, present.any(dim=1))

    def _encode_singly(
        self,
        images: Float[Tensor, "crop *channel slice row column"],
        present: Bool[Tensor, "crop slice"],
    ) -> Float[Tensor, "crop slice feature"]:
        seen = self._resized((images - PIXEL_CENTRE) / PIXEL_SPREAD)
        pixels = seen[:, :, None] if seen.ndim == 4 else seen.transpose(1, 2)
        # (crop, slice, channel, row, column)
        features = self._encode(pixels.flatten(0, 1), present.flatten())
        return features.reshape(*present.shape, -1)

    def _encode(
        self, planes: Float[Tensor, "image plane row column"], shown: Bool[Tensor, "image"]
    ) -> Float[Tensor, "image feature"]:
        """Zeros for what is not shown, which stays out of the batch statistics in training."""
        if not self.encoder.training:
            features: Tensor = self.encoder(planes)
            return features * shown[:, None]
        features = planes.new_zeros(len(planes), self.features)
        if bool(shown.any()):
            encoded = self.encoder(planes[shown])
            features = features.to(encoded.dtype)
            features[shown] = encoded
        return features

    def _resized(
        self, images: Float[Tensor, "crop *plane row column"]
    ) -> Float[Tensor, "crop *plane row_in column_in"]:
        size = self.settings.input_px
        if size is None:
            return images
        planes = images.flatten(1, -3)  # (crop, plane, row, column)
        resized = functional.interpolate(planes, (size, size), mode="bilinear", align_corners=False)
        return resized.reshape(*images.shape[:-2], size, size)
