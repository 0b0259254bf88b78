"""Spines that curve to the side."""

from dataclasses import replace

import numpy as np
import pytest

from fake_records import make_study
from lumbargrade.curvature import CURVED_DEG, sideways_angle_deg
from lumbargrade.labels import LEVELS, TARGETS, Family, Flag, Side
from lumbargrade.pipeline import Pipeline
from lumbargrade.records import Landmark

PITCH_MM = 30.0


def spine(lean_deg: tuple[float, ...], *, canal_aside_mm: float = 0.0) -> list[Landmark]:
    """Levels 30 mm apart along the body, each step leaning to the patient's left by an angle."""
    x = np.concatenate([[0.0], np.cumsum(PITCH_MM * np.tan(np.radians(lean_deg)))])
    landmarks = []
    for target in TARGETS:
        level = LEVELS.index(target.level)
        aside = {Side.LEFT: 15.0, Side.RIGHT: -15.0, None: canal_aside_mm * (-1) ** level}
        position = np.array([x[level] + aside[target.condition.side], 10.0, -PITCH_MM * level])
        landmarks.append(Landmark(target=target, position_lps_mm=position, score=1.0, flags=()))
    return landmarks


def without(landmarks: list[Landmark], family: Family, levels: int) -> list[Landmark]:
    """Without the points on the left of the first levels."""
    return [
        replace(item, position_lps_mm=None)
        if item.target.condition.family is family
        and item.target.condition.side is Side.LEFT
        and LEVELS.index(item.target.level) < levels
        else item
        for item in landmarks
    ]


@pytest.mark.parametrize(
    ("lean_deg", "angle"),
    [
        ((0.0, 0.0, 0.0, 0.0), 0.0),
        ((5.0, 5.0, 5.0, 5.0), 0.0),  # oblique on the table, but straight
        ((8.0, 3.0, -2.0, -7.0), 15.0),
        ((0.0, -6.0, 6.0, 0.0), 12.0),
    ],
)
def test_the_angle_is_that_between_the_steps_that_differ_most(
    lean_deg: tuple[float, ...], angle: float
) -> None:
    landmarks = spine(lean_deg, canal_aside_mm=4.0)
    assert sideways_angle_deg(landmarks) == pytest.approx(angle, abs=1e-9)
    foramina = without(landmarks, Family.SUBARTICULAR, 5)
    assert sideways_angle_deg(foramina) == pytest.approx(angle, abs=1e-9)


def test_fewer_than_four_levels_with_both_sides_say_nothing() -> None:
    landmarks = without(spine((8.0, 3.0, -2.0, -7.0)), Family.FORAMINAL, 5)
    assert sideways_angle_deg(without(landmarks, Family.SUBARTICULAR, 1)) == pytest.approx(10.0)
    assert sideways_angle_deg(without(landmarks, Family.SUBARTICULAR, 2)) is None


@pytest.mark.parametrize("bend_deg", [0.5, 12.0])
def test_all_rows_of_a_curved_spine_are_flagged(
    bend_deg: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    bend = bend_deg / 2
    found = tuple(spine((bend, bend, -bend, -bend)))
    monkeypatch.setattr("lumbargrade.pipeline.find_landmarks", lambda *_, **__: found)
    monkeypatch.setattr(
        "lumbargrade.pipeline.place_landmarks", lambda *_: (found, (None,) * len(TARGETS))
    )
    grades = Pipeline.load(device="cpu").predict(make_study())
    flagged = [Flag.UNUSUAL_ANATOMY in flags for flags in grades.flags]
    assert all(flagged) if bend_deg > CURVED_DEG else not any(flagged)
