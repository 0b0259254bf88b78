"""The course of a synthetic spine: a curved frame in which every structure is straight.

What must stay true: a place is (x, d, s) in mm: x towards the patient's left, d backwards from the
line of the posterior vertebral wall, s upwards along that line, 0 at L5/S1. In a plane of constant
s, x and d are true millimetres; along s, true length is ``stretch`` times the difference of s.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from lumbargrade.arrays import Point
from lumbargrade.phantom.coronal_curve import CoronalCurve, bend_curve
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.variants import SpineForm, Variant, draw_form

DISCS = ("t11_t12", "t12_l1", "l1_l2", "l2_l3", "l3_l4", "l4_l5", "l5_s1", "s1_s2", "s2_s3")
"""All discs of the phantom, head to foot; the sacral ones are rudimentary."""

FIRST_GRADED_DISC = 2
"""Index of L1/L2 in ``DISCS``; five graded discs follow one another."""

_PITCH_MM = (29.0, 31.5, 34.0, 35.0, 34.5, 32.5, 25.0, 20.0)
"""Distance from each disc to the next, along s."""

_TILT_DEG = (-8.0, -8.0, -7.0, -6.0, 4.0, 12.0, 28.0, 44.0, 36.0)
"""Angle of the canal's upward direction, positive where it leans forward (median)."""

