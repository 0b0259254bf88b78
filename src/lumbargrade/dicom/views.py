"""Which view does a series show, if any?

What must stay true: the plane comes from geometry, the weighting from numbers before words; a
localizer is told by its words, its coverage and its slice geometry, whatever its echo time.
"""

from dataclasses import replace

from lumbargrade.dicom.candidates import Candidate
from lumbargrade.dicom.refusals import series_refusal
from lumbargrade.dicom.slice_header import SliceHeader, short_name
from lumbargrade.dicom.weighting import USABLE, Weighting, WeightingFinding, weighting_of
from lumbargrade.geometry import PLANE_OF_VIEW, Plane, normal_of, tilt_deg
from lumbargrade.labels import View

MIN_FIELD_MM = 80.0
"""No spine fits into less."""

MAX_FIELD_MM = {Plane.SAGITTAL: 450.0, Plane.AXIAL: 450.0}
LARGE_FIELD_MM = 380.0
"""A sagittal field from here on must have the slices of a diagnostic series."""
FINE_SLICES = 9
FINE_SPACING_MM = 6.7

MAX_SPACING_MM = {Plane.SAGITTAL: 8.0, Plane.AXIAL: 12.0}
"""Localizers leave more between their slices (largest seen in lumbar studies: 6.5 and 5)."""

MIN_SLICES = {Plane.SAGITTAL: 5, Plane.AXIAL: 3}
"""Fewer do not cover the canal or a disc (smallest seen in lumbar studies: 8 and 5)."""

_VIEW = {
    (Plane.SAGITTAL, "T2"): View.SAGITTAL_T2,
    (Plane.SAGITTAL, "T1"): View.SAGITTAL_T1,
    (Plane.AXIAL, "T2"): View.AXIAL_T2,
}


def with_view(candidate: Candidate, known_view: View | None = None) -> Candidate:
    """Recognise the view of a candidate, or refuse it.

    Args:
        candidate: of one series.
        known_view: what the dataset's own table says.

    Returns:
        The candidate with ``view`` and ``reason``, or with ``refusal``.
    """
    if candidate.refusal is not None or candidate.plane is None:
        return candidate
    smallest = min(candidate.field_mm)
    if smallest < MIN_FIELD_MM:
        return candidate.refused(
            f"field of view of {smallest:.0f} mm is below {MIN_FIELD_MM:.0f} mm"
        )
    if known_view is not None:
        return _by_table(candidate, candidate.plane, known_view)
    return _by_header(candidate, candidate.plane)


def tilts_deg(candidate: Candidate) -> tuple[float, ...]:
    """Per stack: the angle of its normal to the axis of the series' plane."""
    if candidate.plane is None:
        return ()
    return tuple(
        tilt_deg(normal_of(stack.affines[0]), candidate.plane) for stack in candidate.stacks
    )


def _by_table(candidate: Candidate, plane: Plane, view: View) -> Candidate:
    if plane is not PLANE_OF_VIEW[view]:
        return candidate.refused(
            f"the dataset's table says {view.words}, but the slices are {plane} by their geometry"
        )
    return replace(
        candidate, view=view, named_by_table=True, reason=f"{view.words} by the dataset's table"
    )


def _by_header(candidate: Candidate, plane: Plane) -> Candidate:
    header = candidate.headers[0]
    refusal = series_refusal(header) or _localizer_refusal(candidate, plane)
    if refusal is not None:
        return candidate.refused(refusal)
    if plane is Plane.CORONAL:
        return candidate.refused("coronal by its geometry: no view asks for it")
    finding, mixture = _weighting(candidate)
    if mixture is not None:
        return candidate.refused(mixture)
    usable = USABLE.get(finding.weighting)
    if usable is None:
        return candidate.refused(
            finding.reason
            if finding.weighting.value == "unknown"
            else f"{finding.weighting} by {finding.reason}: no view asks for it"
        )
    view = _VIEW.get((plane, usable))
    if view is None:
        return candidate.refused(f"{plane} {usable} by {finding.reason}: no view asks for it")
    counts = "" if finding.weighting.value == usable else f" ({finding.weighting})"
    reason = f"{plane} by its geometry, {usable}{counts} by {finding.reason}"
    return replace(candidate, view=view, reason=reason)


def _weighting(candidate: Candidate) -> tuple[WeightingFinding, str | None]:
    """The weighting that the slices share, and why they share none where they do not."""
    found: dict[str, tuple[WeightingFinding, SliceHeader]] = {}
    for header in candidate.headers:
        finding = weighting_of(header)
        if finding.weighting is not Weighting.UNKNOWN:
            found.setdefault(USABLE.get(finding.weighting, finding.weighting), (finding, header))
    if not found:
        return weighting_of(candidate.headers[0]), None
    (first, one), *others = found.values()
    if not others:
        return first, None
    second, other = others[0]
    return first, (
        f"its slices are weighted differently: {first.weighting} ({short_name(one.path)}), "
        f"{second.weighting} ({short_name(other.path)})"
    )


def _localizer_refusal(candidate: Candidate, plane: Plane) -> str | None:
    if plane is Plane.CORONAL:
        return None
    spacing = candidate.slice_spacing_mm
    if spacing > MAX_SPACING_MM[plane]:
        return (
            f"a localizer by its slice geometry: {plane} slices {spacing:.1f} mm apart, "
            f"at most {MAX_SPACING_MM[plane]:.0f} mm"
        )
    if candidate.slices < MIN_SLICES[plane]:
        return (
            f"a localizer by its coverage: {candidate.slices} {plane} slices, "
            f"at least {MIN_SLICES[plane]}"
        )
    largest = max(candidate.field_mm)
    if largest > MAX_FIELD_MM[plane]:
        return (
            f"a localizer by its field of view: {largest:.0f} mm, "
            f"at most {MAX_FIELD_MM[plane]:.0f} mm"
        )
    coarse = candidate.slices < FINE_SLICES or spacing > FINE_SPACING_MM
    if plane is Plane.SAGITTAL and largest >= LARGE_FIELD_MM and coarse:
        return (
            f"a localizer by field of view and slice geometry: {largest:.0f} mm with "
            f"{candidate.slices} slices {spacing:.1f} mm apart"
        )
    return None
