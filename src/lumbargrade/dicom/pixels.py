"""Decode the pixels of a slice: stored bits → signal, bright is high.

What must stay true: bits outside BitsStored never reach a value, padding is never brighter than the
image, and a frame that cannot be decoded whole is an error, never a black image.

Source: DICOM PS3.3 C.7.6.3 (Image Pixel), C.11.1 (Modality LUT), C.7.5.1.1.2 (Pixel Padding).
"""

from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from jaxtyping import Float64, Int64
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from lumbargrade.arrays import Pixels
from lumbargrade.dicom.parse import TooLargeError, parse_image
from lumbargrade.dicom.pixel_data import StreamError, check_pixel_data
from lumbargrade.dicom.quiet import UNREADABLE, quiet_pydicom

_PLUGIN = {
    RLELossless: "pylibjpeg",
    JPEG2000Lossless: "pylibjpeg",
    JPEG2000: "pylibjpeg",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
}
"""pydicom's own RLE decoder is slow, and gdcm ends the process on some broken JPEG 2000 streams."""


_RUST_PANIC = "PanicException"
"""What the RLE decoder raises on some broken streams: no Exception, and it cannot be imported."""


class UndecodableError(ValueError):
    """Pixels cannot be decoded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DecodedSlice:
    """Pixels and the file's own window."""

    pixels: Pixels
    window: tuple[float, float] | None


def decode(source: Path | BytesIO, frame_numbers: tuple[int | None, ...]) -> list[DecodedSlice]:
    """Decode frames of one file.

    Args:
        source: a DICOM image, or its bytes where it lies in an archive.
        frame_numbers: one-based frames, or (None,) for a single-frame file.

    Returns:
        One decoded slice per frame, after the modality LUT (which MONOCHROME1 inverts).

    Raises:
        UndecodableError: truncated or broken pixels, or a missing decoder.
    """
    dataset = Dataset()
    try:
        with quiet_pydicom():
            dataset = parse_image(source)
            return [_decode_frame(dataset, number) for number in frame_numbers]
    except UndecodableError:
        raise
    except (TooLargeError, StreamError) as error:
        raise UndecodableError(str(error)) from None
    except BaseException as error:
        if not isinstance(error, UNREADABLE) and type(error).__name__ != _RUST_PANIC:
            raise
        raise UndecodableError(
            f"pixels{_in_syntax(dataset)} cannot be decoded ({type(error).__name__})"
        ) from None


def _in_syntax(dataset: Dataset) -> str:
    """The transfer syntax in words, where a file says it and it is a known one."""
    meta = getattr(dataset, "file_meta", None)
    uid = None if meta is None else meta.get("TransferSyntaxUID")
    return f" in {uid.name}" if isinstance(uid, UID) and uid.is_transfer_syntax else ""


def _decode_frame(dataset: Dataset, frame_number: int | None) -> DecodedSlice:
    stored = _stored_values(dataset, 0 if frame_number is None else frame_number - 1)
    groups = _frame_groups(dataset, frame_number)
    low, high = _value_range(dataset)
    values, ends = _modality(stored, dataset, groups), _modality_of_ends(low, high, dataset, groups)
    padded = _padding(stored, dataset)
    if padded.any() and not padded.all():
        values = np.where(padded, values[~padded].min(), values)
    window = _window(groups)
    if str(dataset.PhotometricInterpretation) == "MONOCHROME1":
        values = sum(ends) - values
        if padded.any() and not padded.all():
            values = np.where(padded, values[~padded].min(), values)
        window = None if window is None else (sum(ends) - window[0], window[1])
    return DecodedSlice(pixels=values.astype(np.float32), window=window)


def _stored_values(dataset: Dataset, index: int) -> Int64[np.ndarray, "row column"]:
    """Stored values with every bit outside BitsStored dropped, signed where they are."""
    syntax = dataset.file_meta.get("TransferSyntaxUID") or _native_syntax(dataset)
    frames = int(dataset.get("NumberOfFrames") or 1)
    if "PixelData" not in dataset:
        raise UndecodableError("PixelData is missing or cut off")
    decoder = get_decoder(syntax)
    check_pixel_data(dataset, str(syntax), index)
    array, _ = decoder.as_array(
        dataset,
        index=index if frames > 1 else None,
        raw=True,
        decoding_plugin=_PLUGIN.get(syntax, ""),
        correct_unused_bits=False,  # it takes no account of HighBit
    )
    if array.shape != (dataset.Rows, dataset.Columns):
        raise UndecodableError(f"decoded {array.shape}, expected one grey frame")
    return _mask(array, dataset)


