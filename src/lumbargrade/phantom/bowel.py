"""Loops of bowel in the fat of the abdomen.

What must stay true: loops stay in front of the great vessels and inside the abdominal wall.
"""

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from lumbargrade.phantom.body_grid import Field, Fields
from lumbargrade.phantom.habitus import Habitus, place
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.tissue import Tissue


def paint_bowel(
    rng: np.random.Generator, fields: Fields, habitus: Habitus, spine: Spine, inside: Field
) -> None:
    """Loops of bowel in front of the great vessels, with gas, fluid or stool and thin walls."""
    front = np.array([place(spine, 0, -52, h)[1:] for h in np.arange(-70.0, 220, 10)])
    order = np.argsort(front[:, 1])
    count = int(700 * (1.1 - 0.5 * habitus.weight))
    places = rng.uniform((-150, -190, -200), (150, 20, 205), (count, 3))
    kinds, sizes = rng.random(count), rng.uniform(8, 18, count)
    bends = rng.standard_normal((count, 2, 3))
    lengths = sizes * rng.uniform(0.0, 2.2, count)
    nearest = [
        np.minimum(np.searchsorted(axis, places[:, i]), len(axis) - 1)
        for i, axis in enumerate((fields.x, fields.y, fields.z))
    ]
    limit = np.interp(places[:, 2], front[order, 1], front[order, 0]) - sizes
    limit += 40 * np.clip((np.abs(places[:, 0]) - 75) / 20, 0, 1)
    free = (places[:, 1] < limit) & (inside[tuple(nearest)] > habitus.wall + sizes)
    for k in np.flatnonzero(free):
        steps = bends[k] / np.linalg.norm(bends[k], axis=1, keepdims=True) * lengths[k] / 2
        course = places[k] + np.stack([steps[0], np.zeros(3), steps[1]])
        course[:, 1] = np.minimum(course[:, 1], limit[k])
        paint_loop(fields, course, float(sizes[k]), float(kinds[k]))


def paint_loop(fields: Fields, course: NDArray[np.float64], size: float, kind: float) -> None:
    """One loop of bowel along a course, or a bladder: ``kind`` from 0 to 1 says what is in it.

    Args:
        fields: to paint on.
        course: (n, 3) canonical positions along the middle.
        size: radius in mm.
        kind: below 0.22 gas, below 0.38 fluid, else stool or chyme, brighter the higher.
    """
    low, high = course.min(axis=0) - size - 3, course.max(axis=0) + size + 3
    centre, reach = (low + high) / 2, (high - low) / 2
    window = fields.around(
        (float(centre[0]), float(centre[1]), float(centre[2])), reach.astype(np.float32)
    )
    x, y, z = fields.axes(window)
    if not (x.size and y.size and z.size):
        return
    square: Field | None = None
    for start, end in pairwise(course.astype(np.float32)):
        step = end - start
        dx, dy, dz = x - start[0], y - start[1], z - start[2]
        along = (dx * step[0] + dy * step[1] + dz * step[2]) / (step @ step + np.float32(1e-3))
        along = np.clip(along, 0, 1)
        own = (
            (dx - along * step[0]) ** 2 + (dy - along * step[1]) ** 2 + (dz - along * step[2]) ** 2
        )
        square = own if square is None else np.minimum(square, own)
    uneven = fields.patches[window]
    inside = np.float32(size) - np.sqrt(np.asarray(square)) + np.float32(1.2) * uneven
    gas = kind < 0.22
    tissue, gain = (
        (Tissue.AIR, 1.0) if gas
        else (Tissue.BOWEL_FLUID, 0.9) if kind < 0.38
        else (Tissue.VISCERA, 0.65 + 0.8 * (kind - 0.38))
    )  # fmt: skip
    fields.put(window, inside, tissue, gain=np.float32(gain) * (1 + np.float32(0.1) * uneven))
    fields.darken(window, inside - np.float32(1.0), 1.5, 0.15 if gas else 0.5)
