"""A prepared study's view in memory, and how the network is shown its slices.

What must stay true: a slice's neighbours never come from another stack; training and inference
see slices through the same functions.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int, UInt8
from torch import Tensor

from lumbargrade.arrays import Affines
from lumbargrade.cache import CachedStudy
from lumbargrade.detector.targets import repair_swapped_sides
from lumbargrade.labels import View
from lumbargrade.volumes import square_volume


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewArrays:
    """One study's view in memory: square slices with their geometry, and the labelled points."""

    study_id: str
    view: View
    pixels: UInt8[np.ndarray, "slice size size"]
    affines: Affines
    stack_ids: Int[np.ndarray, "slice"]
    landmarks_lps_mm: Float64[np.ndarray, "30 3"]
    """All 30 points of the study, whichever view they are marked on; NaN where unlabelled."""


def view_arrays(study: CachedStudy, view: View, size: int) -> ViewArrays | None:
    """Load a study's view into memory as squares; None where it has no such view."""
    volume = study.volumes.get(view)
    if volume is None:
        return None
    square = square_volume(volume, size)
    return ViewArrays(
        study_id=study.study_id,
        view=view,
        pixels=square.pixels,
        affines=square.affines,
        stack_ids=volume.stack_ids,
        landmarks_lps_mm=repair_swapped_sides(study.landmarks_lps_mm),
    )


def load_view(studies: Iterable[CachedStudy], view: View, size: int) -> tuple[ViewArrays, ...]:
    """Load the studies that have a view, ordered by study id."""
    loaded = [view_arrays(study, view, size) for study in studies]
    present = [arrays for arrays in loaded if arrays is not None]
    return tuple(sorted(present, key=lambda arrays: arrays.study_id))


def neighbour_indices(stack_ids: Int[np.ndarray, "slice"]) -> Int[np.ndarray, "slice 3"]:
    """Previous, own and next slice; at the end of a stack the slice itself stands in."""
    own = np.arange(len(stack_ids))
    changes = np.diff(stack_ids) != 0
    first = np.concatenate([[True], changes])
    last = np.concatenate([changes, [True]])
    return np.stack([np.where(first, own, own - 1), own, np.where(last, own, own + 1)], axis=1)


def stack_neighbours(
    images: Float[Tensor, "slice row column"], stack_ids: Int[np.ndarray, "slice"]
) -> Float[Tensor, "slice 3 row column"]:
    """The network's input: each slice between its neighbours."""
    return images[torch.from_numpy(neighbour_indices(stack_ids))]


def to_unit(pixels: UInt8[np.ndarray, "slice size size"]) -> Float[Tensor, "slice size size"]:
    """Bytes to 0..1."""
    return torch.from_numpy(np.ascontiguousarray(pixels)).float() / 255.0
