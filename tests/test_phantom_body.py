"""Claims about what surrounds the phantom's spine."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from lumbargrade.phantom.body import Body, build_body
from lumbargrade.phantom.body_grid import AXES, to_index
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.tissue import Tissue

SEEDS = (3, 7, 11, 19)
AIR, FAT = 0, 1


def shares(seed: int) -> tuple[Spine, Body]:
    """A body whose contrasts are: anything but air; fat."""
    signals = np.ones((2, len(Tissue)))
    signals[:, Tissue.AIR] = 0
    signals[FAT] = 0
    signals[FAT, Tissue.FAT] = 1
    spine = build_spine(seed)
    return spine, build_body(seed, spine, signals)


def sample(spine: Spine, body: Body, contrast: int, frame: np.ndarray) -> np.ndarray:
    """Signals at places (x, d, s)."""
    lps = np.array([spine.to_lps(*place) for place in frame])
    index = body.index(spine.lps_to_canonical(lps))
    return np.asarray(map_coordinates(body.colour[contrast], index, order=1))


def grid(x: np.ndarray, d: np.ndarray, s: np.ndarray) -> np.ndarray:
    return np.stack(np.meshgrid(x, d, s, indexing="ij"), axis=-1).reshape(-1, 3)


@pytest.mark.parametrize("axis", range(3))
def test_every_grid_position_has_its_own_whole_index(axis: int) -> None:
    positions = AXES[axis].positions().astype(np.float64)
    points = np.zeros((len(positions), 3))
    points[:, axis] = positions
    np.testing.assert_allclose(to_index(points)[axis], np.arange(len(positions)), atol=1e-4)


@pytest.mark.parametrize("seed", range(12))
def test_a_place_within_the_painted_depth_leads_back_to_where_it_came_from(seed: int) -> None:
    spine = build_spine(seed)
    y, z = np.meshgrid(np.arange(-200.0, 176, 4), np.arange(-200.0, 200, 4), indexing="ij")
    depth, height = spine.depth_and_height(y, z)
    near = (np.abs(depth) < 62) & (height > spine.s_mm[0] + 5) & (height < spine.s_mm[-1] - 5)
    tilt = spine.tilt_at(height[near])
    back_y = np.interp(height[near], spine.s_mm, spine.y_mm) + depth[near] * np.cos(tilt)
    back_z = np.interp(height[near], spine.s_mm, spine.z_mm) + depth[near] * np.sin(tilt)
    assert near.sum() > 1000
    assert np.hypot(back_y - y[near], back_z - z[near]).max() < 0.05


@pytest.mark.parametrize("seed", SEEDS)
def test_there_is_nothing_behind_the_skin(seed: int) -> None:
    _spine, body = shares(seed)
    behind = np.array([[x, body.back_y_mm + 25, 0.0] for x in range(-100, 101, 10)])
    inside = behind - [0, 33, 0]
    signal = [
        map_coordinates(body.colour[AIR], body.index(points), order=1)
        for points in (behind, inside[8:13])
    ]
    assert signal[0].max() == 0
    assert signal[1].min() > 0.3


@pytest.mark.parametrize("seed", SEEDS)
def test_muscles_of_the_back_are_mostly_lean_and_fat_lies_under_the_skin(seed: int) -> None:
    spine, body = shares(seed)
    s = float(spine.graded_s_mm()[1])
    for side in (-1, 1):
        muscle = sample(
            spine, body, FAT, grid(side * np.arange(12.0, 44, 2), np.arange(22.0, 44, 2),
                                   np.arange(s - 8, s + 9, 4)))  # fmt: skip
        assert muscle.mean() < 0.45
    y = np.arange(body.back_y_mm - 9, body.back_y_mm, 0.5)
    skin = map_coordinates(
        body.colour[FAT], body.index(np.array([[25.0, value, 0.0] for value in y])), order=1
    )
    assert skin.max() > 0.6


def test_muscles_are_fattier_at_l5_s1_than_at_l1_l2() -> None:
    means = []
    for seed in SEEDS:
        spine, body = shares(seed)
        means.append(
            [
                np.mean(
                    [
                        sample(
                            spine, body, FAT,
                            grid(side * np.arange(10.0, 26, 2), np.arange(18.0, 36, 2),
                                 np.arange(s - 6, s + 7, 3)),
                        ).mean()
                        for side in (-1, 1)
                    ]
                )
                for s in spine.graded_s_mm()[[0, 4]]
            ]
        )  # fmt: skip
    upper, lower = np.mean(means, axis=0)
    assert lower > 1.25 * upper


@pytest.mark.parametrize("seed", SEEDS)
def test_a_dark_aorta_lies_left_before_the_upper_vertebrae(
    seed: int,
) -> None:
    """Flow leaves no signal, so among fat a vessel shows as a lack of it."""
    spine, body = shares(seed)
    x, d = np.arange(-6.0, 21, 1), np.arange(-70.0, -34, 1)
    upper = sample(spine, body, FAT, grid(x, d * spine.size, spine.graded_s_mm()[1:2]))
    dark = upper.reshape(len(x), len(d)) < 0.3
    assert 60 < dark.sum() < 700
    assert x[dark.any(axis=1)].mean() > 2
