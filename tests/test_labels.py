import numpy as np
import pytest

from lumbargrade.labels import (
    CONDITIONS,
    GRADES,
    LEVELS,
    MIRROR_CONDITION,
    TARGET_OF_COLUMN,
    TARGETS,
    VIEWS,
    Condition,
    Family,
    Grade,
    Level,
    Side,
    Target,
    View,
    mirror_left_right,
    targets_of_view,
)


def test_targets_are_the_label_columns_in_order() -> None:
    assert len(TARGETS) == 25
    assert [target.index for target in TARGETS] == list(range(25))
    assert [TARGETS[i].column for i in (0, 9, 10, 24)] == [
        "spinal_canal_stenosis_l1_l2",
        "left_neural_foraminal_narrowing_l5_s1",
        "right_neural_foraminal_narrowing_l1_l2",
        "right_subarticular_stenosis_l5_s1",
    ]
    assert all(TARGET_OF_COLUMN[target.column] == target for target in TARGETS)


def test_an_array_over_targets_reshapes_to_conditions_by_levels() -> None:
    grid = np.arange(25).reshape(len(CONDITIONS), len(LEVELS))
    for row, condition in enumerate(CONDITIONS):
        for column, level in enumerate(LEVELS):
            assert Target(condition=condition, level=level).index == grid[row, column]


def test_row_ids_join_study_condition_and_level() -> None:
    assert TARGETS[8].row_id("0042") == "0042_left_neural_foraminal_narrowing_l4_l5"


@pytest.mark.parametrize(
    ("condition", "title"),
    [
        (Condition.SPINAL_CANAL_STENOSIS, "Spinal Canal Stenosis"),
        (Condition.LEFT_NEURAL_FORAMINAL_NARROWING, "Left Neural Foraminal Narrowing"),
        (Condition.RIGHT_SUBARTICULAR_STENOSIS, "Right Subarticular Stenosis"),
    ],
)
def test_conditions_are_spelled_as_in_the_coordinate_table(
    condition: Condition, title: str
) -> None:
    assert condition.spelling == title


def test_levels_and_grades_are_spelled_as_in_the_tables() -> None:
    assert [level.spelling for level in LEVELS] == ["L1/L2", "L2/L3", "L3/L4", "L4/L5", "L5/S1"]
    assert [grade.spelling for grade in GRADES] == ["Normal/Mild", "Moderate", "Severe"]
    assert GRADES == (Grade.NORMAL_MILD, Grade.MODERATE, Grade.SEVERE)


def test_each_condition_has_its_family_view_and_side() -> None:
    facts = [(c.family, c.view, c.side) for c in CONDITIONS]
    assert facts == [
        (Family.CANAL, View.SAGITTAL_T2, None),
        (Family.FORAMINAL, View.SAGITTAL_T1, Side.LEFT),
        (Family.FORAMINAL, View.SAGITTAL_T1, Side.RIGHT),
        (Family.SUBARTICULAR, View.AXIAL_T2, Side.LEFT),
        (Family.SUBARTICULAR, View.AXIAL_T2, Side.RIGHT),
    ]


def test_views_share_out_the_targets_5_10_10() -> None:
    shares = [targets_of_view(view) for view in VIEWS]
    assert [len(share) for share in shares] == [5, 10, 10]
    assert sum(shares, ()) == TARGETS


def test_mirror_is_an_involution_that_keeps_level_and_family() -> None:
    values = np.arange(25)
    mirrored = mirror_left_right(values)
    assert (mirror_left_right(mirrored) == values).all()
    for target in TARGETS:
        partner = TARGETS[int(mirrored[target.index])]
        assert partner.level is target.level
        assert partner.condition is MIRROR_CONDITION[target.condition]
        assert partner.condition.family is target.condition.family
        if target.condition.side is not None:
            assert partner.condition.side is not target.condition.side


def test_mirror_moves_the_left_foramen_to_the_right_and_leaves_the_canal() -> None:
    target = Target(condition=Condition.LEFT_NEURAL_FORAMINAL_NARROWING, level=Level.L4_L5)
    answers = np.zeros((2, 25, 3))
    answers[1, target.index] = 1
    answers[1, 0] = 2
    mirrored = mirror_left_right(answers, axis=1)
    assert (mirrored[1, 13] == 1).all()
    assert (mirrored[1, target.index] == 0).all()
    assert (mirrored[1, 0] == 2).all()
    assert (answers[1, target.index] == 1).all()  # a copy
