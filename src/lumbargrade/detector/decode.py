"""Heatmaps and pointers → points: candidates, a joint choice over the levels, sub-cell refinement.

What must stay true: levels come out ordered head to foot; a candidate's score is
sigmoid(heatmap) · sigmoid(pointer); a slice that is not there is never chosen.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Float32, Float64, Int

from lumbargrade.arrays import Affines
from lumbargrade.detector.targets import cell_to_pixel
from lumbargrade.geometry import HEAD_TO_FOOT

CANDIDATES = 12
"""Kept per channel."""

SMALLEST_GAP_MM = 10.0
"""Two neighbouring levels are at least this far apart along the body."""

DISORDER_PENALTY = 8.0
"""In units of the log-score: the price of a pair of levels out of order."""

GAP_RATIO_SIGMA = 0.35
"""Of the logarithm of one gap over its neighbour."""

STEEPEST_SLOPE = 1.0
"""Millimetres aside per millimetre along the body that a step to the next level may take freely."""

SLOPE_COST = 4.0
"""In units of the log-score, per unit of slope beyond."""

FLOOR = 1e-6
"""Scores below count as this."""

WINDOW_SIGMA_CELLS = 0.8
"""The refinement sharpens heatmaps to about this width, so that its 5 x 5 window holds them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScoreMaps:
    """What a network says about a whole view, as probabilities."""

    heatmaps: Float32[np.ndarray, "slice map height width"]
    pointers: Float32[np.ndarray, "slice channel"]
    maps: tuple[int, ...]
    """Heatmap of each channel."""
    stride: int
    sigma_cells: float
    affines: Affines
    """Of the square slices that the network saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """The places where one channel's point may be, best first."""

    scores: Float64[np.ndarray, "candidate"]
    slices: Int[np.ndarray, "candidate"]
    positions_lps_mm: Float64[np.ndarray, "candidate 3"]


def candidates_in_plane(maps: ScoreMaps, channel: int, count: int = CANDIDATES) -> Candidates:
    """The best peaks of a channel over the plane, each on its best slice (sagittal views)."""
    best, slices = best_over_slices(maps, channel)
    rows, columns = peak_cells(best, count).T
    return _candidates(maps, channel, slices[rows, columns], rows, columns)


def best_over_slices(
    maps: ScoreMaps, channel: int
) -> tuple[Float32[np.ndarray, "height width"], Int[np.ndarray, "height width"]]:
    """A channel's best score at each place of the plane, and the slice that has it."""
    heat = torch.from_numpy(maps.heatmaps[:, maps.maps[channel]])
    pointer = torch.from_numpy(maps.pointers[:, channel])
    best, slices = (heat * pointer[:, None, None]).max(dim=0)
    return best.numpy(), slices.numpy()


def peak_cells(
    scores: Float32[np.ndarray, "height width"], count: int
) -> Int[np.ndarray, "peak 2"]:
    """(row, column) of the highest cells that no cell within two of them exceeds."""
    best = torch.from_numpy(scores)
    around = F.max_pool2d(best[None], kernel_size=5, stride=1, padding=2)[0]
    peaks = torch.where(best == around, best, torch.zeros_like(best)).flatten()
    cells = peaks.topk(min(count, peaks.numel())).indices.numpy()
    return np.stack(np.divmod(cells, best.shape[1]), axis=1)


def candidates_by_slice(
    maps: ScoreMaps,
    channel: int,
    allowed: Bool[np.ndarray, "slice"],
    count: int = CANDIDATES,
) -> Candidates:
    """The best peak of each of a channel's best slices (axial view)."""
    heat = maps.heatmaps[:, maps.maps[channel]]
    cells = heat.reshape(len(heat), -1).argmax(axis=1)
    scores = heat.reshape(len(heat), -1).max(axis=1) * maps.pointers[:, channel]
    order = np.argsort(-np.where(allowed, scores, -1.0), kind="stable")
    slices = order[: min(count, int(allowed.sum()))]
    rows, columns = np.divmod(cells[slices], heat.shape[2])
    return _candidates(maps, channel, slices, rows, columns)


def _candidates(
    maps: ScoreMaps,
    channel: int,
    slices: Int[np.ndarray, "candidate"],
    rows: Int[np.ndarray, "candidate"],
    columns: Int[np.ndarray, "candidate"],
) -> Candidates:
    heat = maps.heatmaps[:, maps.maps[channel]]
    scores = heat[slices, rows, columns] * maps.pointers[slices, channel]
    places = [
        refine(heat[index], row, column, maps.sigma_cells)
        for index, row, column in zip(slices, rows.tolist(), columns.tolist(), strict=True)
    ]
    pixels = cell_to_pixel(np.array(places).reshape(-1, 2), maps.stride)
    local = np.column_stack([np.zeros(len(pixels)), pixels, np.ones(len(pixels))])
    positions = np.einsum("kij,kj->ki", maps.affines[slices], local)[:, :3]
    return Candidates(scores=scores.astype(np.float64), slices=slices, positions_lps_mm=positions)


