"""Fast interpolation gives what the slow one gives."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from lumbargrade.phantom.sampling import PairVolume, nodes_every


def test_a_pair_is_read_as_two_trilinear_interpolations() -> None:
    rng = np.random.default_rng(1)
    colour, coverage = rng.random((2, 9, 12, 15), dtype=np.float32)
    index = rng.uniform(1.01, [[6.9], [9.9], [12.9]], (3, 40_000)).astype(np.float32)
    found = PairVolume(colour, coverage).at(index)
    for part, volume in ((found.real, colour), (found.imag, coverage)):
        assert np.abs(part - map_coordinates(volume, index, order=1)).max() < 1e-5


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("outside", [-7.0, 40.0])
def test_outside_the_volume_nothing_is_painted(axis: int, outside: float) -> None:
    ones = np.ones((9, 12, 15), np.float32)
    index = np.full((3, 1), 5, np.float32)
    volume = PairVolume(ones, ones)
    assert volume.at(index)[0] == 1 + 1j
    index[axis] = outside
    assert abs(volume.at(index)[0]) < 0.002


@pytest.mark.parametrize("shape", [(37, 50), (2, 3), (384, 288)])
def test_nodes_reach_the_corners_and_keep_what_is_linear(shape: tuple[int, int]) -> None:
    nodes = nodes_every(3.0, shape)
    assert np.diff(nodes.rows).max() <= 3
    assert np.diff(nodes.columns).max() <= 3
    rows, columns = np.indices(shape)
    values = 2 * nodes.rows[:, None] - 3 * nodes.columns + 1
    assert np.allclose(nodes.spread(values), 2 * rows - 3 * columns + 1, atol=1e-3)
