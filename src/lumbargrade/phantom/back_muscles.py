"""Muscles of the back around the spine, with their clefts, fascia and streaks of fat.

What must stay true: a patient's fatty infiltration is a nuisance: it knows no severity.
"""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from lumbargrade.phantom.body_grid import Field, Fields, Window, smooth_noise
from lumbargrade.phantom.habitus import Habitus
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.tissue import Tissue

_HEIGHT = np.array([-110.0, -80, -45, -15, 20, 60, 120, 220])
_BACK = np.array([14.0, 17, 23, 38, 52, 54, 53, 50])
"""Depth d of the muscles' posterior surface by height above L5/S1 (at size 1)."""
_FRONT = np.array([8.0, 8, 9, 10, 9, 8, 7, 4])
_WIDTH = np.array([10.0, 24, 36, 50, 64, 70, 68, 58])
_MULTIFIDUS = np.array([10.0, 20, 30, 33, 30, 24, 19, 15])
"""Distance of its lateral border from the midline."""


def paint_back_muscles(
    rng: np.random.Generator,
    fields: Fields,
    habitus: Habitus,
    spine: Spine,
    frame: tuple[Field, Field],
) -> None:
    """Erector spinae, multifidus and what lies between the spinous processes.

    Args:
        rng: of the surroundings.
        fields: to paint on.
        habitus: of the patient.
        spine: for its size and bend.
        frame: depth d and height s at every (y, z).
    """
    window = fields.window((-82, 82), (-12, 150), (-210, 210))
    depth, height = (part[window[1:]].astype(np.float32) for part in frame)
    h = height / np.float32(spine.size)
    bend = np.interp(height, spine.s_mm, spine.bend_mm).astype(np.float32)
    x = fields.x[window[0], None, None] - bend[None]
    side = np.abs(x)
    back, front, width, border = (
        np.interp(h, _HEIGHT, table).astype(np.float32)
        for table in (_BACK, _FRONT, _WIDTH, _MULTIFIDUS)
    )
    width *= np.float32(spine.size * rng.uniform(0.94, 1.06))
    half, middle = (back - front) / 2, (back + front) / 2
    a, b, c = fields.axes(window)
    wobble = smooth_noise(rng, (a, b, c), (15.0, 15.0, 45.0))
    lean = np.float32(0.16) * np.maximum(side - 22, 0)
    along = ((lean + (depth - middle)) / half) ** 2
    sideways = np.maximum(side - 0.2 * width, 0) / (0.8 * width)
    inside = (1 - np.sqrt(sideways**2 * np.sqrt(sideways) + along * np.sqrt(along))) * half
    inside += np.float32(0.6) * wobble
    inside -= np.float32(3.0) * np.exp(-((side / 7) ** 2)) * (depth > middle)
    inside[:, (depth < -5) | (h < -115)] = -9

    fat = _streaks(rng, fields, habitus, window, depth, h, x, wobble)
    tilt = np.float32(0.35) * (depth - 32)
    thick = np.float32(1.0 + 1.2 * habitus.infiltration)
    for line, share in ((border - tilt, 0.9), (0.68 * width - tilt, 0.6)):
        cleft = np.abs(side - line[None] + np.float32(2.2) * wobble)
        fat = np.maximum(
            fat, np.float32(share) * np.clip(1.2 + np.float32(0.5) * wobble - cleft / thick, 0, 1)
        )
    gain = 1 + np.float32(0.05) * fields.fibres[window]
    fields.put(window, inside, Tissue.MUSCLE, fat=np.minimum(fat, np.float32(0.95)), gain=gain)
    behind = np.where(
        (depth > middle) & (side < 0.75 * width), inside + np.float32(0.4), np.float32(9)
    )
    fields.darken(window, behind, 1.0, 0.55)
    _between_spinous(rng, fields, window, depth, h, x)


def _streaks(
    rng: np.random.Generator, fields: Fields, habitus: Habitus, window: Window,
    depth: Field, h: Field, x: Field, clusters: Field,
) -> Field:  # fmt: skip
    """Share of fat in the muscles: stripes along oblique fibres, more in the lower levels."""
    lateral = np.arange(-84, 87, 2.8)
    grid = rng.standard_normal((len(lateral), 80, 46), dtype=np.float32)
    grid = gaussian_filter(grid, (0.85, 0.85, 0.85))
    grid /= grid.std()
    near = np.abs(depth - 26) < 36
    fibre = (depth[near] + 0.3 * h[near] + 50) / 2.4
    index = np.stack([np.clip(fibre, 0, 79), np.clip((h[near] + 150) / 8.5, 0, 45)])
    planes = np.zeros((len(lateral), *depth.shape), np.float32)
    for plane, out in zip(grid, planes, strict=True):
        out[near] = map_coordinates(plane, index, order=1)
    position = (fields.x[window[0]] + 84) / 2.8
    first = np.clip(position.astype(int), 0, len(lateral) - 2)
    share = (position - first)[:, None, None].astype(np.float32)
    noise = planes[first]
    noise += share * (planes[first + 1] - noise)
    low = 1 / (1 + np.exp((h - 25) / 22))
    deep = np.clip((26 - depth) / 16, 0, 1) * np.clip(1.3 - np.abs(h) / 170, 0, 1)
    amount = -1.7 + 1.6 * habitus.infiltration + (0.3 + 0.8 * habitus.infiltration) * low
    level = (amount + 1.0 * deep).astype(np.float32)[None] - np.float32(0.5) * np.clip(
        (np.abs(x) - 32) / 15, 0, 1
    )
    level += np.float32(rng.normal(0, 0.15)) * np.sign(x)
    noise += level
    noise -= np.float32(0.45) * clusters
    return np.asarray(np.clip(noise, 0, 1) * np.float32(0.9), np.float32)


def _between_spinous(
    rng: np.random.Generator, fields: Fields, window: Window, depth: Field, h: Field, x: Field
) -> None:
    """Interspinous ligament: oblique grey stripes in fat; behind it the supraspinous ligament."""
    near = np.flatnonzero(np.abs(fields.x[window[0]]) < 14)
    columns = slice(int(near[0]), int(near[-1]) + 1)
    start = window[0].start
    part = (slice(start + columns.start, start + columns.stop), *window[1:])
    side = np.abs(x[columns])
    grid = gaussian_filter(rng.standard_normal((100, 80), dtype=np.float32), 0.7)
    index = np.stack(
        [np.clip((depth - 0.45 * h + 110) / 2.0, 0, 99), np.clip((h + 150) / 5.0, 0, 79)]
    )
    stripes = map_coordinates(grid / grid.std(), index, order=1)
    stripes += np.float32(0.5) * fields.patches[part][len(near) // 2]
    tip = (np.interp(h, _HEIGHT, _BACK) - 1.5).astype(np.float32)
    extent = np.minimum(depth - 12, tip - depth)
    reach = np.minimum(np.float32(4.0) - side, extent[None])
    reach[:, h < -60] = -1
    fat = np.broadcast_to(np.clip(0.5 + 0.3 * stripes, 0.08, 0.92), reach.shape)
    fields.put(part, reach, Tissue.FLAVUM, fat=fat, edge_mm=1.2)
    rear = np.where((h > -30)[None] & (side < 3.5), (depth - tip - 1)[None], np.float32(9))
    fields.darken(part, rear, 1.4, 0.8)
