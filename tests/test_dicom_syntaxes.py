"""Every transfer syntax gives the same pixels; bytes that hold another image are an error."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    JPEG2000,
    MPEG2MPML,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from fake_studies import edit, only_series, refusal, series, slices
from fake_syntaxes import LOSSLESS, transcode
from lumbargrade.dicom import read_study
from lumbargrade.dicom.pixel_data import StreamError, stream_size
from lumbargrade.dicom.pixels import UndecodableError, decode
from lumbargrade.dicom.write_mr import write_mr_series

STREAMS = (JPEGLosslessSV1, JPEGLSLossless, JPEG2000Lossless)


def write_ramp(folder: Path, bits: int, signed: bool) -> tuple[Path, np.ndarray]:
    """One slice whose values span the whole range of its bits."""
    (path,) = write_mr_series(folder, series(), slices(count=1))
    ramp = np.add.outer(np.arange(48), np.arange(40)) / 86 * (2**bits - 1)
    ramp = np.rint(ramp - (2 ** (bits - 1) if signed else 0))
    kind = "i" if signed else "u"
    edit(
        path,
        BitsAllocated=8 if bits == 8 else 16,
        BitsStored=bits,
        HighBit=bits - 1,
        PixelRepresentation=int(signed),
        PixelData=ramp.astype(f"<{kind}{1 if bits == 8 else 2}").tobytes(),
    )
    return path, ramp


@pytest.mark.parametrize("syntax", LOSSLESS, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize(
    ("bits", "signed"), [(8, False), (12, False), (12, True), (16, False), (16, True)]
)
def test_lossless_syntaxes_keep_every_value(
    tmp_path: Path, syntax: UID, bits: int, signed: bool
) -> None:
    path, ramp = write_ramp(tmp_path, bits, signed)
    transcode(path, syntax)
    assert pydicom.dcmread(path).file_meta.TransferSyntaxUID == syntax
    pixels = decode(path, (None,))[0].pixels
    np.testing.assert_array_equal(pixels, ramp)
    assert (pixels.min(), pixels.max()) == (ramp.min(), ramp.max())
    assert np.ptp(pixels) == 2**bits - 1


@pytest.mark.parametrize("syntax", [JPEGBaseline8Bit, JPEGExtended12Bit])
def test_lossy_jpeg_of_8_bits_is_read_within_two_grey_levels(tmp_path: Path, syntax: UID) -> None:
    path, ramp = write_ramp(tmp_path, 8, signed=False)
    transcode(path, syntax)
    assert np.abs(decode(path, (None,))[0].pixels - ramp).max() <= 2


def test_lossy_jpeg_of_12_bits_is_refused(tmp_path: Path) -> None:
    path, _ = write_ramp(tmp_path, 12, signed=False)
    transcode(path, JPEGExtended12Bit)
    with pytest.raises(UndecodableError, match="JPEG Extended .* cannot be decoded"):
        decode(path, (None,))


@pytest.mark.parametrize(
    ("syntax", "reason"),
    [
        (JPEG2000, "the pixels are no JPEG, JPEG-LS or JPEG 2000 stream"),
        (MPEG2MPML, "pixels in MPEG2 Main Profile / Main Level cannot be decoded"),
    ],
)
def test_a_syntax_that_the_pixels_are_not_in_is_refused_by_name(
    tmp_path: Path, syntax: UID, reason: str
) -> None:
    for path in write_mr_series(tmp_path / "study", series(), slices(count=6)):
        transcode(path, RLELossless)
        dataset = pydicom.dcmread(path)
        dataset.file_meta.TransferSyntaxUID = syntax
        dataset.save_as(path)
    text = refusal(tmp_path / "study")
    assert "6 of 6 slices cannot be decoded" in text
    assert f"study/6.dcm: {reason}" in text  # the first in reading order


@pytest.mark.parametrize("size", [(47, 40), (48, 39), (49, 40), (48, 41), (24, 40)])
def test_uncompressed_pixels_of_another_size_are_an_error(
    tmp_path: Path, size: tuple[int, int]
) -> None:
    write_mr_series(tmp_path, series(), slices())
    edit(tmp_path / "4.dcm", Rows=size[0], Columns=size[1])
    study = read_study(tmp_path)
    assert {image.pixels.shape for image in only_series(study).slices} == {(48, 40)}
    (lost,) = (line for line in study.warnings if "slice left out" in line)
    asked = size[0] * size[1] * 2
    assert lost.endswith(f"4.dcm: PixelData has 3840 bytes, its header asks for {asked}")


def test_trailing_zeros_up_to_a_row_are_no_error(tmp_path: Path) -> None:
    (path,) = write_mr_series(tmp_path, series(), slices(count=1))
    clean = decode(path, (None,))[0].pixels
    pixels = pydicom.dcmread(path).PixelData
    edit(path, PixelData=pixels + bytes(80))
    np.testing.assert_array_equal(decode(path, (None,))[0].pixels, clean)
    for wrong in (pixels + bytes(82), pixels + b"\0\1" * 40):
        edit(path, PixelData=wrong)
        with pytest.raises(UndecodableError, match="PixelData has 39"):
            decode(path, (None,))


@pytest.mark.parametrize("syntax", STREAMS, ids=lambda syntax: syntax.name)
@pytest.mark.parametrize("size", [(47, 40), (48, 39), (49, 40), (40, 48)])
def test_a_stream_of_another_size_is_an_error(
    tmp_path: Path, syntax: UID, size: tuple[int, int]
) -> None:
    (path,) = write_mr_series(tmp_path, series(), slices(count=1))
    transcode(path, syntax)
    edit(path, Rows=size[0], Columns=size[1])
    with pytest.raises(UndecodableError, match="the stream holds 48 x 40 pixels, Rows and Columns"):
        decode(path, (None,))


@pytest.mark.parametrize("size", [(47, 40), (48, 39), (49, 40)])
def test_rle_segments_of_another_size_are_an_error(tmp_path: Path, size: tuple[int, int]) -> None:
    (path,) = write_mr_series(tmp_path, series(), slices(count=1))
    transcode(path, RLELossless)
    edit(path, Rows=size[0], Columns=size[1])
    with pytest.raises(UndecodableError, match="RLE Lossless cannot be decoded"):
        decode(path, (None,))


@pytest.mark.parametrize("syntax", STREAMS, ids=lambda syntax: syntax.name)
def test_a_stream_that_is_cut_in_its_header_is_an_error(tmp_path: Path, syntax: UID) -> None:
    (path,) = write_mr_series(tmp_path, series(), slices(count=1))
    transcode(path, syntax)
    stream = pydicom.encaps.get_frame(pydicom.dcmread(path).PixelData, 0, number_of_frames=1)
    assert stream_size(stream) == (48, 40, 1)
    for length in range(0, 12):
        with pytest.raises(StreamError):
            stream_size(stream[:length])


def test_a_stream_of_colour_is_an_error() -> None:
    frame = b"\xff\xd8\xff\xe0\0\4ab\xff\xff\xc0\0\x11\x08\0\x30\0\x28\3"
    assert stream_size(frame) == (48, 40, 3)


def test_a_dataset_without_group_length_or_meta_length_is_read(tmp_path: Path) -> None:
    """Deflated data start behind the last element of the file meta, whatever its length says."""
    (path,) = write_mr_series(tmp_path, series(), slices(count=1))
    clean = decode(path, (None,))[0].pixels
    transcode(path, pydicom.uid.DeflatedExplicitVRLittleEndian)
    raw = path.read_bytes()
    path.write_bytes(raw[:140] + b"\xff\0\0\0" + raw[144:])
    np.testing.assert_array_equal(decode(path, (None,))[0].pixels, clean)
