"""The texture of marrow: its scales, its patches of fat, and that all bones are painted with it."""

from functools import cache

import numpy as np
import pytest
from jaxtyping import Float32
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.arch import paint_arch
from lumbargrade.phantom.canvas import STEP_MM, Box, Canvas, Field
from lumbargrade.phantom.course import SacCourse
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.marrow import marrow_texture
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.tissue import Sequence, Tissue, tissue_signals
from lumbargrade.phantom.veins import paint_tributaries
from lumbargrade.phantom.vertebra import Body, body_shape, paint_body, vertebral_bodies

T2 = Sequence(echo_time_ms=100, repetition_time_ms=3500, inversion_time_ms=None, field_t=1.5)
SATURATED = Sequence(
    echo_time_ms=60, repetition_time_ms=3500, inversion_time_ms=None, field_t=1.5,
    fat_saturated=True,
)  # fmt: skip
SEEDS = tuple(range(40, 46))


@cache
def block(seed: int) -> Float32[np.ndarray, "contrast x d s"]:
    return marrow_texture(seed, np.stack([tissue_signals(seed, q) for q in (T2, SATURATED)]))


@cache
def spine_of(seed: int) -> tuple[Spine, Anatomy, list[Body]]:
    spine = build_spine(seed)
    anatomy = solve_anatomy(seed, spine, label_model().draw_severity(seed))
    return spine, anatomy, vertebral_bodies(seed, spine, anatomy)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_texture_is_uneven_about_nothing_and_goes_on_past_its_ends(seed: int) -> None:
    field = block(seed)[0]
    assert abs(float(field.mean())) < 0.005
    assert 0.04 < float(field.std()) < 0.2
    for axis in range(3):
        across = field.take(0, axis=axis) - field.take(-1, axis=axis)
        inside = field.take(41, axis=axis) - field.take(40, axis=axis)
        assert float(across.std()) == pytest.approx(float(inside.std()), rel=0.2)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_texture_has_fine_and_coarse_parts(seed: int) -> None:
    field = block(seed)[0].astype(np.float64)
    left = [
        float(gaussian_filter(field, width / np.array(STEP_MM), mode="wrap").std() / field.std())
        for width in (0.5, 1.5, 3.0)
    ]
    assert left[0] < 0.98
    assert left[0] - left[1] > 0.06
    assert left[2] > 0.15


def test_patches_are_bright_where_fat_is_and_dark_where_it_is_suppressed() -> None:
    coarse = [
        [gaussian_filter(part.astype(np.float64), 5, mode="wrap").ravel() for part in block(seed)]
        for seed in SEEDS
    ]
    assert np.median([np.corrcoef(a, b)[0, 1] for a, b in coarse]) < 0.3


def test_patches_differ_between_patients() -> None:
    strengths = [float(block(seed)[0].std()) for seed in range(40, 52)]
    assert max(strengths) > 1.4 * min(strengths)


def bone(seed: int, *, textured: bool) -> tuple[Canvas, Body]:
    """One vertebra and its arch, marrow alone bright."""
    spine, anatomy, bodies = spine_of(seed)
    body = next(b for b in bodies if b.index == 4)
    signals = np.zeros((1, len(Tissue)))
    signals[0, Tissue.MARROW], signals[0, Tissue.FAT] = 1.0, 1.4
    canvas = Canvas(
        Box(x=(-24, 24), d=(-40, 50), s=(body.bottom_mm - 12, body.top_mm + 2)), signals
    )
    if textured:
        canvas.marrow = marrow_texture(seed, signals)
    paint_body(canvas, seed, body)
    paint_arch(canvas, seed, body, SacCourse(seed, spine, anatomy))
    return canvas, body


def inner(canvas: Canvas, where: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Grey of marrow away from any cortex."""
    marrow = gaussian_filter((canvas.colour[0] > 0.6).astype(np.float32), 1.5) > 0.97
    return np.asarray(canvas.colour[0][marrow & where])


def test_pedicles_and_laminae_have_the_texture_of_the_body() -> None:
    (rough, body), (flat, _) = bone(41, textured=True), bone(41, textured=False)
    x, d, _ = rough.axes
    pedicle = np.zeros(rough.coverage.shape, bool)
    pedicle[np.abs(np.abs(x) - body.pedicle_x_mm) < 4] = True
    pedicle[:, d < 3] = False
    behind = np.zeros_like(pedicle)
    behind[:, d > 22] = True
    for where in (pedicle, behind):
        assert inner(flat, where).std() < 0.01
        assert inner(rough, where).std() > 0.04
        assert inner(rough, where).size > 300


def test_tributaries_stay_in_the_body() -> None:
    for seed in SEEDS:
        body = next(b for b in spine_of(seed)[2] if b.index == 4)
        box = Box(x=(-32, 32), d=(-44, 8), s=(body.bottom_mm - 3, body.top_mm + 3))
        canvas = Canvas(box, np.ones((1, len(Tissue))))
        paint_tributaries(canvas, seed, body)
        x, d, s = (np.asarray(axis, float) for axis in canvas.axes)
        places: tuple[Field, Field, Field] = (x[:, None, None], d[None, :, None], s[None, None])
        outside = body_shape(body, 0.0)(*places) > 0
        assert canvas.coverage.max() > 0.2
        assert not (canvas.coverage[outside] > 0.2).any()
