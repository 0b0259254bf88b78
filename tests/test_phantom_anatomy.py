"""The solved anatomy: measures, severities, and the frame they live in."""

from functools import cache

import numpy as np
import pytest

from lumbargrade.labels import TARGETS, Family, Side
from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.measures import measure_at_severity, severity_of_measure
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.variants import SHARE_OF_VARIANT, Variant

SEEDS = range(40, 46)


@cache
def solved(seed: int) -> tuple[Spine, Anatomy]:
    spine = build_spine(seed)
    return spine, solve_anatomy(seed, spine, label_model().draw_severity(seed))


@pytest.mark.parametrize("family", list(Family))
def test_a_measure_falls_strictly_with_its_severity(family: Family) -> None:
    severities = np.linspace(-1.5, 2.0, 30)
    measures = [measure_at_severity(family, float(s), 1.0) for s in severities]
    assert (np.diff(measures) < 0).all()


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("severity", [-1.9, -0.3, 0.0, 0.7, 1.0, 2.1])
def test_severity_is_recovered_from_its_measure(family: Family, severity: float) -> None:
    measure = measure_at_severity(family, severity, 0.93)
    assert severity_of_measure(family, measure, 0.93, severity) == pytest.approx(severity, abs=1e-9)


@pytest.mark.parametrize("variant", [None, *SHARE_OF_VARIANT])
@pytest.mark.parametrize("seed", SEEDS)
def test_solved_severities_are_those_drawn_within_a_hundredth(
    seed: int, variant: Variant | None
) -> None:
    drawn = label_model().draw_severity(seed)
    anatomy = solve_anatomy(seed, build_spine(seed, variant=variant), drawn)
    assert np.abs(anatomy.severity - drawn).max() < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_sac_area_is_the_count_of_its_pixels(seed: int) -> None:
    _, anatomy = solved(seed)
    step = 0.1
    x, d = np.meshgrid(np.arange(-14, 14, step), np.arange(-2, 26, step), indexing="ij")
    for level, measure in zip(anatomy.levels, anatomy.measures[:5], strict=True):
        areas = [
            float((level.sac.signed_distance(x, d, ds) < 0).sum()) * step**2
            for ds in np.linspace(-4, 4, 9)
        ]
        assert min(areas) == pytest.approx(measure, rel=0.03, abs=1.5)


@pytest.mark.parametrize("seed", SEEDS)
def test_recess_width_is_the_gap_between_face_and_sac_or_root(seed: int) -> None:
    _, anatomy = solved(seed)
    x, d = np.meshgrid(np.arange(-14, 14, 0.1), np.arange(-2, 26, 0.1), indexing="ij")
    for level in anatomy.levels:
        for side, sign in ((Side.LEFT, 1), (Side.RIGHT, -1)):
            recess = level.recess[side]
            normal = np.array([sign * np.cos(recess.face_angle_rad), np.sin(recess.face_angle_rad)])
            inside = level.sac.signed_distance(x, d, 0.0) < 0
            inside |= np.hypot(x - recess.root_x_mm, d - recess.root_d_mm) < recess.root_radius_mm
            reach = (x[inside] * normal[0] + d[inside] * normal[1]).max()
            assert recess.face_mm - reach == pytest.approx(recess.width_mm, abs=0.35)


@pytest.mark.parametrize("seed", SEEDS)
def test_below_zero_clearance_the_root_is_flattened_by_as_much(seed: int) -> None:
    spine = build_spine(seed)
    severity = np.full(len(TARGETS), 1.2)
    tight_levels = solve_anatomy(seed, spine, severity).levels
    severity[5:15] = 2.0
    narrow_levels = solve_anatomy(seed, spine, severity).levels
    for tight, narrow in zip(tight_levels, narrow_levels, strict=True):
        for side in Side:
            clearance = narrow.foramen[side].clearance_mm
            wide, flat = tight.foramen[side], narrow.foramen[side]
            thinner = (
                wide.root_half_d_mm - flat.root_half_d_mm,
                wide.root_half_height_mm - flat.root_half_height_mm,
            )
            lost = tight.foramen[side].clearance_mm - clearance
            assert clearance == pytest.approx(-1.3 * spine.size, abs=0.02)
            assert 2 * sum(thinner) == pytest.approx(lost, abs=0.02)


def test_every_narrow_canal_has_two_causes() -> None:
    for seed in range(40, 80):
        _, anatomy = solved(seed)
        for target, severity in zip(TARGETS, anatomy.severity, strict=True):
            if target.condition.family is Family.CANAL and severity > 0.5:
                sac = anatomy.levels[target.index % 5].sac
                front = sac.margin.broad_mm + sac.margin.focal_mm
                back = (sac.left_cut_mm + sac.right_cut_mm) / 2
                assert min(front, back) > 0.05 * max(front, back)


@pytest.mark.parametrize("variant", [None, Variant.SCOLIOSIS])
@pytest.mark.parametrize("seed", SEEDS)
def test_spine_frame_round_trip_is_exact_to_a_hundredth_mm(
    seed: int, variant: Variant | None
) -> None:
    spine = build_spine(seed, variant=variant)
    for x, d, s in ((0, 0, 0), (12, 5, 40), (-15, 8, 105), (3, -20, 70), (-8, 14, 140)):
        canonical = spine.lps_to_canonical(spine.to_lps(x, d, s))[None]
        start = spine.depth_and_height(canonical[:, 1], canonical[:, 2])
        found = np.concatenate(spine.coordinates(canonical, *start))
        assert found == pytest.approx([x, d, s], abs=0.02)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_patients_left_has_larger_x(seed: int) -> None:
    spine = build_spine(seed)
    assert spine.to_lps(10, 0, 50)[0] > spine.to_lps(-10, 0, 50)[0] + 15


@pytest.mark.parametrize("seed", [2044, 2002, 41])
def test_facets_stay_beside_the_canal_whatever_pushes_the_sac(seed: int) -> None:
    """In 2044 a herniation of 8.7 mm pushes the sac at L3/L4 to the right."""
    for level in solved(seed)[1].levels:
        for side, sign in ((Side.LEFT, 1), (Side.RIGHT, -1)):
            recess = level.recess[side]
            assert sign * recess.root_x_mm >= 6.0
            assert sign * recess.narrowest_x_mm > 4.0
