"""The canal of the phantom: causes of a level, the sac along the canal, herniations."""

from functools import cache

import numpy as np
import pytest

from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.causes import draw_causes
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.disc_margin import DiscMargin
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.sac import PLANES_MM
from lumbargrade.phantom.spine import Spine, build_spine

SEEDS = (40, 41, 2003)


@cache
def solved(seed: int) -> tuple[Spine, Anatomy]:
    spine = build_spine(seed)
    return spine, solve_anatomy(seed, spine, label_model().draw_severity(seed))


@pytest.mark.parametrize("seed", SEEDS)
def test_sac_along_the_canal_is_the_solved_one_at_every_disc(seed: int) -> None:
    spine, anatomy = solved(seed)
    shape = SacCourse(seed, spine, anatomy).shape()
    x, d = np.meshgrid(np.arange(-14, 14, 0.2), np.arange(-2, 26, 0.2), indexing="ij")
    for level in anatomy.levels:
        along = shape(x[..., None], d[..., None], np.full((1, 1, 1), level.s_mm))[..., 0]
        assert np.abs(along - level.sac.signed_distance(x, d, 0.0)).max() < 1e-6


@pytest.mark.parametrize("seed", SEEDS)
def test_sac_along_the_canal_has_its_measured_area_around_every_disc(seed: int) -> None:
    spine, anatomy = solved(seed)
    shape = SacCourse(seed, spine, anatomy).shape()
    x, d = np.meshgrid(np.arange(-14, 14, 0.2), np.arange(-2, 26, 0.2), indexing="ij")
    for level, measure in zip(anatomy.levels, anatomy.measures[:5], strict=True):
        s = level.s_mm + np.sort(PLANES_MM)[None, None]
        areas = (shape(x[..., None], d[..., None], s) < 0).sum((0, 1)) * 0.2**2
        assert areas.min() == pytest.approx(measure, rel=0.06, abs=2.5)


@pytest.mark.parametrize("seed", SEEDS)
def test_sac_is_closed_above_s3_and_open_at_l1(seed: int) -> None:
    spine, anatomy = solved(seed)
    course = SacCourse(seed, spine, anatomy)
    assert spine.disc_s_mm[-1] - 6 < course.end_mm < spine.disc_s_mm[-2]
    centre = np.full((1, 1, 1), float(course.centre_d(course.end_mm + 3)))
    zero = np.zeros((1, 1, 1))
    assert course.shape()(zero, centre, zero + course.end_mm - 1) > 0


def test_discs_of_severe_levels_lose_more_height() -> None:
    mild = [draw_causes(seed, 3, np.full(5, -1.5), 1.0).height_loss for seed in range(150)]
    severe = [draw_causes(seed, 3, np.full(5, 1.2), 1.0).height_loss for seed in range(150)]
    assert np.mean(severe) > np.mean(mild) + 0.15
    assert np.max(mild) > np.quantile(severe, 0.1)  # one sign does not give the level away


@pytest.mark.parametrize(("left", "right"), [(1.5, -0.5), (-0.5, 1.5)])
def test_herniations_and_thick_flavum_prefer_the_side_of_the_narrower_recess(
    left: float, right: float
) -> None:
    severity = np.array([0.5, 0.0, 0.0, left, right])
    causes = [draw_causes(seed, 3, severity, 1.0) for seed in range(300)]
    sides = [np.sign(c.margin.focal_x_mm) for c in causes if c.margin.focal_mm > 0]
    assert 60 < len(sides) < 240
    assert np.mean(sides) * np.sign(left - right) > 0.5
    flavum = np.mean([c.left_share - c.right_share for c in causes])
    assert flavum * np.sign(left - right) > 0.05


def test_front_and_back_always_share_a_narrowing() -> None:
    for seed in range(200):
        causes = draw_causes(seed, 2, np.full(5, 1.0), 1.0)
        front = causes.margin.broad_mm + causes.margin.focal_mm / 1.6
        back = (causes.left_share + causes.right_share) / 2
        assert front + back == pytest.approx(1)
        assert min(front, back) > 0.07


def test_a_migrated_herniation_pushes_along_its_path_and_not_beyond_the_other_way() -> None:
    margin = DiscMargin(
        broad_mm=0.0, focal_mm=4.0, focal_x_mm=5.0, focal_width_mm=3.0, migration_mm=-6.0,
        focal_reach_mm=2.0, reach_mm=5.0,
    )  # fmt: skip
    assert margin.push(5.0, -6.0) == pytest.approx(4.0)
    assert margin.push(5.0, 6.0) < 0.1
    assert margin.push(-5.0, 0.0) < 0.1
