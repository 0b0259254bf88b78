"""Herniations into a foramen: how often, how exact their clearance is, what they look like."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import solve_anatomy
from lumbargrade.phantom.canvas import Box, Canvas
from lumbargrade.phantom.foramen import (
    Foramen,
    Herniation,
    draw_herniation,
    foramen_clearance_mm,
    solve_foramen,
)
from lumbargrade.phantom.foramen_causes import draw_foramen_causes
from lumbargrade.phantom.foramen_paint import paint_foramen
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.spine import build_spine
from lumbargrade.phantom.tissue import Tissue

HERNIATION = Herniation(reach_mm=4.0, height_share=0.6, half_height_mm=3.5)


def solved(wanted_mm: float, herniation: Herniation | None) -> Foramen:
    spine = build_spine(40)
    s = float(spine.graded_s_mm()[3])
    rng = np.random.default_rng(0)
    causes = draw_foramen_causes(40, 6, 0.1, herniated=herniation is not None)
    return solve_foramen(rng, spine, Side.LEFT, s, 9.0, wanted_mm, causes, herniation)


def test_herniations_are_more_frequent_in_narrow_foramina_and_rare_in_wide_ones() -> None:
    shares = [
        np.mean([draw_herniation(seed, 7, severity) is not None for seed in range(3000)])
        for severity in (-1.0, 0.5, 1.5)
    ]
    assert shares[0] < 0.006
    assert shares[1] == pytest.approx(0.03, abs=0.012)
    assert shares[2] == pytest.approx(0.06, abs=0.015)


@pytest.mark.parametrize("wanted_mm", [-0.6, 0.3, 1.0, 2.0])
def test_the_clearance_is_the_one_wanted_with_a_herniation_too(wanted_mm: float) -> None:
    foramen = solved(wanted_mm, HERNIATION)
    assert foramen.clearance_mm == pytest.approx(wanted_mm, abs=0.01)
    height = np.array([0.6 * foramen.root_height_mm])
    d = np.array([foramen.root_d_mm])
    plain = replace(foramen, herniation=None)
    nearer = foramen.walls(d, height)[1] - plain.walls(d, height)[1]
    assert nearer[0] == pytest.approx(4.0, abs=1e-6)
    assert foramen_clearance_mm(plain) > max(wanted_mm, 0.0)


@pytest.mark.parametrize("seed", [16, 2091])
def test_studies_with_a_herniation_keep_the_severities_drawn(seed: int) -> None:
    drawn = label_model().draw_severity(seed)
    anatomy = solve_anatomy(seed, build_spine(seed), drawn)
    foramina = [f for level in anatomy.levels for f in level.foramen.values()]
    assert any(f.herniation is not None for f in foramina)
    assert np.abs(anatomy.severity - drawn).max() < 0.01


@pytest.mark.parametrize("herniated", [True, False])
def test_a_herniation_is_painted_as_disc_where_bone_would_be(herniated: bool) -> None:
    level = solve_anatomy(40, build_spine(40), label_model().draw_severity(40)).levels[3]
    foramen = solved(1.0, HERNIATION)
    signals = np.zeros((1, len(Tissue)))
    signals[0, [Tissue.ANNULUS, Tissue.NUCLEUS]] = 1
    box = Box(x=(4, 34), d=(-16, 24), s=(level.s_mm - 12, level.s_mm + 30))
    canvas = Canvas(box, signals)
    painted = foramen if herniated else replace(foramen, herniation=None)
    paint_foramen(canvas, np.random.default_rng(0), level, painted, Side.LEFT)
    height = 0.6 * foramen.root_height_mm
    d = np.array([foramen.front_mm + 1.0, foramen.front_mm + 2.5], np.float32)
    x = np.full_like(d, foramen.x_mm)
    s = np.full_like(d, level.s_mm + height / foramen.stretch)
    disc = map_coordinates(canvas.colour[0], canvas.to_index((x, d, s)), order=1)
    assert (disc > 0.8).all() if herniated else (disc < 0.2).all()
