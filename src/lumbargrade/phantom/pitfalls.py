"""Typical faults of hand-marked points, for the training split only.

What must stay true: grades never change; only where a point is marked does.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lumbargrade.labels import LEVELS, MIRROR_CONDITION, Side, Target
from lumbargrade.phantom.streams import Stream, generator

JITTER_PX = 1.5
SWAPPED_SIDES_SHARE = 0.02
SHIFTED_LEVEL_SHARE = 0.01
NEIGHBOUR_SLICE_SHARE = 0.2
"""Points marked one slice beside the best one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedPoint:
    """One row of ``train_label_coordinates.csv``."""

    target: Target
    series_id: str
    instance_number: int
    column: float
    row: float


def add_pitfalls(
    seed: int, points: tuple[MarkedPoint, ...], instances: Mapping[str, Sequence[int]]
) -> tuple[MarkedPoint, ...]:
    """Jitter all points, mark some on a neighbour slice; in few studies swap sides or shift levels.

    Args:
        seed: of the study.
        points: as they should be marked.
        instances: instance numbers per series id, neighbours in space beside each other.
    """
    rng = generator(seed, Stream.PITFALLS)
    swap_level = (
        LEVELS[int(rng.integers(len(LEVELS)))] if rng.random() < SWAPPED_SIDES_SHARE else None
    )
    shift = rng.random() < SHIFTED_LEVEL_SHARE
    marked = []
    for point in points:
        dx, dy = rng.normal(0, JITTER_PX, 2)
        step = int(rng.choice([-1, 1])) if rng.random() < NEIGHBOUR_SLICE_SHARE else 0
        numbers = instances[point.series_id]
        index = numbers.index(point.instance_number) + step
        number = point.instance_number
        if 0 <= index < len(numbers) and point.target.condition.side is not Side.LEFT:
            number = numbers[index]
        target = point.target
        if target.level is swap_level:
            target = Target(condition=MIRROR_CONDITION[target.condition], level=target.level)
        if shift and target.level is LEVELS[-1]:
            target = Target(condition=target.condition, level=LEVELS[-2])
        marked.append(
            replace(
                point, target=target, instance_number=number,
                column=point.column + float(dx), row=point.row + float(dy),
            )
        )  # fmt: skip
    kept = {point.target: point for point in reversed(marked)}
    return tuple(sorted(kept.values(), key=lambda point: point.target.index))
