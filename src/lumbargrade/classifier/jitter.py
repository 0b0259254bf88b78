"""Stage 1's own errors on studies it never saw, to jitter the crops of training studies with.

What must stay true: an error is (found − marked) in whole slices and in mm along the rows and
columns of the marked slice, both points on one stack; a draw is one whole error of the cell's
family, never its parts from several.

Source: the 1st place of the RSNA 2024 competition jittered crops with the histogram of its
stage 1's slice errors and called that crucial.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lumbargrade.cache import CachedStudy
from lumbargrade.geometry import locate, lps_to_slices, spacing_of
from lumbargrade.labels import TARGETS, Family
from lumbargrade.records import InvalidStudyError, Landmark, ViewVolume

REACH_SLICES = 2
"""Errors of more slices count as this many."""

REACH_MM = 10.0
"""Larger errors in the plane count as this large, along either axis."""

MIN_ERRORS = 20
"""Fewer errors of a family are no histogram."""

_FAMILY_OF_TARGET = np.array([list(Family).index(t.condition.family) for t in TARGETS])


@dataclass(frozen=True, slots=True, kw_only=True)
class PointErrors:
    """What was measured, by family: each row (slices, row mm, column mm)."""

    by_family: Mapping[Family, Float64[np.ndarray, "error 3"]]

    def draw(self, rng: np.random.Generator) -> Float64[np.ndarray, "25 3"]:
        """One error per target, drawn from its family's."""
        drawn = np.empty((len(TARGETS), 3))
        for index, family in enumerate(Family):
            cells = np.flatnonzero(index == _FAMILY_OF_TARGET)
            pool = self.by_family[family]
            drawn[cells] = pool[rng.integers(len(pool), size=len(cells))]
        return drawn


def measure_errors(
    studies: Iterable[CachedStudy],
    found: Mapping[str, Sequence[Landmark]],
    marked: Mapping[str, Sequence[Landmark]],
) -> PointErrors:
    """Compare found points with marked ones.

    Args:
        studies: whose points are compared.
        found: study id → 25 landmarks of detectors that never saw the study.
        marked: study id → 25 landmarks that people marked.

    Raises:
        InvalidStudyError: too few points of a family were both found and marked.
    """
    errors: dict[Family, list[Float64[np.ndarray, "3"]]] = {family: [] for family in Family}
    for study in studies:
        pairs = zip(found[study.study_id], marked[study.study_id], strict=True)
        for at, true in pairs:
            if at.position_lps_mm is None or true.position_lps_mm is None:
                continue
            view = true.target.condition.view
            error = _error(study.volumes[view], at.position_lps_mm, true.position_lps_mm)
            if error is not None:
                errors[true.target.condition.family].append(error)
    for family, rows in errors.items():
        if len(rows) < MIN_ERRORS:
            raise InvalidStudyError(
                f"jitter_from_found needs at least {MIN_ERRORS} points of each family that were "
                f"both found and marked; {family.value} has {len(rows)}: train on more studies, "
                "or set classifier.augment.jitter_from_found: false"
            )
    reach = np.array([REACH_SLICES, REACH_MM, REACH_MM])
    return PointErrors(
        by_family={
            family: np.clip(np.stack(rows), -reach, reach) for family, rows in errors.items()
        }
    )


def _error(
    volume: ViewVolume, found: Float64[np.ndarray, "3"], marked: Float64[np.ndarray, "3"]
) -> Float64[np.ndarray, "3"] | None:
    """Found − marked; None where they lie on different stacks."""
    shapes = np.array([np.shape(image) for image in volume.slices])
    at, true = (locate(volume.affines, shapes, point).slice_index for point in (found, marked))
    if volume.stack_ids[at] != volume.stack_ids[true]:
        return None
    affine = volume.affines[[true]]
    feet = [lps_to_slices(affine, point)[0, 1:] for point in (found, marked)]
    in_plane = (feet[0] - feet[1]) * spacing_of(affine[0])[1:]
    return np.array([at - true, *in_plane])
