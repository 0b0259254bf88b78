"""Each frame of an enhanced file is a slice, by its functional groups."""

from pathlib import Path

import numpy as np
import pydicom
import pytest

from fake_enhanced import enhanced, item
from fake_studies import (
    AXIAL,
    SAGITTAL,
    T1_TIMES,
    axial_blocks,
    only_series,
    positions,
    refusal,
    series,
    slices,
)
from lumbargrade.dicom import find_studies, read_headers, read_study
from lumbargrade.dicom.inspection import inspect_study
from lumbargrade.dicom.slice_header import UnreadableFileError
from lumbargrade.dicom.write_mr import write_mr_series
from lumbargrade.labels import View
from lumbargrade.records import SeriesReport


def reports(path: Path) -> tuple[SeriesReport, ...]:
    (files,) = find_studies(path)
    return inspect_study(files).reports


def test_frames_of_an_enhanced_file_are_slices(sagittal: Path) -> None:
    single = only_series(read_study(sagittal))
    multi = only_series(read_study(enhanced(sagittal)))
    assert [image.frame_number for image in multi.slices] == [
        image.instance_number for image in single.slices
    ]
    for one, other in zip(single.slices, multi.slices, strict=True):
        np.testing.assert_allclose(one.affine, other.affine, atol=1e-6)
        np.testing.assert_array_equal(other.pixels, one.pixels * 2)
        assert other.window == (250.0, 500.0)


def test_several_stacks_of_one_enhanced_file_are_blocks(tmp_path: Path) -> None:
    images = axial_blocks()
    order = np.random.default_rng(3).permutation(len(images))
    write_mr_series(tmp_path / "study", series("tra"), [images[i] for i in order])
    single = only_series(read_study(tmp_path / "study"))
    multi = only_series(read_study(enhanced(tmp_path / "study")))
    assert multi.view is View.AXIAL_T2
    assert [image.stack for image in multi.slices] == sorted([0, 1, 2, 3, 4] * 5)
    np.testing.assert_allclose(positions(multi), positions(single), atol=1e-9)


def test_two_interleaved_stacks_of_one_enhanced_file_are_one_order(tmp_path: Path) -> None:
    """Odd slices first, then even ones, as scanners acquire them: order is by place."""
    images = slices()
    write_mr_series(tmp_path / "odd", series(), images[::2])
    write_mr_series(tmp_path / "even", series(), images[1::2])
    path = enhanced(tmp_path)
    path.rename(tmp_path.parent / "IM1")
    found = only_series(read_study(tmp_path.parent / "IM1"))
    np.testing.assert_allclose(np.diff(positions(found)[:, 0]), 4.4, atol=1e-6)


def test_stacks_of_several_planes_in_one_enhanced_file_are_refused(tmp_path: Path) -> None:
    write_mr_series(tmp_path / "study", series(), slices(SAGITTAL))
    write_mr_series(tmp_path / "study", series(), slices(AXIAL, first_number=13))
    assert "slices lie in several planes, more than 70° apart" in refusal(
        enhanced(tmp_path / "study")
    )


def test_t1_and_t2_frames_at_the_same_places_are_told_apart(tmp_path: Path) -> None:
    write_mr_series(tmp_path / "study", series("mixed"), slices())
    write_mr_series(tmp_path / "study", series("mixed", **T1_TIMES), slices(first_number=13))
    found = reports(enhanced(tmp_path / "study"))
    assert {(report.view, report.slices) for report in found if report.used} == {
        (View.SAGITTAL_T2, 12),
        (View.SAGITTAL_T1, 12),
    }


def test_a_second_header_in_a_private_sequence_is_passed_over(sagittal: Path) -> None:
    path = enhanced(sagittal)
    before = only_series(read_study(path))
    dataset = pydicom.dcmread(path)
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        block = frame.private_block(0x2005, "A MAKER", create=True)
        private = item(
            SOPInstanceUID="1.2.3", ImagePositionPatient=[9, 9, 9], EchoTime="7", InstanceNumber=5
        )
        block.add_new(0x0F, "SQ", [private])
    dataset.save_as(path)
    after = only_series(read_study(path))
    np.testing.assert_array_equal(positions(after), positions(before))
    assert {image.sop_instance_uid for image in after.slices} == {str(dataset.SOPInstanceUID)}
    assert [h.echo_time_ms for h in read_headers(path)] == [100.0] * 12


@pytest.mark.parametrize("frames", [None, 1, 11, 13, 2_000_000_000])
def test_frames_and_functional_groups_must_agree(sagittal: Path, frames: int | None) -> None:
    path = enhanced(sagittal)
    dataset = pydicom.dcmread(path)
    dataset.NumberOfFrames = frames
    dataset.save_as(path)
    with pytest.raises(
        UnreadableFileError,
        match=f"NumberOfFrames is {frames or 'missing'}, its functional groups describe 12",
    ):
        read_headers(path)


@pytest.mark.parametrize("frames", [0, 1])
def test_a_single_frame_file_may_say_so(sagittal: Path, frames: int) -> None:
    for path in sagittal.iterdir():
        dataset = pydicom.dcmread(path)
        dataset.NumberOfFrames = frames
        dataset.save_as(path)
    found = only_series(read_study(sagittal))
    assert [image.frame_number for image in found.slices] == [None] * 12
