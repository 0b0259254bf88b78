"""Bootstrap over studies of the figures of point accuracy.

What must stay true: whole studies are drawn, all figures on the same draws; a draw without a row of
a figure is left out of its interval.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64

from lumbargrade.labels import CONDITIONS, LEVELS, VIEWS, Condition, Level, View
from lumbargrade.point_samples import (
    CONDITION_TARGETS,
    EVERY_TARGET,
    LEVEL_TARGETS,
    VIEW_TARGETS,
    FigureSamples,
)
from lumbargrade.resampling import Interval, draw_studies, interval_of

FigureIntervals = dict[str, Interval | None]
"""Name of the figure → interval, None where fewer than two draws give a value."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointIntervals:
    """Intervals of every figure but the number of truths."""

    resamples: int
    seed: int
    by_view: dict[View, FigureIntervals]
    by_condition: dict[Condition, FigureIntervals]
    by_level: dict[Level, FigureIntervals]
    overall: FigureIntervals


def point_intervals(
    samples: FigureSamples,
    studies: int,
    *,
    resamples: int,
    seed: int = 0,
    on_draws: Callable[[int], None] | None = None,
) -> PointIntervals:
    """Draw studies with replacement and compute every figure on each set.

    Args:
        samples: the rows of each figure.
        studies: how many there are.
        resamples: how many sets of studies to draw.
        seed: of the draws.
        on_draws: told after each lot of draws how many it held.
    """
    masks: dict[object, Bool[np.ndarray, "25"]] = {None: EVERY_TARGET}
    masks |= dict(VIEW_TARGETS.items())
    masks |= dict(CONDITION_TARGETS.items())
    masks |= dict(LEVEL_TARGETS.items())
    drawn: dict[tuple[object, str], list[Float64[np.ndarray, "draw"]]] = {}
    for times in draw_studies(studies, resamples=resamples, seed=seed):
        for key, targets in masks.items():
            for name, sample in samples.items():
                drawn.setdefault((key, name), []).append(sample.drawn(targets, times))
        if on_draws is not None:
            on_draws(len(times))

    def intervals(key: object) -> FigureIntervals:
        return {name: interval_of(np.concatenate(drawn[key, name])) for name in samples}

    return PointIntervals(
        resamples=resamples,
        seed=seed,
        by_view={view: intervals(view) for view in VIEWS},
        by_condition={condition: intervals(condition) for condition in CONDITIONS},
        by_level={level: intervals(level) for level in LEVELS},
        overall=intervals(None),
    )
