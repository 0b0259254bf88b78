"""Whatever a file's bytes say, time and memory stay limited, and the file is named."""

import struct
import time
import tracemalloc
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import DeflatedExplicitVRLittleEndian

from fake_enhanced import enhanced
from fake_studies import edit_all, only_series, refusal, series, slices
from fake_syntaxes import transcode
from lumbargrade.dicom import parse, read_headers, read_study
from lumbargrade.dicom.files import find
from lumbargrade.dicom.pixels import UndecodableError, decode
from lumbargrade.dicom.screening import MAX_SLICES, candidates_of
from lumbargrade.dicom.slice_header import MAX_FRAMES, UnreadableFileError, short_name
from lumbargrade.dicom.write_mr import write_mr_series

SLICE_THICKNESS = b"\x18\0\x50\0DS"
OPENING = b"\x09\0\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
CLOSING = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"


def insert(path: Path, more: bytes, before: bytes = SLICE_THICKNESS) -> None:
    raw = path.read_bytes()
    at = raw.index(before)
    path.write_bytes(raw[:at] + more + raw[at:])


def deflated_bomb(path: Path, mebibytes: int) -> None:
    """Make a deflated file's pixels so many MiB of zeros."""
    transcode(path, DeflatedExplicitVRLittleEndian)
    raw = path.read_bytes()
    start = 144 + struct.unpack_from("<I", raw, 140)[0]
    header = zlib.decompress(raw[start:], -zlib.MAX_WBITS)
    header = header[: header.index(b"\xe0\x7f\x10\x00OW")]
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    pixels = b"\xe0\x7f\x10\x00OW\0\0" + struct.pack("<I", mebibytes << 20)
    packed = packer.compress(header + pixels)
    packed += b"".join(packer.compress(bytes(1 << 20)) for _ in range(mebibytes))
    path.write_bytes(raw[:start] + packed + packer.flush())


def test_a_deflated_bomb_is_refused_before_it_is_in_memory(
    sagittal: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert parse.MAX_INFLATED_BYTES == 256 << 20
    monkeypatch.setattr(parse, "MAX_INFLATED_BYTES", 32 << 20)  # quicker to pack
    deflated_bomb(sagittal / "4.dcm", 40)
    assert (sagittal / "4.dcm").stat().st_size < 60_000
    tracemalloc.start()
    try:
        (problem,) = find(sagittal).problems
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert problem == "study/4.dcm: it unpacks to more than 32 MiB"
    assert peak < 20 << 20
    assert len(only_series(read_study(sagittal)).slices) == 11


def test_a_file_beyond_a_gibibyte_is_refused_unread(sagittal: Path) -> None:
    with (sagittal / "4.dcm").open("r+b") as file:
        file.truncate(parse.MAX_FILE_BYTES + 1)  # sparse: takes no room
    with pytest.raises(UnreadableFileError, match=r"4\.dcm: the file has 1024 MiB, at most 1024"):
        read_headers(sagittal / "4.dcm")
    with pytest.raises(UndecodableError, match="the file has 1024 MiB"):
        decode(sagittal / "4.dcm", (None,))


def test_what_stands_behind_the_pixels_is_never_parsed(sagittal: Path) -> None:
    path = sagittal / "4.dcm"
    clean = decode(path, (None,))[0].pixels
    with path.open("ab") as file:
        file.write(bytes(64 << 20))
    started = time.perf_counter()
    np.testing.assert_array_equal(decode(path, (None,))[0].pixels, clean)
    assert time.perf_counter() - started < 5  # eight million empty elements take a minute


@pytest.mark.parametrize("depth", [10, 300, 20_000])
@pytest.mark.parametrize("closed", [True, False])
def test_sequences_within_sequences_are_read_or_refused(
    sagittal: Path, depth: int, closed: bool
) -> None:
    path = sagittal / "4.dcm"
    insert(path, OPENING * depth + CLOSING * depth * closed)
    started = time.perf_counter()
    problems = find(sagittal).problems
    assert time.perf_counter() - started < 10
    if closed and depth == 10:
        assert problems == ()
    else:
        assert problems == (f"{short_name(path)}: broken DICOM header ({fault_of(path)})",)
    assert len(only_series(read_study(sagittal)).slices) == 12 - len(problems)


def fault_of(path: Path) -> str:
    with pytest.raises(UnreadableFileError) as caught:
        read_headers(path)
    return caught.value.reason.partition("(")[2].rstrip(")")


@pytest.mark.parametrize("length", [0xFFFFFFFF, 0xFFFFFFFE, 0x7FFFFFFF])
@pytest.mark.parametrize("representation", [b"OB", b"SQ", b"UN", b"UT"])
def test_an_element_that_never_ends_costs_its_file_alone(
    sagittal: Path, representation: bytes, length: int
) -> None:
    path = sagittal / "4.dcm"
    insert(path, b"\x09\0\x10\x10" + representation + b"\0\0" + struct.pack("<I", length))
    study = read_study(sagittal)
    assert len(only_series(study).slices) == 11
    (problem,) = find(sagittal).problems
    assert short_name(path) in problem


def test_private_tags_change_nothing(sagittal: Path) -> None:
    before = only_series(read_study(sagittal))
    for path in sagittal.iterdir():
        dataset = pydicom.dcmread(path)
        block = dataset.private_block(0x2005, "MADE UP 1.0", create=True)
        item = pydicom.Dataset()
        item.ImagePositionPatient, item.PixelSpacing, item.Rows = [1, 2, 3], [9, 9], 7
        block.add_new(1, "SQ", [item])
        block.add_new(2, "UN", bytes(999))
        dataset.save_as(path)
    after = only_series(read_study(sagittal))
    for one, other in zip(before.slices, after.slices, strict=True):
        np.testing.assert_array_equal(one.affine, other.affine)
        np.testing.assert_array_equal(one.pixels, other.pixels)


def test_more_frames_than_a_study_has_are_refused(sagittal: Path) -> None:
    path = enhanced(sagittal)
    raw = path.read_bytes()
    tag = b"\0\x52\x30\x92SQ\0\0"
    at = raw.index(tag)
    (length,) = struct.unpack_from("<I", raw, at + 8)
    items = b"\xfe\xff\0\xe0\0\0\0\0" * (MAX_FRAMES + 1)
    path.write_bytes(
        raw[:at] + tag + struct.pack("<I", len(items)) + items + raw[at + 12 + length :]
    )
    with pytest.raises(UnreadableFileError, match="describes 10001 frames, at most 10000"):
        read_headers(path)


def test_more_slices_than_a_series_has_are_refused(tmp_path: Path) -> None:
    (path,) = write_mr_series(tmp_path, series(), slices(count=1))
    (header,) = read_headers(path)
    numbers = range(MAX_SLICES + 1)
    many = [replace(header, sop_instance_uid=f"1.2.{number}") for number in numbers]
    (candidate,) = candidates_of("1", many)
    assert candidate.refusal is not None
    assert candidate.refusal.startswith("1001 slices, at most 1000: ")
    assert short_name(path) in candidate.refusal


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({"Rows": 65535, "Columns": 65535}, "matrix 65535 x 65535 is larger than 4096"),
        ({"NumberOfFrames": 2_000_000_000}, "2000000000 frames without functional groups"),
    ],
)
def test_huge_claims_are_refused_from_the_header(
    sagittal: Path, tags: dict[str, int], reason: str
) -> None:
    edit_all(sagittal, **tags)
    text = refusal(sagittal)
    assert reason in text
    assert "1.dcm" in text
