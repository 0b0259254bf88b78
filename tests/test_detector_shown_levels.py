from functools import partial

import numpy as np
import pytest

from lumbargrade.detector.shown_levels import EDGE_MM, LevelChoice, choose_shown, every_level
from lumbargrade.geometry import slice_affine

GAP_MM = 30.0
ROW_MM = 1.0
SURE = 0.1
Places = dict[int, tuple[float, float]]
"""Level → (millimetres below the image's upper edge, score)."""

TRUE: Places = {level: (40.0 + GAP_MM * level, 0.8) for level in range(5)}


def grid(rows: int, first_mm: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
    """Three sagittal slices whose upper edge lies ``first_mm`` below z = 0."""
    affine = slice_affine(
        (0.0, 0.0, -first_mm - ROW_MM / 2), (0, 1, 0, 0, 0, -1), (ROW_MM, ROW_MM), 4.0
    )
    affines = np.stack([affine] * 3)
    affines[:, 0, 3] = [-4.0, 0.0, 4.0]
    return affines, np.full((3, 2), rows)


def choice(kinds: list[Places], levels: range) -> LevelChoice:
    """The only places there are, whichever levels are asked for."""
    positions = [[[0.0, 50.0, -kind[level][0]] for level in levels] for kind in kinds]
    scores = np.array([[kind[level][1] for level in levels] for kind in kinds])
    return LevelChoice(
        positions_lps_mm=np.array(positions), scores=scores, worth=float(np.log(scores).sum())
    )


def shown(kinds: list[Places], rows: int, first_mm: float = 0.0) -> list[bool]:
    """Which of the five levels have points; all kinds must agree."""
    positions, scores = choose_shown(
        partial(choice, kinds), *grid(rows, first_mm), low_confidence=SURE
    )
    there = np.isfinite(positions).all(axis=1).reshape(len(kinds), 5)
    assert (there == there[0]).all()
    assert ((scores > 0) == there.ravel()).all()
    return [bool(level) for level in there[0]]


def with_last(place_mm: float, score: float) -> Places:
    return TRUE | {4: (place_mm, score)}


@pytest.mark.parametrize("height", [1.0, 0.15])
def test_a_weak_point_at_the_edge_is_given_up_where_the_level_must_lie_below_it(
    height: float,
) -> None:
    """L5/S1 belongs at 160 mm, the image ends at 150 mm; however high scores are in general."""
    weak = {level: (mm, score * height) for level, (mm, score) in with_last(149.0, 0.1).items()}
    assert shown([weak], rows=150) == [True] * 4 + [False]


def test_a_weak_point_inside_the_image_is_kept() -> None:
    assert shown([with_last(160.0, 0.001)], rows=200) == [True] * 5


def test_a_sure_point_is_kept_where_the_pitch_leads_outside() -> None:
    """The last gap is shorter than the others."""
    assert shown([with_last(148.0, 0.7)], rows=150) == [True] * 5


@pytest.mark.parametrize(("room_mm", "kept"), [(EDGE_MM - 0.5, False), (EDGE_MM + 0.5, True)])
def test_a_weak_point_within_millimetres_of_the_edge_is_given_up(
    room_mm: float, kept: bool
) -> None:
    affines, shapes = grid(rows=200)
    affines[:, 2, 3] -= 160.0 + room_mm - 200.0  # the lowest edge lies so far below L5/S1
    positions, _ = choose_shown(
        partial(choice, [with_last(160.0, 0.05)]), affines, shapes, low_confidence=SURE
    )
    assert np.isfinite(positions[4]).all() == kept


def test_levels_above_the_image_are_given_up() -> None:
    """The image begins below L1/L2 and L2/L3."""
    cut = TRUE | {0: (86.0, 0.02), 1: (90.0, 0.05)}
    assert shown([cut], rows=150, first_mm=85.0) == [False, False, True, True, True]


def test_levels_at_both_ends_are_given_up_at_once() -> None:
    cut = TRUE | {0: (56.0, 0.02), 4: (149.0, 0.05)}
    assert shown([cut], rows=95, first_mm=55.0) == [False, True, True, True, False]


def test_three_levels_stay_whatever_the_maps_say() -> None:
    silent = {level: (mm, 0.8 if level in (2, 3) else 1e-6) for level, (mm, _) in TRUE.items()}
    assert sum(shown([silent], rows=70, first_mm=82.0)) == 3


@pytest.mark.parametrize(("score", "kept"), [(0.09, True), (0.11, False)])
def test_with_one_sure_level_nothing_is_said_of_the_others(score: float, kept: bool) -> None:
    unsure = {level: (mm, 0.02) for level, (mm, _) in TRUE.items()}
    unsure |= {0: (40.0, 0.8), 1: (70.0, score), 4: (149.0, 1e-4)}
    assert shown([unsure], rows=150)[4] == kept


def test_both_kinds_of_points_decide_together() -> None:
    """The disc maps are silent at the edge, the canal's are nearly sure."""
    canal, disc = with_last(149.0, 0.5), with_last(149.0, 0.01)
    assert shown([canal], rows=150) == [True] * 5
    assert shown([canal, disc], rows=150) == [True] * 4 + [False]


def test_a_spine_named_one_level_too_high_is_named_anew() -> None:
    """With L5/S1 cut off, five levels fit only one too high, where maps are weaker."""

    def choose(levels: range) -> LevelChoice:
        up = GAP_MM if len(levels) == 5 else 0.0
        score = 0.1 if up else 0.6
        return choice([{level: (mm - up, score) for level, (mm, _) in TRUE.items()}], levels)

    positions, _ = choose_shown(choose, *grid(rows=145), low_confidence=SURE)
    np.testing.assert_allclose(positions[:4, 2], [-TRUE[level][0] for level in range(4)])
    assert np.isnan(positions[4]).all()


def test_every_level_has_a_point_where_all_are_known_to_be_shown() -> None:
    positions, scores = every_level(partial(choice, [with_last(149.0, 0.01)]))
    assert np.isfinite(positions).all()
    assert scores[4] == 0.01


def test_a_choice_of_fewer_levels_that_is_not_there_is_passed_over() -> None:
    def choose(levels: range) -> LevelChoice | None:
        return choice([with_last(149.0, 0.01)], levels) if len(levels) == 5 else None

    positions, _ = choose_shown(choose, *grid(rows=150), low_confidence=SURE)
    assert np.isfinite(positions).all()
    with pytest.raises(ValueError, match="all levels"):
        choose_shown(lambda _: None, *grid(rows=150), low_confidence=SURE)
