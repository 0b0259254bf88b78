"""Spondylolisthesis: one vertebra, and all above it, a few mm in front of the one below.

What must stay true: the frame's course takes the step, its directions do not, so that x and d stay
true millimetres in every plane of constant s; how narrow the level is, is solved as everywhere.
"""

from dataclasses import replace

import numpy as np

from lumbargrade.phantom.labels import Latent
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator

_LEVELS = 5
_WEIGHTS = (0.0, 0.0, 0.03, 0.18, 0.11)
"""How likely a slip is at each level where it is wide open to one."""

_STEEPNESS = 2.5
"""How fast the chance grows with the mean severity of canal and foramina."""

RETROLISTHESIS_SHARE = 0.15


def draw_slip(seed: int, severity: Latent) -> tuple[int, float] | None:
    """Whether the study of a seed has a slip.

    Args:
        seed: of the study.
        severity: wanted severities, in target order.

    Returns:
        The level, 0 for L1/L2, and how far the upper vertebra has moved back (below zero: to the
        front) in mm at size 1; None for no slip.
    """
    rng = generator(seed, Stream.SLIP)
    mean = severity.reshape(5, _LEVELS)[:3].mean(axis=0)
    chances = np.array(_WEIGHTS) / (1 + np.exp(-_STEEPNESS * mean))
    slips = np.flatnonzero(rng.random(_LEVELS) < chances)
    if not len(slips):
        return None
    forward = rng.random() > RETROLISTHESIS_SHARE
    far = float(rng.uniform(2.5, 6.5) if forward else rng.uniform(2.0, 3.5))
    return int(slips[-1]), -far if forward else far


def with_slip(seed: int, spine: Spine, severity: Latent) -> Spine:
    """A spine with the slip that the study of a seed has, or as it is."""
    slip = draw_slip(seed, severity)
    return spine if slip is None else slipped(spine, *slip)


def slipped(spine: Spine, level: int, back_mm: float) -> Spine:
    """Move everything above a disc back (or to the front), in a smooth step across the disc.

    Args:
        spine: without a slip.
        level: 0 for L1/L2.
        back_mm: how far, at size 1.
    """
    index = FIRST_GRADED_DISC + level
    half = float(spine.disc_height_mm[index]) / 2
    share = np.clip((spine.s_mm - spine.disc_s_mm[index] + half) / (2 * half), 0, 1)
    step = back_mm * spine.size * share**2 * (3 - 2 * share)
    aside, y, z = (spine.backward() * step[:, None]).T
    by_level = np.zeros(_LEVELS)
    by_level[level] = back_mm * spine.size
    moved: Spine = replace(
        spine,
        bend_mm=spine.bend_mm + aside,
        y_mm=spine.y_mm + y,
        z_mm=spine.z_mm + z,
        step_mm=step,
        slip_mm=by_level,
    )
    return moved
