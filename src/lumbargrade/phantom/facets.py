"""Facet joints: the articular masses whose medial faces bound the recesses.

What must stay true: the face lies where the recess was solved, at ``Recess.face_mm`` along its
normal; flavum covers it, then cortex, then marrow.
"""

import numpy as np

from lumbargrade.labels import Side
from lumbargrade.phantom.canvas import Canvas, Field, SignedDistance, box_around
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.recess import Recess
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import mixed, soft

_THINNEST_MM = 0.35
"""Of a cortex."""


def paint_facet(
    canvas: Canvas, rng: np.random.Generator, s0: float, recess: Recess, side: Side
) -> None:
    """Superior and inferior articular process with the curved joint between them."""
    sign = SIDE_SIGN[side]
    cos, sin = np.cos(recess.face_angle_rad), np.sin(recess.face_angle_rad)
    size = recess.facet_mm
    v_low = -recess.narrowest_x_mm * sign * sin + recess.narrowest_d_mm * cos - 3.0
    v_mid = v_low + size + 1.0
    extent = float(rng.uniform(9, 11))
    round_mm = float(rng.uniform(3.0, 4.5))
    lumps = rng.normal(0, 0.5, 2)

    def frame(x: Field, d: Field) -> tuple[Field, Field]:
        """Along the face's normal from the middle of the mass, and along the face."""
        u = x * sign * cos + d * sin - recess.face_mm - size
        return u, -x * sign * sin + d * cos - v_mid

    def mass(medial: float, inset: float) -> SignedDistance:
        """The whole mass; its medial face lies ``medial`` inside the solved one."""

        def distance(x: Field, d: Field, s: Field) -> Field:
            u, v = frame(x, d)
            flare = 0.06 * np.maximum(np.abs(s - s0) - 2, 0) ** 1.5
            bumpy = 0.6 * np.sin(0.8 * v + lumps[0]) * np.clip(u / size + 0.4, 0, 1) + inset
            qu = np.maximum(u - size + bumpy, -u - size + medial + inset) + flare + round_mm
            qv = np.abs(v) - size - 1 + bumpy + round_mm
            qs = np.abs(s - s0) - extent + inset + round_mm
            outside = np.sqrt(
                np.maximum(qu, 0) ** 2 + np.maximum(qv, 0) ** 2 + np.maximum(qs, 0) ** 2
            )
            inner = np.minimum(np.maximum(np.maximum(qu, qv), qs), 0)
            return np.asarray(outside + inner - round_mm)

        return distance

    bend = float(rng.uniform(0.02, 0.07))

    def joint(half_width: float) -> SignedDistance:
        def distance(x: Field, d: Field, s: Field) -> Field:
            u, v = frame(x, d)
            angle = recess.joint_angle_rad
            across = u * np.cos(angle) - v * np.sin(angle)
            along = u * np.sin(angle) + v * np.cos(angle)
            line = np.abs(across - bend * along**2 + 0.5 + 0.1 * (s - s0)) - half_width
            return np.asarray(np.maximum(line, mass(recess.flavum_mm, 0.6)(x, d, s)))

        return distance

    corners = np.array(
        [
            [sign * ((recess.face_mm + u) * cos - v * sin), (recess.face_mm + u) * sin + v * cos, s]
            for u in (0, 2 * size)
            for v in (v_low, v_low + 2 * size + 2)
            for s in (s0 - extent, s0 + extent)
        ]
    )
    box = box_around(corners, 1.5)
    flavum = mass(0.0, 0.0)

    def covering(x: Field, d: Field, s: Field) -> Field:
        u, v = frame(x, d)
        return np.asarray(np.maximum(flavum(x, d, s), np.minimum(u + size, v + size + 1) - 4.5))

    sclerosis = float(rng.uniform(0, 0.35))
    fluid = float(rng.random() < 0.4)
    cortex_mm, waves = float(rng.uniform(0.6, 1.1)), rng.uniform(0, 2 * np.pi, 3)

    def inside_cortex(x: Field, d: Field, s: Field) -> Field:
        """The marrow: its cortex is thicker here and thinner there."""
        u, v = frame(x, d)
        uneven = np.sin(0.5 * v + waves[0]) + np.sin(0.45 * (s - s0) + waves[1])
        uneven = uneven + np.sin(0.6 * u + waves[2])
        thick = cortex_mm * (1 + 0.35 * uneven)
        return np.asarray(mass(recess.flavum_mm, 0.0)(x, d, s) + np.maximum(thick, _THINNEST_MM))

    canvas.paint(covering, Tissue.FLAVUM, box)
    canvas.paint(mass(recess.flavum_mm, 0.0), Tissue.CORTEX, box)
    marrow = mixed(canvas, {Tissue.MARROW: 1 - sclerosis, Tissue.CORTEX: sclerosis})
    canvas.paint(inside_cortex, marrow, box, grain=1 - sclerosis)
    width = recess.joint_fluid_mm
    filling = mixed(
        canvas, {Tissue.JOINT_FLUID: 0.1 + 0.9 * fluid, Tissue.ANNULUS: 0.9 - 0.9 * fluid}
    )
    canvas.paint(soft(joint(width / 2 + 0.9), 0.6), Tissue.CORTEX, box)
    canvas.paint(soft(joint(width / 2), 0.6), filling, box)
