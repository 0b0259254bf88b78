"""How sure a score is: bootstrap over studies.

What must stay true: whole studies are drawn, never rows, because the 25 rows of a study depend on
each other; two submissions are compared on the same draws, and equal seeds give equal draws.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

INTERVAL_PERCENT = 95.0
"""Share of the resampled scores inside an interval."""

_CHUNK = 100
"""Draws held in memory at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """A percentile interval over resampled studies."""

    low: float
    high: float
    standard_error: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedDifference:
    """First figure minus second on the same studies; of losses, below zero the first is better."""

    difference: float
    interval: Interval | None
    """None where fewer than two draws give a value."""


def draw_studies(
    studies: int, *, resamples: int, seed: int = 0
) -> Iterator[Float64[np.ndarray, "draw study"]]:
    """How often each study is drawn, some draws at a time: as many studies as there are.

    Args:
        studies: how many there are.
        resamples: draws in all.
        seed: of the draws.
    """
    rng = np.random.default_rng(seed)
    for start in range(0, resamples, _CHUNK):
        draws = min(_CHUNK, resamples - start)
        picked = rng.integers(studies, size=(draws, studies)) + studies * np.arange(draws)[:, None]
        times = np.bincount(picked.ravel(), minlength=draws * studies)
        yield times.reshape(draws, studies).astype(np.float64)


def interval_of(values: Float64[np.ndarray, "draw"]) -> Interval | None:
    """Percentile interval of resampled values.

    Args:
        values: one a draw; NaN where the draw gives none, which is left out.

    Returns:
        None where fewer than two draws give a value.
    """
    known = values[np.isfinite(values)]
    if len(known) < 2:
        return None
    tail = (100 - INTERVAL_PERCENT) / 2
    low, high = np.percentile(known, [tail, 100 - tail])
    return Interval(low=float(low), high=float(high), standard_error=float(known.std(ddof=1)))
