"""Running the network over a whole view.

What must stay true: the answer does not depend on how slices are cut into chunks for memory; a
slice that is not segmented could not have been among the best that are asked for.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Float64, Int
from torch import Tensor

from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.detector.features import slice_features
from lumbargrade.detector.model import CHUNK, Detector
from lumbargrade.detector.slices import stack_neighbours, to_unit
from lumbargrade.detector.targets import sigma_cells
from lumbargrade.volumes import SquareVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which places of a view are asked for: of each channel, the best of some slices."""

    best: int
    """How many slices of each channel, those with the highest scores."""
    allowed: Bool[np.ndarray, "slice channel"]
    """Among which slices."""


@torch.inference_mode()
def score_maps(
    detector: Detector,
    square: SquareVolume,
    stack_ids: Int[np.ndarray, "slice"],
    levels_lps_mm: Float64[np.ndarray, "5 3"],
) -> ScoreMaps:
    """Run the network over a whole view.

    Args:
        detector: in eval mode.
        square: the view's slices at the detector's image size.
        stack_ids: which stack each slice belongs to.
        levels_lps_mm: where sagittal T2 shows the levels; NaN where unknown.
    """
    images, features = _inputs(detector, square, stack_ids, levels_lps_mm)
    logits, told = detector.look_at_view(images, features)
    pointers = _pointers(detector, told, features)
    return _score_maps(detector, square, logits.float().sigmoid().cpu().numpy(), pointers)


@torch.inference_mode()
def score_maps_of_best(
    detector: Detector,
    square: SquareVolume,
    stack_ids: Int[np.ndarray, "slice"],
    levels_lps_mm: Float64[np.ndarray, "5 3"],
    wanted: Wanted,
) -> ScoreMaps:
    """As :func:`score_maps`, with heatmaps of those slices only that could be among the best.

    A score is heatmap times pointer, and no heatmap exceeds 1: a slice whose pointer is below the
    scores that are already there cannot be among them. Its heatmaps are left at 0.

    Args:
        detector: in eval mode; its pointer is told no peaks.
        square: the view's slices at the detector's image size.
        stack_ids: which stack each slice belongs to.
        levels_lps_mm: where sagittal T2 shows the levels; NaN where unknown.
        wanted: which places are asked for.
    """
    images, features = _inputs(detector, square, stack_ids, levels_lps_mm)
    glances = [detector.glance(chunk.to(features.device)) for chunk in torch.split(images, CHUNK)]
    pointers = _pointers(detector, torch.cat([pooled for pooled, _ in glances]), features)
    stages = _joined([of_chunk for _, of_chunk in glances])

    def segment(slices: Int[np.ndarray, "some"]) -> Float32[np.ndarray, "some map height width"]:
        picked = torch.from_numpy(slices)
        own = None if stages is None else [stage[picked.to(stage.device)] for stage in stages]
        logits = detector.segment(images[picked].to(features.device), own)
        heat: Float32[np.ndarray, "some map height width"] = logits.float().sigmoid().cpu().numpy()
        return heat

    cells = detector.settings.image_size // detector.settings.heatmap_stride
    heat = np.zeros((len(images), detector.channels.map_count, cells, cells), dtype=np.float32)
    maps = list(detector.channels.maps)
    best = np.full(pointers.shape, -np.inf)  # (slice, channel): the highest score on a slice
    done = np.zeros(len(images), dtype=bool)
    while (turn := slices_that_could_win(pointers, best, done, wanted)).size:
        heat[turn] = segment(turn)
        highest = heat[turn].max(axis=(2, 3))[:, maps] * pointers[turn]
        best[turn] = np.where(wanted.allowed[turn], highest, -np.inf)
        done[turn] = True
    return _score_maps(detector, square, heat, pointers)