_NEWTON_STEPS = 5
_STEP_MM = 0.5
_REACH_MM = 70.0
"""How far the curve goes on beyond the last disc at either end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Spine:
    """Centre line, pose and size of one patient's spine."""

    size: float
    """Patient size factor k."""
    disc_s_mm: Float64[np.ndarray, "9"]
    """Height s of every disc of ``DISCS``."""
    disc_height_mm: Float64[np.ndarray, "9"]
    s_mm: NDArray[np.float64]
    """Sample positions of the tables below, growing."""
    tilt_rad: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    z_mm: NDArray[np.float64]
    bend_mm: NDArray[np.float64]
    """Sideways offset of the midline."""
    step_mm: NDArray[np.float64]
    """How far a slip has moved the course back; below zero, to the front."""
    slip_mm: Float64[np.ndarray, "5"]
    """The same by graded level, 0 where there is none."""
    form: SpineForm
    curve: CoronalCurve | None
    """How the frame leans and turns where there is a scoliosis."""
    rotation: Float64[np.ndarray, "3 3"]
    """Canonical axes → patient LPS."""
    offset_lps_mm: Point

    def graded_s_mm(self) -> Float64[np.ndarray, "5"]:
        """Height s of the five graded discs."""
        return self.disc_s_mm[FIRST_GRADED_DISC : FIRST_GRADED_DISC + 5]

    def tilt_at(self, s: NDArray[np.float64] | float) -> NDArray[np.float64]:
        """Tilt angle in rad at s."""
        return np.asarray(np.interp(s, self.s_mm, self.tilt_rad))

    def stretch(self, x: float, d: float, s: float) -> float:
        """True length per mm of s at (x, d)."""
        d = d + float(np.interp(s, self.s_mm, self.step_mm))
        if self.curve is not None:
            return float(self.curve.stretch(x, d, np.array(s, dtype=float)))
        slope = float(np.interp(s, self.s_mm, np.gradient(self.tilt_rad, _STEP_MM)))
        return 1 + d * slope

    def backward(self) -> Float64[np.ndarray, "s 3"]:
        """Canonical direction of d at every sample."""
        if self.curve is not None:
            return self.curve.axes[:, 1]
        parts = np.zeros_like(self.tilt_rad), np.cos(self.tilt_rad), np.sin(self.tilt_rad)
        return np.stack(parts, axis=1)

    def axes_lps(self, s: float) -> Float64[np.ndarray, "3 3"]:
        """Directions of x, d and s (rows, LPS) at s; the last is the normal of the disc plane."""
        if self.curve is not None:
            local = self.curve.axes_at(np.array(s, dtype=float))
        else:
            tilt = float(self.tilt_at(s))
            local = np.array(
                [[1, 0, 0], [0, np.cos(tilt), np.sin(tilt)], [0, -np.sin(tilt), np.cos(tilt)]]
            )
        axes: Float64[np.ndarray, "3 3"] = local @ self.rotation.T
        return axes

    def scan_axes_lps(self, s: float) -> Float64[np.ndarray, "3 3"]:
        """:meth:`axes_lps` without a scoliotic turn: scans are planned along the disc's plane."""
        axes = self.axes_lps(s)
        if self.curve is None:
            return axes
        normal = axes[2]
        left = self.rotation[:, 0] - (self.rotation[:, 0] @ normal) * normal
        left /= np.linalg.norm(left)
        return np.stack([left, np.cross(normal, left), normal])

    def to_lps(self, x: float, d: float, s: float) -> Point:
        """Patient LPS position of (x, d, s)."""
        if self.curve is not None:
            local = np.array([x, d]) @ self.curve.axes_at(np.array(s, dtype=float))[:2]
            position = (
                self.rotation @ (self._origin(np.array(s, dtype=float)) + local)
                + self.offset_lps_mm
            )
            return np.asarray(position)
        tilt = float(self.tilt_at(s))
        canonical = np.array(
            [
                x + np.interp(s, self.s_mm, self.bend_mm),
                np.interp(s, self.s_mm, self.y_mm) + d * np.cos(tilt),
                np.interp(s, self.s_mm, self.z_mm) + d * np.sin(tilt),
            ]
        )
        return np.asarray(self.rotation @ canonical + self.offset_lps_mm)

    def _origin(self, s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Canonical positions (..., 3) of x = d = 0."""
        tables = (self.bend_mm, self.y_mm, self.z_mm)
        return np.stack([np.interp(s, self.s_mm, table) for table in tables], axis=-1)

    def lps_to_canonical(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Undo pose: LPS (..., 3) → canonical (..., 3)."""
        return np.asarray((points - self.offset_lps_mm) @ self.rotation)

    def depth_and_height(
        self, y: NDArray[np.float64], z: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """(d, s) of canonical (y, z), as if there were no coronal curve.

        The nearest sample of the course, refined by Newton steps.
        Where the curve's normals cross, beyond its radius, the nearer foot point counts.
        """
        coarse = slice(None, None, 8)
        s = np.full(y.shape, self.s_mm[0])
        least = np.full(y.shape, np.inf)
        for place in zip(self.y_mm[coarse], self.z_mm[coarse], self.s_mm[coarse], strict=True):
            square = (y - place[0]) ** 2 + (z - place[1]) ** 2
            nearer = square < least
            np.copyto(s, place[2], where=nearer)
            np.copyto(least, square, where=nearer)
        slope = np.gradient(self.tilt_rad, _STEP_MM)
        for _ in range(6):
            tilt = np.interp(s, self.s_mm, self.tilt_rad)
            dy = y - np.interp(s, self.s_mm, self.y_mm)
            dz = z - np.interp(s, self.s_mm, self.z_mm)
            d = dy * np.cos(tilt) + dz * np.sin(tilt)
            stretch = np.maximum(1 + d * np.interp(s, self.s_mm, slope), 0.4)
            s = np.clip(
                s + (dz * np.cos(tilt) - dy * np.sin(tilt)) / stretch, self.s_mm[0], self.s_mm[-1]
            )
        tilt = np.interp(s, self.s_mm, self.tilt_rad)
        dy = y - np.interp(s, self.s_mm, self.y_mm)
        dz = z - np.interp(s, self.s_mm, self.z_mm)
        return dy * np.cos(tilt) + dz * np.sin(tilt), s

    def coordinates(
        self, canonical: NDArray[np.float64], d: NDArray[np.float64], s: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """(x, d, s) of canonical positions (n, 3), whose :meth:`depth_and_height` is known."""
        if self.curve is None:
            return canonical[:, 0] - np.interp(s, self.s_mm, self.bend_mm), d, s
        for _ in range(_NEWTON_STEPS):
            axes = self.curve.axes_at(s)
            x, d, off = np.einsum("nij,nj->in", axes, canonical - self._origin(s))
            stretch = np.maximum(self.curve.stretch(x, d, s), 0.4)
            s = np.clip(s + off / stretch, self.s_mm[0], self.s_mm[-1])
        x, d, _ = np.einsum("nij,nj->in", self.curve.axes_at(s), canonical - self._origin(s))
        return x, d, s


def build_spine(seed: int, *, variant: Variant | None = None) -> Spine:
    """Draw the spine of the study of a seed.

    Args:
        seed: of the study.
        variant: to have in place of the one drawn.
    """
    form = draw_form(seed, variant=variant)
    rng = generator(seed, Stream.SPINE)
    size = float(np.clip(rng.normal(1.0, 0.08), 0.8, 1.2))
    pitch = np.array(_PITCH_MM) * size * (1 + rng.normal(0, 0.03, len(_PITCH_MM)))
    pitch *= form.pitch
    below = np.cumsum(pitch[::-1])[::-1]
    disc_s = np.append(below, 0.0) - below[FIRST_GRADED_DISC + 4]

    lordosis = rng.normal(1.0, 0.22)
    tilt_deg = np.array(_TILT_DEG) * lordosis + rng.normal(0, 1.5, len(_TILT_DEG))
    tilt_deg += form.tilt_deg
    knots = np.concatenate([[disc_s[-1] - _REACH_MM], disc_s[::-1], [disc_s[0] + _REACH_MM]])
    tilts = np.concatenate([[tilt_deg[-1] - 45], tilt_deg[::-1], [tilt_deg[0]]])
    s = np.arange(knots[0], knots[-1], _STEP_MM)
    tilt = np.deg2rad(PchipInterpolator(knots, tilts)(s))
    y = np.cumsum(-np.sin(tilt)) * _STEP_MM
    z = np.cumsum(np.cos(tilt)) * _STEP_MM
    middle = int(np.argmin(np.abs(s - disc_s[FIRST_GRADED_DISC + 2])))
    slight = rng.normal(0, 2.5) * np.sin((s - s[middle]) / 70 + rng.uniform(0, 2 * np.pi))
    curve = None
    if form.cobb_deg:
        curve, course = bend_curve(
            s, tilt, apex_mm=form.apex_mm * size, cobb_deg=form.cobb_deg,
            rotation_deg=form.apical_rotation_deg,
        )  # fmt: skip
        bend, y, z = course.T
    else:
        bend = slight
    bend, y, z = bend - bend[middle], y - y[middle], z - z[middle]

    height = np.array([6, 7, 8.5, 9.5, 10.5, 11, 10, 3.5, 2.5]) * size
    height *= 1 + rng.normal(0, 0.08, len(DISCS))
    height *= form.disc_height
    angles = np.deg2rad(rng.normal(0, 3.0, 3))
    return Spine(
        size=size,
        disc_s_mm=disc_s,
        disc_height_mm=height,
        s_mm=s,
        tilt_rad=tilt,
        y_mm=y,
        z_mm=z,
        bend_mm=bend,
        step_mm=np.zeros_like(s),
        slip_mm=np.zeros(5),
        form=form,
        curve=curve,
        rotation=_rotation(angles),
        offset_lps_mm=np.array([rng.normal(0, 4), rng.normal(20, 12), rng.normal(-20, 25)]),
    )


def _rotation(angles: NDArray[np.float64]) -> Float64[np.ndarray, "3 3"]:
    (ca, cb, cc), (sa, sb, sc) = np.cos(angles), np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, ca, -sa], [0, sa, ca]])
    about_y = np.array([[cb, 0, sb], [0, 1, 0], [-sb, 0, cb]])
    about_z = np.array([[cc, -sc, 0], [sc, cc, 0], [0, 0, 1]])
    rotation: Float64[np.ndarray, "3 3"] = about_z @ about_y @ about_x
    return rotation
