"""Each frame of an enhanced file is a slice, by its functional groups."""

from pathlib import Path

import numpy as np

from fake_enhanced import enhanced
from fake_studies import only_series
from lumbargrade.dicom import read_study


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
