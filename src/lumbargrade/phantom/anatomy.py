"""Sizes of the structures at the five levels, solved so that the graded measures hit their values.

What must stay true: canal, recess and foramen each have one measure, monotone in its severity S
(PHANTOM section 2); at least two causes share every narrowing, in proportions drawn at random; the
labels are computed from the measures taken here, not from the severities asked for.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.labels import LEVELS, TARGETS, Family, Side
from lumbargrade.phantom.labels import Latent
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator

CANAL_CAP_MM2 = 260.0
RECESS_CAP_MM, RECESS_FLOOR_MM = 8.0, 0.2
FORAMEN_CAP_MM = 4.0
GRID_MM = 0.25
"""Resolution at which measures are taken."""

CANAL_REACH_MM = 4.0
"""The sac is measured within this distance of the disc."""

_BISECTIONS = 26
SIDE_SIGN = {Side.LEFT: 1.0, Side.RIGHT: -1.0}
"""Sign of x on each side."""


def measure_at_severity(family: Family, severity: float, size: float) -> float:
    """The measure (mm² or mm) that a severity asks for in a patient of size k."""
    if family is Family.CANAL:
        unit = 100 * np.exp(-0.45 * severity) if severity >= 0 else 100 - 45 * severity
        return float(size**2 * min(unit, CANAL_CAP_MM2))
    if family is Family.SUBARTICULAR:
        return float(size * np.clip(3.5 - 1.5 * severity, RECESS_FLOOR_MM, RECESS_CAP_MM))
    return float(size * min(1.3 - 1.3 * severity, FORAMEN_CAP_MM))


def severity_of_measure(family: Family, measure: float, size: float, drawn: float) -> float:
    """Inverse of :func:`measure_at_severity`; the drawn severity where a cap or floor is active."""
    if family is Family.CANAL:
        unit = measure / size**2
        if 100 - 45 * drawn > CANAL_CAP_MM2:
            return drawn
        return float(-np.log(unit / 100) / 0.45) if unit < 100 else (100 - unit) / 45
    unit = measure / size
    if family is Family.SUBARTICULAR:
        capped = not RECESS_FLOOR_MM <= 3.5 - 1.5 * drawn <= RECESS_CAP_MM
        return drawn if capped else (3.5 - unit) / 1.5
    return drawn if 1.3 - 1.3 * drawn > FORAMEN_CAP_MM else (1.3 - unit) / 1.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Sac:
    """The dural sac around one disc: an ellipse, cut from the front and twice from behind."""

    half_width_mm: float
    half_depth_mm: float
    centre_d_mm: float
    back_angle_rad: float
    """Direction of the two posterior cuts, from straight back towards the side."""
    front_cut_mm: float
    """How far the bulge pushes the front of the sac back, at the disc."""
    back_cut_mm: float
    """How far flavum and facets push its back forward, at the disc."""
    reach_mm: float
    """Extent of the narrowing along s."""

    def back_support_mm(self) -> float:
        """Distance of the uncut back, along the direction of the cuts."""
        sin, cos = np.sin(self.back_angle_rad), np.cos(self.back_angle_rad)
        return float(
            np.hypot(self.half_width_mm * sin, self.half_depth_mm * cos) + self.centre_d_mm * cos
        )

    def fade(self, ds: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Share of the narrowing at a distance ds from the disc: 1 within 1.5 mm."""
        beyond = np.maximum(np.abs(ds) - 1.5, 0) / self.reach_mm
        return np.asarray(np.exp(-(beyond**2)))

    def signed_distance(
        self, x: NDArray[np.float64], d: NDArray[np.float64], fade: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Approximate signed distance (mm, negative inside) in a plane across the canal."""
        sin, cos = np.sin(self.back_angle_rad), np.cos(self.back_angle_rad)
        radius = np.hypot(x / self.half_width_mm, (d - self.centre_d_mm) / self.half_depth_mm)
        ellipse = (radius - 1) * min(self.half_width_mm, self.half_depth_mm)
        front = self.centre_d_mm - self.half_depth_mm + self.front_cut_mm * fade - d
        back = np.abs(x) * sin + d * cos - (self.back_support_mm() - self.back_cut_mm * fade)
        return np.maximum(ellipse, np.maximum(front, back))


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Foramen:
    """One foramen at its narrowest section; heights are true mm above the disc plane."""

    x_mm: float
    root_d_mm: float
    root_height_mm: float
    root_half_d_mm: float
    root_half_height_mm: float
    front_mm: float
    """d of the front wall (disc, vertebra)."""
    back_mm: float
    """d of the back wall (superior articular process)."""
    top_mm: float
    """Height of the upper wall (pedicle)."""
    bottom_mm: float
    corner_mm: float
    clearance_mm: float
    stretch: float

    def centroid(self) -> tuple[float, float]:
        """(d, height) of the middle of the section."""
        return (self.front_mm + self.back_mm) / 2, (self.top_mm + self.bottom_mm) / 2

    def signed_distance(
        self,
        d: NDArray[np.float64],
        height: NDArray[np.float64],
        widen: NDArray[np.float64] | float = 0.0,
    ) -> NDArray[np.float64]:
        """Signed distance (mm, negative inside) of the section's wall, a rounded box."""
        cd, ch = self.centroid()
        corner = self.corner_mm
        qd = np.abs(d - cd) - (self.back_mm - self.front_mm) / 2 - widen + corner
        qh = np.abs(height - ch) - (self.top_mm - self.bottom_mm) / 2 - widen + corner
        outside = np.hypot(np.maximum(qd, 0), np.maximum(qh, 0))
        return np.asarray(outside + np.minimum(np.maximum(qd, qh), 0) - corner)


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
    x, d = _plane_grid()
    inside = sac.signed_distance(x, d, np.float64(1.0)) < 0
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


def _plane_grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x, d of a plane across the canal at the measuring resolution."""
    x, d = np.meshgrid(np.arange(-14, 14.01, GRID_MM), np.arange(-2, 26.01, GRID_MM), indexing="ij")
    return x, d


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


def sac_area_mm2(sac: Sac) -> float:
    """Smallest area of the sac within ``CANAL_REACH_MM`` of the disc, soft-edged at the grid."""
    x, d = _plane_grid()
    areas = [
        np.clip(0.5 - sac.signed_distance(x, d, sac.fade(ds)) / GRID_MM, 0, 1).sum() * GRID_MM**2
        for ds in (0.0, CANAL_REACH_MM)
    ]
    return float(min(areas))


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
        if _clearance_mm(build(middle)) > max(wanted_mm, 0.0):
            high = middle
        else:
            low = middle
    solved = build(high)
    clearance = _clearance_mm(solved) - flattened
    fields = {name: getattr(solved, name) for name in Foramen.__slots__}
    return Foramen(**{**fields, "clearance_mm": clearance})


def _clearance_mm(foramen: Foramen) -> float:
    """Smallest distance from the root's outline to the wall, 0 at least."""
    angle = np.arange(0, 2 * np.pi, 0.05)
    d = foramen.root_d_mm + foramen.root_half_d_mm * np.cos(angle)
    height = foramen.root_height_mm + foramen.root_half_height_mm * np.sin(angle)
    return max(0.0, float(-foramen.signed_distance(d, height).max()))
