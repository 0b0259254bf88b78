"""What lies before and beside the lumbar spine: psoas, great vessels, kidneys, liver.

What must stay true: everything is placed from the spine's own course and clear of the vertebrae,
in fat; nothing here is graded.
"""

from dataclasses import dataclass

import numpy as np

from lumbargrade.phantom.body_grid import Field, Fields, smooth_noise
from lumbargrade.phantom.bowel import paint_bowel
from lumbargrade.phantom.habitus import Habitus, place
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.tissue import Tissue


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A structure that runs along the body: an ellipse in every horizontal plane."""

    knots: tuple[tuple[float, float, float, float, float], ...]
    """(height above L5/S1, x, depth d before the posterior wall, radius along x, along y), at
    size 1 and head to foot; all but x's sign is the patient's size times that."""
    tissue: Tissue
    fat: float = 0.0
    gain: float = 1.0
    wander_mm: float = 0.0
    """How far it strays sideways."""


def paint_column(
    rng: np.random.Generator, fields: Fields, spine: Spine, column: Column, texture: float = 0.0
) -> None:
    """Paint a structure that runs along the body."""
    knots = np.array(column.knots)
    places = np.array([place(spine, k[1], k[2], k[0]) for k in knots])
    order = np.argsort(places[:, 2])
    z_knots = places[order, 2]
    tables = np.concatenate([places[:, :2], knots[:, 3:] * spine.size], axis=1)[order]
    phase = rng.uniform(0, 2 * np.pi, 2)
    low, high = tables.min(axis=0), tables.max(axis=0)
    margin = high[2:] + 2 + column.wander_mm
    window = fields.window(
        (low[0] - margin[0], high[0] + margin[0]), (low[1] - margin[1], high[1] + margin[1]),
        (float(z_knots[0]), float(z_knots[-1])),
    )  # fmt: skip
    x, y, z = fields.axes(window)
    cx, cy, rx, ry = (np.interp(z, z_knots, table).astype(np.float32) for table in tables.T)
    cx = cx + np.float32(column.wander_mm) * np.sin(z / 28 + np.float32(phase[0]))
    cy = cy + np.float32(0.4 * column.wander_mm) * np.sin(z / 23 + np.float32(phase[1]))
    inside = (1 - np.sqrt(((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2)) * np.minimum(rx, ry)
    gain: Field | float = column.gain
    if texture:
        noise = fields.fibres[window]
        gain = np.float32(column.gain) * (1 + np.float32(texture) * noise)
        inside = inside + np.float32(0.4) * noise + np.float32(0.9) * fields.patches[window]
    fields.put(window, inside.astype(np.float32), column.tissue, fat=column.fat, gain=gain)


def paint_abdomen(
    rng: np.random.Generator, fields: Fields, habitus: Habitus, spine: Spine, inside: Field
) -> None:
    """Paint everything; ``inside`` is the depth below the deep fascia."""
    _mesentery(rng, fields, habitus, inside)
    _organs(rng, fields, spine)
    paint_bowel(rng, fields, habitus, spine, inside)
    build = float(rng.uniform(0.8, 1.15))
    for sign in (-1, 1):
        own = build * float(rng.uniform(0.94, 1.06))
        psoas = (
            (175, 29, -12, 6, 6), (140, 31, -14, 9, 11), (100, 36, -17, 12, 15),
            (67, 40, -19, 16, 19), (32, 45, -24, 18, 21), (5, 51, -34, 17, 19),
            (-15, 58, -48, 15, 17), (-40, 64, -74, 13, 15), (-75, 70, -105, 12, 13),
        )  # fmt: skip
        paint_column(
            rng, fields, spine,
            Column(knots=tuple((h, sign * x, d, own * a, own * b) for h, x, d, a, b in psoas),
                   tissue=Tissue.MUSCLE, fat=0.05 + 0.1 * habitus.infiltration),
            texture=0.05,
        )  # fmt: skip
        loin = ((195, 46, 4, 9, 5), (150, 50, 3, 14, 6.5), (90, 58, 3, 19, 8),
                (50, 70, 2, 20, 8), (32, 74, 2, 16, 6))  # fmt: skip
        paint_column(
            rng, fields, spine,
            Column(knots=tuple((h, sign * x, d, a, b) for h, x, d, a, b in loin),
                   tissue=Tissue.MUSCLE, fat=0.08),
            texture=0.05,
        )  # fmt: skip
        crus = ((215, 5, -30, 5, 5), (150, 8, -32, 4.5, 4.5), (105, 10, -33, 2.5, 3))
        paint_column(rng, fields, spine, Column(
            knots=tuple((h, sign * x, d - 3, a, b) for h, x, d, a, b in crus),
            tissue=Tissue.MUSCLE))  # fmt: skip
    paint_vessels(rng, fields, spine)


def paint_vessels(rng: np.random.Generator, fields: Fields, spine: Spine) -> None:
    """Aorta and vena cava down to their forks, and the iliac vessels over the promontory."""
    wide = float(rng.uniform(0.85, 1.25))
    wander = float(rng.uniform(0.5, 4.5))
    gap = float(rng.uniform(2.0, 5.0))
    fork = float(rng.uniform(40, 56))
    front = np.array([-28.0, -30, -32, -33, -33.0]) - gap
    heights = (215.0, 150.0, 100.0, 60.0, fork, fork - 9)
    grey = float(rng.uniform(0.1, 0.45))
    cava = Tissue.VEIN if rng.random() < 0.5 else Tissue.VESSEL
    vein_gain = grey if cava is Tissue.VEIN else 1.0
    lower = fork - 18
    front = np.append(front, front[-1])
    paint_column(rng, fields, spine, Column(
        knots=tuple((h, x, d - 7, a, 0.65 * a) for h, x, d, a in
                    zip((*heights[:4], lower, lower - 9), (-20, -18, -15, -13, -11, -10), front,
                        (10, 10, 10, 10, 9, 2), strict=True)),
        tissue=cava, gain=vein_gain, wander_mm=0.4 * wander))  # fmt: skip
    paint_column(rng, fields, spine, Column(
        knots=tuple((h, x, d - 8.5 * wide, a * wide, a * wide) for h, x, d, a in
                    zip(heights, (7, 8, 8, 6, 3, 2), front, (9, 9, 8.5, 8, 7.5, 2), strict=True)),
        tissue=Tissue.VESSEL, wander_mm=wander))  # fmt: skip
    for sign in (-1, 1):
        for tissue, start, radius, gain, inward, behind in (
            (Tissue.VESSEL, fork + 4, 5.2, 1.0, 0, 0),
            (cava, lower + 4, 6.0, vein_gain, 5, 6),
        ):
            out = 4.5 if tissue is Tissue.VESSEL else 8.0
            at = 2.0 if tissue is Tissue.VESSEL else -9.0
            course = (
                (start, at + sign * out * 0.6, front[4] - 6 + behind * 0.4),
                (start - 18, at * 0.6 + sign * (out + 8), front[4] - 7 + behind * 0.5),
                (2, sign * (27 - inward), front[4] - 6 + behind),
                (-18, sign * (37 - inward), -42 + behind),
                (-45, sign * (48 - inward), -46 + behind),
                (-80, sign * (56 - inward), -58 + behind),
            )  # fmt: skip
            paint_column(rng, fields, spine, Column(
                knots=tuple((h, x, d, radius, radius * 1.15) for h, x, d in course),
                tissue=tissue, gain=gain, wander_mm=0.5 * wander))  # fmt: skip


def _organs(rng: np.random.Generator, fields: Fields, spine: Spine) -> None:
    """Kidneys with their bright sinus, liver and stomach."""
    organs = []
    for sign in (-1, 1):
        lift = float(rng.normal(0, 8)) - 6 * (sign < 0)
        at = (sign * (66 + rng.normal(0, 4)), -18 + rng.normal(0, 5), 145 + lift)
        organs.append((at, (25, 24, 52), Tissue.KIDNEY, 0.0))
        organs.append(((at[0] - sign * 9, at[1] - 4, at[2]), (13, 11, 24), Tissue.KIDNEY, 0.8))
    organs.append(((-92.0, -70.0, 185.0 + rng.normal(0, 12)), (62, 75, 75), Tissue.VISCERA, 0.0))
    organs.append(((-8.0, -95.0, 205.0 + rng.normal(0, 10)), (52, 36, 50), Tissue.VISCERA, 0.0))
    organs.append(((68.0, -85.0, 200.0), (48, 42, 50), Tissue.VISCERA, 0.05))
    for (px, pd, ph), radii, tissue, fat in organs:
        centre = place(spine, float(px), 0.0, float(ph))
        centre = (centre[0], centre[1] + float(pd) * spine.size, centre[2])
        size = np.array(radii, np.float32) * np.float32(spine.size)
        window = fields.around(centre, size + 3)
        x, y, z = fields.axes(window)
        radius = np.sqrt(
            ((x - centre[0]) / size[0]) ** 2
            + ((y - centre[1]) / size[1]) ** 2
            + ((z - centre[2]) / size[2]) ** 2
        )
        noise = fields.patches[window]
        inside = ((1 - radius) * size.min() + 1.2 * noise).astype(np.float32)
        gain = 1 + np.float32(0.05) * noise
        if fat:
            share = np.float32(fat) * np.clip(inside / 4, 0, 1)
            fields.put(window, inside, tissue, fat=share, gain=gain, edge_mm=0.1)
        else:
            fields.put(window, inside, tissue, gain=gain)


def _mesentery(rng: np.random.Generator, fields: Fields, habitus: Habitus, inside: Field) -> None:
    """Strands and small vessels in the fat of the abdomen."""
    window = fields.window((-205, 205), (-205, 30), (-210, 210))
    strands = fields.patches[window] - 0.5 * fields.fibres[window]
    share = np.clip(strands - np.float32(1.3 + 0.4 * habitus.weight), 0, 0.7)
    within = inside[window] > habitus.wall + 1
    fields.fat[window] *= 1 - share * within
    a, b, c = fields.axes(window)
    cloudy = np.float32(0.09) * smooth_noise(rng, (a, b, c), (22.0, 22.0, 30.0))
    fields.gain[window] *= 1 + cloudy * within
