import numpy as np
import pytest

from fake_points import MARKED, predict, read_slice
from lumbargrade.evaluation_points import evaluate_points
from lumbargrade.labels import View
from lumbargrade.point_histograms import MOST_SLICES_OFF, PX_EDGES, error_histogram


@pytest.mark.parametrize(
    ("shift", "bin_index"), [(0, 0), (0.49, 0), (0.51, 1), (4.9, 9), (5.1, 10), (9.9, 19), (80, 20)]
)
def test_a_point_is_in_the_bin_of_its_error_and_far_ones_in_the_last(
    shift: float, bin_index: int
) -> None:
    row = MARKED[2]
    found = evaluate_points([row], [predict(row, column=row.column + shift)], read_slice=read_slice)
    counts = error_histogram(found.errors, View.SAGITTAL_T2).px
    assert len(counts) == len(PX_EDGES) == 21
    assert np.flatnonzero(counts).tolist() == [bin_index]
    assert sum(error_histogram(found.errors, View.AXIAL_T2).px) == 0


@pytest.mark.parametrize(("steps", "bin_index"), [(0, 0), (2, 2), (5, 5), (9, 5)])
def test_many_slices_off_share_a_bin(steps: int, bin_index: int) -> None:
    row = MARKED[2]
    found = evaluate_points(
        [row], [predict(row, instance_number=row.instance_number + steps)], read_slice=read_slice
    )
    counts = error_histogram(found.errors, View.SAGITTAL_T2).slices_off
    assert len(counts) == MOST_SLICES_OFF + 1
    assert counts[bin_index] == sum(counts) == 1
