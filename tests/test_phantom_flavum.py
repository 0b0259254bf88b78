"""The ligamentum flavum: how thick it is painted, and the fat between the two behind the sac."""

from functools import cache

import numpy as np
import pytest

from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.canvas import STEP_MM, Box, Canvas
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.flavum import paint_flavum
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.tissue import Sequence, Tissue, tissue_signals

LIGAMENT, FAT = range(2)
SEEDS = tuple(range(40, 52))


@cache
def solved(seed: int, canal: float) -> tuple[Spine, Anatomy]:
    spine = build_spine(seed)
    severity = label_model().draw_severity(seed)
    severity[:5] = canal
    return spine, solve_anatomy(seed, spine, severity)


@cache
def painted(seed: int, canal: float) -> Canvas:
    """L4/L5 alone, as two "contrasts": the ligament, and fat."""
    spine, anatomy = solved(seed, canal)
    level = anatomy.levels[3]
    signals = np.zeros((2, len(Tissue)))
    signals[LIGAMENT, Tissue.FLAVUM] = signals[FAT, Tissue.FAT] = 1
    canvas = Canvas(Box(x=(-16, 16), d=(-2, 34), s=(level.s_mm - 1, level.s_mm + 1)), signals)
    paint_flavum(canvas, seed, 3, level, SacCourse(seed, spine, anatomy))
    return canvas


def thickness_mm(seed: int, canal: float) -> float:
    """Median over both sides, 3 to 7 mm beside the midline, across the ligament."""
    canvas = painted(seed, canal)
    x, _, s = canvas.axes
    beside = (np.abs(x) > 3) & (np.abs(x) < 7)
    ligament = canvas.colour[LIGAMENT, beside][:, :, len(s) // 2] > 0.5
    angle = solved(seed, canal)[1].levels[3].causes.form.back_angle_rad
    return float(np.median(ligament.sum(axis=1)) * STEP_MM[1] * np.cos(angle))


def test_it_is_2_to_5_mm_thick_and_thicker_where_the_canal_is_narrow() -> None:
    mild = np.array([thickness_mm(seed, -1.5) for seed in SEEDS])
    severe = np.array([thickness_mm(seed, 1.5) for seed in SEEDS])
    assert mild.min() > 1.5
    assert np.median(mild) < 3.8
    assert np.median(severe) < 5
    assert np.quantile(severe, 0.8) < 6  # more where it is cut aslant, at a buckle
    assert np.median(severe) > np.median(mild) + 0.7


@pytest.mark.parametrize("canal", [-1.5, 1.5])
@pytest.mark.parametrize("seed", SEEDS[:6])
def test_it_lies_behind_the_sac_with_a_film_of_fat_between(seed: int, canal: float) -> None:
    canvas = painted(seed, canal)
    level = solved(seed, canal)[1].levels[3]
    x, d, s = canvas.axes
    k = len(s) // 2
    sac = level.sac.signed_distance(x[:, None], d[None], float(s[k]) - level.s_mm)
    assert not (canvas.colour[LIGAMENT, :, :, k][sac < 0] > 0.5).any()


def test_a_pad_of_fat_lies_between_the_two_and_differs_in_size() -> None:
    sizes = []
    for seed in SEEDS:
        canvas = painted(seed, -1.5)
        x, _, s = canvas.axes
        fat = canvas.colour[FAT, np.abs(x) < 4][:, :, len(s) // 2]
        sizes.append(float(fat.sum()) * STEP_MM[0] * STEP_MM[1])
    assert min(sizes) > 1
    assert max(sizes) > 3 * min(sizes)


def test_it_is_darker_than_muscle_on_t2_and_not_black() -> None:
    t2 = Sequence(echo_time_ms=100, repetition_time_ms=3500, inversion_time_ms=None, field_t=1.5)
    for seed in SEEDS:
        signals = tissue_signals(seed, t2)
        share = signals[Tissue.FLAVUM] / signals[Tissue.MUSCLE]
        assert 0.25 < share < 0.95
        assert signals[Tissue.FLAVUM] > 5 * signals[Tissue.CORTEX]
