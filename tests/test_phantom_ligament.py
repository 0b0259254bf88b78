"""The anterior longitudinal ligament: where it runs, and what it must leave alone."""

from itertools import product

import numpy as np
import pytest

from lumbargrade.phantom.anatomy import solve_anatomy
from lumbargrade.phantom.canvas import STEP_MM, Box, Canvas
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.ligament import paint_anterior_ligament
from lumbargrade.phantom.spine import build_spine
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import body_shape, vertebral_bodies


@pytest.mark.parametrize("seed", [40, 41, 42])
def test_the_ligament_hugs_every_front_and_stays_half_a_vertebra_off_the_canal(seed: int) -> None:
    spine = build_spine(seed)
    anatomy = solve_anatomy(seed, spine, label_model().draw_severity(seed))
    free = [body for body in vertebral_bodies(seed, spine, anatomy) if not body.sacral]
    canvas = Canvas(
        Box(x=(-16, 16), d=(-44, 30), s=(free[-1].bottom_mm - 5, free[0].top_mm + 5)),
        np.ones((1, len(Tissue))),
    )
    paint_anterior_ligament(canvas, seed, free)
    x, d, s = (np.asarray(axis, float) for axis in canvas.axes)
    assert not canvas.coverage[:, d > -0.5 * min(body.depth_mm for body in free)].any()
    midline = int(np.argmin(np.abs(x)))
    for body, share in product(free, (-0.4, -0.1, 0.0, 0.3)):
        row = int(np.argmin(np.abs(s - body.middle_mm - share * body.height_mm)))
        column = canvas.coverage[midline, :, row]
        inside = body_shape(body, 0.0)(np.zeros_like(d), d, np.full_like(d, s[row])) < 0
        front = d[inside.argmax()]
        assert abs(float(np.average(d, weights=column)) - front) < 1.5 * STEP_MM[1]
        assert 0.8 < float(column.sum()) * STEP_MM[1] < 2.6
