"""One neural foramen: the section it is graded by, its measure, and how it is solved.

What must stay true: the clearance shrinks as the walls close on the root.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import label

from lumbargrade.labels import Side
from lumbargrade.phantom.foramen_causes import ForamenCauses
from lumbargrade.phantom.measures import BISECTIONS, FORAMEN_CAP_MM, SIDE_SIGN
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.streams import Stream, generator

_GRID_MM = 0.2
"""Resolution at which the middle of the section is taken."""

_FLOOR_MM = 2.5
"""Lowest usual floor: fat that reached the disc plane would cover the faces of the recesses."""

_THINNEST_MM = 0.35
"""Half of a flattened root's thickness, at least."""

_TILTED_MM = 2.0
"""A tilted root reaches less far up by at most this than its half axis."""

_FALL_PER_MM = 2.5
"""How much deeper the floor lies with every mm of clearance."""

_HIGHEST_MM, _LOWEST_MM = 22.0, -12.0
_FRONT_MM, _BACK_MM = -12.0, 22.0
"""Limits of the plane in which the section lies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Herniation:
    """Disc that has come out into a foramen, in front of and below its root."""

    reach_mm: float
    """How far it stands out behind the front wall."""
    height_share: float
    """Where it stands out most: share of the way from the disc plane up to the root."""
    half_height_mm: float

    def push(self, height: NDArray[np.float64], root_height_mm: float) -> NDArray[np.float64]:
        """How far it stands out at a height."""
        away = (height - self.height_share * root_height_mm) / self.half_height_mm
        return np.asarray(self.reach_mm * np.exp(-(away**2)))


_HERNIATED = ((1.0, 0.06), (0.0, 0.03), (-np.inf, 0.002))
"""Severity from which on a foramen has a herniation that often."""


def draw_herniation(seed: int, part: int, severity: float) -> Herniation | None:
    """Draw whether a foramen has a herniation.

    Args:
        seed: of the study.
        part: which of its foramina.
        severity: wanted there.
    """
    rng = generator(seed, Stream.HERNIATIONS, part=part)
    chance = next(chance for least, chance in _HERNIATED if severity >= least)
    if rng.random() >= chance:
        return None
    return Herniation(
        reach_mm=float(rng.uniform(2.5, 5.0)),
        height_share=float(rng.uniform(0.3, 0.85)),
        half_height_mm=float(rng.uniform(2.5, 4.5)),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Foramen:
    """One foramen at its narrowest section, a keyhole; heights are true mm above the disc plane.

    The roof is the pedicle above, the front the vertebra and, lower down, the disc's margin, the
    back the superior articular process with flavum on it, the floor the pedicle below.
    """

    x_mm: float
    root_d_mm: float
    root_height_mm: float
    root_half_d_mm: float
    root_half_height_mm: float
    root_tilt_rad: float
    """Of its section, its top to the back."""
    front_mm: float
    """d of the vertebra's wall."""
    front_bump_mm: float
    """How far the disc's margin stands out behind it."""
    bump_height_mm: float
    """Height at which it stands out most."""
    back_mm: float
    """d of the articular process's wall where it stands out least."""
    back_bump_mm: float
    """How far its tip stands out to the front, below the root."""
    tip_height_mm: float
    top_mm: float
    """Height of the roof at its highest."""
    arch: float
    """How fast the roof falls, in mm per mm² from its middle."""
    bottom_mm: float
    floor_slope: float
    """How the floor rises to the back."""
    raised_mm: float
    """How far the floor stands above its usual height; disc and articular process fill that."""
    corner_mm: float
    """Walls meet in a curve about this wide."""
    clearance_mm: float
    stretch: float
    herniation: Herniation | None = None
    centre_d_mm: float = 0.0
    centre_height_mm: float = 0.0
    """Middle of the section."""

    def centroid(self) -> tuple[float, float]:
        """(d, height) of the middle of the section."""
        return self.centre_d_mm, self.centre_height_mm

    def walls(
        self, d: NDArray[np.float64], height: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], ...]:
        """Signed distance to roof, front, back and floor, each negative on the inner side."""
        middle = (self.front_mm + self.back_mm) / 2
        roof = height - self.top_mm + self.arch * (d - middle) ** 2
        disc = self.front_bump_mm * np.exp(-(((height - self.bump_height_mm) / 4.0) ** 2))
        tip = self.back_bump_mm * np.exp(-(((height - self.tip_height_mm) / 4.5) ** 2))
        if self.herniation is not None:
            disc = disc + self.herniation.push(height, self.root_height_mm)
        floor = self.bottom_mm + self.floor_slope * (d - self.root_d_mm) - height
        floor = floor / np.hypot(1, self.floor_slope)
        return roof, self.front_mm + disc - d, d - self.back_mm + tip, floor

    def signed_distance(
        self,
        d: NDArray[np.float64],
        height: NDArray[np.float64],
        widen: NDArray[np.float64] | float = 0.0,
    ) -> NDArray[np.float64]:
        """Signed distance (mm, negative inside) of the section's wall."""
        roof, front, back, floor = self.walls(d, height)
        sides = _smooth_maximum(front, back, self.corner_mm)
        ends = _smooth_maximum(roof, floor, self.corner_mm)
        return np.asarray(_smooth_maximum(sides, ends, self.corner_mm) - widen)


def _smooth_maximum(
    a: NDArray[np.float64], b: NDArray[np.float64], width: float
) -> NDArray[np.float64]:
    """The larger of two, rounded where they differ by less than a width."""
    near = np.maximum(width - np.abs(a - b), 0) / width
    return np.asarray(np.maximum(a, b) + near**2 * width / 4)


