"""The dural sac along the whole canal, from the five solved levels.

What must stay true: at each disc the sac is the solved one, cuts and all.
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from lumbargrade.phantom.anatomy import Anatomy
from lumbargrade.phantom.canvas import Field, SignedDistance
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine


class SacCourse:
    """The dural sac along the whole canal, from the solved levels."""

    def __init__(self, spine: Spine, anatomy: Anatomy) -> None:
        self.levels = anatomy.levels
        s = np.array([level.s_mm for level in anatomy.levels])
        end = float(spine.disc_s_mm[FIRST_GRADED_DISC + 5])
        knots = np.concatenate([[end - 14, end], s[::-1], [spine.disc_s_mm[1], s[0] + 110]])

        def course(values: list[float], tail: tuple[float, float]) -> PchipInterpolator:
            middle = values[::-1]
            return PchipInterpolator(knots, [*tail, *middle, middle[-1], middle[-1]])

        sacs = [level.sac for level in anatomy.levels]
        self.half_width = course([v.half_width_mm for v in sacs], (0.8, 5.0))
        self.half_depth = course([v.half_depth_mm for v in sacs], (0.8, 3.6))
        self.centre_d = course([v.centre_d_mm for v in sacs], (6.0, 7.0))
        self.fat = course([level.posterior_fat_mm for level in anatomy.levels], (1.0, 1.5))
        self.end_mm = end - 14
        self.top_mm = float(s[0] + 110)

    def shape(self, inset: float = 0.0) -> SignedDistance:
        """The sac itself."""

        def distance(x: Field, d: Field, s: Field) -> Field:
            half_width, half_depth = self.half_width(s), self.half_depth(s)
            centre = self.centre_d(s)
            radius = np.hypot(x / half_width, (d - centre) / half_depth)
            result = (radius - 1) * np.minimum(half_width, half_depth)
            for level in self.levels:
                sac = level.sac
                fade = sac.fade(s - level.s_mm)
                near = fade > 0.01
                sin, cos = np.sin(sac.back_angle_rad), np.cos(sac.back_angle_rad)
                support = np.hypot(half_width * sin, half_depth * cos) + centre * cos
                front = centre - half_depth + sac.front_cut_mm * fade - d
                back = np.abs(x) * sin + d * cos - (support - sac.back_cut_mm * fade)
                cut = np.maximum(result, np.maximum(front, back))
                result = np.where(near, cut, result)
            return np.asarray(np.maximum(result, self.end_mm - s) + inset)

        return distance

    def back_wall(self, x: Field, d: Field, s: Field) -> Field:
        """Signed distance behind the canal's posterior wall (two planes), negative in front."""
        angle = 0.72
        support = np.hypot(self.half_width(s) * np.sin(angle), self.half_depth(s) * np.cos(angle))
        support = support + self.centre_d(s) * np.cos(angle)
        return np.asarray(np.abs(x) * np.sin(angle) + d * np.cos(angle) - support - self.fat(s))
