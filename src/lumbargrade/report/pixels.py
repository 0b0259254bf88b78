"""A study's slices as small 8-bit images, for the page's viewer to window.

What must stay true: all slices of a series share one range of stored values, so that a window means
the same on each; the range is wider than what the networks saw; the images of a study stay below a
limit by giving up sharpness in the documented steps, never by leaving slices out.
"""

import base64
import io
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from lumbargrade.geometry import PLANE_OF_VIEW, Plane
from lumbargrade.labels import View
from lumbargrade.records import Series, SliceImage, Study, ViewVolume
from lumbargrade.volumes import HIGH_PERCENTILE, LOW_PERCENTILE, to_display

PIXELS_LIMIT = 12_500_000
"""Characters for all slices of a study; leaves 2.5 MB of a 15 MB page to everything else."""

MARGIN_BELOW = 0.5
MARGIN_ABOVE = 0.75
"""How far the stored range reaches beyond what the networks saw, in widths of that."""

WINDOW_ABOVE = 0.25
"""How far the first window does: nerve roots show in bright fluid."""

PERCENTILE_STEP = 3
"""Every third row and column is enough for a window, and nine times as quick."""

PROBE_STEP = 6
"""Every sixth slice is encoded to estimate a step's size."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """How sharp the slices are kept."""

    longest_side: int
    """Larger slices are shrunk to it, in pixels."""
    quality: int
    """Of JPEG."""


STEPS = (
    Step(longest_side=1024, quality=90),
    Step(longest_side=768, quality=88),
    Step(longest_side=640, quality=87),
    Step(longest_side=512, quality=85),
    Step(longest_side=512, quality=75),
    Step(longest_side=448, quality=65),
    Step(longest_side=384, quality=50),
    Step(longest_side=256, quality=40),
    Step(longest_side=192, quality=25),
)
"""Tried in this order until a study's slices fit. JPEG because PNG and lossless WebP are twice as
large, and 15 and 60 times as slow to write (measured in docs/report.md)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueRange:
    """How a series' stored values became 0..255, and the window a reader sees first."""

    low: float
    high: float
    """Stored values of 0 and 255."""
    window_low: float
    window_high: float
    """From about where the networks' range begins to a quarter beyond its end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedSlices:
    """All slices of a study as base64 JPEG text."""

    images: Mapping[View, tuple[str, ...]]
    """In the order of the view's volume."""
    ranges: Mapping[View, tuple[ValueRange, ...]]
    """Per series of the view."""
    step: Step


@dataclass(frozen=True, slots=True, kw_only=True)
class _Waiting:
    """A stored slice before it is encoded."""

    view: View
    item: SliceImage
    plane: Plane
    values: ValueRange


def encode_slices(
    study: Study, volumes: Mapping[View, ViewVolume], *, limit: int = PIXELS_LIMIT
) -> EncodedSlices:
    """Encode every slice of a study's views at the first step that fits.

    Args:
        study: holds the stored pixels.
        volumes: say which slices, in which order; a missing view has no entry.
        limit: characters for all slices; the last step is taken whether it fits or not.
    """
    ranges = {
        view: tuple(value_range(series) for series in study.series_of(view)) for view in volumes
    }
    waiting = [item for view in volumes for item in _slices(study, volumes[view], ranges[view])]
    probe = waiting[::PROBE_STEP]
    for step in STEPS[:-1]:
        if _size([_encode(item, step) for item in probe]) * len(waiting) > limit * len(probe):
            continue
        texts = [_encode(item, step) for item in waiting]
        if _size(texts) <= limit:
            break
    else:
        step = STEPS[-1]
        texts = [_encode(item, step) for item in waiting]
    if step != STEPS[0]:
        _log.info("study %s: its report keeps slices as %s, to stay small", study.study_id, step)
    images: dict[View, list[str]] = {view: [] for view in volumes}
    for item, text in zip(waiting, texts, strict=True):
        images[item.view].append(text)
    return EncodedSlices(
        images={view: tuple(texts) for view, texts in images.items()}, ranges=ranges, step=step
    )


def _size(texts: Sequence[str]) -> int:
    return sum(len(text) for text in texts)


def value_range(series: Series) -> ValueRange:
    """The range of stored values that a series' 8-bit slices cover."""
    sample = [item.pixels[::PERCENTILE_STEP, ::PERCENTILE_STEP] for item in series.slices]
    values = np.concatenate([pixels[pixels != 0] for pixels in sample])
    if not values.size:
        values = np.concatenate([item.pixels.ravel() for item in series.slices])
    first, last = (float(v) for v in np.percentile(values, [LOW_PERCENTILE, HIGH_PERCENTILE]))
    width = max(last - first, 1e-6)
    lowest = min(float(item.pixels.min()) for item in series.slices)
    highest = max(float(item.pixels.max()) for item in series.slices)
    return ValueRange(
        low=min(max(lowest, first - MARGIN_BELOW * width), first),
        high=max(min(highest, last + MARGIN_ABOVE * width), first + width),
        window_low=first,
        window_high=first + (1 + WINDOW_ABOVE) * width,
    )


def to_byte_range(pixels: np.ndarray, values: ValueRange) -> np.ndarray:
    """Stored values → 0..255 over the range of their series."""
    scale = np.float32(255.0 / (values.high - values.low))
    unit = (pixels.astype(np.float32) - np.float32(values.low)) * scale
    bytes_: np.ndarray = np.clip(unit + np.float32(0.5), 0, 255).astype(np.uint8)
    return bytes_


def _slices(study: Study, volume: ViewVolume, ranges: Sequence[ValueRange]) -> Iterator[_Waiting]:
    plane = PLANE_OF_VIEW[volume.view]
    all_series = study.series_of(volume.view)
    for owner, index in zip(volume.series_index, volume.slice_index, strict=True):
        yield _Waiting(
            view=volume.view,
            item=all_series[int(owner)].slices[int(index)],
            plane=plane,
            values=ranges[int(owner)],
        )


def _encode(waiting: _Waiting, step: Step) -> str:
    stored = waiting.item
    pixels = to_display(stored.pixels, stored.affine, waiting.plane)
    picture = Image.fromarray(to_byte_range(pixels, waiting.values))
    longest = max(picture.size)
    if longest > step.longest_side:
        scale = step.longest_side / longest
        size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=step.quality)
    return base64.b64encode(buffer.getvalue()).decode("ascii")