def refine(
    heatmap: Float[np.ndarray, "height width"], row: int, column: int, sigma_cells: float
) -> tuple[float, float]:
    """Soft-argmax over the 5 x 5 cells around a peak.

    Heatmaps are raised to a power that narrows a Gaussian of ``sigma_cells`` to
    ``WINDOW_SIGMA_CELLS``; a wider one would be cut by the window and pulled to its middle.

    Returns:
        (row, column) in cells.
    """
    rows = np.arange(max(row - 2, 0), min(row + 3, heatmap.shape[0]))
    columns = np.arange(max(column - 2, 0), min(column + 3, heatmap.shape[1]))
    window = heatmap[np.ix_(rows, columns)].astype(np.float64)
    power = max(1.0, (sigma_cells / WINDOW_SIGMA_CELLS) ** 2)
    mass = (window / max(float(heatmap[row, column]), FLOOR)) ** power
    total = mass.sum()
    if total <= 0:
        return float(row), float(column)
    return (
        float((mass.sum(axis=1) * rows).sum() / total),
        float((mass.sum(axis=0) * columns).sum() / total),
    )


def is_peak(heatmap: Float[np.ndarray, "height width"], row: int, column: int) -> bool:
    """Whether no cell beside it is higher; refining another one would lead away from it."""
    around = heatmap[max(row - 1, 0) : row + 2, max(column - 1, 0) : column + 2]
    return bool(heatmap[row, column] >= around.max())


def choose_ordered(candidates: Sequence[Candidates]) -> tuple[list[int], float]:
    """Pick one candidate per level so that together they look like a spine.

    The best sum of log-scores, less what :func:`pair_cost` and :func:`triple_cost` ask for
    neighbouring levels, found by dynamic programming over pairs of candidates.

    Args:
        candidates: of consecutive levels, head to foot, at least one each.

    Returns:
        Index of the chosen candidate, level by level, and what the choice is worth: the sum of its
        log-scores less its costs.
    """
    logs = [np.log(np.maximum(item.scores, FLOOR)) for item in candidates]
    if len(candidates) == 1:
        return [int(logs[0].argmax())], float(logs[0].max())
    places = [item.positions_lps_mm for item in candidates]
    steps = [b[None] - a[:, None] for a, b in pairwise(places)]  # (previous, this, 3)
    return best_path(
        logs,
        [pair_cost(step) for step in steps],
        [triple_cost(upper, lower) for upper, lower in pairwise(steps)],
    )


def best_path(
    logs: Sequence[Float64[np.ndarray, "_"]],
    pair_costs: Sequence[Float64[np.ndarray, "_ _"]],
    triple_costs: Sequence[Float64[np.ndarray, "_ _ _"]],
) -> tuple[list[int], float]:
    """The best choice of one candidate per level, by dynamic programming over pairs of candidates.

    Args:
        logs: log-scores of each level's candidates; at least two levels.
        pair_costs: of each pair of neighbouring levels: (upper, lower); may be infinite.
        triple_costs: of each three levels in a row: (first, second, third).

    Returns:
        Index of the chosen candidate, level by level, and what the choice is worth.
    """
    best = logs[0][:, None] + logs[1][None] - pair_costs[0]
    back = []
    for level in range(2, len(logs)):
        onward = logs[level][None] - pair_costs[level - 1]  # (previous, this)
        total = best[:, :, None] - triple_costs[level - 2]
        back.append(total.argmax(axis=0))  # (previous, this) → the one before
        best = total.max(axis=0) + onward
    previous, this = np.unravel_index(int(best.argmax()), best.shape)
    chosen = [int(this), int(previous)]
    for pointers in reversed(back):
        chosen.append(int(pointers[chosen[-1], chosen[-2]]))
    return chosen[::-1], float(best.max())


def pair_cost(
    steps: Float64[np.ndarray, "previous this 3"],
) -> Float64[np.ndarray, "previous this"]:
    """Levels that are swapped or too near, and steps that run sideways more than along the body."""
    gap = steps @ HEAD_TO_FOOT
    aside = np.linalg.norm(steps - gap[..., None] * HEAD_TO_FOOT, axis=-1)
    slope = aside / np.maximum(gap, SMALLEST_GAP_MM)
    cost: Float64[np.ndarray, "previous this"] = np.where(
        gap < SMALLEST_GAP_MM, DISORDER_PENALTY, 0.0
    ) + SLOPE_COST * np.maximum(slope - STEEPEST_SLOPE, 0.0)
    return cost


def triple_cost(
    upper: Float64[np.ndarray, "first previous 3"],
    lower: Float64[np.ndarray, "previous this 3"],
    sigma: float = GAP_RATIO_SIGMA,
) -> Float64[np.ndarray, "first previous this"]:
    """Neighbouring gaps differ little: half the squared logarithm of their ratio, in sigmas."""
    first = np.log(np.maximum(upper @ HEAD_TO_FOOT, SMALLEST_GAP_MM))
    second = np.log(np.maximum(lower @ HEAD_TO_FOOT, SMALLEST_GAP_MM))
    cost: Float64[np.ndarray, "first previous this"] = (
        0.5 * ((second[None] - first[:, :, None]) / sigma) ** 2
    )
    return cost
