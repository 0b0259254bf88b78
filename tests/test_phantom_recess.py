"""The recesses' facet faces are still there once everything is painted."""

import numpy as np
import pytest
from scipy.ndimage import map_coordinates

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import solve_anatomy
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.spine import build_spine
from lumbargrade.phantom.tissue import Tissue

SOLID = (Tissue.FLAVUM, Tissue.CORTEX, Tissue.MARROW, Tissue.ANNULUS, Tissue.JOINT_FLUID)
BEHIND_MM = np.arange(0.0, 3.01, 0.25)
"""Along the face, backwards from where the recess is narrowest."""


@pytest.mark.parametrize("seed", [2000, 2002, 2004])
def test_the_painted_facet_fills_what_lies_beyond_the_solved_face(seed: int) -> None:
    """In the disc plane, 0.6 mm beyond the face; where it is not solid, a recess looks wider."""
    spine = build_spine(seed)
    anatomy = solve_anatomy(seed, spine, label_model().draw_severity(seed))
    signals = np.zeros((1, len(Tissue)))
    signals[0, list(SOLID)] = 1
    canvas = paint_spine(seed, spine, anatomy, signals)
    solid = []
    for level in anatomy.levels:
        for side in Side:
            recess, sign = level.recess[side], SIDE_SIGN[side]
            cos, sin = np.cos(recess.face_angle_rad), np.sin(recess.face_angle_rad)
            beyond = recess.width_mm / 2 + 0.6
            x = recess.narrowest_x_mm + sign * (cos * beyond - sin * BEHIND_MM)
            d = recess.narrowest_d_mm + sin * beyond + cos * BEHIND_MM
            s = np.full_like(x, level.s_mm)
            index = canvas.to_index(tuple(v.astype(np.float32) for v in (x, d, s)))
            solid.append(map_coordinates(canvas.colour[0], index, order=1) > 0.5)
    assert np.mean(solid) > 0.8  # a wide recess of L1/L2 may reach the foramen
