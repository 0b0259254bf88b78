"""The rehearsal's figures, from numbers made by hand."""

import numpy as np
import pytest

from lumbargrade.competition import TruthPoint
from lumbargrade.geometry import Plane
from lumbargrade.labels import LEVELS, Condition, View
from lumbargrade.records import SeriesReport
from test_phantom_tools import tool

REHEARSAL = tool("hospital_rehearsal")


def truth(study_id: str, level: int, *, covered: bool = True) -> TruthPoint:
    return TruthPoint(
        study_id=study_id,
        condition=Condition.SPINAL_CANAL_STENOSIS,
        level=LEVELS[level],
        measure=1.0,
        unit="mm2",
        severity=0.0,
        position_lps_mm=np.zeros(3),
        series_id="1",
        instance_number=1,
        covered=covered,
        variant="",
    )


def test_a_covered_target_without_a_point_counts_as_missed() -> None:
    truths = [truth("1", 0), truth("1", 1), truth("2", 0), truth("2", 1)]
    rows = [REHEARSAL.row_id(item) for item in truths]
    distance_mm = {rows[0]: 9.9, rows[2]: 1.0, rows[3]: 10.1}
    flags = {key: ["low_confidence"] if key == rows[3] else [] for key in rows}
    flags[rows[1]] = ["level_not_covered"]
    figures = REHEARSAL.family_figures(truths, distance_mm, flags)
    assert (figures["covered"], figures["within"], figures["without_point"]) == (4, 2, 1)
    assert (figures["studies"], figures["studies_all_within"]) == (2, 0)
    assert figures["missed"] == {rows[1]: "level_not_covered", rows[3]: 10.1}
    assert figures["misses_low_confidence"] == 1
    assert figures["median_mm"] == pytest.approx(9.9)


def test_an_uncovered_target_must_be_null_and_flagged() -> None:
    truths = [truth("1", level, covered=False) for level in range(3)]
    rows = [REHEARSAL.row_id(item) for item in truths]
    flags = {rows[0]: ["level_not_covered"], rows[1]: ["view_missing"], rows[2]: []}
    figures = REHEARSAL.family_figures(truths, {rows[2]: 4.0}, flags)
    assert (figures["uncovered"], figures["uncovered_null_and_flagged"]) == (3, 1)
    assert figures["uncovered_with_point"] == [rows[2]]
    assert figures["share_within"] is None


@pytest.mark.parametrize(
    ("view", "used", "wrong"),
    [
        (View.SAGITTAL_T2, True, 0),
        (View.SAGITTAL_T2, False, 1),
        (View.SAGITTAL_T1, True, 1),
        (None, False, 1),
    ],
)
def test_a_series_is_wrong_where_its_view_or_its_use_is(
    view: View | None, *, used: bool, wrong: int
) -> None:
    report = SeriesReport(
        series_uid="1.2",
        series_id="7",
        description="t2",
        modality="MR",
        plane=Plane.SAGITTAL,
        view=view,
        used=used,
        reason="",
        slices=12,
        stacks=1,
        rows=48,
        columns=40,
        pixel_spacing_mm=(1.0, 1.0),
        slice_spacing_mm=4.0,
        tilts_deg=(0.0,),
    )
    expected = {"7": {"view": "sagittal_t2", "used": "1"}}
    assert len(REHEARSAL.wrong_series(expected, [report])) == wrong
