"""Facet joints: the articular masses whose medial faces bound the recesses.

What must stay true: the face lies where the recess was solved, at ``Recess.face_mm`` along its
normal; soft tissue covers it, then cortex, then marrow.
"""

import numpy as np

from lumbargrade.labels import Side
from lumbargrade.phantom.canvas import Canvas, Field, SignedDistance, box_around
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.recess import Recess
from lumbargrade.phantom.tissue import Tissue


def paint_facet(
    canvas: Canvas, rng: np.random.Generator, s0: float, recess: Recess, side: Side
) -> None:
    """Articular mass whose medial face bounds the recess, with its joint line."""
    sign = SIDE_SIGN[side]
    cos, sin = np.cos(recess.face_angle_rad), np.sin(recess.face_angle_rad)
    size = recess.facet_mm
    v_low = -recess.narrowest_x_mm * sign * sin + recess.narrowest_d_mm * cos - 3.0
    v_mid = v_low + size + 1.0
    extent = float(rng.uniform(9, 11))

    def block(inset: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            u = x * sign * cos + d * sin - recess.face_mm - size
            v = -x * sign * sin + d * cos - v_mid
            flare = 0.06 * np.maximum(np.abs(s - s0) - 2, 0) ** 1.5
            qu, qv = np.abs(u) - size + inset + flare + 2, np.abs(v) - size - 1 + inset + 2
            qs = np.abs(s - s0) - extent + inset + 2
            outside = np.sqrt(
                np.maximum(qu, 0) ** 2 + np.maximum(qv, 0) ** 2 + np.maximum(qs, 0) ** 2
            )
            return np.asarray(outside + np.minimum(np.maximum(np.maximum(qu, qv), qs), 0) - 2)

        return distance

    def joint(x: Field, d: Field, s: Field) -> Field:
        u = x * sign * cos + d * sin - recess.face_mm - size
        v = -x * sign * sin + d * cos - v_mid
        line = u * np.cos(recess.joint_angle_rad) - v * np.sin(recess.joint_angle_rad)
        return np.asarray(np.maximum(np.abs(line), block(1.0)(x, d, s)))

    corners = np.array(
        [
            [sign * ((recess.face_mm + u) * cos - v * sin), (recess.face_mm + u) * sin + v * cos, s]
            for u in (0, 2 * size)
            for v in (v_low, v_low + 2 * size + 2)
            for s in (s0 - extent, s0 + extent)
        ]
    )
    box = box_around(corners, 1.5)
    canvas.paint(block(0.0), Tissue.FLAVUM, box)
    canvas.paint(block(recess.flavum_mm), Tissue.CORTEX, box)
    canvas.paint(block(recess.flavum_mm + 0.9), Tissue.MARROW, box)

    def thick(half_width: float) -> SignedDistance:
        return lambda x, d, s: joint(x, d, s) - half_width

    canvas.paint(thick(recess.joint_fluid_mm / 2 + 1.0), Tissue.CORTEX, box)
    canvas.paint(thick(recess.joint_fluid_mm / 2), Tissue.JOINT_FLUID, box)
