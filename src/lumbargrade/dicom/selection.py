"""Among the series that show a view, which serve?

What must stay true: coverage comes before fineness; one series serves a sagittal view, several may
serve the axial one where each adds something; every choice can say why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lumbargrade.dicom.candidates import Candidate
from lumbargrade.dicom.weighting import is_contrast_enhanced, is_fat_suppressed
from lumbargrade.geometry import Plane, spacing_of
from lumbargrade.labels import View
from lumbargrade.thick_slices import THIN_MM

CANAL_HALF_WIDTH_MM = 20.0
"""The canal and both foramina lie within this distance of the midline."""

COVERAGE_STEP = 0.1
"""Coverages that round to the same multiple of this count as equal."""

MIN_ADDED_MM = 8.0
"""An axial series serves beside others when it covers so much of the spine that they do not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What became of a candidate."""

    candidate: Candidate
    used: bool
    reason: str


def choose(candidates: Sequence[Candidate]) -> list[Choice]:
    """Choose the series of each view.

    Args:
        candidates: all series of a study, each with a view or a refusal.

    Returns:
        One choice per candidate, in the given order.
    """
    able = [c for c in candidates if c.refusal is None and c.view is not None]
    chosen: dict[int, str] = {}
    passed_over: dict[int, str] = {}
    midline_mm = _midline_mm(able)
    sagittal: list[Candidate] = []
    for view in (View.SAGITTAL_T2, View.SAGITTAL_T1):
        rivals = [c for c in able if c.view is view]
        if rivals:
            axial = [c for c in able if c.plane is Plane.AXIAL]
            sagittal.append(_choose_sagittal(rivals, axial, midline_mm, chosen, passed_over))
    _choose_axial([c for c in able if c.view is View.AXIAL_T2], sagittal, chosen, passed_over)
    return [
        Choice(
            candidate=c,
            used=id(c) in chosen,
            reason=c.refusal or chosen.get(id(c)) or passed_over.get(id(c), "no view asks for it"),
        )
        for c in candidates
    ]


def _choose_sagittal(
    rivals: list[Candidate],
    axial: list[Candidate],
    midline_mm: float,
    chosen: dict[int, str],
    passed_over: dict[int, str],
) -> Candidate:
    coverage = {id(c): _sagittal_coverage(c, axial, midline_mm) for c in rivals}
    ranked = sorted(rivals, key=lambda c: _rank(c, coverage[id(c)]))
    best = ranked[0]
    chosen[id(best)] = best.reason + _advantage(ranked, coverage)
    for other in ranked[1:]:
        passed_over[id(other)] = f"{other.reason}; {_shortfall(other, best, coverage)}"
    return best


def _choose_axial(
    rivals: list[Candidate],
    sagittal: list[Candidate],
    chosen: dict[int, str],
    passed_over: dict[int, str],
) -> None:
    if not rivals:
        return
    extent = _head_foot_extent(sagittal or rivals)
    covered = {id(c): _covered_millimetres(c, extent) for c in rivals}
    share = {key: float(mask.mean()) for key, mask in covered.items()}
    ranked = sorted(rivals, key=lambda c: _rank(c, share[id(c)]))
    done = np.zeros_like(covered[id(ranked[0])])
    for c in ranked:
        added_mm = float((covered[id(c)] & ~done).sum())
        if sagittal and not share[id(c)] and not c.named_by_table:
            passed_over[id(c)] = f"{c.reason}; lies outside the sagittal series' field of view"
        elif not done.any():
            chosen[id(c)] = c.reason + _advantage(ranked, share)
        elif c.named_by_table or added_mm >= MIN_ADDED_MM:
            chosen[id(c)] = f"{c.reason}; adds {added_mm:.0f} mm of the spine"
        else:
            passed_over[id(c)] = (
                f"{c.reason}; adds {added_mm:.0f} mm of the spine to what better series cover, "
                f"at least {MIN_ADDED_MM:.0f} mm"
            )
            continue
        done |= covered[id(c)]


def _rank(candidate: Candidate, coverage: float) -> tuple[float, int, int, float, int, str]:
    """Sort key: coverage, plain contrast, usual slices, fineness, the later of two repeats."""
    first = candidate.headers[0]
    suppressed = is_fat_suppressed(first) or is_contrast_enhanced(first)
    return (
        -round(coverage / COVERAGE_STEP),
        int(suppressed),
        int(candidate.slice_spacing_mm < THIN_MM),
        round(_voxel_mm3(candidate), 2),
        -(first.series_number or 0),
        candidate.series_uid,
    )


def _advantage(ranked: list[Candidate], coverage: dict[int, float]) -> str:
    if len(ranked) == 1:
        return ""
    return f"; chosen of {len(ranked)}: " + _shortfall(ranked[1], ranked[0], coverage, won=True)


def _shortfall(
    other: Candidate, best: Candidate, coverage: dict[int, float], *, won: bool = False
) -> str:
    """Why ``best`` goes before ``other``, told from either side."""
    mine, theirs = (best, other) if won else (other, best)
    ours, others = _rank(mine, coverage[id(mine)]), _rank(theirs, coverage[id(theirs)])
    versus = f"series {theirs.series_id}"
    if ours[0] != others[0]:
        return f"covers {coverage[id(mine)]:.0%} of the spine, {versus} {coverage[id(theirs)]:.0%}"
    if ours[1] != others[1]:
        words = ("plain", "fat-suppressed or with contrast agent")
        return f"{words[ours[1]]}, {versus} {words[others[1]]}, at equal coverage"
    if ours[2] != others[2]:
        words = ("slices of a 2-D sequence", "thin slices of a 3-D one")
        return f"{words[ours[2]]}, {versus} {words[others[2]]}, at equal coverage"
    if ours[3] != others[3]:
        return f"voxel of {ours[3]:.2f} mm³, {versus} {others[3]:.2f} mm³, at equal coverage"
    return f"{'later' if won else 'earlier'} than {versus}, its equal"


def _voxel_mm3(candidate: Candidate) -> float:
    return float(np.median([spacing_of(affine).prod() for affine in candidate.affines]))


def _left_right_extent(candidate: Candidate) -> tuple[float, float]:
    x = candidate.centres_lps_mm[:, 0]
    half = candidate.slice_spacing_mm / 2
    return float(x.min()) - half, float(x.max()) + half


def _midline_mm(able: Sequence[Candidate]) -> float:
    """Where the patient's midline is, as x in LPS: the middle of what the series centre on."""
    middles = [
        float(np.mean(_left_right_extent(c)))
        if c.plane is Plane.SAGITTAL
        else float(c.centres_lps_mm[:, 0].mean())
        for c in able
    ]
    return float(np.median(middles)) if middles else 0.0


