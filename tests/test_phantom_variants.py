"""Anatomical variants: how many, what is unusual about them, and that nothing else changes."""

from collections import Counter
from dataclasses import fields, replace

import numpy as np
import pytest

from lumbargrade.labels import TARGETS, Family, Side
from lumbargrade.phantom.acquisition import Scanner
from lumbargrade.phantom.anatomy import solve_anatomy
from lumbargrade.phantom.body import build_body
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.planes import plane_affine
from lumbargrade.phantom.protocol import plan_study
from lumbargrade.phantom.slip import slipped
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine, build_spine
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.truth import true_points
from lumbargrade.phantom.variants import SHARE_OF_VARIANT, SpineForm, Variant, draw_variant
from phantom_series import stored_as_planned


def test_each_variant_has_its_share_and_all_together_a_few_per_cent() -> None:
    seeds = 20_000
    counts = Counter(draw_variant(seed) for seed in range(seeds))
    for variant, share in SHARE_OF_VARIANT.items():
        assert counts[variant] / seeds == pytest.approx(share, abs=0.003)
    assert 0.02 < sum(SHARE_OF_VARIANT.values()) < 0.1


def test_a_usual_spine_departs_in_nothing() -> None:
    usual = SpineForm()
    for item in fields(SpineForm):
        neutral = 1.0 if item.name in {"pitch", "disc_height", "girth"} else 0.0
        if item.name != "variant":
            assert (np.array(getattr(usual, item.name)) == neutral).all()
    assert build_spine(2000).form.variant is Variant.NONE
    assert build_spine(2000).curve is None


@pytest.mark.parametrize(("variant", "sign"), [(Variant.FOUR_LUMBAR, -1), (Variant.SIX_LUMBAR, 1)])
def test_counted_from_the_sacrum_upper_levels_of_a_short_spine_are_smaller(
    variant: Variant, sign: int
) -> None:
    usual, other = build_spine(50, variant=Variant.NONE), build_spine(50, variant=variant)
    assert other.graded_s_mm()[4] == usual.graded_s_mm()[4] == 0
    assert sign * (other.disc_s_mm[0] - usual.disc_s_mm[0]) > 3
    assert sign * (other.disc_height_mm[2] - usual.disc_height_mm[2]) > 0.5
    assert sign * other.form.landmarks_mm > 5


def test_a_sacralised_l5_has_a_low_disc_below_it() -> None:
    usual, other = (
        build_spine(50, variant=variant) for variant in (Variant.NONE, Variant.SACRALISED_L5)
    )
    ratio = other.disc_height_mm / usual.disc_height_mm
    assert 0.45 <= ratio[FIRST_GRADED_DISC + 4] <= 0.65
    assert np.delete(ratio, FIRST_GRADED_DISC + 4) == pytest.approx(1)


def curved(seed: int) -> Spine:
    return build_spine(seed, variant=Variant.SCOLIOSIS)


@pytest.mark.parametrize("seed", range(40, 46))
def test_a_scoliosis_has_the_cobb_angle_drawn_and_turns_to_its_bulge(seed: int) -> None:
    spine = curved(seed)
    assert spine.curve is not None
    apex = spine.form.apex_mm * spine.size
    lumbar = (spine.s_mm > 0) & (spine.s_mm < 1.6 * apex)
    lean = np.rad2deg(np.arcsin(spine.curve.axes[lumbar, 2, 0]))
    assert lean.max() - lean.min() == pytest.approx(abs(spine.form.cobb_deg), abs=0.1)
    sign = np.sign(spine.form.cobb_deg)
    bulge = np.interp(apex, spine.s_mm, spine.bend_mm) - np.interp(0, spine.s_mm, spine.bend_mm)
    assert sign * bulge > 2
    front = -np.array(spine.curve.axes_at(np.array(apex)))[1]
    assert sign * front[0] == pytest.approx(
        np.sin(np.deg2rad(abs(spine.form.apical_rotation_deg))), abs=0.02
    )


@pytest.mark.parametrize("seed", range(40, 46))
def test_x_and_d_are_true_millimetres_in_every_plane_of_a_scoliosis(seed: int) -> None:
    spine = curved(seed)
    for s in (0.0, 30.0, 66.0, 104.0):
        places = [(0, 0), (16, 0), (0, 12), (-16, 12), (-10, -30)]
        lps = np.array([spine.to_lps(x, d, s) for x, d in places])
        flat = np.array(places, dtype=float)
        found = np.linalg.norm(lps[:, None] - lps[None], axis=2)
        assert found == pytest.approx(np.linalg.norm(flat[:, None] - flat[None], axis=2), abs=1e-3)
        assert np.abs((lps - lps[0]) @ spine.axes_lps(s)[2]).max() < 1e-3


@pytest.mark.parametrize("seed", [40, 43])
def test_heights_in_a_foramen_of_a_scoliosis_are_true_millimetres(seed: int) -> None:
    spine = curved(seed)
    s = float(spine.graded_s_mm()[2])
    for side in Side:
        x = SIDE_SIGN[side] * 16.0
        true = np.linalg.norm(spine.to_lps(x, 4, s + 6.5) - spine.to_lps(x, 4, s + 5.5))
        assert spine.stretch(x, 4, s + 6) == pytest.approx(true, rel=0.02)


def test_sagittal_stacks_hold_every_foramen_of_a_scoliosis() -> None:
    for seed in range(40, 60):
        spine = curved(seed)
        anatomy = solve_anatomy(seed, spine, label_model().draw_severity(seed))
        stored = stored_as_planned(seed, spine)
        for point in true_points(spine, anatomy, stored):
            assert point.variant is Variant.SCOLIOSIS
            if point.target is not None and point.target.condition.family is Family.FORAMINAL:
                assert point.covered, (seed, point.target)


@pytest.mark.parametrize("kind", ["usual", "scoliosis", "slip"])
def test_a_scanned_plane_shows_the_sac_where_the_canal_point_says(kind: str) -> None:
    """Through the frame's inverse, as the scanner uses it, and not by what planted the point."""
    seed = 40
    variant = Variant.SCOLIOSIS if kind == "scoliosis" else Variant.NONE
    spine = build_spine(seed, variant=variant)
    if kind == "slip":
        spine = slipped(spine, 3, -6.0)
    severity = np.full(len(TARGETS), -1.0)
    anatomy = solve_anatomy(seed, spine, severity)
    signals = np.zeros((1, len(Tissue)))
    signals[0, [Tissue.CSF, Tissue.CORD, Tissue.ROOT]] = 1
    body = build_body(seed, spine, np.zeros((1, len(Tissue))))
    scanner = Scanner(spine, paint_spine(seed, spine, anatomy, signals), body, 0)
    protocol = next(p for p in plan_study(seed, spine) if p.faults.saturation_band is None)
    for level in anatomy.levels[1:]:
        point = spine.to_lps(level.sac_centre_x_mm, level.sac_centre_d_mm, level.s_mm)
        x_axis, d_axis, _ = spine.axes_lps(level.s_mm)
        corner = point - 12.0 * (x_axis + d_axis)
        affine = plane_affine(corner, d_axis, x_axis, (0.5, 0.5), 4.0)
        planned = replace(protocol, acquired=(49, 49), thickness_mm=1.0)
        image = scanner.sample_slice(planned, affine)
        fluid = image > 0.5 * image.max()
        row, column = (np.average(index, weights=fluid) for index in np.indices(image.shape))
        assert np.hypot(row - 24, column - 24) * 0.5 < 1.0, level.s_mm