def slices_that_could_win(
    pointers: Float32[np.ndarray, "slice channel"],
    best: Float64[np.ndarray, "slice channel"],
    done: Bool[np.ndarray, "slice"],
    wanted: Wanted,
) -> Int[np.ndarray, "some"]:
    """The slices to segment next: of each channel, the likeliest that could still be wanted.

    Args:
        pointers: probabilities.
        best: highest score of each segmented slice, −∞ where it is not segmented or not allowed.
        done: which slices are segmented.
        wanted: which places are asked for.

    Returns:
        In order, each once; none where no other slice can change the answer.
    """
    kept = min(wanted.best, len(pointers))
    to_beat = np.sort(best, axis=0)[-kept]  # (channel,): −∞ until so many are segmented
    bound = np.where(wanted.allowed & ~done[:, None], pointers, -np.inf)
    likeliest = bound.argmax(axis=0)
    highest = bound.max(axis=0)
    could = np.isfinite(highest) & (highest >= to_beat)  # equal scores are decided by the order
    return np.unique(likeliest[could])


def _inputs(
    detector: Detector,
    square: SquareVolume,
    stack_ids: Int[np.ndarray, "slice"],
    levels_lps_mm: Float64[np.ndarray, "5 3"],
) -> tuple[Float[Tensor, "slice 3 row column"], Float[Tensor, "slice feature"]]:
    """Images, and features where the network is."""
    size = detector.settings.image_size
    features = slice_features(detector.view, square.affines, stack_ids, size, levels_lps_mm)
    device = next(detector.parameters()).device
    images = stack_neighbours(to_unit(square.pixels), stack_ids)
    return images, torch.from_numpy(features).to(device)


def _pointers(
    detector: Detector, told: Float[Tensor, "slice told"], features: Float[Tensor, "slice feature"]
) -> Float32[np.ndarray, "slice channel"]:
    """Probabilities that a slice shows a point, over runs that overlap in long views."""
    count = len(features)
    pointers = torch.zeros((count, len(detector.channels.landmarks)), device=features.device)
    for start, stop, keep in cut_into_runs(count, detector.settings.max_slices):
        logits = detector.pointer(
            told[start:stop], features[start:stop], torch.tensor([stop - start])
        )
        pointers[keep] = logits[keep.start - start : keep.stop - start].float().sigmoid()
    found: Float32[np.ndarray, "slice channel"] = pointers.cpu().numpy()
    return found


def _joined(stages: list[list[Tensor] | None]) -> list[Tensor] | None:
    """The encoder's stages of all chunks; None where the pointer has an encoder of its own."""
    there = [of_chunk for of_chunk in stages if of_chunk is not None]
    return [torch.cat(parts) for parts in zip(*there, strict=True)] if there else None


def _score_maps(
    detector: Detector,
    square: SquareVolume,
    heatmaps: Float32[np.ndarray, "slice map height width"],
    pointers: Float32[np.ndarray, "slice channel"],
) -> ScoreMaps:
    settings = detector.settings
    return ScoreMaps(
        heatmaps=heatmaps,
        pointers=pointers,
        maps=detector.channels.maps,
        stride=settings.heatmap_stride,
        sigma_cells=sigma_cells(
            settings.label_sigma_px, settings.image_size, settings.heatmap_stride
        ),
        affines=square.affines,
    )


def cut_into_runs(count: int, longest: int) -> list[tuple[int, int, slice]]:
    """Cut slices into runs that overlap by half, and give each slice to the run it lies deepest in.

    Returns:
        (start, stop, kept) per run; the kept slices of all runs make up the whole, once.
    """
    if count <= longest:
        return [(0, count, slice(0, count))]
    step = max(1, longest // 2)
    starts = [*range(0, count - longest, step), count - longest]
    middles = [start + longest / 2 for start in starts]
    edges = [round((a + b) / 2) for a, b in pairwise(middles)]
    bounds = [0, *edges, count]
    return [
        (start, start + longest, slice(low, high))
        for start, (low, high) in zip(starts, pairwise(bounds), strict=True)
    ]