def _sagittal_coverage(
    candidate: Candidate, axial: Sequence[Candidate], midline_mm: float
) -> float:
    """Share of the canal's width that the slices span, times the axial centres they contain."""
    low, high = _left_right_extent(candidate)
    left, right = midline_mm - CANAL_HALF_WIDTH_MM, midline_mm + CANAL_HALF_WIDTH_MM
    width = max(0.0, min(high, right) - max(low, left)) / (right - left)
    if not axial:
        return width
    foot, head = _head_foot_extent([candidate])
    z = np.concatenate([c.centres_lps_mm[:, 2] for c in axial])
    return width * float(((z >= foot) & (z <= head)).mean())


def _head_foot_extent(candidates: Sequence[Candidate]) -> tuple[float, float]:
    """Lowest and highest z (LPS) of the image areas."""
    corners = []
    for c in candidates:
        for header, affine in zip(c.headers, c.affines, strict=True):
            ends = np.array([[0, r, k, 1] for r in (0, header.rows) for k in (0, header.columns)])
            corners.append((ends @ affine.T)[:, 2])
    z = np.concatenate(corners)
    return float(z.min()), float(z.max())


def _covered_millimetres(candidate: Candidate, extent: tuple[float, float]) -> np.ndarray:
    """(millimetre,) bool from foot to head: within half a spacing of a slice's centre."""
    z = np.arange(extent[0] + 0.5, max(extent[1], extent[0] + 1))
    half = candidate.slice_spacing_mm / 2 + 0.5
    near = np.abs(z[:, None] - candidate.centres_lps_mm[:, 2]).min(axis=1) <= half
    covered: np.ndarray = near
    return covered
