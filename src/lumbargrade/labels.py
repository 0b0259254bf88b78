"""Conditions, levels, sides, grades and the 25 targets, each spelled once.

What must stay true: a target's index is ``condition * 5 + level``, the column order of the
competition's ``train.csv``, so an array over targets reshapes to (5 conditions, 5 levels) for free.
Left and right are the patient's.
"""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray


class View(StrEnum):
    """One of the three kinds of series that a study is graded from."""

    SAGITTAL_T2 = "sagittal_t2"
    SAGITTAL_T1 = "sagittal_t1"
    AXIAL_T2 = "axial_t2"

    @property
    def words(self) -> str:
        """As people say it inside a sentence, e.g. ``sagittal T2``."""
        plane, _, weighting = self.value.partition("_")
        return f"{plane} {weighting.upper()}"

    @property
    def heading(self) -> str:
        """As a heading, e.g. ``Sagittal T2``."""
        return self.words[0].upper() + self.words[1:]


class Side(StrEnum):
    """The patient's side."""

    LEFT = "left"
    RIGHT = "right"


class Family(StrEnum):
    """A group of conditions that the metric averages over; the value is the metric's own word."""

    CANAL = "spinal"
    FORAMINAL = "foraminal"
    SUBARTICULAR = "subarticular"


class Condition(StrEnum):
    """The five graded conditions, in target order."""

    SPINAL_CANAL_STENOSIS = "spinal_canal_stenosis"
    LEFT_NEURAL_FORAMINAL_NARROWING = "left_neural_foraminal_narrowing"
    RIGHT_NEURAL_FORAMINAL_NARROWING = "right_neural_foraminal_narrowing"
    LEFT_SUBARTICULAR_STENOSIS = "left_subarticular_stenosis"
    RIGHT_SUBARTICULAR_STENOSIS = "right_subarticular_stenosis"

    @property
    def spelling(self) -> str:
        """The competition's spelling in ``train_label_coordinates.csv``."""
        return self.value.replace("_", " ").title()

    @property
    def family(self) -> Family:
        """The metric's group of this condition."""
        return _FAMILY[self]

    @property
    def side(self) -> Side | None:
        """The patient's side, None for the canal."""
        return _SIDE[self]

    @property
    def view(self) -> View:
        """The view on which this condition is marked."""
        return VIEW_OF_FAMILY[self.family]


class Level(StrEnum):
    """The five graded disc levels, head to foot."""

    L1_L2 = "l1_l2"
    L2_L3 = "l2_l3"
    L3_L4 = "l3_l4"
    L4_L5 = "l4_l5"
    L5_S1 = "l5_s1"

    @property
    def spelling(self) -> str:
        """The competition's spelling in ``train_label_coordinates.csv``, e.g. ``L4/L5``."""
        return self.value.upper().replace("_", "/")


class Grade(StrEnum):
    """The three grades, mildest first."""

    NORMAL_MILD = "normal_mild"
    MODERATE = "moderate"
    SEVERE = "severe"

    @property
    def spelling(self) -> str:
        """The competition's spelling in ``train.csv``, e.g. ``Normal/Mild``."""
        return self.value.replace("_", "/").title()


class Flag(StrEnum):
    """Why a row's answer deserves less trust."""

    VIEW_MISSING = "view_missing"
    LEVEL_NOT_COVERED = "level_not_covered"
    LOW_CONFIDENCE = "low_confidence"
    UNCERTAIN = "uncertain"
    CROSS_VIEW_CONFLICT = "cross_view_conflict"
    UNUSUAL_ANATOMY = "unusual_anatomy"


_C = Condition
_FAMILY = {
    _C.SPINAL_CANAL_STENOSIS: Family.CANAL,
    _C.LEFT_NEURAL_FORAMINAL_NARROWING: Family.FORAMINAL,
    _C.RIGHT_NEURAL_FORAMINAL_NARROWING: Family.FORAMINAL,
    _C.LEFT_SUBARTICULAR_STENOSIS: Family.SUBARTICULAR,
    _C.RIGHT_SUBARTICULAR_STENOSIS: Family.SUBARTICULAR,
}
_SIDE = {
    _C.SPINAL_CANAL_STENOSIS: None,
    _C.LEFT_NEURAL_FORAMINAL_NARROWING: Side.LEFT,
    _C.RIGHT_NEURAL_FORAMINAL_NARROWING: Side.RIGHT,
    _C.LEFT_SUBARTICULAR_STENOSIS: Side.LEFT,
    _C.RIGHT_SUBARTICULAR_STENOSIS: Side.RIGHT,
}
VIEW_OF_FAMILY = {
    Family.CANAL: View.SAGITTAL_T2,
    Family.FORAMINAL: View.SAGITTAL_T1,
    Family.SUBARTICULAR: View.AXIAL_T2,
}

VIEWS = tuple(View)
CONDITIONS = tuple(Condition)
LEVELS = tuple(Level)
GRADES = tuple(Grade)

GRADE_WEIGHTS = (1.0, 2.0, 4.0)
"""The metric's weight of a row by its true grade."""

MISSING_GRADE = -1
"""The label of an unlabelled target in integer label arrays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One of the 25 graded cells: a condition at a level."""

    condition: Condition
    level: Level

    @property
    def index(self) -> int:
        """Position in target order, ``condition * 5 + level``."""
        return CONDITIONS.index(self.condition) * len(LEVELS) + LEVELS.index(self.level)

    @property
    def column(self) -> str:
        """The column of ``train.csv``, e.g. ``spinal_canal_stenosis_l1_l2``."""
        return f"{self.condition}_{self.level}"

    def row_id(self, study_id: str) -> str:
        """The submission's ``row_id``, ``<study>_<condition>_<level>``."""
        return f"{study_id}_{self.column}"


TARGETS = tuple(Target(condition=c, level=lv) for c in CONDITIONS for lv in LEVELS)
"""The 25 targets in column order of ``train.csv``."""

TARGET_OF_COLUMN = {target.column: target for target in TARGETS}

MIRROR_CONDITION = {
    condition: next(
        c
        for c in CONDITIONS
        if c.family is condition.family and (c.side is not condition.side or c.side is None)
    )
    for condition in CONDITIONS
}
"""Each condition's partner on the patient's other side (the canal is its own)."""

MIRROR_TARGET = np.array(
    [Target(condition=MIRROR_CONDITION[t.condition], level=t.level).index for t in TARGETS]
)
"""Index (25,) that swaps left and right in an array over targets."""

VIEW_OF_TARGET = np.array([VIEWS.index(target.condition.view) for target in TARGETS])
"""Place (25,) in ``VIEWS`` of the view that a target is graded on."""


def mirror_left_right(values: NDArray[np.generic], *, axis: int = 0) -> NDArray[np.generic]:
    """Swap the patient's left and right cells of an array over the 25 targets.

    Args:
        values: any array with 25 entries along ``axis``, in target order.
        axis: the axis of the targets.

    Returns:
        A copy, with left and right cells exchanged; its own inverse.
    """
    return np.take(values, MIRROR_TARGET, axis=axis)


def targets_of_view(view: View) -> tuple[Target, ...]:
    """The targets marked on a view, in target order: 5, 10 and 10."""
    return tuple(target for target in TARGETS if target.condition.view is view)
