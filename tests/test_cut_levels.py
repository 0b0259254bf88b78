"""The tool that cuts views at known levels."""

from typing import Any

import numpy as np
import pytest

import fake_spine
from lumbargrade.detector.view_points import ViewPoints
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import View
from lumbargrade.records import ViewVolume
from test_phantom_tools import tool

TRUTH = fake_spine.landmarks()[:5]


def row_of(volume: ViewVolume, point: np.ndarray) -> float:
    return float(lps_to_slices(volume.affines, point)[len(volume.slices) // 2, 1])


def test_a_part_of_a_view_keeps_its_pixels_in_their_places() -> None:
    whole = fake_spine.volume(View.SAGITTAL_T2)
    part = tool("cut_levels").cut_rows_and_columns(whole, (5, 30), (3, 40))
    for pixels, source in zip(part.slices, whole.slices, strict=True):
        np.testing.assert_array_equal(pixels, np.asarray(source)[5:30, 3:40])
    moved = lps_to_slices(whole.affines, TRUTH[2]) - lps_to_slices(part.affines, TRUTH[2])
    np.testing.assert_allclose(moved, np.tile([0.0, 5.0, 3.0], (len(moved), 1)), atol=1e-9)


def test_views_are_cut_around_the_levels_at_both_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    module = tool("cut_levels")
    monkeypatch.setattr(module, "FEWEST_ROWS", 10)
    whole = fake_spine.volume(View.SAGITTAL_T2)
    views = list(module.cut_views(whole, TRUTH, np.random.default_rng(0), cuts=3))
    assert views[0] == ("whole", whole)
    assert {name for name, _ in views[1:]} == {"lower", "upper"}
    for name, part in views[1:]:
        height = np.shape(part.slices[0])[0]
        end, other = (TRUTH[-1], TRUTH[0]) if name == "lower" else (TRUTH[0], TRUTH[-1])
        assert 0 < row_of(part, other) < height, "the other end stays"
        room = height - 1 - row_of(part, end) if name == "lower" else row_of(part, end)
        assert room * fake_spine.PIXEL_MM < module.FAR_CUTS_MM[1] + fake_spine.PIXEL_MM


def test_levels_are_counted_by_where_they_lie_and_what_is_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """L5/S1 is cut and told, L1/L2 is told and covered, L4/L5 is put far off."""
    module = tool("cut_levels")
    whole = fake_spine.volume(View.SAGITTAL_T2)
    stop = round((row_of(whole, TRUTH[3]) + row_of(whole, TRUTH[4])) / 2)
    part = module.cut_rows_and_columns(whole, (0, stop), (0, fake_spine.SIZE))

    def find(*_: Any) -> ViewPoints:
        found = np.concatenate([TRUTH, TRUTH])
        found[[0, 4]] = np.nan
        found[3] += 20.0
        return ViewPoints(
            positions_lps_mm=found,
            scores=np.ones(10),
            evidence=(None,) * 10,
            conflicts=np.zeros(5, dtype=bool),
        )

    monkeypatch.setattr(module, "find_in_view", find)
    counts = module.count(None, part, [TRUTH, None])
    assert counts["cut"] == counts["cut_called"] == 1
    assert (counts["covered"], counts["covered_called"]) == (4, 1)
    assert (counts["points"], counts["points_right"]) == (4, 2)
