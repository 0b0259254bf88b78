"""Sort the files of one series: what is a slice, what is a copy, what cannot be placed.

What must stay true: a series with a slice that cannot be placed is refused, naming tag and file;
files that are no slices are left out by name.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from lumbargrade.dicom.candidates import Candidate, Problems, SeriesRefusedError
from lumbargrade.dicom.files import unique
from lumbargrade.dicom.placement import affine_of, place, same_place_pairs
from lumbargrade.dicom.refusals import image_refusal
from lumbargrade.dicom.slice_header import SliceHeader, short_name
from lumbargrade.geometry import ORTHOGONALITY_TOLERANCE

MAX_SLICES = 1000
"""A series of more is no lumbar series (the largest one seen has 192 slices)."""

MAX_POSITION_MM = 10_000.0
"""No scanner places a slice farther from its origin."""

PIXEL_SPACINGS_MM = (0.01, 100.0)
"""Finer or coarser ones are no MR image's."""


def candidates_of(series_id: str, headers: Sequence[SliceHeader]) -> list[Candidate]:
    """Describe one series.

    Args:
        series_id: its name in reports.
        headers: of all its files, in any order; at least one.

    Returns:
        Usually one candidate; one per echo or image type where they share their positions.
    """
    headers = sorted(headers, key=_file_order)
    bare = Candidate(series_uid=headers[0].series_uid, series_id=series_id, headers=tuple(headers))
    problems = Problems()
    try:
        images = _without_copies(_images_only(headers, problems), problems)
        _check_tags(images)
        groups = _split_by_contrast(images)
    except SeriesRefusedError as error:
        return [replace(bare, refusal=str(error), problems=tuple(problems.lines))]
    if len(groups) > 1:
        problems.lines.append(f"{len(groups)} echoes or image types at the same places")
    return [place(bare, group, Problems(list(problems.lines))) for group in groups]


def _file_order(header: SliceHeader) -> tuple[bool, int, str, int]:
    number = header.instance_number
    return number is None, number or 0, str(header.path), header.frame_number or 0


def _images_only(headers: Sequence[SliceHeader], problems: Problems) -> list[SliceHeader]:
    """Leave out what is no MR image of a slice; a series of nothing else is refused."""
    reasons = [image_refusal(header) for header in headers]
    images = [h for h, reason in zip(headers, reasons, strict=True) if reason is None]
    if not images:
        raise SeriesRefusedError(f"{reasons[0]} ({short_name(headers[0].path)})")
    for reason in unique(reason for reason in reasons if reason is not None):
        problems.left_out([h for h, r in zip(headers, reasons, strict=True) if r == reason], reason)
    return images


def _without_copies(headers: Sequence[SliceHeader], problems: Problems) -> list[SliceHeader]:
    """Keep one file per SOP instance."""
    kept: dict[tuple[str, int | None], SliceHeader] = {}
    copies = []
    for header in headers:
        first = kept.setdefault((header.sop_instance_uid, header.frame_number), header)
        if first is header:
            continue
        if _place_tags(first) != _place_tags(header):
            raise SeriesRefusedError(
                f"two slices at different places share one SOPInstanceUID: "
                f"{short_name(first.path)} and {short_name(header.path)}"
            )
        copies.append(header)
    problems.left_out(copies, "copies of the same SOP instance")
    return list(kept.values())


def _place_tags(header: SliceHeader) -> tuple[object, ...]:
    return header.position_lps_mm, header.image_orientation, header.pixel_spacing_mm


def _check_tags(headers: Sequence[SliceHeader]) -> None:
    """Refuse a series with a slice that cannot be placed.

    Raises:
        SeriesRefusedError: names the tag and the file.
    """
    for header in headers:
        fault = _tag_fault(header)
        if fault is not None:
            raise SeriesRefusedError(f"{fault}: {short_name(header.path)}")
    if len(headers) > MAX_SLICES:
        raise SeriesRefusedError(
            f"{len(headers)} slices, at most {MAX_SLICES}: {short_name(headers[0].path)} and others"
        )
    frames = unique(header.frame_of_reference_uid for header in headers)
    if len(frames) > 1:
        others = [h.path for h in headers if h.frame_of_reference_uid != frames[0]]
        raise SeriesRefusedError(
            f"{len(frames)} frames of reference in one series, so its slices cannot be placed "
            f"together: {short_name(headers[0].path)} and {short_name(others[0])}"
        )


def _tag_fault(header: SliceHeader) -> str | None:
    for tag, value in (
        ("SOPInstanceUID", header.sop_instance_uid),
        ("SeriesInstanceUID", header.series_uid),
    ):
        if not value:
            return f"{tag} is missing"
    if header.position_lps_mm is None:
        return "ImagePositionPatient is missing or malformed"
    if max(abs(coordinate) for coordinate in header.position_lps_mm) > MAX_POSITION_MM:
        return f"ImagePositionPatient is more than {MAX_POSITION_MM / 1000:.0f} m off"
    if header.pixel_spacing_mm is None or min(header.pixel_spacing_mm) <= 0:
        return "PixelSpacing is missing, malformed or not positive"
    finest, coarsest = PIXEL_SPACINGS_MM
    if not (finest <= min(header.pixel_spacing_mm) and max(header.pixel_spacing_mm) <= coarsest):
        return f"PixelSpacing is not within {finest} to {coarsest:.0f} mm"
    if header.image_orientation is None:
        return "ImageOrientationPatient is missing or malformed"
    if max(abs(cosine) for cosine in header.image_orientation) > 2:
        return "ImageOrientationPatient is not orthonormal: it has a cosine beyond 2"
    columns, rows = np.array(header.image_orientation).reshape(2, 3)
    deviation = np.abs([columns @ rows, columns @ columns - 1, rows @ rows - 1]).max()
    if deviation > 2 * ORTHOGONALITY_TOLERANCE or not _accepts(header):
        return f"ImageOrientationPatient is not orthonormal (off by {deviation:.3g})"
    return None


def _accepts(header: SliceHeader) -> bool:
    try:
        affine_of(header, 1.0)
    except ValueError:
        return False
    return True


def _split_by_contrast(headers: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    """Separate echoes or image types of one series, only where they show the same places."""
    groups: dict[tuple[object, ...], list[SliceHeader]] = {}
    for header in headers:
        echo = None if header.echo_time_ms is None else round(header.echo_time_ms)
        groups.setdefault((echo, header.image_type), []).append(header)
    if len(groups) == 1 or not same_place_pairs(headers).any():
        return [list(headers)]
    return list(groups.values())
