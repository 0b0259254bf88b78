"""Anatomical variants of the lumbar spine: who has one, and what is unusual about it.

What must stay true: variants draw from a stream of their own and every number of a usual spine is
neutral, so that a study without a variant has the bytes that it would have if there were none.
The five graded discs are always the lowest five above the sacrum.
"""

from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
from jaxtyping import Float64

from lumbargrade.phantom.streams import Stream, generator


class Variant(StrEnum):
    """What is unusual about a spine; the words of ``phantom_truth.csv``."""

    NONE = ""
    FOUR_LUMBAR = "four_lumbar"
    """The fourth lumbar vertebra stands on the sacrum."""
    SIX_LUMBAR = "six_lumbar"
    SACRALISED_L5 = "sacralised_l5"
    """Transitional L5: broad transverse processes that reach the sacral wings, a low disc below."""
    LUMBARISED_S1 = "lumbarised_s1"
    """Transitional S1: square, with a well-formed disc below it."""
    SCOLIOSIS = "scoliosis"


SHARE_OF_VARIANT = {
    Variant.FOUR_LUMBAR: 0.01,
    Variant.SIX_LUMBAR: 0.01,
    Variant.SACRALISED_L5: 0.015,
    Variant.LUMBARISED_S1: 0.015,
    Variant.SCOLIOSIS: 0.02,
}
"""Of all studies; none has two."""

_FOUR_PITCH = (0.965, 0.92, 0.94, 0.97, 1.0, 1.0, 1.0, 1.0)
_FOUR_DISCS = (0.92, 0.86, 0.83, 0.9, 0.94, 0.98, 1.0, 1.0, 1.0)
_FOUR_GIRTH = (0.97, 0.96, 0.96, 0.97, 0.98, 0.99, 1.0, 1.0, 1.0)
_SIX_PITCH = (1.085, 1.08, 1.03, 1.0, 1.0, 0.985, 1.0, 1.0)
_SIX_DISCS = (1.17, 1.2, 1.1, 1.06, 1.04, 1.0, 1.0, 1.0, 1.0)
_SIX_GIRTH = (1.04, 1.04, 1.04, 1.04, 1.03, 1.01, 1.0, 1.0, 1.0)
"""Counted from the sacrum, every vertebra has about the size of the one above or below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpineForm:
    """How a spine departs from the usual one; factors are 1 and millimetres 0 where it does not."""

    variant: Variant = Variant.NONE
    pitch: Float64[np.ndarray, "8"] = field(default_factory=lambda: np.ones(8))
    """Factors of the distances between discs, head to foot."""
    disc_height: Float64[np.ndarray, "9"] = field(default_factory=lambda: np.ones(9))
    girth: Float64[np.ndarray, "9"] = field(default_factory=lambda: np.ones(9))
    """Factors of the bodies' width and depth; the first is the body above the first disc."""
    tilt_deg: Float64[np.ndarray, "9"] = field(default_factory=lambda: np.zeros(9))
    """Added to the tilt at every disc."""
    landmarks_mm: float = 0.0
    """How much higher than usual conus and iliac crests lie above L5/S1."""
    broad_process: tuple[float, float] = (0.0, 0.0)
    """How far the transverse process of the last free vertebra has grown towards the sacral wing,
    right and left, 0 to 1."""
    s1_s2_half_mm: float = 0.0
    """Half-height of the disc below S1 beyond its rudiment's."""
    s1_square: float = 0.0
    """0 for the usual wedge to 1 for an S1 as broad at its foot as at its top."""
    cobb_deg: float = 0.0
    """Of the coronal curve, positive where it bulges to the patient's left."""
    apical_rotation_deg: float = 0.0
    apex_mm: float = 0.0
    """Height s of the curve's apex."""


def draw_variant(seed: int) -> Variant:
    """Which variant the study of a seed has."""
    return _choose(float(generator(seed, Stream.VARIANTS).random()))


def _choose(drawn: float) -> Variant:
    """The variant in whose share of 0 to 1 a number falls."""
    for variant, share in SHARE_OF_VARIANT.items():
        if drawn < share:
            return variant
        drawn -= share
    return Variant.NONE


def draw_form(seed: int, *, variant: Variant | None = None) -> SpineForm:
    """Draw what is unusual about the spine of the study of a seed.

    Args:
        seed: of the study.
        variant: to have in place of the one drawn.
    """
    rng = generator(seed, Stream.VARIANTS)
    drawn = _choose(float(rng.random()))
    match drawn if variant is None else variant:
        case Variant.FOUR_LUMBAR:
            return SpineForm(
                variant=Variant.FOUR_LUMBAR,
                pitch=np.array(_FOUR_PITCH),
                disc_height=np.array(_FOUR_DISCS),
                girth=np.array(_FOUR_GIRTH),
                landmarks_mm=float(rng.normal(-20, 4)),
            )
        case Variant.SIX_LUMBAR:
            return SpineForm(
                variant=Variant.SIX_LUMBAR,
                pitch=np.array(_SIX_PITCH),
                disc_height=np.array(_SIX_DISCS),
                girth=np.array(_SIX_GIRTH),
                landmarks_mm=float(rng.normal(20, 4)),
            )
        case Variant.SACRALISED_L5:
            return _sacralised(rng)
        case Variant.LUMBARISED_S1:
            square = float(rng.uniform(0.6, 1.0))
            tilt = np.zeros(9)
            tilt[6:8] = -float(rng.uniform(4, 9)), -float(rng.uniform(0, 5))
            return SpineForm(
                variant=Variant.LUMBARISED_S1,
                tilt_deg=tilt,
                s1_s2_half_mm=float(rng.uniform(1.8, 3.2)),
                s1_square=square,
                landmarks_mm=float(rng.normal(8, 4)),
            )
        case Variant.SCOLIOSIS:
            side = 1.0 if rng.random() < 0.5 else -1.0
            cobb = float(rng.uniform(14, 34))
            return SpineForm(
                variant=Variant.SCOLIOSIS,
                cobb_deg=side * cobb,
                apical_rotation_deg=side * cobb * float(rng.uniform(0.3, 0.55)),
                apex_mm=float(rng.uniform(62, 95)),
            )
        case _:
            return SpineForm()


def _sacralised(rng: np.random.Generator) -> SpineForm:
    """One broad process in a third, two in the rest; the disc below is low."""
    height, girth = np.ones(9), np.ones(9)
    height[6] = float(rng.uniform(0.45, 0.65))
    girth[6] = 1.04
    reach = rng.uniform(0.7, 1.0, 2)
    spared = int(rng.integers(0, 2))
    if rng.random() < 1 / 3:
        reach[spared] = 0.0
    return SpineForm(
        variant=Variant.SACRALISED_L5,
        disc_height=height,
        girth=girth,
        broad_process=(float(reach[0]), float(reach[1])),
        landmarks_mm=float(rng.normal(-8, 4)),
    )
