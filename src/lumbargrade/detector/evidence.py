"""What speaks for a found point, as numbers from which its reliability can be told.

What must stay true: the numbers follow from the point, its own slice's heatmap and the pointers
alone, so they are the same whether other slices were segmented or not.
"""

import numpy as np
from jaxtyping import Float, Float64

from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.geometry import lps_to_slices
from lumbargrade.records import Evidence

ELSEWHERE_MM = 12.0
"""A place this far from a point on its slice is another place."""

ELSEWHERE_SPACINGS = 1.5
"""A slice this far from a point is another slice: neighbours show a point, too."""

_FLOOR = 1e-4


def evidence_of(
    maps: ScoreMaps, positions_lps_mm: Float64[np.ndarray, "channel 3"]
) -> tuple[Evidence | None, ...]:
    """What speaks for the points of a view.

    Args:
        maps: the network's answer, with heatmaps at least on the points' slices.
        positions_lps_mm: in channel order, NaN where there is none.

    Returns:
        In channel order, None where there is no point.
    """
    return tuple(
        None if np.isnan(position).any() else _evidence(maps, channel, position)
        for channel, position in enumerate(positions_lps_mm)
    )


def _evidence(maps: ScoreMaps, channel: int, position: Float64[np.ndarray, "3"]) -> Evidence:
    local = lps_to_slices(maps.affines, position)
    spacing = np.linalg.norm(maps.affines[:, :3, 0], axis=1)
    distance = np.abs(local[:, 0]) / spacing
    index = int(distance.argmin())
    heat = maps.heatmaps[index, maps.maps[channel]]
    row, column = (local[index, 1:] + 0.5) / maps.stride - 0.5
    rows, columns = np.ogrid[: heat.shape[0], : heat.shape[1]]
    cells = np.hypot(rows - row, columns - column)
    cell_mm = float(np.linalg.norm(maps.affines[index, :3, 2])) * maps.stride
    peak = _highest(heat[cells <= max(1.5, float(cells.min()))])
    pointer = float(maps.pointers[index, channel])
    return Evidence(
        peak=peak,
        pointer=pointer,
        peak_margin=_margin(peak, _highest(heat[cells * cell_mm > ELSEWHERE_MM])),
        pointer_margin=_margin(
            pointer, _highest(maps.pointers[distance > ELSEWHERE_SPACINGS, channel])
        ),
    )


def _highest(values: Float[np.ndarray, "..."]) -> float:
    return float(values.max()) if values.size else 0.0


def _margin(here: float, elsewhere: float) -> float:
    """The logarithm of how many times as high a value is as the best one elsewhere."""
    return float(np.log(max(here, _FLOOR) / max(elsewhere, _FLOOR)))
