"""Thin sagittal slices of a 3-D acquisition → as thick as those that the models learn from.

What must stay true: only slices that are thin themselves are averaged, never thick ones that
overlap; an averaged slice lies where a stored one lies and is named by it, so a point on it keeps
its place in mm and its instance.
"""

from dataclasses import replace
from itertools import groupby

import numpy as np
from jaxtyping import Float64

from lumbargrade.geometry import normal_of
from lumbargrade.labels import View
from lumbargrade.records import Series, SliceImage, Study

THIN_MM = 2.0
"""Slices thinner than this and nearer to each other are those of a 3-D acquisition."""

USUAL_MM = 4.0
"""Thickness to which they are averaged; the models learn from slices of 3.5 to 5.5 mm."""

Stack = tuple[SliceImage, ...]


def thick_study(study: Study) -> Study:
    """The same study with thin sagittal slices averaged; itself where it has none."""
    series = tuple(thick_series(item) for item in study.series)
    same = all(new is old for new, old in zip(series, study.series, strict=True))
    return study if same else replace(study, series=series)


def thick_series(series: Series) -> Series:
    """The same series with the slices of thin stacks averaged; itself where none is, or axial.

    A box of about ``USUAL_MM`` runs over the true positions, in steps of its own width; each
    average stands at the place of the stored slice in its middle. What is left at the ends of a
    stack, less than a box, is left out.
    """
    if series.view is View.AXIAL_T2:
        return series
    stacks = [tuple(items) for _, items in groupby(series.slices, key=lambda item: item.stack)]
    thick = [_average(stack) for stack in stacks]
    if all(new is old for new, old in zip(thick, stacks, strict=True)):
        return series
    return replace(series, slices=tuple(item for stack in thick for item in stack))


def _average(stack: Stack) -> Stack:
    """A stack's averages; itself where it is not thin, too short, or its images differ in grid."""
    step_mm = float(np.linalg.norm(stack[0].affine[:3, 0]))
    count = _slices_in_box(stack, step_mm)
    margin = count // 2
    room = len(stack) - 1 - 2 * margin
    if count < 2 or room < 0 or not _same_grid(stack):
        return stack
    along = np.array([item.affine[:3, 3] for item in stack]) @ normal_of(stack[0].affine)
    first = margin + room % count // 2
    direction = np.sign(along[-1] - along[0])
    wanted = along[first] + direction * step_mm * np.arange(0, room + 1 - room % count, count)
    middles = dict.fromkeys(int(np.abs(along - place).argmin()) for place in wanted)
    return tuple(_box(stack, along, middle, step_mm, count) for middle in middles)


def _slices_in_box(stack: Stack, step_mm: float) -> int:
    """How many steps of a stack make up the usual thickness; 1 where its slices are not thin."""
    known = [item.thickness_mm for item in stack if item.thickness_mm]  # 0 says nothing
    if len(known) < len(stack) or step_mm >= THIN_MM or max(known) >= THIN_MM:
        return 1
    return 1 + round((USUAL_MM - max(known)) / step_mm)


def _same_grid(stack: Stack) -> bool:
    first = stack[0]
    return all(
        item.pixels.shape == first.pixels.shape
        and np.allclose(item.affine[:3, :3], first.affine[:3, :3], rtol=0, atol=1e-3)
        for item in stack
    )


def _box(
    stack: Stack, along: Float64[np.ndarray, "slice"], middle: int, step_mm: float, count: int
) -> SliceImage:
    """The mean of a box around one slice, each slice by the share of its step that lies inside."""
    away = np.abs(along - along[middle]) / step_mm
    shares = np.clip(count / 2 + 0.5 - away, 0, 1)
    pixels = sum(
        share * stack[index].pixels
        for index, share in enumerate((shares / shares.sum()).astype(np.float32))
        if share > 0
    )
    affine = stack[middle].affine.copy()
    affine[:3, 0] *= count
    return replace(
        stack[middle],
        pixels=np.asarray(pixels, dtype=np.float32),
        affine=affine,
        thickness_mm=count * step_mm,
    )
