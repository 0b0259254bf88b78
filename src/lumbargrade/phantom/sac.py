"""The dural sac around one disc: its shape, its measure, and how it is solved.

What must stay true: the area shrinks as the cause grows, so that bisection finds it.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lumbargrade.phantom.measures import BISECTIONS, CANAL_REACH_MM, GRID_MM


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


def solve_sac(
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
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if sac_area_mm2(build(middle)) > wanted_mm2:
            low = middle
        else:
            high = middle
    sac = build(low)
    return sac, sac_area_mm2(sac)
