"""One neural foramen: the section it is graded by, its measure, and how it is solved.

What must stay true: the clearance shrinks as the walls close on the root.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lumbargrade.phantom.measures import BISECTIONS, FORAMEN_CAP_MM
from lumbargrade.phantom.spine import Spine


@dataclass(frozen=True, slots=True, kw_only=True)
class Foramen:
    """One foramen at its narrowest section; heights are true mm above the disc plane."""

    x_mm: float
    root_d_mm: float
    root_height_mm: float
    root_half_d_mm: float
    root_half_height_mm: float
    front_mm: float
    """d of the front wall (disc, vertebra)."""
    back_mm: float
    """d of the back wall (superior articular process)."""
    top_mm: float
    """Height of the upper wall (pedicle)."""
    bottom_mm: float
    corner_mm: float
    clearance_mm: float
    stretch: float

    def centroid(self) -> tuple[float, float]:
        """(d, height) of the middle of the section."""
        return (self.front_mm + self.back_mm) / 2, (self.top_mm + self.bottom_mm) / 2

    def signed_distance(
        self,
        d: NDArray[np.float64],
        height: NDArray[np.float64],
        widen: NDArray[np.float64] | float = 0.0,
    ) -> NDArray[np.float64]:
        """Signed distance (mm, negative inside) of the section's wall, a rounded box."""
        cd, ch = self.centroid()
        corner = self.corner_mm
        qd = np.abs(d - cd) - (self.back_mm - self.front_mm) / 2 - widen + corner
        qh = np.abs(height - ch) - (self.top_mm - self.bottom_mm) / 2 - widen + corner
        outside = np.hypot(np.maximum(qd, 0), np.maximum(qh, 0))
        return np.asarray(outside + np.minimum(np.maximum(qd, qh), 0) - corner)


def foramen_clearance_mm(foramen: Foramen) -> float:
    """Smallest distance from the root's outline to the wall, 0 at least."""
    angle = np.arange(0, 2 * np.pi, 0.05)
    d = foramen.root_d_mm + foramen.root_half_d_mm * np.cos(angle)
    height = foramen.root_height_mm + foramen.root_half_height_mm * np.sin(angle)
    return max(0.0, float(-foramen.signed_distance(d, height).max()))


def solve_foramen(
    rng: np.random.Generator, spine: Spine, s: float, disc_height: float, wanted_mm: float
) -> Foramen:
    """Close the walls on the root until the smallest fat clearance is the one wanted.

    Below zero the root is flattened by as much.
    """
    root = np.array([rng.uniform(1.9, 2.5), rng.uniform(2.2, 3.0)]) * spine.size
    flattened = max(0.0, -wanted_mm)
    root[0] = max(root[0] - flattened / 2, 0.35)
    root_d = float(rng.normal(4.0, 0.6))
    root_height = disc_height / 2 + float(rng.uniform(4.5, 6.5)) * spine.size
    open_by = np.array([0.0, rng.uniform(0, 0.8), rng.uniform(0.3, 2.5)])
    front, back, top = rng.permutation(open_by) if wanted_mm > 0 else (0.0, 0.0, open_by[2])
    bottom = float(rng.uniform(1.0, 3.0))
    stretch = spine.stretch(root_d, s + root_height)
    x_mm = (14.5 + 0.8 * float(rng.normal())) * spine.size + 1.5

    def build(gap: float) -> Foramen:
        return Foramen(
            x_mm=x_mm,
            root_d_mm=root_d,
            root_height_mm=root_height,
            root_half_d_mm=float(root[0]),
            root_half_height_mm=float(root[1]),
            front_mm=root_d - root[0] - gap - front,
            back_mm=root_d + root[0] + gap + back,
            top_mm=root_height + root[1] + gap + top,
            bottom_mm=min(bottom, root_height - root[1] - gap - 1.0),
            corner_mm=min(2.0, float(root[0]) + gap),
            clearance_mm=0.0,
            stretch=stretch,
        )

    low, high = 0.0, FORAMEN_CAP_MM * spine.size + 3
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if foramen_clearance_mm(build(middle)) > max(wanted_mm, 0.0):
            high = middle
        else:
            low = middle
    solved = build(high)
    clearance = foramen_clearance_mm(solved) - flattened
    return replace(solved, clearance_mm=clearance)