def _native_syntax(dataset: Dataset) -> str:
    implicit, little = dataset.original_encoding
    if implicit:
        return str(pydicom.uid.ImplicitVRLittleEndian)
    return str(pydicom.uid.ExplicitVRLittleEndian if little else pydicom.uid.ExplicitVRBigEndian)


def _mask(array: np.ndarray, dataset: Dataset) -> Int64[np.ndarray, "row column"]:
    stored_bits, high_bit = int(dataset.BitsStored), int(dataset.HighBit)
    if not 0 < stored_bits <= high_bit + 1 <= int(dataset.BitsAllocated):
        raise UndecodableError(f"BitsStored {stored_bits} and HighBit {high_bit} do not fit")
    values: Int64[np.ndarray, "row column"] = array.astype(np.int64)
    values = (values >> (high_bit + 1 - stored_bits)) & ((1 << stored_bits) - 1)
    if dataset.PixelRepresentation:
        values = np.where(values >> (stored_bits - 1), values - (1 << stored_bits), values)
    return values


def _value_range(dataset: Dataset) -> tuple[int, int]:
    bits = int(dataset.BitsStored)
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if dataset.PixelRepresentation else (
        0, (1 << bits) - 1
    )  # fmt: skip


def _frame_groups(dataset: Dataset, frame_number: int | None) -> tuple[Dataset, ...]:
    """Where a frame's rescale and window may stand: its own groups, the shared ones, the file."""
    if frame_number is None:
        return (dataset,)
    own = dataset.PerFrameFunctionalGroupsSequence[frame_number - 1]
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    items = [
        group[keyword].value[0]
        for group in (own, *shared)
        for keyword in ("PixelValueTransformationSequence", "FrameVOILUTSequence")
        if keyword in group and group[keyword].value
    ]
    return (*items, dataset)


def _modality(
    stored: Int64[np.ndarray, "*pixel"], dataset: Dataset, groups: tuple[Dataset, ...]
) -> Float64[np.ndarray, "*pixel"]:
    if "ModalityLUTSequence" in dataset:
        looked_up: Float64[np.ndarray, "*pixel"] = apply_modality_lut(
            stored.astype(np.int32), dataset
        ).astype(np.float64)
        return looked_up
    slope, intercept = _first(groups, "RescaleSlope"), _first(groups, "RescaleIntercept")
    rescaled: Float64[np.ndarray, "*pixel"] = stored * (1.0 if slope is None else slope) + (
        0.0 if intercept is None else intercept
    )
    if not np.isfinite(rescaled).all():
        raise UndecodableError("rescaled values are not finite")
    return rescaled


def _modality_of_ends(
    low: int, high: int, dataset: Dataset, groups: tuple[Dataset, ...]
) -> tuple[float, float]:
    first, last = _modality(np.array([low, high]), dataset, groups)
    return float(first), float(last)


def _padding(stored: Int64[np.ndarray, "row column"], dataset: Dataset) -> np.ndarray:
    """(row, column) bool: pixels that are padding, not signal."""
    value = dataset.get("PixelPaddingValue")
    if value is None:
        return np.zeros(stored.shape, dtype=bool)
    other = dataset.get("PixelPaddingRangeLimit")
    ends = sorted((int(value), int(value if other is None else other)))
    return np.asarray((stored >= ends[0]) & (stored <= ends[1]))


def _window(groups: tuple[Dataset, ...]) -> tuple[float, float] | None:
    centre, width = _first(groups, "WindowCenter"), _first(groups, "WindowWidth")
    return None if centre is None or width is None or width <= 0 else (centre, width)


def _first(groups: tuple[Dataset, ...], keyword: str) -> float | None:
    """The first value of a tag in the first group that has it."""
    for group in groups:
        value: Any = group.get(keyword)
        if value is None or value == "":
            continue
        return float(value if isinstance(value, str | float | int) else value[0])
    return None
