"""Where the targets of a synthetic study are, and which slice shows each best.

What must stay true: points are computed in patient mm from the solved anatomy and only then placed
on slices; nothing is read back from the images.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lumbargrade.arrays import Point
from lumbargrade.geometry import Location, locate
from lumbargrade.labels import LEVELS, Condition, Family, Level, Target, View
from lumbargrade.phantom.anatomy import Anatomy
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.protocol import SeriesProtocol
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.variants import Variant

DISC_CONDITION = "disc"
"""How auxiliary disc points are called in ``phantom_truth.csv``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TruePoint:
    """One row of ``phantom_truth.csv``."""

    target: Target | None
    """None for an auxiliary disc point."""
    level: Level
    measure: float | None
    unit: str
    severity: float | None
    position_lps_mm: Point
    series_id: str
    instance_number: int
    column: float
    row: float
    covered: bool
    variant: Variant
    """Of the patient's spine."""

    @property
    def condition(self) -> str:
        """The condition's word, ``disc`` for an auxiliary point."""
        return self.target.condition if self.target is not None else DISC_CONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSeries:
    """One series of a study, planned or written."""

    series_id: str
    number: int
    protocol: SeriesProtocol
    affines: Float64[np.ndarray, "slice 4 4"]
    """Of the stored pixels, neighbours beside each other."""
    instance_numbers: tuple[int, ...]
    """Of the slices, in the order of ``affines``."""
    variant: tuple[str, ...]
    """Settings it was made with; they enter its UIDs."""


def true_points(
    spine: Spine, anatomy: Anatomy, stored: list[StoredSeries]
) -> tuple[TruePoint, ...]:
    """All 25 targets and the five disc points, each on the slice that shows it best."""
    places = []
    for level, solved in zip(LEVELS, anatomy.levels, strict=True):
        for condition in Condition:
            side = condition.side
            if side is None:
                x, d, s = solved.sac_centre_x_mm, solved.sac_centre_d_mm, solved.s_mm
            elif condition.family is Family.FORAMINAL:
                foramen = solved.foramen[side]
                d, height = foramen.centroid()
                x, s = SIDE_SIGN[side] * foramen.x_mm, solved.s_mm + height / foramen.stretch
            else:
                recess = solved.recess[side]
                x, d, s = recess.narrowest_x_mm, recess.narrowest_d_mm, solved.s_mm
            places.append((Target(condition=condition, level=level), level, (x, d, s)))
    places.sort(key=lambda place: place[0].index)
    auxiliary = [
        (None, level, (0.0, solved.bulge_mm, solved.s_mm))
        for level, solved in zip(LEVELS, anatomy.levels, strict=True)
    ]
    return tuple(
        _true_point(spine, anatomy, stored, target, level, place)
        for target, level, place in [*places, *auxiliary]
    )


def _true_point(
    spine: Spine,
    anatomy: Anatomy,
    stored: list[StoredSeries],
    target: Target | None,
    level: Level,
    place: tuple[float, float, float],
) -> TruePoint:
    view = target.condition.view if target is not None else View.SAGITTAL_T2
    position = spine.to_lps(*place)
    series = [s for s in stored if s.protocol.view is view]
    location = _locate(series, position, spine.axes_lps(place[2])[2])
    numbers = [(s.series_id, number) for s in series for number in s.instance_numbers]
    series_id, instance_number = numbers[location.slice_index]
    canal = target is not None and target.condition.family is Family.CANAL
    return TruePoint(
        target=target,
        level=level,
        measure=float(anatomy.measures[target.index]) if target is not None else None,
        unit="" if target is None else "mm2" if canal else "mm",
        severity=float(anatomy.severity[target.index]) if target is not None else None,
        position_lps_mm=position,
        series_id=series_id,
        instance_number=instance_number,
        column=location.column,
        row=location.row,
        covered=location.covered,
        variant=spine.form.variant,
    )


def _locate(series: list[StoredSeries], position: Point, normal: Point) -> Location:
    shapes = np.concatenate([np.tile(s.protocol.stored, (len(s.affines), 1)) for s in series])
    return locate(np.concatenate([s.affines for s in series]), shapes, position, normal=normal)
