"""The nouns that travel between the stages: Study, Series, Landmark, Crop, Grades.

What must stay true: facts live in typed fields with unit and frame in their names, records are
frozen, and one direction leads from files to grades, with no way back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64

from lumbargrade.arrays import Affine, Pixels, Point
from lumbargrade.geometry import Plane
from lumbargrade.labels import Flag, Target, View


class InvalidStudyError(ValueError):
    """Bad data: names what was found, what was expected, and the file or series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceImage:
    """One slice as it was stored, with its own geometry."""

    pixels: Pixels
    """(row, column) after the modality LUT; bright is high, whatever the photometric meaning."""
    affine: Affine
    """(slice, row, column, 1) → LPS mm of this slice."""
    stack: int
    """Index of the stack (slices of one orientation) inside its series."""
    sop_instance_uid: str
    instance_number: int | None
    frame_number: int | None
    """One-based frame of a multi-frame file, None for single frames."""
    path: Path
    window: tuple[float, float] | None = None
    """The file's own window centre and width, where it has one."""
    thickness_mm: float | None = None
    """SliceThickness; None where the file does not say it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """A usable series: slices ordered by geometry, stack by stack."""

    series_uid: str
    series_id: str
    """The folder's name in an RSNA layout, else the SeriesInstanceUID."""
    description: str
    view: View
    reason: str
    """Why it was taken for this view."""
    slices: tuple[SliceImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesReport:
    """What was found about any series, usable or not; what ``inspect`` shows."""

    series_uid: str
    series_id: str
    description: str
    modality: str
    plane: Plane | None
    view: View | None
    used: bool
    reason: str
    """Why it was used, or the rule by which it was refused, naming a file where one is at fault."""
    slices: int
    stacks: int
    rows: int
    columns: int
    pixel_spacing_mm: tuple[float, float] | None
    slice_spacing_mm: float | None
    tilts_deg: tuple[float, ...]
    """Per stack: angle of its normal to the axis of the series' plane."""
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One patient visit: the series that serve, and a report on every series found."""

    study_uid: str
    study_id: str
    series: tuple[Series, ...]
    reports: tuple[SeriesReport, ...]
    warnings: tuple[str, ...] = ()

    def series_of(self, view: View) -> tuple[Series, ...]:
        """The series that serve a view, in reading order."""
        return tuple(series for series in self.series if series.view is view)


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewVolume:
    """All slices of one view, over all its series, in radiological orientation.

    Sagittal slices run from the patient's right to left, axial ones from head to foot, stack by
    stack. Pixels are scaled to 0..255 between the 1st and 99th percentile of each series.
    """

    view: View
    slices: Sequence[np.ndarray]
    """Per slice (row, column) uint8; sizes may differ between series."""
    affines: Float64[np.ndarray, "slice 4 4"]
    """Of these pixels, not of the stored ones."""
    stack_ids: np.ndarray
    """(slice,) int: which stack, numbered through all series; neighbours never cross stacks."""
    series_index: np.ndarray
    """(slice,) int: which of ``Study.series_of(view)``."""
    slice_index: np.ndarray
    """(slice,) int: which slice of that series."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What a detector's maps say for a point that it found, whatever its score is made of."""

    peak: float
    """The heatmap's highest value at the point, 0 to 1."""
    pointer: float
    """The probability that its slice shows it, 0 to 1."""
    peak_margin: float
    """Logarithm of how many times as high the peak is as any elsewhere on its slice."""
    pointer_margin: float
    """Logarithm of how many times as likely its slice is as any that does not neighbour it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """Where a landmark's structure lies on the slices around it, as the heatmaps say.

    Steps follow the order of the landmark's stack, as many before its own slice as after it.
    """

    offsets_lps_mm: Float64[np.ndarray, "step 3"]
    """From the landmark's position; zero in the middle, NaN where no slice tells."""
    heights: Float64[np.ndarray, "step"]
    """Of the heatmap there, 0 to 1; 0 where no slice tells."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Landmark:
    """Where a target was found, or why it was not."""

    target: Target
    position_lps_mm: Point | None
    """None exactly when flagged ``view_missing`` or ``level_not_covered``."""
    score: float
    """Detector's confidence, 0 to 1; 0 where there is no position. A probability where the models
    say what their detectors' evidence is worth."""
    flags: tuple[Flag, ...] = ()
    evidence: Evidence | None = None
    track: Track | None = None
    """None unless the detector was asked to follow the structure, or there is no position."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Crop:
    """Slices around a landmark, resampled to a fixed size in mm."""

    target: Target
    pixels: Float32[np.ndarray, "slice row column"]
    """0..1, zero outside the image."""
    slice_present: Bool[np.ndarray, "slice"]
    """False where the stack has no such slice."""
    affine: Affine
    """(slice, row, column, 1) → LPS mm of the middle slice of the crop."""
    mask: Float32[np.ndarray, "slice row column"] | None = None
    """Where the detector sees the structure, 0..1; None unless asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PointOnSlice:
    """A landmark on the stored slice that shows it best."""

    series_uid: str
    series_id: str
    sop_instance_uid: str
    instance_number: int | None
    frame_number: int | None
    column: float
    """Zero-based pixel centre of the stored image."""
    row: float
    position_lps_mm: Point
    score: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Grades:
    """The answer for one study: 25 rows in target order."""

    study_id: str
    study_uid: str
    probabilities: Float64[np.ndarray, "25 3"]
    """Calibrated p; rows sum to 1."""
    metric_probabilities: Float64[np.ndarray, "25 3"]
    """q, proportional to (1, 2, 4) · p: the answers that minimise the competition metric; the
    largest canal answer with ``any_severe_odds``."""
    points: tuple[PointOnSlice | None, ...]
    flags: tuple[tuple[Flag, ...], ...]
    warnings: tuple[str, ...]
    models_hash: str
    models_name: str
    any_severe_odds: float = 1.0
    """Factor on the odds of the largest canal q; 1 unless the models' calibration has one."""
