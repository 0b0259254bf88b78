"""A 3-D U-Net in the place of the detector's 2-D one, to compare with it.

What must stay true: a slice's heatmap depends on the slices of its own stack in its own run alone;
everything else (labels, loss, pointer, decoding) is the 2.5-D detector's.
"""

from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from lumbargrade.detector.features import STACK_START
from lumbargrade.detector.model import Detector, start_empty
from lumbargrade.detector.starts import Starts
from lumbargrade.encoder_weights import RANDOM
from lumbargrade.settings import ConfigError

_OWN = 1
"""Of a slice and its two neighbours, which is the slice itself."""


class VolumeDetector(Detector):
    """Points of one view, seen in three dimensions."""

    def _build_trunk(self, starts: Starts) -> int:
        settings, widths = self.settings, self.settings.volume_channels
        _refuse_encoders(settings.encoder_weights, settings.pointer_encoder)
        stride, halvings = settings.heatmap_stride, len(widths) - 1
        if settings.image_size % (stride * 2**halvings):
            raise ConfigError(
                f"network 3d: image_size must be a multiple of {stride * 2**halvings} for "
                f"heatmap_stride {stride} and {len(widths)} volume_channels, "
                f"found {settings.image_size}"
            )
        # A kernel of twice the stride is centred on the heatmap's cell.
        across, beside = (3, 1) if stride == 1 else (2 * stride, stride // 2)
        self.stem = nn.Conv3d(
            1,
            widths[0],
            kernel_size=(3, across, across),
            stride=(1, stride, stride),
            padding=(1, beside, beside),
        )
        self.unet = _unet(widths)
        self.heatmap_head = start_empty(nn.Conv3d(widths[0], self.channels.map_count, 1))
        return widths[0]

    def look_at_runs(
        self,
        images: Float[Tensor, "slice 3 row column"],
        features: Float[Tensor, "slice feature"],
        lengths: Int[Tensor, "run"],
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """Heatmap logits, and what the pointer is told, stack by stack."""
        looks = [self.look(images[stack]) for stack in _stacks(features, lengths)]
        return torch.cat([logits for logits, _ in looks]), torch.cat([rest for _, rest in looks])

    def look_at_view(
        self, images: Float[Tensor, "slice 3 row column"], features: Float[Tensor, "slice feature"]
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """Likewise of a whole view."""
        return self.look_at_runs(images.to(features.device), features, torch.tensor([len(images)]))

    def look(
        self, images: Float[Tensor, "slice 3 row column"]
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """Heatmap logits and pooled features of one stack."""
        return self.look_at((images - 0.5) * 4)

    def look_at(
        self, centred: Float[Tensor, "slice 3 row column"]
    ) -> tuple[Float[Tensor, "slice map height width"], Float[Tensor, "slice pooled"]]:
        """As :meth:`look`, of images whose values lie around 0."""
        volume = centred[:, _OWN][None, None]  # (1, 1, slice, row, column)
        seen = self.unet(self.stem(volume))  # (1, channel, slice, row / stride, column / stride)
        logits = self.heatmap_head(seen)[0].transpose(0, 1).contiguous()
        return logits, self.tell_pointer(seen[0].mean(dim=(2, 3)).T, logits)


def _refuse_encoders(encoder_weights: str, pointer_encoder: str | None) -> None:
    if encoder_weights != RANDOM or pointer_encoder is not None:
        raise ConfigError(
            "network 3d has no timm encoder: leave encoder_weights and pointer_encoder unset"
        )


def _unet(widths: tuple[int, ...]) -> nn.Module:
    """MONAI's residual U-Net; it halves rows and columns, never the few slices."""
    try:
        from monai.networks.nets import UNet
    except ImportError as error:
        raise ConfigError(
            "network 3d needs MONAI, which is not installed: pip install 'lumbargrade[unet3d]', "
            "or set network: 2.5d"
        ) from error
    unet: nn.Module = UNet(
        spatial_dims=3,
        in_channels=widths[0],
        out_channels=widths[0],
        channels=widths,
        strides=[(1, 2, 2)] * (len(widths) - 1),
        num_res_units=1,
    )
    return unet


def _stacks(
    features: Float[Tensor, "slice feature"], lengths: Int[Tensor, "run"]
) -> Iterator[slice]:
    """The slices of each run, cut where another stack begins."""
    begins = features[:, STACK_START] > 0
    start = 0
    for length in lengths.tolist():
        cuts = torch.nonzero(begins[start + 1 : start + length]).flatten() + start + 1
        bounds = [start, *cuts.tolist(), start + length]
        yield from (slice(a, b) for a, b in pairwise(bounds))
        start += length
