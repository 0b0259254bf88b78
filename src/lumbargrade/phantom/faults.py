"""What keeps a series from being perfect: noise, the coil's falloff, saturation bands, ghosts.

What must stay true: faults are drawn from a series' own stream and never know a severity.
"""

from dataclasses import dataclass

import numpy as np

from lumbargrade.labels import View

BAND_SHARE = 0.5
"""Of sagittal series: those with a saturation band in front of the spine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SaturationBand:
    """A slab in front of the spine whose signal was taken away before the sequence."""

    depth_mm: float
    """d of its edge at the middle of the lumbar spine."""
    slope: float
    """How far the edge moves backwards per mm towards the head."""
    edge_mm: float
    """Softness of the edge: distance over which the loss grows from 27 to 73 %."""
    left: float
    """Share of the signal that is left in the slab."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """What keeps a series from being perfect."""

    signal_to_noise: float
    """Of CSF on T2, of marrow on T1."""
    shading: float
    """Loss of signal per 100 mm in front of the back's skin, as an exponent."""
    saturation_band: SaturationBand | None
    ghosting: float


def draw_faults(rng: np.random.Generator, view: View) -> Faults:
    """What keeps a series of a view from being perfect."""
    low, high = (15, 50) if view is View.SAGITTAL_T1 else (12, 40)
    return Faults(
        signal_to_noise=low + (high - low) * float(rng.random()) ** 1.6,
        shading=float(rng.uniform(0.2, 0.9)) if rng.random() < 0.65 else 0.1,
        saturation_band=_draw_band(rng)
        if view is not View.AXIAL_T2 and rng.random() < BAND_SHARE
        else None,
        ghosting=float(rng.uniform(0.03, 0.08)) if rng.random() < 0.1 else 0.0,
    )


def _draw_band(rng: np.random.Generator) -> SaturationBand:
    return SaturationBand(
        depth_mm=float(rng.uniform(-78, -44)),
        slope=float(rng.normal(0, 0.12)),
        edge_mm=float(rng.uniform(6, 16)),
        left=float(rng.uniform(0.12, 0.6)),
    )
