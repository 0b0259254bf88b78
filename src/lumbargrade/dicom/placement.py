"""Place the slices of a series: order, stacks, spacing, affines.

What must stay true: order and stacks come from geometry alone, and nothing is filled in for a
missing tag.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from lumbargrade.arrays import Affine, Points
from lumbargrade.dicom.candidates import Candidate, Problems, SeriesRefusedError, Stack
from lumbargrade.dicom.slice_header import SliceHeader, short_name
from lumbargrade.geometry import normal_of, slice_affine
from lumbargrade.stacks import group_into_stacks, series_plane

SAME_PLACE_MM = 0.1
"""Slices of one orientation whose positions differ by less than this show the same place."""

GAP_SHARE = 1.5
"""A step beyond so many slice spacings is a gap in the stack."""

MAX_EXTENT_MM = 100.0
"""A slice said to be thicker than this says nothing of its extent."""

SEVERAL_PLANES_COSINE = 0.34
"""Stacks whose normals are more than 70° apart do not belong to one view."""


MAX_STRAY_SLICES = 2
"""So many slices of another plane beside a whole stack are reference images, as makers add them."""

MIN_SLICES_BESIDE_STRAY = 9
"""Fewer of the common plane are a localizer's."""


def place(bare: Candidate, headers: list[SliceHeader], problems: Problems) -> Candidate:
    """Order slices, group them into stacks and give each its affine."""
    repeated = [bool(pairs.any()) for pairs in same_place_pairs(headers)]
    problems.left_out(
        [h for h, again in zip(headers, repeated, strict=True) if again],
        "at the place of another slice",
    )
    headers = _without_stray(
        [h for h, again in zip(headers, repeated, strict=True) if not again], problems
    )
    unit = np.stack([affine_of(header, 1.0) for header in headers])
    centres = np.stack(
        [
            (affine @ [0, (header.rows - 1) / 2, (header.columns - 1) / 2, 1])[:3]
            for header, affine in zip(headers, unit, strict=True)
        ]
    )
    orientations = np.array([header.image_orientation for header in headers])
    try:
        stacks = tuple(
            _stack([headers[i] for i in indices], centres[indices])
            for indices in group_into_stacks(centres, orientations)
        )
    except SeriesRefusedError as error:
        return replace(bare, refusal=str(error), problems=tuple(problems.lines))
    _note_oddities(stacks, problems)
    normals = unit[:, :3, 0]
    return replace(
        bare,
        headers=tuple(header for stack in stacks for header in stack.headers),
        stacks=stacks,
        plane=series_plane(normals),
        refusal=_several_planes(stacks),
        problems=tuple(problems.lines),
    )


def _stack(headers: list[SliceHeader], centres: Points) -> Stack:
    """Give the slices of one stack their spacing.

    Raises:
        SeriesRefusedError: a lone slice says neither SpacingBetweenSlices nor SliceThickness.
    """
    spacing = _measured_spacing(headers, centres)
    affines = tuple(affine_of(header, spacing) for header in headers)
    return Stack(headers=tuple(headers), affines=affines)


def _measured_spacing(headers: list[SliceHeader], centres: Points) -> float:
    if len(headers) > 1:
        normal = normal_of(affine_of(headers[0], 1.0))
        return float(np.median(np.abs(np.diff(centres @ normal))))
    first = headers[0]
    for tag in (first.spacing_between_slices_mm, first.slice_thickness_mm):
        if tag is not None and 0 < tag <= MAX_EXTENT_MM:
            return tag
    raise SeriesRefusedError(
        "a lone slice without SpacingBetweenSlices and SliceThickness has no extent: "
        f"{short_name(first.path)}"
    )


def _note_oddities(stacks: tuple[Stack, ...], problems: Problems) -> None:
    for number, stack in enumerate(stacks, start=1):
        normal = normal_of(stack.affines[0])
        origins = np.stack([affine[:3, 3] for affine in stack.affines])
        steps = np.abs(np.diff(origins @ normal))
        for index in np.flatnonzero(steps > GAP_SHARE * stack.spacing_mm):
            problems.lines.append(
                f"gap of {steps[index]:.1f} mm in stack {number}, whose slices are "
                f"{stack.spacing_mm:.1f} mm apart, after {short_name(stack.headers[index].path)}"
            )
        if len(stacks) > 1 and len(stack.headers) == 1:
            problems.lines.append(
                f"a slice stands apart from the others: {short_name(stack.headers[0].path)}"
            )
    headers = [header for stack in stacks for header in stack.headers]
    matrices = {h.path: f"{h.rows} x {h.columns}" for h in headers}
    spacings = {h.path: " x ".join(f"{mm:g}" for mm in h.pixel_spacing_mm or ()) for h in headers}
    _note_mixture("matrices", "", matrices, problems)
    _note_mixture("pixel spacings", " mm", spacings, problems)


def _note_mixture(what: str, unit: str, found: dict[Path, str], problems: Problems) -> None:
    """Note that slices differ in something, with a file of the rarest kind."""
    count = Counter(found.values())
    if len(count) > 1:
        rarest = min(found, key=lambda path: count[found[path]])
        problems.lines.append(
            f"slices of different {what}: {', '.join(sorted(count))}{unit}, the rarest in "
            f"{short_name(rarest)}"
        )


def _without_stray(headers: list[SliceHeader], problems: Problems) -> list[SliceHeader]:
    """Leave out one or two slices of another plane than the many others'."""
    normals = np.stack([normal_of(affine_of(header, 1.0)) for header in headers])
    apart = np.abs(normals @ normals.T) < SEVERAL_PLANES_COSINE
    stray = apart.sum(axis=1) > len(headers) / 2
    count = int(stray.sum())
    if not 0 < count <= MAX_STRAY_SLICES or len(headers) - count < MIN_SLICES_BESIDE_STRAY:
        return headers
    problems.left_out(
        [h for h, leave in zip(headers, stray, strict=True) if leave],
        "of another plane than the others",
    )
    return [h for h, leave in zip(headers, stray, strict=True) if not leave]


def _several_planes(stacks: tuple[Stack, ...]) -> str | None:
    normals = np.stack([normal_of(stack.affines[0]) for stack in stacks])
    if np.abs(normals @ normals.T).min() < SEVERAL_PLANES_COSINE:
        return "slices lie in several planes, more than 70° apart: a localizer"
    return None


def affine_of(header: SliceHeader, spacing_mm: float) -> Affine:
    """Affine of a slice, for a given distance between slices.

    Raises:
        ValueError: a geometry tag is missing or impossible.
    """
    position, orientation = header.position_lps_mm, header.image_orientation
    pixel_spacing = header.pixel_spacing_mm
    if position is None or orientation is None or pixel_spacing is None:
        raise ValueError(f"a geometry tag is missing: {header.path}")
    return slice_affine(position, orientation, pixel_spacing, spacing_mm)


def same_place_pairs(headers: Sequence[SliceHeader]) -> np.ndarray:
    """(slice, slice) strictly lower triangle: does the row show the place of an earlier column?"""
    positions = np.array([header.position_lps_mm for header in headers])
    orientations = np.array([header.image_orientation for header in headers])
    near = np.abs(positions[:, None] - positions).max(axis=2) < SAME_PLACE_MM
    parallel = np.abs(orientations[:, None] - orientations).max(axis=2) < 1e-2
    return np.tril(near & parallel, -1)
