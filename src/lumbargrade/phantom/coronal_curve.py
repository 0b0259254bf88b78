"""A scoliotic curve: how the spine's frame leans sideways and turns on its way up.

What must stay true: the frame stays orthonormal, so that x and d are true millimetres in every
plane of constant s; at the sacrum there is neither lean nor turn.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

Values = NDArray[np.float64]

_FADE = 1.3
"""Reach of the curve beyond its apex, in multiples of the apex's height above L5/S1."""

_START_MM = (-5.0, 25.0)
"""Heights s between which the curve sets in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CoronalCurve:
    """Directions of x, d and s along the spine, in canonical axes, at evenly spaced heights."""

    s_mm: Values
    axes: Float64[np.ndarray, "s 3 3"]
    """Rows x, d and s."""
    slope_x: Values
    """By how much true length along s grows per mm of x."""
    slope_d: Values

    def axes_at(self, s: Values) -> Values:
        """Directions (..., 3 axes, 3) at heights s."""
        return self._interpolated(self.axes.reshape(len(self.axes), 9), s).reshape(*s.shape, 3, 3)

    def stretch(self, x: Values | float, d: Values | float, s: Values) -> Values:
        """True length per mm of s at (x, d)."""
        slopes = self._interpolated(np.stack([self.slope_x, self.slope_d], axis=1), s)
        return np.asarray(1 + x * slopes[..., 0] + d * slopes[..., 1])

    def _interpolated(self, table: Values, s: Values) -> Values:
        step = self.s_mm[1] - self.s_mm[0]
        place = np.clip((s - self.s_mm[0]) / step, 0, len(self.s_mm) - 1.001)
        first = place.astype(int)
        share = (place - first)[..., None]
        return np.asarray(table[first] * (1 - share) + table[first + 1] * share)


def bend_curve(
    s: Values, tilt: Values, *, apex_mm: float, cobb_deg: float, rotation_deg: float
) -> tuple[CoronalCurve, Float64[np.ndarray, "s 3"]]:
    """Lay a coronal curve over a spine's sagittal course.

    Args:
        s: evenly spaced heights along the spine, growing.
        tilt: the sagittal tilt at them, in rad.
        apex_mm: height of the apex; the curve crosses the midline about as far above it.
        cobb_deg: angle between the most tilted planes, positive for a bulge to the left.
        rotation_deg: turn of the vertebrae at the apex, their fronts to the bulge's side for the
            curve's own sign.

    Returns:
        The curve, and the canonical course of x = d = 0, from 0 at the first height.
    """
    along = np.clip((s - _START_MM[0]) / (_START_MM[1] - _START_MM[0]), 0, 1)
    shape = np.sin(np.pi * (apex_mm - s) / apex_mm)
    shape *= np.exp(-(((s - apex_mm) / (_FADE * apex_mm)) ** 2))
    shape *= along**2 * (3 - 2 * along)
    lean = np.deg2rad(cobb_deg) * shape / (shape.max() - shape[s < 1.6 * apex_mm].min())
    step = float(s[1] - s[0])
    aside = np.cumsum(np.sin(lean)) * step
    turn = np.deg2rad(rotation_deg) * np.abs(aside) / np.abs(aside[s < 1.6 * apex_mm]).max()

    zero, one = np.zeros_like(s), np.ones_like(s)
    upright = np.stack([zero, -np.sin(tilt), np.cos(tilt)], axis=1)
    backward = np.stack([zero, np.cos(tilt), np.sin(tilt)], axis=1)
    left = np.stack([one, zero, zero], axis=1)
    cos, sin = np.cos(lean)[:, None], np.sin(lean)[:, None]
    upright, left = upright * cos + left * sin, left * cos - upright * sin
    cos, sin = np.cos(turn)[:, None], np.sin(turn)[:, None]
    left, backward = left * cos + backward * sin, backward * cos - left * sin
    axes = np.stack([left, backward, upright], axis=1)
    curve = CoronalCurve(
        s_mm=s,
        axes=axes,
        slope_x=np.einsum("ij,ij->i", np.gradient(left, step, axis=0), upright),
        slope_d=np.einsum("ij,ij->i", np.gradient(backward, step, axis=0), upright),
    )
    return curve, np.cumsum(upright, axis=0) * step
