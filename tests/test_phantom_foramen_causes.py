"""What narrows a foramen: the mix of causes, and the fat it leaves on each side of the root."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from lumbargrade.labels import Side
from lumbargrade.phantom.foramen import Foramen, root_outline, solve_foramen
from lumbargrade.phantom.foramen_causes import ForamenCauses, draw_foramen_causes
from lumbargrade.phantom.spine import build_spine

SEEDS = range(60)
FRONT, BACK, ABOVE, BELOW = range(4)


def drawn(seed: int) -> ForamenCauses:
    return draw_foramen_causes(seed, 3, 0.15, herniated=False)


@cache
def solved(seed: int, wanted_mm: float) -> Foramen:
    spine = build_spine(40)
    rng = np.random.default_rng(seed)
    return solve_foramen(
        rng, spine, Side.LEFT, float(spine.graded_s_mm()[3]), 9.0, wanted_mm, drawn(seed)
    )


def fat_mm(foramen: Foramen) -> NDArray[np.float64]:
    """Fat in front of, behind, above and below the root, at its middle."""
    d, height = root_outline(foramen)
    ways = np.array([[-1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    reach = np.arange(0, 12, 0.02)
    result = []
    for way in ways:
        places = (
            np.array([foramen.root_d_mm, foramen.root_height_mm])[:, None] + way[:, None] * reach
        )
        outside = foramen.signed_distance(*places) > 0
        own = ((d - foramen.root_d_mm) * way[0] + (height - foramen.root_height_mm) * way[1]).max()
        result.append(reach[outside.argmax()] - own)
    return np.array(result)


def test_shares_add_up_and_the_leading_cause_leaves_no_spare_fat() -> None:
    for seed in SEEDS:
        causes = drawn(seed)
        shares = [causes.front, causes.back, causes.above, causes.below]
        assert sum(shares) == pytest.approx(1)
        spare = causes.spare_mm(0.0)
        assert spare[np.argmax(shares)] == 0
        assert (causes.spare_mm(1.5) <= spare).all()


@pytest.mark.parametrize("seed", range(12))
def test_the_clearance_is_the_one_wanted_whatever_the_mix(seed: int) -> None:
    for wanted_mm in np.linspace(-1.8, 3.5, 12):
        foramen = solved(seed, float(wanted_mm))
        assert foramen.clearance_mm == pytest.approx(wanted_mm, abs=0.01)


def test_severe_foramina_close_on_different_sides() -> None:
    fat = np.array([fat_mm(solved(seed, -0.3)) for seed in SEEDS])
    leading = np.bincount(fat.argmin(axis=1), minlength=4)
    assert (leading >= 2).all()
    assert leading.max() < 40
    assert (fat.std(axis=0) > 0.3).all()
    lost = fat < 0.5
    assert 0.03 < np.mean(lost.all(axis=1)) < 0.6  # all around
    assert np.mean(lost[:, FRONT] != lost[:, BACK]) > 0.15
    assert np.mean(lost[:, ABOVE] != lost[:, BELOW]) > 0.15


def test_roots_are_flattened_in_height_where_above_and_below_lead() -> None:
    for seed in SEEDS:
        causes = drawn(seed)
        assert causes.flat_in_height == (causes.above + causes.below > 0.5)
        tight, wide = solved(seed, -1.2), solved(seed, 0.0)
        thinner = wide.root_half_height_mm - tight.root_half_height_mm
        assert (thinner > 0.1) == causes.flat_in_height


def test_height_lost_by_the_disc_makes_narrowing_from_above_and_below_more_frequent() -> None:
    def often(loss: float) -> float:
        mixes = [draw_foramen_causes(seed, 0, loss, herniated=False) for seed in range(600)]
        return float(np.mean([mix.flat_in_height for mix in mixes]))

    assert often(0.5) > often(0.0) + 0.04
    herniated = [draw_foramen_causes(seed, 0, 0.5, herniated=True) for seed in range(200)]
    assert np.mean([mix.front for mix in herniated]) > 0.5
