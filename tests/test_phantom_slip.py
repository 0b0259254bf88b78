"""Spondylolisthesis: how often, where, and that only the spine's course takes the step."""

from dataclasses import replace

import numpy as np
import pytest

from lumbargrade.phantom.anatomy import solve_anatomy
from lumbargrade.phantom.causes import draw_causes
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.slip import draw_slip, slipped, with_slip
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine, build_spine
from lumbargrade.phantom.variants import Variant

PLACES = ((0, 0, 60), (16, 4, 40), (-15, 8, 33), (0, 9, 31), (12, 5, -8), (-16, 12, 104))


def test_slips_are_few_mostly_forward_at_the_lowest_levels_and_where_it_is_narrow() -> None:
    model = label_model()
    severities = [model.draw_severity(seed) for seed in range(1500)]
    found = [
        (severity[slip[0]], *slip)
        for seed, severity in enumerate(severities)
        if (slip := draw_slip(seed, severity)) is not None
    ]
    canal, level, back = (np.array(column) for column in zip(*found, strict=True))
    assert 0.03 < len(found) / len(severities) < 0.08
    assert np.mean(level >= 3) > 0.85
    assert np.mean(back < 0) > 0.75
    assert 2.0 <= np.abs(back).min() <= np.abs(back).max() <= 6.5
    usual = np.mean([severity[3] for severity in severities])
    assert np.mean(canal[level == 3]) > usual + 0.4
    assert np.min(canal[level == 3]) < usual  # it does not give the level away


@pytest.mark.parametrize("variant", [Variant.NONE, Variant.SCOLIOSIS])
def test_a_slip_moves_what_is_above_the_disc_along_d_and_nothing_below(variant: Variant) -> None:
    spine = build_spine(40, variant=variant)
    other = slipped(spine, 3, -5.0)
    half = float(spine.disc_height_mm[FIRST_GRADED_DISC + 3]) / 2
    disc = float(spine.graded_s_mm()[3])
    for s in (disc + half + 1, disc + 30.0):
        moved = other.to_lps(3, 4, s) - spine.to_lps(3, 4, s)
        assert moved == pytest.approx(-5.0 * spine.size * spine.axes_lps(s)[1], abs=1e-2)
    for s in (disc - half - 1, 0.0):
        assert other.to_lps(3, 4, s) == pytest.approx(spine.to_lps(3, 4, s))


@pytest.mark.parametrize("variant", [Variant.NONE, Variant.SCOLIOSIS])
@pytest.mark.parametrize("back_mm", [-6.5, 3.5])
def test_the_frame_of_a_slipped_spine_leads_back_to_where_it_came_from(
    back_mm: float, variant: Variant
) -> None:
    spine = slipped(build_spine(41, variant=variant), 3, back_mm)
    for place in PLACES:
        canonical = spine.lps_to_canonical(spine.to_lps(*place))[None]
        start = spine.depth_and_height(canonical[:, 1], canonical[:, 2])
        found = np.concatenate(spine.coordinates(canonical, *start))
        assert found == pytest.approx(place, abs=0.02)


def test_heights_beside_a_slip_are_true_millimetres() -> None:
    spine = slipped(build_spine(42, variant=Variant.NONE), 4, -6.0)
    true = np.linalg.norm(spine.to_lps(15, 4, 12.5) - spine.to_lps(15, 4, 11.5))
    assert spine.stretch(15, 4, 12) == pytest.approx(true, rel=0.005)


@pytest.mark.parametrize("seed", [43, 45])
def test_severities_of_a_slipped_level_are_the_ones_drawn(seed: int) -> None:
    """The slip narrows canal and foramina as a part of what is measured, not beside it."""
    drawn = label_model().draw_severity(seed)
    spine = slipped(build_spine(seed), 3, -5.0)
    anatomy = solve_anatomy(seed, spine, drawn)
    assert np.abs(anatomy.severity - drawn).max() < 0.01
    level = anatomy.levels[3]
    assert level.sac.margin.focal_mm == 0
    assert level.disc_height_mm < 0.66 * float(spine.disc_height_mm[FIRST_GRADED_DISC + 3])


def test_a_slip_changes_no_cause_but_height_and_herniation() -> None:
    for seed in range(30):
        severity = np.full(5, 0.5)
        without, slip = (draw_causes(seed, 3, severity, 1.0, mm) for mm in (0.0, -5.0))
        assert slip.height_loss >= max(without.height_loss, 0.35) - 1e-9
        assert slip.margin.focal_mm == 0
        total = without.margin.broad_mm + without.margin.focal_mm / 1.6
        assert slip.margin.broad_mm == pytest.approx(total)
        assert replace(slip, margin=without.margin, height_loss=without.height_loss) == without


def test_a_study_without_a_slip_keeps_its_spine() -> None:
    spine: Spine = build_spine(0)
    assert with_slip(0, spine, label_model().draw_severity(0)) is spine
