"""The foramina: walls, fat, vessels and the exiting roots.

What must stay true: walls and root are painted exactly where they were solved; each wall is made of
what it is in the body: pedicle, vertebra, disc, flavum on the articular process.
"""

from collections.abc import Callable
from functools import reduce

import numpy as np

from lumbargrade.labels import Side
from lumbargrade.phantom.anatomy import LevelAnatomy
from lumbargrade.phantom.canvas import Box, Canvas, Field, SignedDistance, ellipsoid
from lumbargrade.phantom.foramen import Foramen, Herniation
from lumbargrade.phantom.measures import FORAMEN_CAP_MM, SIDE_SIGN
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.vertebra import mixed, ordered

_ROOF, _FRONT, _BACK, _FLOOR = 0, 1, 2, 3
"""Which of ``Foramen.walls``."""

_CORTEX_MM = 0.7
_LATERAL_MM = 5.0
"""The walls are painted this far to either side of 1 mm beside the narrowest section."""

_PROCESS_MM = 4.0
_MASS_TOP_MM = 9.5
"""How thick the articular process is above the articular mass, and where that ends."""

_BODY_MM = 4.5
"""The vertebra's wall beside the midline lies this far in front of d = 0."""

Beside = Callable[[int, float | Field], Field]
"""(wall, reach) → signed distance of what lies within a reach outside the section beyond a wall."""


def paint_foramen(
    canvas: Canvas, rng: np.random.Generator, level: LevelAnatomy, foramen: Foramen, side: Side
) -> None:
    """Walls, fat, vessels, and the exiting root, along the root's oblique course."""
    sign = SIDE_SIGN[side]

    def frame(x: Field, d: Field, s: Field) -> tuple[Field, Field, Field]:
        """Distance sideways from the narrowest section, and (d, height) there."""
        u = np.asarray(sign * x - foramen.x_mm)
        return u, d + 0.1 * u, (s - level.s_mm) * foramen.stretch + 0.45 * u

    recess = level.recess[side]
    aside = foramen.x_mm - sign * recess.narrowest_x_mm
    facet_d = recess.narrowest_d_mm + aside * float(np.tan(recess.face_angle_rad))
    low, high = foramen.bottom_mm - 8, foramen.top_mm + 8
    box = Box(
        x=ordered(sign * (foramen.x_mm - 7), sign * (foramen.x_mm + 13)),
        d=(foramen.front_mm - 7, max(foramen.back_mm + 9, facet_d + 2)),
        s=(level.s_mm + low / foramen.stretch - 2, level.s_mm + high / foramen.stretch + 2),
    )
    x, d, s = (axis[part] for axis, part in zip(canvas.axes, canvas.window(box), strict=True))
    u, along, height = frame(x[:, None, None], d[None, :, None], s[None, None, :])
    walls = foramen.walls(along, height)
    limit = np.abs(u - 1)
    space = foramen.signed_distance(along, height, np.minimum(0.06 * u**2, 3.5))
    space = np.maximum(space, limit - _LATERAL_MM - 0.5)

    cos, sin = np.cos(recess.face_angle_rad), np.sin(recess.face_angle_rad)
    face = (
        recess.face_mm + recess.flavum_mm - sign * x[:, None, None] * cos - d[None, :, None] * sin
    )
    across = d[None, :, None] - recess.narrowest_d_mm
    rear = across * cos - (sign * x[:, None, None] - sign * recess.narrowest_x_mm) * sin + 3.0
    lateral = np.maximum(limit - _LATERAL_MM, face - 1.5 * np.maximum(height - 4.0, 0))

    def beside(wall: int, reach: float | Field) -> Field:
        beyond = reduce(np.maximum, (o for k, o in enumerate(walls) if k != wall))
        ring = np.maximum(space - reach, beyond - walls[wall] - 0.5)
        return _rounded(ring, limit - _LATERAL_MM, 1.5)

    _paint_walls(canvas, rng, level, foramen, box, (beside, along, height), (rear, lateral))
    canvas.paint(lambda *_: space, Tissue.FAT, box)
    for _ in range(int(rng.integers(0, 4))):
        depth = _between(rng, foramen.front_mm + 1.5, foramen.back_mm - 1.0)
        up = _between(rng, foramen.bottom_mm + 1, foramen.root_height_mm - 3)
        radius = float(rng.uniform(0.4, 0.9))
        centre = (sign * foramen.x_mm, depth, level.s_mm + up / foramen.stretch)
        vein = _within(ellipsoid(centre, (6.0, radius, radius)), space)
        canvas.paint(vein, Tissue.VEIN if rng.random() < 0.5 else Tissue.VESSEL, box)
    _paint_root(canvas, rng, foramen, frame, box)


