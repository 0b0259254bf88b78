"""What narrows one level: causes that its canal, recesses and foramina have in common.

What must stay true: the causes are drawn given the severities wanted at the level, with noise, from
the level's own stream; at least two of them, one in front and one behind, carry a narrow canal.
"""

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float64

from lumbargrade.phantom.disc_margin import DiscMargin
from lumbargrade.phantom.streams import Stream, generator

LEAST_SHARE = 0.08
"""Of either the front or the back in a narrowing."""

_LEVELS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class SacForm:
    """What a sac looks like beside its size; a matter of the patient, a little of the level."""

    aspect: float
    """Half-width over half-depth."""
    square: float
    """0 for an ellipse, towards 1 for a rounded square."""
    triangular: float
    """How much narrower the back is than the front."""
    corner_mm: float
    """Rounding where the disc and the flava cut."""
    back_angle_rad: float
    """Direction of the two posterior cuts, from straight back towards the side."""
    back_reach_mm: float
    """Extent of the posterior narrowing along s."""
    evenness: float
    """Share of a flavum's push that is the same all over; the rest is a buckle."""
    buckle_at_mm: float
    """Where the buckle is, from the axis towards the side, along the flavum."""
    buckle_width_mm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelCauses:
    """The causes at one level; pushes in ``margin`` and shares add up to 1 over front and back."""

    form: SacForm
    margin: DiscMargin
    left_share: float
    right_share: float
    congenital_mm2: float
    room: float
    """Least area of the uncut sac, over the area wanted."""
    front_fat_mm: float
    """Fat between the vertebral wall and the uncut sac."""
    film_mm: float
    """Fat between sac and flavum."""
    fat_pad_mm: float
    """Depth of the fat pad behind the sac, where nothing narrows it."""
    height_loss: float
    degeneration: float
    """0 to 1; what the level's causes have in common."""


def draw_causes(
    seed: int, level: int, severity: Float64[np.ndarray, "5"], size: float, slip_mm: float = 0.0
) -> LevelCauses:
    """Draw the causes at a level.

    Args:
        seed: of the study.
        level: 0 for L1/L2 to 4 for L5/S1.
        severity: wanted severities of the level, in order of conditions.
        size: patient size factor.
        slip_mm: how far the vertebra above has slipped. There the disc has lost height, and what
            bulges is its uncovered back.
    """
    patient = generator(seed, Stream.CANAL, part=_LEVELS)
    rng = generator(seed, Stream.CANAL, part=level)
    congenital = float(patient.normal(185, 28)) * size**2
    aspect, square, triangular = patient.uniform((1.12, 0.0, 0.0), (1.45, 0.45, 0.28))
    lipomatosis = float(patient.uniform(1.5, 3.5)) if patient.random() < 0.04 else 0.0
    mean = float(np.mean(severity))
    degeneration = float(np.clip(0.45 + 0.3 * mean + rng.normal(0, 0.2), 0.03, 1))
    front = float(np.clip(rng.beta(3, 3), LEAST_SHARE, 1 - LEAST_SHARE))
    lean = float(severity[3] - severity[4])
    left = float(np.clip(rng.beta(9, 9) + 0.06 * lean, 0.2, 0.8))
    form = SacForm(
        aspect=float(aspect * rng.normal(1, 0.03)) + 0.06 * (level - 2) * (level > 2),
        square=float(np.clip(square + rng.normal(0, 0.08), 0, 0.6)),
        triangular=float(np.clip(triangular + 0.05 * (level - 2) + rng.normal(0, 0.05), 0, 0.4)),
        corner_mm=float(rng.uniform(0.9, 2.2)),
        back_angle_rad=float(np.deg2rad(rng.uniform(34, 52))),
        back_reach_mm=float(rng.uniform(4.0, 6.5)),
        evenness=float(rng.uniform(0.45, 0.85)),
        buckle_at_mm=float(rng.uniform(-0.5, 3.5)),
        buckle_width_mm=float(rng.uniform(3.0, 5.5)),
    )
    margin = _draw_margin(rng, front, degeneration, lean)
    if slip_mm:
        margin = replace(margin, broad_mm=front, focal_mm=0.0)
    causes = LevelCauses(
        form=form,
        margin=margin,
        left_share=2 * (1 - front) * left,
        right_share=2 * (1 - front) * (1 - left),
        congenital_mm2=congenital * float(rng.normal(1, 0.05)),
        room=float(rng.uniform(1.02, 1.15)),
        front_fat_mm=float(
            rng.uniform(2.0, 5.0) if level == _LEVELS - 1 else rng.uniform(0.5, 1.6)
        ),
        film_mm=float(rng.uniform(0.3, 0.9)) + lipomatosis * (level > 1),
        fat_pad_mm=float(rng.uniform(1.5, 5.0)) + lipomatosis,
        height_loss=0.55 * degeneration * float(rng.beta(2.2, 2.5)),
        degeneration=degeneration,
    )
    loss = max(causes.height_loss, 0.2 + 0.03 * abs(slip_mm)) if slip_mm else causes.height_loss
    return replace(causes, height_loss=loss)


def _draw_margin(
    rng: np.random.Generator, share: float, degeneration: float, lean: float
) -> DiscMargin:
    """Split the front's share between a broad bulge and, at some levels, a herniation."""
    herniated = rng.random() < 0.1 + 0.35 * degeneration
    focal = float(rng.beta(5, 3)) if herniated else 0.0
    central = rng.random() < 0.3
    to_the_left = rng.random() < 1 / (1 + np.exp(-2.0 * lean))
    aside = float(rng.normal(0, 1.0) if central else rng.uniform(3.0, 7.0))
    extruded = rng.random() < 0.4
    migration = float(rng.uniform(2.0, 7.0)) * (1 if rng.random() < 0.35 else -1)
    return DiscMargin(
        broad_mm=share * (1 - focal),
        focal_mm=share * focal * 1.6,
        focal_x_mm=aside if to_the_left else -aside,
        focal_width_mm=float(rng.uniform(3.0, 5.5)),
        migration_mm=migration if extruded else 0.0,
        focal_reach_mm=float(rng.uniform(1.8, 3.2)),
        reach_mm=float(rng.uniform(4.0, 6.5)),
    )
