"""The rows behind each figure of point accuracy, from which it and its interval follow.

What must stay true: every figure is a mean or a percentile over rows that belong to a study and a
target; a row without a value is not in the sample.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Self, TypeVar

import numpy as np
from jaxtyping import Bool, Float64, Int

from lumbargrade.labels import CONDITIONS, LEVELS, TARGETS, VIEWS, Condition, Level, Target, View


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureSample:
    """The rows of one figure."""

    study: Int[np.ndarray, "row"]
    target: Int[np.ndarray, "row"]
    value: Float64[np.ndarray, "row"]
    percent: float | None
    """The figure is this percentile of the rows; None: their mean."""

    @classmethod
    def of(
        cls,
        rows: Iterable[tuple[int, Target, float | bool | None]],
        *,
        percent: float | None = None,
    ) -> Self:
        """Collect (study number, target, value); rows with None are left out."""
        index_of = {target: target.index for target in TARGETS}
        known = [(s, index_of[t], float(v)) for s, t, v in rows if v is not None]
        table = np.array(known, dtype=np.float64).reshape(-1, 3)
        order = np.argsort(table[:, 2], kind="stable")
        return cls(
            study=table[order, 0].astype(np.int64),
            target=table[order, 1].astype(np.int64),
            value=table[order, 2],
            percent=percent,
        )

    def figure(self, targets: Bool[np.ndarray, "25"]) -> float | None:
        """The figure over some of the 25 targets; None where there is no row."""
        value = self.value[targets[self.target]]
        if not len(value):
            return None
        return float(value.mean() if self.percent is None else np.percentile(value, self.percent))

    def drawn(
        self, targets: Bool[np.ndarray, "25"], times: Float64[np.ndarray, "draw study"]
    ) -> Float64[np.ndarray, "draw"]:
        """The figure on each set of drawn studies; NaN where a draw holds no row.

        Args:
            targets: over which of the 25.
            times: how often each study is drawn.
        """
        rows = targets[self.target]
        value, weight = self.value[rows], times[:, self.study[rows]]
        total = weight.sum(axis=1)
        figures: Float64[np.ndarray, "draw"] = np.full(len(times), np.nan)
        some = total > 0
        if some.any():
            drawn = weight[some]
            figures[some] = (
                drawn @ value / total[some]
                if self.percent is None
                else _percentiles(value, drawn, self.percent)
            )
        return figures


Key = TypeVar("Key", View, Condition, Level, Target)


def target_masks(
    keys: Iterable[Key], key_of: Callable[[Target], Key]
) -> dict[Key, Bool[np.ndarray, "25"]]:
    """Which of the 25 targets belong to each key."""
    return {key: np.array([key_of(target) == key for target in TARGETS]) for key in keys}


VIEW_TARGETS = target_masks(VIEWS, lambda target: target.condition.view)
CONDITION_TARGETS = target_masks(CONDITIONS, lambda target: target.condition)
LEVEL_TARGETS = target_masks(LEVELS, lambda target: target.level)
EVERY_TARGET = np.ones(len(TARGETS), dtype=bool)

FigureSamples = Mapping[str, FigureSample]
"""Name of the figure → its rows."""


def _percentiles(
    value: Float64[np.ndarray, "row"], weight: Float64[np.ndarray, "draw row"], percent: float
) -> Float64[np.ndarray, "draw"]:
    """``np.percentile`` of sorted values of which each counts as often as its weight says."""
    upto = np.cumsum(weight, axis=1)
    place = (upto[:, -1] - 1) * percent / 100
    below = (upto <= np.floor(place)[:, None]).sum(axis=1)
    above = (upto <= np.ceil(place)[:, None]).sum(axis=1)
    between = place - np.floor(place)
    found: Float64[np.ndarray, "draw"] = value[below] + between * (value[above] - value[below])
    return found
