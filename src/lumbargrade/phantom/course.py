"""The dural sac along the whole canal, from the five solved levels.

What must stay true: at each disc the sac is the solved one, cuts and all.
"""

import numpy as np
from scipy.interpolate import PchipInterpolator

from lumbargrade.phantom.anatomy import Anatomy
from lumbargrade.phantom.canvas import Field, SignedDistance
from lumbargrade.phantom.sac import back_support, outline
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator

_CUT_REACH = 2.3
"""A cut is followed along s until it has faded to 0.5 %, in multiples of its reach."""


class SacCourse:
    """The dural sac along the whole canal, from the solved levels."""

    def __init__(self, seed: int, spine: Spine, anatomy: Anatomy) -> None:
        self.levels = anatomy.levels
        rng = generator(seed, Stream.CANAL, part=len(anatomy.levels) + 1)
        s = np.array([level.s_mm for level in anatomy.levels])
        sacrum = float(spine.disc_s_mm[FIRST_GRADED_DISC + 5])
        self.end_mm = sacrum - float(rng.uniform(2, 24))
        self.top_mm = float(s[0] + 110)
        taper = s[-1] + np.array([1.0, 0.93, 0.6]) * (self.end_mm - s[-1])
        narrowing = np.array([0.06, 0.3, 0.68]) + rng.normal(0, 0.03) * np.array([0, 1, 1])
        knots = np.concatenate([taper, s[::-1], [spine.disc_s_mm[1], s[0] + 110]])
        sacs = [level.sac for level in anatomy.levels]

        def course(values: list[float], tail: list[float]) -> PchipInterpolator:
            middle = values[::-1]
            return PchipInterpolator(knots, [*tail, *middle, middle[-1], middle[-1]])

        last = sacs[-1]
        self.half_width = course(
            [v.half_width_mm for v in sacs], list(narrowing * last.half_width_mm)
        )
        depths = narrowing * last.half_depth_mm
        self.half_depth = course([v.half_depth_mm for v in sacs], list(depths))
        behind = last.centre_d_mm - last.half_depth_mm + rng.uniform(0.5, 3.5)
        self.centre_d = course([v.centre_d_mm for v in sacs], [float(behind + depths[-1])] * 3)
        self.fat = course([level.posterior_fat_mm for level in anatomy.levels], [1.0, 1.2, 1.5])
        self.square = course([v.form.square for v in sacs], [last.form.square] * 3)
        self.triangular = course([v.form.triangular for v in sacs], [last.form.triangular] * 3)

    def shape(self, inset: float = 0.0) -> SignedDistance:
        """The sac itself."""

        def distance(x: Field, d: Field, s: Field) -> Field:
            half_width, half_depth = self.half_width(s), self.half_depth(s)
            centre = self.centre_d(s)
            whole = outline(
                x, d, half_width, half_depth, centre, self.square(s), self.triangular(s)
            )
            heights = s.reshape(-1)
            for level in self.levels:
                sac = level.sac
                reach = 1.5 + _CUT_REACH * max(
                    sac.form.back_reach_mm, sac.margin.reach_mm, sac.margin.focal_reach_mm
                )
                reach += abs(sac.margin.migration_mm)
                near = slice(*np.searchsorted(heights, (level.s_mm - reach, level.s_mm + reach)))
                support = back_support(half_width, half_depth, centre, sac.form)
                whole[..., near] = sac.cut(
                    whole[..., near], x, d, s[..., near] - level.s_mm,
                    (centre - half_depth)[..., near], support[..., near],
                )  # fmt: skip
            return np.asarray(np.maximum(whole, self.end_mm - s) + inset)

        return distance

    def front_d(self, s: Field | float) -> Field:
        """D of the uncut sac's front in the midline."""
        return np.asarray(self.centre_d(s) - self.half_depth(s))

    def back_wall(self, x: Field, d: Field, s: Field) -> Field:
        """Signed distance behind the canal's posterior wall (two planes), negative in front.

        The wall stands off behind each disc, where the fat pad lies between the laminae.
        """
        angle = 0.72
        support = np.hypot(self.half_width(s) * np.sin(angle), self.half_depth(s) * np.cos(angle))
        support = support + self.centre_d(s) * np.cos(angle) + self.fat(s)
        for level in self.levels:
            room = 0.6 * level.causes.fat_pad_mm
            support = support + room * np.exp(-np.square((s - level.s_mm + 2) / 7.0))
        aside = np.hypot(x, 1.5) - 1.5
        across = aside * np.sin(angle) + d * np.cos(angle)
        return np.asarray(across - support)
