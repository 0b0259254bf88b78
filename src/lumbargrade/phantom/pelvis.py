"""What lies around the sacrum: iliac wings, gluteal muscles, iliacus, rectum and bladder.

What must stay true: everything stays lateral to or in front of the painted sacrum.
"""

import numpy as np

from lumbargrade.phantom.body_grid import Field, Fields
from lumbargrade.phantom.bowel import paint_loop
from lumbargrade.phantom.habitus import Habitus, place
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.tissue import Tissue


def paint_pelvis(
    rng: np.random.Generator, fields: Fields, habitus: Habitus, spine: Spine, inside: Field
) -> None:
    """Paint everything; ``inside`` is the depth below the deep fascia."""
    _rectum(rng, fields, spine)
    height = float(rng.normal(36, 6)) + spine.form.landmarks_mm
    crest = place(spine, 0, 0, height)[2]
    dorsal = place(spine, 0, 14, -45)
    flare = float(rng.normal(0.62, 0.05))
    for sign in (-1, 1):
        _wing(fields, habitus, sign, crest, dorsal, flare, spine.size, inside)


def _wing(
    fields: Fields, habitus: Habitus, sign: int, crest: float,
    dorsal: tuple[float, float, float], flare: float, size: float, inside: Field,
) -> None:  # fmt: skip
    """One iliac wing with gluteal muscles outside and iliacus inside."""
    limits = (37.0, 204.0) if sign > 0 else (-204.0, -37.0)
    window = fields.window(limits, (dorsal[1] - 95, dorsal[1] + 75), (-210, crest + 2))
    x, y, z = fields.axes(window)
    side = np.abs(x) - np.float32(41 * size)
    behind = np.float32(dorsal[1] + 8) - y
    cos, sin = np.float32(np.cos(flare)), np.float32(np.sin(flare))
    along = behind * cos + side * sin
    across = side * cos - behind * sin
    across = across + 5 * np.sin(along / 22) - 0.10 * (z - dorsal[2])
    thickness = (
        5.5 + 4.5 * np.exp(-(((along - 8) / 18) ** 2)) + 2.5 * np.exp(-(((along - 85) / 20) ** 2))
    )
    rim = np.float32(crest) - 0.010 * (along - 55) ** 2 - z
    ends = np.minimum(along + 6, 105 - along)
    bone = np.minimum(np.minimum(thickness - np.abs(across), rim), ends).astype(np.float32)

    noise = fields.fibres[window]
    level = -1.5 + 1.2 * habitus.infiltration
    streaks = np.clip((noise + level) / 0.7, 0, 0.85)
    outer = across - thickness
    below = np.float32(crest - 6) - z
    gluteal = np.minimum(np.minimum(outer - 1.0, 48 - outer), inside[window] - 1.0)
    gluteal = np.minimum(gluteal, np.minimum(below - 0.6 * np.abs(along - 55), along + 55))
    cleft = np.abs(outer - 20 - 0.15 * along + 2 * noise)
    streaks = np.maximum(streaks, np.clip(1.6 - cleft / 1.3, 0, 0.9))
    fields.put(
        window, gluteal.astype(np.float32), Tissue.MUSCLE, fat=streaks, gain=1 + 0.05 * noise
    )
    inner = -across - thickness
    iliacus = np.minimum(np.minimum(inner - 0.8, 17 - inner), np.minimum(along - 25, 100 - along))
    iliacus = np.minimum(iliacus, below - 12)
    fields.put(
        window, iliacus.astype(np.float32), Tissue.MUSCLE, fat=0.4 * streaks, gain=1 + 0.05 * noise
    )
    fields.put(window, bone, Tissue.MARROW, fat=0.15, gain=1 + 0.06 * noise)
    fields.darken(window, bone - 0.3, 1.5, 0.9)


def _rectum(rng: np.random.Generator, fields: Fields, spine: Spine) -> None:
    """Rectosigmoid in front of the sacrum, a uterus in half of the patients, and the bladder."""
    heights = np.array([-18.0, -36, -54, -74, -95])
    sizes = rng.uniform(9, 17, 4)
    gaps = rng.uniform(2, 14, 5)
    course = np.array(
        [place(spine, float(rng.normal(0, 7)), -26 - 14 - float(gap), float(height))
         for height, gap in zip(heights, gaps, strict=True)]
    )  # fmt: skip
    for part, size in enumerate(sizes):
        paint_loop(fields, course[part : part + 2], float(size), float(rng.random()))
    middle = np.array(place(spine, float(rng.normal(0, 6)), -85, -50))
    if rng.random() < 0.5:
        course = middle + np.array([[0.0, -12, 8], [0, 12, -6]])
        paint_loop(fields, course, float(rng.uniform(16, 23)), 0.9)
    full = float(rng.uniform(16, 34))
    course = middle + np.array([[-9.0, -45, -24], [9, -45, -24]])
    paint_loop(fields, course, full, 0.3)
