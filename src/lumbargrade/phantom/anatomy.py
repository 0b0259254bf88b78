"""Sizes of the structures at the five levels, solved so that the graded measures hit their values.

What must stay true: at least two causes share every narrowing, in proportions drawn at random; the
labels are computed from the measures taken on the solved shapes, not from the severities asked for.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.labels import LEVELS, TARGETS, Side
from lumbargrade.phantom.labels import Latent
from lumbargrade.phantom.measures import (
    FORAMEN_CAP_MM,
    RECESS_CAP_MM,
    SIDE_SIGN,
    Foramen,
    Recess,
    Sac,
    foramen_clearance_mm,
    measure_at_severity,
    plane_grid,
    sac_area_mm2,
    severity_of_measure,
)
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator

_BISECTIONS = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelAnatomy:
    """Everything that is solved at one disc level."""

    s_mm: float
    disc_height_mm: float
    bulge_mm: float
    """d of the posterior disc margin in the midline."""
    hydration: float
    sac: Sac
    sac_centre_d_mm: float
    canal_area_mm2: float
    posterior_fat_mm: float
    recess: dict[Side, Recess]
    foramen: dict[Side, Foramen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The five levels, the measures taken there, and the severities they stand for."""

    levels: tuple[LevelAnatomy, ...]
    measures: Latent
    """mm² for the canal, mm else, in target order."""
    severity: Latent


def solve_anatomy(seed: int, spine: Spine, severity: Latent) -> Anatomy:
    """Build the five levels of the study of a seed so that its measures match a severity."""
    rng = generator(seed, Stream.CAUSES)
    wanted = np.array(
        [
            measure_at_severity(t.condition.family, float(v), spine.size)
            for t, v in zip(TARGETS, severity, strict=True)
        ]
    ).reshape(5, len(LEVELS))
    levels = tuple(
        _solve_level(rng, spine, level, wanted[:, level]) for level in range(len(LEVELS))
    )
    sides = (Side.LEFT, Side.RIGHT)
    measures = np.array(
        [
            [lv.canal_area_mm2 for lv in levels],
            *[[lv.foramen[side].clearance_mm for lv in levels] for side in sides],
            *[[lv.recess[side].width_mm for lv in levels] for side in sides],
        ]
    ).reshape(-1)
    measured = np.array(
        [
            severity_of_measure(t.condition.family, float(m), spine.size, float(v))
            for t, m, v in zip(TARGETS, measures, severity, strict=True)
        ]
    )
    return Anatomy(levels=levels, measures=measures, severity=measured)


def _solve_level(
    rng: np.random.Generator, spine: Spine, level: int, wanted: Float64[np.ndarray, "5"]
) -> LevelAnatomy:
    """Solve foramina, canal and recesses of a level; ``wanted`` in condition order."""
    s = float(spine.graded_s_mm()[level])
    height = float(spine.disc_height_mm[FIRST_GRADED_DISC + level])
    height_loss = float(rng.beta(1.5, 4)) * 0.5
    height *= 1 - height_loss
    foramen = {
        side: _solve_foramen(rng, spine, s, height, float(wanted[1 + i]))
        for i, side in enumerate((Side.LEFT, Side.RIGHT))
    }
    sac, area = _solve_sac(rng, float(wanted[0]), spine.size, last_level=level == 4)
    x, d = plane_grid()
    inside = sac.signed_distance(x, d, sac.fade(0.0)) < 0
    centre_d = float(d[inside].mean()) if inside.any() else sac.centre_d_mm
    uncut_front = sac.centre_d_mm - sac.half_depth_mm
    gap = float(rng.uniform(0.3, 1.0)) * min(1.0, uncut_front)
    recess = {
        side: _solve_recess(rng, sac, (x[inside], d[inside]), side, float(wanted[3 + i]))
        for i, side in enumerate((Side.LEFT, Side.RIGHT))
    }
    return LevelAnatomy(
        s_mm=s,
        disc_height_mm=height,
        bulge_mm=uncut_front + sac.front_cut_mm - gap if level < 4 else sac.front_cut_mm + gap,
        hydration=float(np.clip(rng.normal(0.75 - 1.2 * height_loss, 0.22), 0, 1)),
        sac=sac,
        sac_centre_d_mm=centre_d,
        canal_area_mm2=area,
        posterior_fat_mm=float(rng.uniform(0.3, 3.5)),
        recess=recess,
        foramen=foramen,
    )


