"""What it saves to ask the pointer first and to leave slices unsegmented that cannot win.

What must stay true: both ways find the same points; they are asked in turns.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from lumbargrade.bench.timing import OnStep, Spread, in_turns, ratios, seconds_of
from lumbargrade.detector.features import known_levels
from lumbargrade.detector.infer import find_points
from lumbargrade.detector.one_view import can_skip_slices, find_in_view, view_maps
from lumbargrade.labels import VIEWS, View
from lumbargrade.pipeline import Pipeline
from lumbargrade.records import ViewVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippingSpeed:
    """One view's detector with and without skipping, over studies and rounds."""

    segmented: Spread
    """Share of a view's slices whose heatmaps are made."""
    seconds: Spread
    every_slice_seconds: Spread
    times_as_fast: Spread
    largest_difference_mm: float
    """Between the points of both ways."""


def skipping_speeds(
    pipeline: Pipeline,
    studies: Sequence[dict[View, ViewVolume]],
    repeats: int,
    *,
    on_step: OnStep,
) -> dict[str, SkippingSpeed]:
    """Measure the first set of detectors, view by view; those that cannot skip are left out.

    Args:
        pipeline: loaded models.
        studies: their views.
        repeats: rounds.
        on_step: progress.
    """
    detectors = pipeline.detectors[0]
    speeds = {}
    for view in VIEWS:
        shown = [volumes for volumes in studies if view in volumes]
        if not shown or not can_skip_slices(detectors[view]):
            continue
        on_step(f"{view}, with and without skipping slices")
        seconds: list[float] = []
        every: list[float] = []
        shares, differences = [], [0.0]
        for volumes in shown:
            levels = known_levels(find_points(detectors, volumes).positions_lps_mm)
            look = partial(find_in_view, detectors[view], volumes[view], levels)
            rounds = in_turns(
                {
                    "skipping": partial(seconds_of, look),
                    "every": partial(seconds_of, partial(look, skip=False)),
                },
                repeats,
            )
            seconds += rounds["skipping"]
            every += rounds["every"]
            maps = view_maps(detectors[view], volumes[view], levels)
            shares.append(float(maps.heatmaps.any(axis=(1, 2, 3)).mean()))
            apart = look().positions_lps_mm - look(skip=False).positions_lps_mm
            differences += np.linalg.norm(apart[np.isfinite(apart).all(axis=1)], axis=1).tolist()
        speeds[view.value] = SkippingSpeed(
            segmented=Spread.of(shares),
            seconds=Spread.of(seconds),
            every_slice_seconds=Spread.of(every),
            times_as_fast=ratios(every, seconds),
            largest_difference_mm=max(differences),
        )
    return speeds
