"""One lateral recess: its shape, and how it is solved.

What must stay true: the facet's face lies at the wanted width from sac and root.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lumbargrade.labels import Side
from lumbargrade.phantom.measures import RECESS_CAP_MM, SIDE_SIGN
from lumbargrade.phantom.sac import Sac

MOST_MEDIAL_ROOT_MM = 6.0
"""A traversing root stays at least this far from the midline, wherever a herniation pushes the sac;
so the facet does, too."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recess:
    """One lateral recess: the facet's face at a set distance from sac and traversing root."""

    root_x_mm: float
    root_d_mm: float
    root_radius_mm: float
    face_angle_rad: float
    """Direction of the facet's face normal, from sideways towards the back."""
    face_mm: float
    """Distance of the face along its normal, from x = d = 0."""
    narrowest_x_mm: float
    narrowest_d_mm: float
    width_mm: float
    flavum_mm: float
    """Soft tissue (flavum, capsule) on the face, before bone begins."""
    facet_mm: float
    """Half-size of the articular mass."""
    joint_fluid_mm: float
    joint_angle_rad: float


def solve_recess(
    rng: np.random.Generator,
    sac: Sac,
    inside: tuple[NDArray[np.float64], NDArray[np.float64]],
    side: Side,
    wanted_mm: float,
) -> Recess:
    """Draw a recess, its facet's face at the wanted distance from sac and root."""
    angle = float(np.deg2rad(rng.uniform(5, 22)))
    radius = float(rng.uniform(1.3, 1.9))
    thickening = float(rng.dirichlet([2.0, 2.0])[0])
    tightness = max(0.0, 1 - wanted_mm / RECESS_CAP_MM)
    drawn = Recess(
        root_x_mm=0.0,
        root_d_mm=0.0,
        root_radius_mm=radius,
        face_angle_rad=angle,
        face_mm=0.0,
        narrowest_x_mm=0.0,
        narrowest_d_mm=0.0,
        width_mm=wanted_mm,
        flavum_mm=0.9 + 2.6 * tightness * thickening,
        facet_mm=float(rng.uniform(6.0, 7.5)) + 2.5 * tightness * (1 - thickening),
        joint_fluid_mm=float(rng.uniform(0.3, 1.4)),
        joint_angle_rad=float(np.deg2rad(rng.uniform(20, 50))),
    )
    return placed_beside(drawn, sac, inside, side)


def placed_beside(
    recess: Recess,
    sac: Sac,
    inside: tuple[NDArray[np.float64], NDArray[np.float64]],
    side: Side,
) -> Recess:
    """Lay the root beside a sac and the face at the recess's width from both, along its normal.

    Args:
        recess: whose width, angle and root's radius are kept.
        sac: it is beside.
        inside: x and d of the grid's places in the sac, in the disc plane.
        side: of the patient.
    """
    sign = SIDE_SIGN[side]
    x, d = inside
    angle, radius, width = recess.face_angle_rad, recess.root_radius_mm, recess.width_mm
    normal = np.array([sign * np.cos(angle), np.sin(angle)])
    corner = np.array([sign * np.cos(0.6), -np.sin(0.6)])
    if len(x):
        at = int(np.argmax(x * corner[0] + d * corner[1]))
        start = np.array([x[at], d[at]])
    else:
        start = np.array([0.0, sac.centre_d_mm])
    root = start + corner * (radius * 0.7)
    root[0] = sign * max(sign * root[0], MOST_MEDIAL_ROOT_MM)
    sac_support = float((x * normal[0] + d * normal[1]).max()) if len(x) else -np.inf
    root_support = float(root @ normal) + radius
    if root_support >= sac_support:
        foot = root + normal * radius
    else:
        at = int(np.argmax(x * normal[0] + d * normal[1]))
        foot = np.array([x[at], d[at]])
    narrowest = foot + normal * width / 2
    return replace(
        recess,
        root_x_mm=float(root[0]),
        root_d_mm=float(root[1]),
        face_mm=max(sac_support, root_support) + width,
        narrowest_x_mm=float(narrowest[0]),
        narrowest_d_mm=float(narrowest[1]),
    )