def _paint_walls(
    canvas: Canvas,
    rng: np.random.Generator,
    level: LevelAnatomy,
    foramen: Foramen,
    box: Box,
    around: tuple[Beside, Field, Field],
    facet: tuple[Field, Field],
) -> None:
    """Pedicle, vertebra, disc, and the articular process under its flavum.

    Args:
        canvas: to paint on.
        rng: of the foramen.
        level: its level.
        foramen: whose walls these are.
        box: where they lie.
        around: what lies beside a wall, and (d, height) everywhere in the box.
        facet: distance behind the front of the articular mass, and from beside its medial face.
    """
    beside, along, height = around
    rear, lateral = facet
    half_disc = level.disc_height_mm / 2
    depth = float(rng.uniform(2.0, 3.5))
    flavum = float(rng.uniform(0.9, 2.4))
    beyond_disc = half_disc - np.abs(height)
    in_front = max(depth, foramen.front_mm + _BODY_MM)
    front = np.maximum(beside(_FRONT, in_front), beyond_disc)
    front_rim = np.maximum(beside(_FRONT, _CORTEX_MM), beyond_disc)
    process = _process(foramen, flavum, rear, (along, height))
    process = np.maximum(process, lateral)
    for bone, rim in (
        (beside(_ROOF, depth + 2.5), beside(_ROOF, _CORTEX_MM)),
        (front, front_rim),
    ):
        canvas.paint(lambda *_, bone=bone: bone, Tissue.MARROW, box)
        canvas.paint(lambda *_, rim=rim: rim, Tissue.CORTEX, box)
    # Where it joins the articular mass it has no cortex of its own.
    cortex = np.maximum(process, np.minimum(rear, _MASS_TOP_MM - height))
    canvas.paint(lambda *_: cortex, Tissue.CORTEX, box)
    canvas.paint(lambda *_: process + _CORTEX_MM, Tissue.MARROW, box)
    annulus = np.maximum(beside(_FRONT, max(4.0, in_front)), -beyond_disc)
    tight = float(np.clip(1 - foramen.clearance_mm / FORAMEN_CAP_MM, 0, 1))
    margin = foramen.walls(along, height)[_FRONT] + float(rng.uniform(0.0, 3.0)) * tight
    bulge = _rounded(np.maximum(-margin, -_BODY_MM - along), -beyond_disc - 1.0, 2.0)
    bulge = np.maximum(bulge, lateral)
    canvas.paint(lambda *_: bulge, Tissue.ANNULUS, box)
    canvas.paint(lambda *_: annulus, Tissue.ANNULUS, box)
    if foramen.herniation is not None:
        lens = _herniation(foramen, foramen.herniation, beside, height)
        disc = mixed(canvas, {Tissue.ANNULUS: 0.7, Tissue.NUCLEUS: 0.3})
        canvas.paint(lambda *_: lens, disc, box)
    if foramen.raised_mm > 0.2:
        middle = foramen.root_d_mm - 2.0 * np.sign(foramen.floor_slope)
        raised = beside(_FLOOR, foramen.raised_mm + float(rng.uniform(0.8, 3.0)))
        disc, capsule = np.maximum(raised, along - middle), np.maximum(raised, middle - along)
        canvas.paint(lambda *_: disc, Tissue.ANNULUS, box)
        soft_tissue = mixed(canvas, {Tissue.FLAVUM: 0.6, Tissue.MUSCLE: 0.2, Tissue.FAT: 0.2})
        canvas.paint(lambda *_: capsule, soft_tissue, box)
    ligament = beside(_BACK, flavum)
    canvas.paint(lambda *_: ligament, Tissue.FLAVUM, box)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """One draw; the middle of both where a narrow foramen leaves no room between them."""
    middle = (low + high) / 2
    return float(rng.uniform(low, high) if low <= high else rng.uniform(middle, middle))


