"""Cut a 3-D volume into sagittal slices, as a scanner would have stored them.

What must stay true: a slice's position is the centre of the slab that was averaged, so a point
keeps its place in mm.
"""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float64, Real

from lumbargrade.arrays import Affine
from lumbargrade.dicom.write_mr import BITS_STORED, MrSlice

RAS_TO_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])
"""Turns a NIfTI affine (RAS) into one in patient LPS: ``RAS_TO_LPS @ affine``."""

_DISPLAY_AXES_LPS = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
"""Slices run right to left, rows head to foot, columns front to back."""


def sagittal_slices(
    volume: Real[np.ndarray, "i j k"],
    affine_lps: Affine,
    *,
    thickness_mm: float,
    spacing_mm: float,
    sop_instance_uid: Callable[[int], str],
) -> list[MrSlice]:
    """Average a volume through slabs across the patient's left-right axis.

    Args:
        volume: any axis order and direction; negative values become 0.
        affine_lps: (i, j, k, 1) → LPS mm, orthogonal axes.
        thickness_mm: thickness of each slab.
        spacing_mm: distance between the centres of neighbouring slabs.
        sop_instance_uid: instance number (from 1, right to left) → UID.

    Returns:
        As many whole slabs as fit, centred in the volume, scaled together to 12 bits.

    Raises:
        ValueError: the affine's axes are not orthogonal, or the volume is thinner than a slab.
    """
    oriented, affine = _orient(volume, affine_lps)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    directions = affine[:3, :3] / spacing
    if not np.allclose(directions.T @ directions, np.eye(3), atol=1e-3):
        raise ValueError("the volume's axes are not orthogonal")
    centres, weights = _slabs(oriented.shape[0], spacing[0], thickness_mm, spacing_mm)
    slabs = np.einsum("si,ijk->sjk", weights, oriented.clip(min=0).astype(np.float64))
    largest = 2**BITS_STORED - 1
    stored = np.rint(slabs * (largest / max(float(slabs.max()), 1e-12))).astype(np.uint16)
    window = (float(stored.max()) / 2, float(max(stored.max(), 1)))
    return [
        MrSlice(
            pixels=stored[index],
            position_lps_mm=affine[:3, 3] + affine[:3, 0] * centre,
            image_orientation=np.concatenate([directions[:, 2], directions[:, 1]]),
            pixel_spacing_mm=spacing[1:],
            instance_number=index + 1,
            sop_instance_uid=sop_instance_uid(index + 1),
            window=window,
        )
        for index, centre in enumerate(centres)
    ]


def _orient(
    volume: Real[np.ndarray, "i j k"], affine_lps: Affine
) -> tuple[Real[np.ndarray, "x row column"], Affine]:
    """Permute and flip axes until they run right to left, head to foot, front to back."""
    cosines = _DISPLAY_AXES_LPS @ affine_lps[:3, :3]
    order = [int(axis) for axis in np.abs(cosines).argmax(axis=1)]
    if sorted(order) != [0, 1, 2]:
        raise ValueError("the volume's axes cannot be told apart: more than 45° oblique")
    oriented = volume.transpose(order)
    affine = affine_lps[:, [*order, 3]].astype(np.float64)
    for axis, size in enumerate(oriented.shape):
        if _DISPLAY_AXES_LPS[axis] @ affine[:3, axis] < 0:
            oriented = np.flip(oriented, axis)
            affine[:3, 3] += affine[:3, axis] * (size - 1)
            affine[:3, axis] *= -1
    return oriented, affine


def _slabs(
    voxels: int, voxel_mm: float, thickness_mm: float, spacing_mm: float
) -> tuple[Float64[np.ndarray, "slab"], Float64[np.ndarray, "slab voxel"]]:
    """Centres of the slabs in voxel indices, and the share of every voxel in each slab."""
    extent = voxels * voxel_mm
    if not (spacing_mm > 0 and 0 < thickness_mm <= extent):
        raise ValueError(
            f"slabs must be thinner than the volume's {extent:.2f} mm and apart, found thickness "
            f"{thickness_mm} mm, spacing {spacing_mm} mm"
        )
    count = int((extent - thickness_mm) / spacing_mm + 1e-9) + 1
    middle_mm = extent / 2 + spacing_mm * (np.arange(count) - (count - 1) / 2)
    edges_mm = np.arange(voxels + 1) * voxel_mm
    low = np.maximum(edges_mm[:-1], middle_mm[:, None] - thickness_mm / 2)
    high = np.minimum(edges_mm[1:], middle_mm[:, None] + thickness_mm / 2)
    share = np.clip(high - low, 0, None)
    return middle_mm / voxel_mm - 0.5, share / share.sum(axis=1, keepdims=True)
