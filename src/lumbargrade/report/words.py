"""What the report calls things and in which order: views, conditions, grades, flags in plain words.

What must stay true: every flag has words that say what it means for the reader.
"""

from lumbargrade.labels import Condition, Family, Flag, Side, Target, View

DISPLAY_VIEWS = (View.SAGITTAL_T1, View.SAGITTAL_T2, View.AXIAL_T2)
"""In the order of the report's panes."""

DISPLAY_CONDITIONS = (
    Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
    Condition.RIGHT_SUBARTICULAR_STENOSIS,
    Condition.SPINAL_CANAL_STENOSIS,
    Condition.LEFT_SUBARTICULAR_STENOSIS,
    Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
)
"""Columns as a radiologist looks at the patient: the patient's right on the left."""

FLAG_WORDS = {
    Flag.VIEW_MISSING: "View missing: answered from what the other views show",
    Flag.LEVEL_NOT_COVERED: "Level not covered: answered without a slice of this place",
    Flag.LOW_CONFIDENCE: "Low confidence: the place itself was hard to find",
    Flag.UNCERTAIN: "Uncertain: no grade is clearly the likeliest",
    Flag.CROSS_VIEW_CONFLICT: "Views disagree about where this level lies",
    Flag.UNUSUAL_ANATOMY: "Unusual anatomy: the spine curves to the side",
}

FLAG_SHORT = {
    Flag.VIEW_MISSING: "view missing",
    Flag.LEVEL_NOT_COVERED: "not covered",
    Flag.LOW_CONFIDENCE: "low confidence",
    Flag.UNCERTAIN: "uncertain",
    Flag.CROSS_VIEW_CONFLICT: "views disagree",
    Flag.UNUSUAL_ANATOMY: "unusual anatomy",
}

_FAMILY_NAME = {
    Family.CANAL: "canal",
    Family.FORAMINAL: "foramen",
    Family.SUBARTICULAR: "subarticular",
}

_SIDE_LETTER = {Side.LEFT: " L", Side.RIGHT: " R", None: ""}


def condition_name(condition: Condition) -> str:
    """A column's head, e.g. ``Left foramen``."""
    side = "" if condition.side is None else f"{condition.side} "
    return (side + _FAMILY_NAME[condition.family]).capitalize()


def target_name(target: Target) -> str:
    """A target in a sentence, e.g. ``L4/L5 left foramen``."""
    return f"{target.level.spelling} {condition_name(target.condition).lower()}"


def point_label(target: Target) -> str:
    """What stands beside a ring, e.g. ``L4/L5 L``."""
    return target.level.spelling + _SIDE_LETTER[target.condition.side]


def label_stands_left(target: Target) -> bool:
    """Whether a ring's label goes to its left: outwards, so that two sides don't meet."""
    return target.condition.view is View.AXIAL_T2 and target.condition.side is Side.RIGHT
