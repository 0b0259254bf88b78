"""Does the pixel data hold the image that the header describes? Asked before a decoder sees it.

What must stay true: an image is never cut or sheared because Rows or Columns disagree with the
bytes, and no decoder is given a stream that claims another size than the header.

Source: ITU-T T.81 (JPEG), T.87 (JPEG-LS), T.800 (JPEG 2000); DICOM PS3.5 A.4.
"""

import struct

from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.uid import UID, RLELossless

_JPEG_2000_SIZE = b"\xff\x4f\xff\x51"
_JPEG_2000_BOXES = 512
"""A file format may stand around the stream; its boxes end within so many bytes."""

_JPEG_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers that start a JPEG or JPEG-LS frame header."""
_JPEG_BARE = {0x01, *range(0xD0, 0xD8)}
"""Markers without a length."""
_JPEG_END = {0xD9, 0xDA}
"""End of image, start of scan."""


class StreamError(ValueError):
    """The pixel data do not hold the image that the header describes."""


def check_pixel_data(dataset: Dataset, syntax: str, index: int) -> None:
    """Compare the pixel data with Rows, Columns, BitsAllocated and NumberOfFrames.

    Args:
        dataset: with PixelData, of one sample per pixel.
        syntax: the transfer syntax of the file.
        index: zero-based frame that is asked for.

    Raises:
        StreamError: says what was found and expected.
    """
    uid = UID(syntax)
    frames = max(1, int(dataset.get("NumberOfFrames") or 1))
    if not uid.is_encapsulated:
        _check_length(dataset, frames)
    elif uid != RLELossless:
        stream = get_frame(dataset.PixelData, index, number_of_frames=frames)
        rows, columns, samples = stream_size(stream)
        if samples != 1:
            raise StreamError(f"the stream holds {samples} samples per pixel, expected 1")
        if (rows, columns) != (dataset.Rows, dataset.Columns):
            raise StreamError(
                f"the stream holds {rows} x {columns} pixels, Rows and Columns say "
                f"{dataset.Rows} x {dataset.Columns}"
            )


def _check_length(dataset: Dataset, frames: int) -> None:
    """Uncompressed pixels: as long as they must be; padding of zeros is let pass, up to a row."""
    row = int(dataset.Columns) * int(dataset.BitsAllocated) // 8
    expected, found = row * int(dataset.Rows) * frames, len(dataset.PixelData)
    padding = dataset.PixelData[expected:]
    if found < expected or len(padding) > max(row, 1) or any(padding[1:]):
        raise StreamError(f"PixelData has {found} bytes, its header asks for {expected}")


def stream_size(stream: bytes) -> tuple[int, int, int]:
    """Rows, columns and samples per pixel that a compressed stream says it holds.

    Args:
        stream: JPEG, JPEG-LS or JPEG 2000.

    Raises:
        StreamError: it is none of these, or its header is cut off.
    """
    try:
        if stream[:2] == b"\xff\xd8":
            return _jpeg_size(stream)
        start = stream.find(_JPEG_2000_SIZE, 0, _JPEG_2000_BOXES)
        if start >= 0:
            return _jpeg_2000_size(stream, start + len(_JPEG_2000_SIZE))
    except struct.error:
        raise StreamError("the header of the compressed pixels is cut off") from None
    raise StreamError("the pixels are no JPEG, JPEG-LS or JPEG 2000 stream")


def _jpeg_size(stream: bytes) -> tuple[int, int, int]:
    at = 2
    while True:
        fill, marker = struct.unpack_from(">BB", stream, at)
        if fill != 0xFF or marker in _JPEG_END:
            raise StreamError("the compressed pixels have no frame header")
        if marker == 0xFF:
            at += 1
        elif marker in _JPEG_BARE:
            at += 2
        elif marker in _JPEG_FRAMES:
            rows, columns, samples = struct.unpack_from(">HHB", stream, at + 5)
            return rows, columns, samples
        else:
            at += 2 + max(2, struct.unpack_from(">H", stream, at + 2)[0])


def _jpeg_2000_size(stream: bytes, at: int) -> tuple[int, int, int]:
    """The reference grid less its offset; ``at`` is behind the marker of the size segment."""
    width, height, left, top = struct.unpack_from(">IIII", stream, at + 4)
    (samples,) = struct.unpack_from(">H", stream, at + 36)
    return height - top, width - left, samples
