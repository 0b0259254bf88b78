"""Does the spine curve to the side? Read from the points on its left and right.

What must stay true: only middles between a left and a right point of one view count, for a single
point lies on a slice, and sagittal slices stand 4 to 5 mm apart; fewer than four such levels say
nothing.

Source: a scoliosis is a curve of 10° or more by Cobb's angle (Cobb 1948), which is measured on
endplates of a standing patient; here it is the angle between the steps from level to level of one
who lies, over the five levels alone, so that what exceeds it does so surely.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from lumbargrade.arrays import Point
from lumbargrade.geometry import HEAD_TO_FOOT
from lumbargrade.labels import CONDITIONS, LEVELS, Family, Level, Side, Target
from lumbargrade.records import Landmark

CURVED_DEG = 10.0

FEWEST_LEVELS = 4

_PAIRED = (Family.SUBARTICULAR, Family.FORAMINAL)
"""The first is on axial slices, where left and right are known to a pixel."""


def sideways_angle_deg(landmarks: Sequence[Landmark]) -> float | None:
    """The angle between the two steps from a level to the next that differ most, seen from ahead.

    Args:
        landmarks: 25, in target order.

    Returns:
        None where fewer than ``FEWEST_LEVELS`` levels have a left and a right point of one view.
    """
    middles = [middle for level in LEVELS if (middle := _middle(landmarks, level)) is not None]
    if len(middles) < FEWEST_LEVELS:
        return None
    steps = [lower - upper for upper, lower in pairwise(middles)]
    leans = [np.degrees(np.arctan2(step[0], step @ HEAD_TO_FOOT)) for step in steps]
    return float(max(leans) - min(leans))


def _middle(landmarks: Sequence[Landmark], level: Level) -> Point | None:
    for family in _PAIRED:
        sides = {
            condition.side: landmarks[Target(condition=condition, level=level).index]
            for condition in CONDITIONS
            if condition.family is family
        }
        left, right = (sides[side].position_lps_mm for side in (Side.LEFT, Side.RIGHT))
        if left is not None and right is not None:
            middle: Point = (left + right) / 2
            return middle
    return None
