"""What the headers of a study say: every series, the view it shows, and which ones serve.

What must stay true: no pixel is read here, and no series goes without a report that says why.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lumbargrade.dicom.candidates import Candidate
from lumbargrade.dicom.dicomdir import is_directory_file
from lumbargrade.dicom.files import series_id_of
from lumbargrade.dicom.found import StudyFiles
from lumbargrade.dicom.screening import candidates_of
from lumbargrade.dicom.selection import Choice, choose
from lumbargrade.dicom.slice_header import (
    SliceHeader,
    UnreadableFileError,
    read_headers,
    short_name,
)
from lumbargrade.dicom.views import tilts_deg, with_view
from lumbargrade.geometry import PLANE_OF_VIEW
from lumbargrade.labels import VIEWS, View
from lumbargrade.records import SeriesReport

TOLD_REFUSALS = 3
"""As many refused series a warning names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What the headers of a study say: which series would serve, and why."""

    study_id: str
    study_uid: str
    choices: tuple[Choice, ...]
    warnings: tuple[str, ...]

    @property
    def reports(self) -> tuple[SeriesReport, ...]:
        """One per series (or echo of it), the used ones first."""
        ordered = sorted(self.choices, key=lambda choice: not choice.used)
        return tuple(_report(choice) for choice in ordered)


def inspect_study(files: StudyFiles, *, refused: dict[str, str] | None = None) -> Inspection:
    """Choose series by their headers; no pixel is read.

    Args:
        files: of one study.
        refused: series that cannot serve for a reason found elsewhere, by SeriesInstanceUID.

    Returns:
        Choices and warnings; a study of which nothing can be used is no error here.
    """
    headers, warnings = _headers(files)
    known = {entry.series_id: entry.view for entry in files.known_views}
    candidates: list[Candidate] = []
    for group in _by_series(headers):
        series_id = series_id_of(group[0], in_rsna_layout=files.in_rsna_layout)
        for candidate in candidates_of(series_id, group):
            viewed = with_view(candidate, known.get(series_id))
            reason = (refused or {}).get(viewed.series_uid)
            candidates.append(viewed if reason is None else viewed.refused(reason))
    choices = tuple(choose(candidates))
    return Inspection(
        study_id=files.study_id,
        study_uid=next((h.study_uid for h in headers if h.study_uid), ""),
        choices=choices,
        warnings=(*warnings, *_study_warnings(headers, choices)),
    )


def _headers(files: StudyFiles) -> tuple[list[SliceHeader], list[str]]:
    if files.headers is not None:
        return list(files.headers), list(files.unreadable)
    headers: list[SliceHeader] = []
    warnings = []
    for path in files.paths:
        try:
            found = read_headers(path)
        except UnreadableFileError as error:
            warnings.append(str(error))
            continue
        if not is_directory_file(found):
            headers.extend(found)
    return headers, warnings


def _by_series(headers: Sequence[SliceHeader]) -> list[list[SliceHeader]]:
    groups: dict[str, list[SliceHeader]] = {}
    for header in headers:
        groups.setdefault(header.series_uid, []).append(header)
    return [groups[uid] for uid in sorted(groups)]


def _study_warnings(headers: Sequence[SliceHeader], choices: Sequence[Choice]) -> list[str]:
    warnings = []
    if len({header.study_uid for header in headers}) > 1:
        warnings.append("the study's folder holds more than one StudyInstanceUID")
    used = [choice.candidate for choice in choices if choice.used]
    if len({candidate.headers[0].frame_of_reference_uid for candidate in used}) > 1:
        warnings.append(
            "the series have different frames of reference: the patient may have moved between "
            "them, so points may not agree across views"
        )
    served = {candidate.view for candidate in used}
    return [*warnings, *(_unserved(view, choices) for view in VIEWS if view not in served)]


def _unserved(view: View, choices: Sequence[Choice]) -> str:
    """That a view is missing, and which series of its plane were refused and why."""
    planes = (PLANE_OF_VIEW[view], None)
    refused = [
        series_in_words(choice)
        for choice in choices
        if choice.candidate.refusal is not None and choice.candidate.plane in planes
    ]
    words = f"no series serves {view.words}"
    if not refused:
        return words
    more = len(refused) - TOLD_REFUSALS
    told = [*refused[:TOLD_REFUSALS], *([f"and {more} more"] if more > 0 else [])]
    return f"{words}; refused: {'; '.join(told)}"


def series_in_words(choice: Choice) -> str:
    """A series by its name and its first file, and what became of it."""
    candidate = choice.candidate
    first = short_name(candidate.headers[0].path)
    named = "" if first in choice.reason else f" ({first})"
    return f"series {candidate.series_id or candidate.series_uid}{named}: {choice.reason}"


def _report(choice: Choice) -> SeriesReport:
    candidate = choice.candidate
    first = candidate.headers[0]
    placed = bool(candidate.stacks)
    spacing = first.pixel_spacing_mm
    return SeriesReport(
        series_uid=candidate.series_uid,
        series_id=candidate.series_id,
        description=first.description,
        modality=first.modality,
        plane=candidate.plane,
        view=candidate.view,
        used=choice.used,
        reason=choice.reason,
        slices=candidate.slices,
        stacks=len(candidate.stacks),
        rows=first.rows,
        columns=first.columns,
        pixel_spacing_mm=(spacing[0], spacing[1]) if spacing is not None else None,
        slice_spacing_mm=candidate.slice_spacing_mm if placed else None,
        tilts_deg=tilts_deg(candidate) if placed else (),
        problems=candidate.problems,
    )
