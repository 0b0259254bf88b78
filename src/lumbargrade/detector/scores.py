"""Running the network over a whole view.

What must stay true: the answer does not depend on how slices are cut into chunks for memory.
"""

from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float64, Int

from lumbargrade.detector.decode import ScoreMaps
from lumbargrade.detector.features import slice_features
from lumbargrade.detector.model import Detector
from lumbargrade.detector.slices import stack_neighbours, to_unit
from lumbargrade.detector.targets import sigma_cells
from lumbargrade.volumes import SquareVolume

CHUNK = 8
"""Slices looked at in one go: faster on a CPU than one large batch."""


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
    settings = detector.settings
    device = next(detector.parameters()).device
    features = torch.from_numpy(
        slice_features(detector.view, square.affines, stack_ids, settings.image_size, levels_lps_mm)
    ).to(device)
    images = stack_neighbours(to_unit(square.pixels), stack_ids)
    looks = [detector.look(chunk.to(device)) for chunk in torch.split(images, CHUNK)]
    heat = torch.cat([logits for logits, _ in looks]).float().sigmoid()
    pooled = torch.cat([vectors for _, vectors in looks])
    pointers = torch.zeros((len(images), len(detector.channels.landmarks)), device=device)
    for start, stop, keep in cut_into_runs(len(images), settings.max_slices):
        logits = detector.pointer(
            pooled[start:stop], features[start:stop], torch.tensor([stop - start])
        )
        pointers[keep] = logits[keep.start - start : keep.stop - start].float().sigmoid()
    return ScoreMaps(
        heatmaps=heat.cpu().numpy(),
        pointers=pointers.cpu().numpy(),
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
