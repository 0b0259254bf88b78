"""Stored bits become signal, bright is high; what cannot be decoded whole is an error."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from fake_studies import (
    CASES,
    edit,
    needs_cases,
    only_series,
    refusal,
    series,
    set_pixels,
    slices,
    truncate,
)
from lumbargrade.dicom import read_study
from lumbargrade.dicom.pixels import UndecodableError, decode
from lumbargrade.dicom.write_mr import HeaderProfile, write_mr_series


def first_pixels(folder: Path) -> np.ndarray:
    return decode(folder / "1.dcm", (None,))[0].pixels


def test_dirty_high_bits_are_masked(sagittal: Path) -> None:
    clean = first_pixels(sagittal)
    set_pixels(sagittal / "1.dcm", lambda _, array: array | 0xA000)
    np.testing.assert_array_equal(first_pixels(sagittal), clean)


def test_bits_stored_high_in_the_word_are_shifted_down(sagittal: Path) -> None:
    clean = first_pixels(sagittal)

    def shift(dataset: Dataset, array: np.ndarray) -> np.ndarray:
        dataset.HighBit = 15
        return (array << 4) | 0x5

    set_pixels(sagittal / "1.dcm", shift)
    np.testing.assert_array_equal(first_pixels(sagittal), clean)


def test_signed_pixels_keep_their_sign(sagittal: Path) -> None:
    def negative(dataset: Dataset, array: np.ndarray) -> np.ndarray:
        dataset.PixelRepresentation = 1
        return np.full_like(array, 0x0FFE)  # 12 bits: −2

    set_pixels(sagittal / "1.dcm", negative)
    assert (first_pixels(sagittal) == -2).all()


def test_rescale_is_applied(sagittal: Path) -> None:
    clean = first_pixels(sagittal)
    edit(sagittal / "1.dcm", RescaleSlope="2.5", RescaleIntercept="-10")
    np.testing.assert_allclose(first_pixels(sagittal), clean * 2.5 - 10)


def test_monochrome1_is_turned_bright_is_high(sagittal: Path) -> None:
    clean = decode(sagittal / "1.dcm", (None,))[0]
    set_pixels(sagittal / "1.dcm", lambda _, array: 4095 - array)
    edit(sagittal / "1.dcm", PhotometricInterpretation="MONOCHROME1", WindowCenter="3895")
    inverted = decode(sagittal / "1.dcm", (None,))[0]
    np.testing.assert_array_equal(inverted.pixels, clean.pixels)
    assert inverted.window == clean.window == (200.0, 400.0)


def test_padding_becomes_the_darkest_real_value(sagittal: Path) -> None:
    def pad(dataset: Dataset, array: np.ndarray) -> np.ndarray:
        dataset.add_new("PixelPaddingValue", "US", 4000)
        padded = array.copy() + 50
        padded[:5] = 4000
        return padded

    set_pixels(sagittal / "1.dcm", pad)
    pixels = first_pixels(sagittal)
    assert (pixels[:5] == pixels[5:].min()).all()
    assert pixels.max() < 4000


def test_one_undecodable_slice_of_12_is_left_out_with_a_warning(sagittal: Path) -> None:
    truncate(sagittal / "2.dcm")
    study = read_study(sagittal)
    assert len(only_series(study).slices) == 11
    assert any("slice left out: study/2.dcm" in line for line in study.warnings)


def test_two_undecodable_slices_of_12_refuse_the_series(sagittal: Path) -> None:
    truncate(sagittal / "2.dcm")
    truncate(sagittal / "3.dcm")
    text = refusal(sagittal)
    assert "2 of 12 slices cannot be decoded" in text
    assert "study/3.dcm" in text  # the first of them in reading order


def test_a_broken_rle_stream_is_an_error_not_the_end_of_the_process(tmp_path: Path) -> None:
    (path,) = write_mr_series(tmp_path, series(), slices(count=1), profile=HeaderProfile.RSNA)
    raw = path.read_bytes()
    segments = raw.index(b"\xfe\xff\x00\xe0", raw.index(b"\xe0\x7f\x10\x00") + 20) + 8 + 64
    path.write_bytes(raw[:segments] + b"\x81" * (len(raw) - segments - 8) + raw[-8:])
    with pytest.raises(UndecodableError, match="RLE Lossless cannot be decoded"):
        decode(path, (None,))


def test_the_next_best_series_takes_the_place_of_an_undecodable_one(sagittal: Path) -> None:
    write_mr_series(sagittal / "coarse", series("coarse"), slices(pixel_mm=6.0, name="coarse"))
    for number in range(1, 5):
        truncate(sagittal / f"{number}.dcm")
    study = read_study(sagittal)
    assert only_series(study).description == "coarse"
    (bad,) = (report for report in study.reports if not report.used)
    assert "4 of 12 slices cannot be decoded" in bad.reason


def test_a_series_of_constant_images_is_refused(sagittal: Path) -> None:
    for path in sagittal.iterdir():
        set_pixels(path, lambda _, array: np.zeros_like(array))
    assert "every slice is one constant value" in refusal(sagittal)


@needs_cases
def test_nine_files_in_seven_transfer_syntaxes_hold_the_same_pixels() -> None:
    files = sorted((CASES / "transfer_syntaxes").glob("*.dcm"))
    syntaxes = {str(pydicom.dcmread(file).file_meta.TransferSyntaxUID) for file in files}
    assert (len(files), len(syntaxes)) == (9, 7)
    expected = decode(files[0], (None,))[0].pixels
    assert expected.max() == 2362
    for file in files[1:]:
        np.testing.assert_array_equal(decode(file, (None,))[0].pixels, expected)


@needs_cases
def test_real_dirty_bits_are_masked() -> None:
    raw = pydicom.dcmread(CASES / "bits" / "12bitUnsigned_0x0F0F.dcm")
    assert np.frombuffer(raw.PixelData, "<u2").max() == 65535
    pixels = decode(CASES / "bits" / "12bitUnsigned_0x0F0F.dcm", (None,))[0].pixels
    assert (pixels.min(), pixels.max()) == (0, 4095)
    signed = decode(CASES / "bits" / "12bitSigned_0x0F0F.dcm", (None,))[0].pixels
    assert (signed.min(), signed.max()) == (-2048, 2047)
