"""A patient's build: skin, subcutaneous fat and the outline of the trunk.

What must stay true: thin and obese patients differ here alone; nothing of it knows a severity.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from lumbargrade.phantom.spine import Spine

Line = NDArray[np.float64]

_TIP_HEIGHT = np.array([-130.0, -85, -45, -15, 20, 60, 120, 220])
_TIP_DEPTH = np.array([8.0, 15, 22, 38, 53, 55, 54, 52])
"""Depth d of the deep fascia in the midline by height above L5/S1 (at size 1)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Habitus:
    """Lines by canonical z: where skin, fascia and belly are, in mm."""

    weight: float
    """0 thin to 1 obese."""
    fascia_y: Line
    """The back's deep fascia in the midline."""
    skin_y: Line
    """The back's skin in the midline."""
    belly_y: Line
    """The belly's skin in the midline."""
    half_width: Line
    """The trunk's."""
    front_fat: float
    side_fat: float
    wall: float
    """Thickness of the abdominal wall's muscles."""
    infiltration: float
    """How much fat streaks the muscles of the back, 0 to 1."""


def draw_habitus(rng: np.random.Generator, spine: Spine, z: Line) -> Habitus:
    """Draw a build for a spine at the given heights z."""
    weight = float(rng.beta(2.0, 2.6))
    h = spine.s_mm / spine.size
    depth = np.interp(h, _TIP_HEIGHT, _TIP_DEPTH)
    behind_z = np.maximum.accumulate(spine.z_mm + depth * np.sin(spine.tilt_rad))
    fascia = np.interp(z, behind_z, spine.y_mm + depth * np.cos(spine.tilt_rad))
    step = np.arange(z[0], z[-1], 1.0)
    fascia_fine = gaussian_filter1d(np.interp(step, z, fascia), 10)
    fat = 4 + 30 * weight * float(rng.uniform(0.6, 1.3))
    below = float(rng.uniform(1.0, 1.9))
    low = 1 / (1 + np.exp((step + 30) / 22))
    skin_fine = gaussian_filter1d(fascia_fine, 42) + fat * (0.8 + (below - 0.8) * low)
    skin_fine = gaussian_filter1d(np.maximum(skin_fine, fascia_fine + 3.5), 7)
    belly = 52 + 75 * weight + float(rng.normal(0, 8))
    front_fat = 7 + 45 * weight * float(rng.uniform(0.5, 1.2))
    front_y = -36.0 * spine.size
    bulge = float(rng.uniform(0, 16)) * np.exp(-(((z + 40) / 70) ** 2))
    return Habitus(
        weight=weight,
        fascia_y=np.interp(z, step, fascia_fine),
        skin_y=np.interp(z, step, skin_fine),
        belly_y=front_y - belly - front_fat - bulge * (0.5 + weight),
        half_width=(138 + 42 * weight + float(rng.normal(0, 5))) * (1 + 0.06 * low_of(z)),
        front_fat=front_fat,
        side_fat=6 + 30 * weight,
        wall=float(rng.uniform(13, 22)),
        infiltration=float(np.clip(rng.beta(1.6, 2.4) + 0.15 * weight, 0, 1)),
    )


def low_of(z: Line) -> Line:
    """From 0 at the waist to 1 at the hips."""
    return np.asarray(1 / (1 + np.exp((z + 70) / 25)))


def place(spine: Spine, x: float, depth: float, height: float) -> tuple[float, float, float]:
    """Canonical position of (x, d, s) at size 1, in the patient's size."""
    s = height * spine.size
    tilt = float(spine.tilt_at(s))
    return (
        float(x * spine.size + np.interp(s, spine.s_mm, spine.bend_mm)),
        float(np.interp(s, spine.s_mm, spine.y_mm) + depth * spine.size * np.cos(tilt)),
        float(np.interp(s, spine.s_mm, spine.z_mm) + depth * spine.size * np.sin(tilt)),
    )
