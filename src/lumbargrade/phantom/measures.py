"""The graded spaces' shapes, and the one measure that each is graded by.

What must stay true: each measure is monotone in its severity S, and is taken on
the noise-free geometry at ``GRID_MM``.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lumbargrade.labels import Family, Side

CANAL_CAP_MM2 = 260.0
RECESS_CAP_MM, RECESS_FLOOR_MM = 8.0, 0.2
FORAMEN_CAP_MM = 4.0
GRID_MM = 0.25
"""Resolution at which measures are taken."""

CANAL_REACH_MM = 4.0
"""The sac is measured within this distance of the disc."""

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
        return np.asarray(np.maximum(ellipse, np.maximum(front, back)))


def sac_area_mm2(sac: Sac) -> float:
    """Smallest area of the sac within ``CANAL_REACH_MM`` of the disc, soft-edged at the grid."""
    x, d = plane_grid()
    areas = [
        np.clip(0.5 - sac.signed_distance(x, d, sac.fade(ds)) / GRID_MM, 0, 1).sum() * GRID_MM**2
        for ds in (0.0, CANAL_REACH_MM)
    ]
    return float(min(areas))


def plane_grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x, d of a plane across the canal at the measuring resolution."""
    x, d = np.meshgrid(np.arange(-14, 14.01, GRID_MM), np.arange(-2, 26.01, GRID_MM), indexing="ij")
    return x, d


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


def foramen_clearance_mm(foramen: Foramen) -> float:
    """Smallest distance from the root's outline to the wall, 0 at least."""
    angle = np.arange(0, 2 * np.pi, 0.05)
    d = foramen.root_d_mm + foramen.root_half_d_mm * np.cos(angle)
    height = foramen.root_height_mm + foramen.root_half_height_mm * np.sin(angle)
    return max(0.0, float(-foramen.signed_distance(d, height).max()))
