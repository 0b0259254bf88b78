"""The dural sac around one disc: its shape, its measure, and how it is solved.

What must stay true: the area shrinks as the cause grows, so that a root finder meets it once; the
painter evaluates the same distances as the measure.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from lumbargrade.phantom.causes import LevelCauses, SacForm
from lumbargrade.phantom.disc_margin import DiscMargin, Values, flat_fade
from lumbargrade.phantom.measures import CANAL_REACH_MM, GRID_MM

RETREAT_MM = 2.0
"""How far the cutting faces draw back from the sac where their causes have faded out."""

LARGEST_MM = 9.0
"""No herniation is higher; what it then cannot narrow, the other causes do."""

PLANES_MM = (0.0, -CANAL_REACH_MM / 2, CANAL_REACH_MM / 2, -CANAL_REACH_MM, CANAL_REACH_MM)
"""Where the area is taken, above the disc."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sac:
    """The dural sac around one disc: a rounded outline, cut by the disc and by either flavum."""

    half_width_mm: float
    half_depth_mm: float
    centre_d_mm: float
    form: SacForm
    margin: DiscMargin
    """The disc in front of it."""
    left_cut_mm: float
    """How far flavum and facet of the left push its back forward, at the disc."""
    right_cut_mm: float

    def back_support_mm(self) -> float:
        """Distance of the uncut back, along the direction of the cuts."""
        widths = self.half_width_mm, self.half_depth_mm, self.centre_d_mm
        return float(back_support(*widths, self.form))

    def fade(self, ds: Values | float) -> Values:
        """Share of the posterior narrowing at a distance ds from the disc: 1 within 1.5 mm."""
        return flat_fade(ds, self.form.back_reach_mm)

    def signed_distance(self, x: Values, d: Values, ds: Values | float) -> Values:
        """Approximate signed distance (mm, negative inside) at heights ds above the disc."""
        whole = outline(
            x, d, self.half_width_mm, self.half_depth_mm, self.centre_d_mm,
            self.form.square, self.form.triangular,
        )  # fmt: skip
        front = self.centre_d_mm - self.half_depth_mm
        return self.cut(whole, x, d, ds, front, self.back_support_mm())

    def cut(
        self,
        whole: Values,
        x: Values,
        d: Values,
        ds: Values | float,
        front_d: Values | float,
        support: Values | float,
    ) -> Values:
        """Cut an uncut sac's distances by the disc in front and the flava behind."""
        fade = self.fade(ds)
        corner = self.form.corner_mm
        front = front_d + self.margin.push(x, ds) - d
        front = front - RETREAT_MM * (1 - flat_fade(ds, self.margin.reach_mm))
        result = smooth_max(whole, front, corner)
        left = self.back_face(x, d, fade, 1.0, support)
        right = self.back_face(x, d, fade, -1.0, support)
        return smooth_max(result, smooth_max(left, right, 2 * corner), corner)

    def back_face(
        self, x: Values, d: Values, fade: Values | float, sign: float, support: Values | float
    ) -> Values:
        """Signed distance behind the face that one side's flavum gives the sac."""
        sin, cos = np.sin(self.form.back_angle_rad), np.cos(self.form.back_angle_rad)
        cut = self.left_cut_mm if sign > 0 else self.right_cut_mm
        aside = sign * x * cos - (d - self.centre_d_mm) * sin - self.form.buckle_at_mm
        push = self.form.evenness + (1 - self.form.evenness) * np.exp(
            -np.square(aside / self.form.buckle_width_mm)
        )
        face = support + RETREAT_MM * (1 - fade) - cut * fade * push
        return np.asarray(sign * x * sin + d * cos - face)


def smooth_max(a: Values, b: Values, width: float) -> Values:
    """The larger of two distances, rounded off where they differ by less than a width (mm)."""
    near = np.maximum(width - np.abs(a - b), 0)
    return np.asarray(np.maximum(a, b) + near * near * (0.25 / width))


def back_support(
    half_width: Values | float, half_depth: Values | float, centre: Values | float, form: SacForm
) -> Values:
    """Distance of an uncut ellipse's back along the direction of the cuts."""
    sin, cos = np.sin(form.back_angle_rad), np.cos(form.back_angle_rad)
    return np.asarray(np.hypot(half_width * sin, half_depth * cos) + centre * cos)


def outline(
    x: Values,
    d: Values,
    half_width: Values | float,
    half_depth: Values | float,
    centre: Values | float,
    square: Values | float,
    triangular: Values | float,
) -> Values:
    """Signed distance of the uncut sac: between oval, square and triangular."""
    depth = (d - centre) / half_depth
    narrower = 1 - triangular * np.clip(depth, -1.0, 1.0)
    across, along = np.square(x / (half_width * narrower)), np.square(depth)
    radius = across + along - square * np.minimum(across, 1) * np.minimum(along, 1)
    return np.asarray((np.sqrt(radius) - 1) * np.minimum(half_width, half_depth))


def sac_area_mm2(sac: Sac, planes_mm: tuple[float, ...] = PLANES_MM) -> float:
    """Smallest area of the sac within ``CANAL_REACH_MM`` of the disc, soft-edged at the grid."""
    x, d = plane_grid()
    widest = 1.45 * sac.half_width_mm
    near_x = slice(*np.searchsorted(x[:, 0], (-widest, widest)))
    behind = sac.centre_d_mm + sac.half_depth_mm
    near_d = slice(*np.searchsorted(d[0], (behind - 2 * sac.half_depth_mm - 1, behind + 1)))
    x, d = x[near_x, near_d], d[near_x, near_d]
    areas = [
        np.clip(0.5 - sac.signed_distance(x, d, ds) / GRID_MM, 0, 1).sum() * GRID_MM**2
        for ds in planes_mm
    ]
    return float(min(areas))


def plane_grid() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x, d of a plane across the canal at the measuring resolution."""
    x, d = np.meshgrid(np.arange(-16, 16.01, GRID_MM), np.arange(-2, 28.01, GRID_MM), indexing="ij")
    return x, d


def solve_sac(causes: LevelCauses, wanted_mm2: float) -> tuple[Sac, float]:
    """Let the causes of a level grow together until the sac's smallest area is the one wanted.

    A congenitally wide sac is cut; one that would be too small uncut is made wider first.
    """
    form = causes.form
    half_depth = float(np.sqrt(max(wanted_mm2, causes.congenital_mm2) / np.pi / form.aspect))

    def build(cause: float, depth: float) -> Sac:
        return Sac(
            half_width_mm=depth * form.aspect,
            half_depth_mm=depth,
            centre_d_mm=depth + causes.front_fat_mm,
            form=form,
            margin=replace(
                causes.margin,
                broad_mm=cause * causes.margin.broad_mm,
                focal_mm=LARGEST_MM * float(np.tanh(cause * causes.margin.focal_mm / LARGEST_MM)),
            ),
            left_cut_mm=cause * causes.left_share,
            right_cut_mm=cause * causes.right_share,
        )

    uncut = sac_area_mm2(build(0.0, half_depth))
    least = wanted_mm2 * causes.room
    if uncut < least:
        half_depth *= float(np.sqrt(least / uncut))
    cause = brentq(
        lambda value: sac_area_mm2(build(value, half_depth)) - wanted_mm2,
        0.0,
        40 * half_depth,
        xtol=1e-4,
    )
    sac = build(float(cause), half_depth)
    return sac, sac_area_mm2(sac)