def root_outline(foramen: Foramen) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(d, height) of places around the root."""
    angle = np.arange(0, 2 * np.pi, 0.05)
    along, up = foramen.root_half_d_mm * np.cos(angle), foramen.root_half_height_mm * np.sin(angle)
    cos, sin = np.cos(foramen.root_tilt_rad), np.sin(foramen.root_tilt_rad)
    d = foramen.root_d_mm + along * cos + up * sin
    return d, foramen.root_height_mm + up * cos - along * sin


def foramen_clearance_mm(foramen: Foramen) -> float:
    """Smallest distance from the root's outline to the wall, 0 at least."""
    return max(0.0, float(-foramen.signed_distance(*root_outline(foramen)).max()))


def solve_foramen(
    rng: np.random.Generator,
    spine: Spine,
    side: Side,
    s: float,
    disc_height: float,
    wanted_mm: float,
    causes: ForamenCauses,
    herniation: Herniation | None = None,
) -> Foramen:
    """Close the walls on the root until the smallest fat clearance is the one wanted.

    Below zero the root is flattened by as much. Which walls are near is drawn with the causes; how
    much the disc's margin and the tip of the articular process stand out, here.
    """
    root = np.array([rng.uniform(1.9, 2.5), rng.uniform(2.2, 3.0)]) * spine.size * causes.root_size
    flattened = max(0.0, -wanted_mm)
    thin = int(causes.flat_in_height)
    root[thin] = max(root[thin] - flattened / 2, _THINNEST_MM)
    root_d = float(rng.normal(4.0, 0.6))
    root_height = disc_height / 2 + float(rng.uniform(4.5, 6.5)) * spine.size
    open_by = np.array([0.0, rng.uniform(0, 0.8), rng.uniform(0.3, 2.5)])
    spare = causes.spare_mm(flattened)
    if wanted_mm > 0:
        # Where fat is left all around, its amount varies by itself.
        spare[:3] += rng.permutation(open_by) * min(1.0, wanted_mm)
        spare -= spare.min()
    front, back, top, below = spare
    tightness = float(np.clip(1 - wanted_mm / FORAMEN_CAP_MM, 0, 1))
    bumps = rng.uniform(0.3, 1.6, 2) + tightness * rng.dirichlet([2.0, 2.0]) * 2.6
    bumps *= 0.6 + 0.5 * np.array([causes.front, causes.back]) / max(causes.front, causes.back)
    floor = _FLOOR_MM + float(rng.uniform(0.0, 1.5))
    arch, corner = float(rng.uniform(0.02, 0.07)), float(rng.uniform(1.5, 3.0))
    tip = root_height - float(rng.uniform(4.0, 7.0))
    bump_height = float(rng.uniform(-1.0, 1.5))
    x_mm = (14.5 + 0.8 * float(rng.normal())) * spine.size + 1.5
    stretch = spine.stretch(SIDE_SIGN[side] * x_mm, root_d, s + root_height)
    deep = below + _FALL_PER_MM * max(wanted_mm, 0.0)

    def build(gap: float) -> Foramen:
        lowest = min(floor, root_height - root[1] - gap - 1.0)
        bottom = max(lowest, root_height - root[1] - gap - deep)
        return Foramen(
            x_mm=x_mm,
            root_d_mm=root_d,
            root_height_mm=root_height,
            root_half_d_mm=float(root[0]),
            root_half_height_mm=float(root[1]),
            root_tilt_rad=causes.root_tilt_rad,
            front_mm=root_d - root[0] - gap - front,
            front_bump_mm=float(bumps[0]),
            bump_height_mm=bump_height,
            back_mm=root_d + root[0] + gap + back,
            back_bump_mm=float(bumps[1]),
            tip_height_mm=tip,
            top_mm=root_height + root[1] + gap + top,
            arch=arch,
            bottom_mm=bottom,
            floor_slope=causes.floor_slope,
            raised_mm=bottom - lowest,
            corner_mm=corner,
            clearance_mm=0.0,
            stretch=stretch,
            herniation=herniation,
        )

    low, high = -_TILTED_MM, FORAMEN_CAP_MM * spine.size + 5
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if foramen_clearance_mm(build(middle)) > max(wanted_mm, 0.0):
            high = middle
        else:
            low = middle
    solved = build(high)
    centre = _middle(solved)
    return replace(
        solved,
        clearance_mm=foramen_clearance_mm(solved) - flattened,
        centre_d_mm=centre[0],
        centre_height_mm=centre[1],
    )


def _middle(foramen: Foramen) -> tuple[float, float]:
    """(d, height) of the centroid of the section, where it is pinched off of the root's part."""
    d, height = np.meshgrid(
        np.arange(_FRONT_MM, _BACK_MM, _GRID_MM),
        np.arange(_LOWEST_MM, _HIGHEST_MM, _GRID_MM),
        indexing="ij",
    )
    inside = np.clip(0.5 - foramen.signed_distance(d, height) / _GRID_MM, 0, 1)
    parts, _ = label(inside > 0.5)
    at = np.hypot(d - foramen.root_d_mm, height - foramen.root_height_mm).argmin()
    own = parts.ravel()[at]
    inside = np.where(parts == own, inside, 0.0) if own else inside
    return float((d * inside).sum() / inside.sum()), float((height * inside).sum() / inside.sum())