def _process(foramen: Foramen, flavum: float, rear: Field, place: tuple[Field, Field]) -> Field:
    """The superior articular process under its flavum, up to the roof.

    Args:
        foramen: in front of it.
        flavum: its thickness in mm.
        rear: distance behind the front of the articular mass, which is painted already.
        place: (d, height).
    """
    along, height = place
    face = foramen.walls(along, height)[_BACK] - flavum
    # Beside the disc the mass itself is the wall; above it the process is a column of its own.
    own = np.clip((height - 5.0) / 3.0, 0, 1) * _PROCESS_MM
    own = own - 0.3 * np.maximum(height - foramen.root_height_mm, 0)
    column = np.maximum(-face, np.minimum(rear, along - foramen.back_mm - flavum - own))
    return _rounded(column, height - foramen.top_mm - 1.0, 2.0)


def _rounded(a: Field, b: Field, radius: float) -> Field:
    """The larger of two distances, with a rounded edge where they meet."""
    qa, qb = a + radius, b + radius
    corner = np.hypot(np.maximum(qa, 0), np.maximum(qb, 0))
    return np.asarray(corner + np.minimum(np.maximum(qa, qb), 0) - radius)


def _herniation(foramen: Foramen, herniation: Herniation, beside: Beside, height: Field) -> Field:
    """Disc that has come out, from the front wall to where the section begins."""
    away = np.abs(height - herniation.height_share * foramen.root_height_mm)
    shape = beside(_FRONT, herniation.reach_mm + 0.8)
    return np.asarray(np.maximum(shape, away - 1.5 * herniation.half_height_mm))


def _within(shape: SignedDistance, limit: Field) -> SignedDistance:
    """What of a shape lies inside distances that are known on the grid."""
    return lambda x, d, s: np.asarray(np.maximum(shape(x, d, s), limit))


def _paint_root(
    canvas: Canvas,
    rng: np.random.Generator,
    foramen: Foramen,
    frame: Callable[[Field, Field, Field], tuple[Field, Field, Field]],
    box: Box,
) -> None:
    """The exiting root with its ganglion, flattened where it was solved to be."""
    swelling = float(rng.uniform(0.0, 0.5))
    cos, sin = np.cos(foramen.root_tilt_rad), np.sin(foramen.root_tilt_rad)

    def root(x: Field, d: Field, s: Field) -> Field:
        u, along, height = frame(x, d, s)
        relax = np.exp(-((u / 4) ** 2))
        swell = 1 + swelling * np.exp(-(((u - 5) / 3) ** 2))
        half_d = (foramen.root_half_d_mm * relax + 2.0 * (1 - relax)) * swell
        half_height = (foramen.root_half_height_mm * relax + 2.5 * (1 - relax)) * swell
        aside, up = along - foramen.root_d_mm, height - foramen.root_height_mm
        radius = np.hypot((aside * cos - up * sin) / half_d, (up * cos + aside * sin) / half_height)
        return np.asarray(
            np.maximum((radius - 1) * np.minimum(half_d, half_height), np.abs(u - 3) - 9)
        )

    canvas.paint(root, Tissue.ROOT, box)
