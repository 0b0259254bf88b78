"""What a dataset's tables say about a study: grades, marked points, auxiliary disc points.

What must stay true: a marked point is where the geometry of its own slice puts it; a point on a
slice that was not used is left out and counted, never moved to another; a point that was marked
again goes before the first one wherever its slice is used.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from lumbargrade.arrays import Labels
from lumbargrade.cache import DISC, SliceReference, StudyTruth, no_truth
from lumbargrade.competition import (
    CoordinateRow,
    TruthPoint,
    read_coordinates,
    read_labels,
    read_truth,
)
from lumbargrade.competition.dataset import COORDINATES_FILE, LABELS_FILE
from lumbargrade.competition.improved_coordinates import (
    IMPROVED_FILE,
    ImprovedRow,
    read_improved_coordinates,
)
from lumbargrade.competition.truth import TRUTH_FILE
from lumbargrade.geometry import PLANE_OF_VIEW, canonical_axes
from lumbargrade.labels import LEVELS, View
from lumbargrade.records import ViewVolume


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTables:
    """What a dataset's tables say about one study."""

    labels: Labels
    coordinates: tuple[CoordinateRow, ...] = ()
    improved: tuple[ImprovedRow, ...] = ()
    """Marked again; they go before ``coordinates``."""
    discs: tuple[TruthPoint, ...] = ()
    """Auxiliary disc points; synthetic studies alone have them."""


def read_tables(dataset: Path) -> dict[str, StudyTables]:
    """Read the training tables that a dataset has, by study; a test set has none."""
    labels = read_labels(dataset) if (dataset / LABELS_FILE).is_file() else {}
    coordinates: dict[str, list[CoordinateRow]] = {}
    if (dataset / COORDINATES_FILE).is_file():
        for row in read_coordinates(dataset):
            coordinates.setdefault(row.study_id, []).append(row)
    improved: dict[str, list[ImprovedRow]] = {}
    if (dataset / IMPROVED_FILE).is_file():
        for again in read_improved_coordinates(dataset / IMPROVED_FILE):
            improved.setdefault(again.study_id, []).append(again)
    discs: dict[str, list[TruthPoint]] = {}
    if (dataset / TRUTH_FILE).is_file():
        for point in read_truth(dataset):
            if point.target is None:
                discs.setdefault(point.study_id, []).append(point)
    return {
        study_id: StudyTables(
            labels=labels.get(study_id, no_truth().labels),
            coordinates=tuple(coordinates.get(study_id, ())),
            improved=tuple(improved.get(study_id, ())),
            discs=tuple(discs.get(study_id, ())),
        )
        for study_id in labels.keys() | coordinates.keys() | improved.keys() | discs.keys()
    }


def place_truth(
    tables: StudyTables,
    references: Mapping[View, tuple[SliceReference, ...]],
    volumes: Mapping[View, ViewVolume],
) -> tuple[StudyTruth, tuple[str, ...]]:
    """Points in patient mm; what lies on a series that was not used is left out and said.

    Args:
        tables: what they say about the study.
        references: which stored slice each slice of a volume came from.
        volumes: of these views.
    """
    slices = {
        (item.series_id, item.table_number): (item, _stored_shape(item, pixels.shape, view))
        for view, items in references.items()
        for item, pixels in zip(items, volumes[view].slices, strict=True)
    }
    landmarks: Float64[np.ndarray, "30 3"] = no_truth().landmarks_lps_mm
    absent: dict[str, int] = {}
    marked: tuple[CoordinateRow | ImprovedRow, ...] = (*tables.coordinates, *tables.improved)
    for row in marked:
        found = slices.get((row.series_id, row.instance_number))
        if found is None:
            absent[row.series_id] = absent.get(row.series_id, 0) + 1
            continue
        item, shape = found
        landmarks[row.target.index] = (item.affine @ [0.0, *_pixel(row, shape), 1.0])[:3]
    for point in tables.discs:
        landmarks[DISC + LEVELS.index(point.level)] = point.position_lps_mm
    problems = tuple(
        f"{count} labelled points lie on slices of series {series_id} that were not used"
        for series_id, count in sorted(absent.items())
    )
    return StudyTruth(landmarks_lps_mm=landmarks, labels=tables.labels), problems


def _stored_shape(item: SliceReference, shown: tuple[int, ...], view: View) -> tuple[int, int]:
    """Rows and columns of a stored slice, from those of its volume, which may lie on its side."""
    rows, columns = shown
    transposed = canonical_axes(item.affine, PLANE_OF_VIEW[view])[0]
    return (columns, rows) if transposed else (rows, columns)


def _pixel(row: CoordinateRow | ImprovedRow, shape: tuple[int, int]) -> tuple[float, float]:
    """(row, column) of a marked point in its stored slice."""
    if isinstance(row, CoordinateRow):
        return row.row, row.column
    return row.relative_y * shape[0], row.relative_x * shape[1]
