"""Fast interpolation gives what the slow one gives."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from lumbargrade.phantom.sampling import Nodes, Occupancy, PairVolume, nodes_every


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


def test_a_window_of_pixels_is_what_spreading_over_all_of_them_gives() -> None:
    nodes = nodes_every(2.5, (60, 45))
    values = np.random.default_rng(2).normal(size=(len(nodes.rows), len(nodes.columns)))
    window = slice(7, 31), slice(0, 12)
    assert np.array_equal(nodes.spread(values, window), nodes.spread(values)[window])


def test_the_window_of_some_nodes_holds_every_pixel_between_them() -> None:
    nodes = Nodes(
        rows=np.array([0.0, 2.5, 5.0]), columns=np.array([0.0, 1.5, 3.0, 4.5]), shape=(6, 5)
    )
    inside = np.zeros((3, 4), dtype=bool)
    assert nodes.window(inside.reshape(-1)) is None
    inside[1, 1] = inside[2, 2] = True
    assert nodes.window(inside.reshape(-1)) == (slice(2, 6), slice(1, 4))


@pytest.mark.parametrize("reach", [0.0, 1.0, 2.9, 4.4])
def test_what_is_called_empty_is_empty_within_reach(reach: float) -> None:
    """And much of an empty volume is called empty."""
    rng = np.random.default_rng(3)
    coverage = np.zeros((41, 50, 63), np.float32)
    coverage[tuple(rng.integers(2, 38, (3, 6)))] = 1
    volume = PairVolume(coverage, coverage)
    index = rng.uniform(-6, np.array(coverage.shape)[:, None] + 6, (3, 60_000)).astype(np.float32)
    near = Occupancy(coverage, (reach, reach, reach)).near(index)
    assert 0 < near.mean() < 0.5
    for corner in np.array(np.meshgrid(*[[-reach, 0, reach]] * 3)).reshape(3, -1).T:
        around = index[:, ~near] + corner[:, None].astype(np.float32)
        assert not volume.at(around).any()
