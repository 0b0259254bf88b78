"""How point errors are spread: in the plane and over slices, view by view.

What must stay true: every point that is both marked and predicted is in one bin; the last bin of
each histogram is open.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from lumbargrade.labels import View
from lumbargrade.point_errors import PointError

PX_EDGES = tuple(float(edge) for edge in np.arange(0, 10.5, 0.5))
"""Bins of the in-plane error on the 256 grid; all beyond the last edge are in one more bin."""

MOST_SLICES_OFF = 5
"""Points so many slices off, or more, are in the last bin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorHistogram:
    """The points of one view, counted by error."""

    px: list[int]
    """One count a bin of ``PX_EDGES`` and one for all beyond."""
    slices_off: list[int]
    """0, 1, … ``MOST_SLICES_OFF`` or more slices farther from the point than the best one."""


def error_histogram(errors: Iterable[PointError], view: View) -> ErrorHistogram:
    """Count the points of a view."""
    wanted = [error for error in errors if error.target.condition.view is view]
    pixels = np.array([error.px for error in wanted], dtype=np.float64)
    slices = np.array([error.slices_off for error in wanted], dtype=np.int64)
    bins = np.searchsorted(PX_EDGES, pixels, side="right") - 1
    return ErrorHistogram(
        px=np.bincount(bins, minlength=len(PX_EDGES)).tolist(),
        slices_off=np.bincount(
            np.minimum(slices, MOST_SLICES_OFF), minlength=MOST_SLICES_OFF + 1
        ).tolist(),
    )