def _solve_sac(
    rng: np.random.Generator, wanted_mm2: float, size: float, *, last_level: bool
) -> tuple[Sac, float]:
    """Cut an ellipse from front and back until its smallest area is the one wanted."""
    congenital = rng.normal(185, 28) * size**2
    uncut = max(wanted_mm2 * rng.uniform(1.04, 1.2), congenital)
    aspect = rng.uniform(1.1, 1.5)
    half_depth = float(np.sqrt(uncut / np.pi / aspect))
    share = float(rng.dirichlet([3.0, 3.0])[0])
    front_fat = float(rng.uniform(2.0, 5.0) if last_level else rng.uniform(0.5, 1.5))
    angle = float(np.deg2rad(rng.uniform(32, 50)))
    reach = float(rng.uniform(4.5, 7.0))

    def build(cause: float) -> Sac:
        return Sac(
            half_width_mm=half_depth * aspect,
            half_depth_mm=half_depth,
            centre_d_mm=half_depth + front_fat,
            back_angle_rad=angle,
            front_cut_mm=cause * share,
            back_cut_mm=cause * (1 - share),
            reach_mm=reach,
        )

    low, high = 0.0, 4 * half_depth
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if sac_area_mm2(build(middle)) > wanted_mm2:
            low = middle
        else:
            high = middle
    sac = build(low)
    return sac, sac_area_mm2(sac)


def _solve_recess(
    rng: np.random.Generator,
    sac: Sac,
    inside: tuple[NDArray[np.float64], NDArray[np.float64]],
    side: Side,
    wanted_mm: float,
) -> Recess:
    """Set the facet's face at the wanted distance from sac and root, along its normal."""
    sign = SIDE_SIGN[side]
    x, d = inside
    angle = float(np.deg2rad(rng.uniform(5, 22)))
    normal = np.array([sign * np.cos(angle), np.sin(angle)])
    radius = float(rng.uniform(1.3, 1.9))
    corner = np.array([sign * np.cos(0.6), -np.sin(0.6)])
    if len(x):
        at = int(np.argmax(x * corner[0] + d * corner[1]))
        start = np.array([x[at], d[at]])
    else:
        start = np.array([0.0, sac.centre_d_mm])
    root = start + corner * (radius * 0.7)
    sac_support = float((x * normal[0] + d * normal[1]).max()) if len(x) else -np.inf
    root_support = float(root @ normal) + radius
    if root_support >= sac_support:
        foot = root + normal * radius
    else:
        at = int(np.argmax(x * normal[0] + d * normal[1]))
        foot = np.array([x[at], d[at]])
    narrowest = foot + normal * wanted_mm / 2
    thickening = float(rng.dirichlet([2.0, 2.0])[0])
    tightness = max(0.0, 1 - wanted_mm / RECESS_CAP_MM)
    return Recess(
        root_x_mm=float(root[0]),
        root_d_mm=float(root[1]),
        root_radius_mm=radius,
        face_angle_rad=angle,
        face_mm=max(sac_support, root_support) + wanted_mm,
        narrowest_x_mm=float(narrowest[0]),
        narrowest_d_mm=float(narrowest[1]),
        width_mm=wanted_mm,
        flavum_mm=0.9 + 2.6 * tightness * thickening,
        facet_mm=float(rng.uniform(6.0, 7.5)) + 2.5 * tightness * (1 - thickening),
        joint_fluid_mm=float(rng.uniform(0.3, 1.4)),
        joint_angle_rad=float(np.deg2rad(rng.uniform(20, 50))),
    )


def _solve_foramen(
    rng: np.random.Generator, spine: Spine, s: float, disc_height: float, wanted_mm: float
) -> Foramen:
    """Close the walls on the root until the smallest fat clearance is the one wanted.

    Below zero the root is flattened by as much.
    """
    root = np.array([rng.uniform(1.9, 2.5), rng.uniform(2.2, 3.0)]) * spine.size
    flattened = max(0.0, -wanted_mm)
    root[0] = max(root[0] - flattened / 2, 0.35)
    root_d = float(rng.normal(4.0, 0.6))
    root_height = disc_height / 2 + float(rng.uniform(4.5, 6.5)) * spine.size
    open_by = np.array([0.0, rng.uniform(0, 0.8), rng.uniform(0.3, 2.5)])
    front, back, top = rng.permutation(open_by) if wanted_mm > 0 else (0.0, 0.0, open_by[2])
    bottom = float(rng.uniform(1.0, 3.0))
    stretch = spine.stretch(root_d, s + root_height)
    x_mm = (14.5 + 0.8 * float(rng.normal())) * spine.size + 1.5

    def build(gap: float) -> Foramen:
        return Foramen(
            x_mm=x_mm,
            root_d_mm=root_d,
            root_height_mm=root_height,
            root_half_d_mm=float(root[0]),
            root_half_height_mm=float(root[1]),
            front_mm=root_d - root[0] - gap - front,
            back_mm=root_d + root[0] + gap + back,
            top_mm=root_height + root[1] + gap + top,
            bottom_mm=min(bottom, root_height - root[1] - gap - 1.0),
            corner_mm=min(2.0, float(root[0]) + gap),
            clearance_mm=0.0,
            stretch=stretch,
        )

    low, high = 0.0, FORAMEN_CAP_MM * spine.size + 3
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        if foramen_clearance_mm(build(middle)) > max(wanted_mm, 0.0):
            high = middle
        else:
            low = middle
    solved = build(high)
    clearance = foramen_clearance_mm(solved) - flattened
    return replace(solved, clearance_mm=clearance)
