"""Every planted point lies where its definition says, found anew on what was painted or solved."""

from functools import cache
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import binary_closing, label

from lumbargrade.labels import LEVELS, TARGETS, Family, Side
from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.canvas import Canvas
from lumbargrade.phantom.dataset import write_dataset
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.measures import GRID_MM
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.tissue import Tissue
from lumbargrade.phantom.truth import TruePoint, true_points
from lumbargrade.phantom.variants import Variant
from phantom_series import stored_as_planned

Case = tuple[int, Variant | None]
CASES: tuple[Case, ...] = (
    (41, None),
    (44, None),
    (2003, None),
    (16, None),
    (44, Variant.FOUR_LUMBAR),
    (45, Variant.SIX_LUMBAR),
    (46, Variant.SACRALISED_L5),
    (47, Variant.LUMBARISED_S1),
    (2003, Variant.SCOLIOSIS),
)
"""Seeds, as drawn or with a variant in place of what is drawn; 16 has two herniated foramina."""

every_case = pytest.mark.parametrize("case", CASES, ids=str)
LIMIT_MM = 1.0

FLUID, ANNULUS, FORAMINAL = range(3)
"""Painted "contrasts": each is 1 in the tissues that one definition speaks of, 0 elsewhere."""
CONTENTS = (
    (Tissue.CSF, Tissue.CORD),
    (Tissue.ANNULUS,),
    (Tissue.FAT, Tissue.ROOT),
)


@cache
def made(case: Case) -> tuple[Spine, Anatomy, tuple[TruePoint, ...]]:
    seed, variant = case
    spine = build_spine(seed, variant=variant)
    anatomy = solve_anatomy(seed, spine, label_model().draw_severity(seed))
    stored = stored_as_planned(seed, spine)
    return spine, anatomy, true_points(spine, anatomy, stored)


@cache
def painted(case: Case) -> Canvas:
    spine, anatomy, _ = made(case)
    signals = np.zeros((len(CONTENTS), len(Tissue)))
    for row, tissues in enumerate(CONTENTS):
        signals[row, list(tissues)] = 1
    return paint_spine(case[0], spine, anatomy, signals)


def in_spine_frame(spine: Spine, position: NDArray[np.float64]) -> NDArray[np.float64]:
    """LPS → (x, d, s), by undoing what planted the point."""
    canonical = spine.lps_to_canonical(position)[None]
    start = spine.depth_and_height(canonical[:, 1], canonical[:, 2])
    return np.concatenate(spine.coordinates(canonical, *start))


def points_of(case: Case, family: Family | None) -> list[tuple[TruePoint, NDArray[np.float64]]]:
    spine, _, points = made(case)
    return [
        (point, in_spine_frame(spine, point.position_lps_mm))
        for point in points
        if (point.target.condition.family if point.target else None) is family
    ]


def nearest(axis: NDArray[np.float64], value: float) -> int:
    return int(np.argmin(np.abs(axis - value)))


@every_case
def test_canal_points_are_the_middle_of_the_painted_sac(case: Case) -> None:
    canvas = painted(case)
    x, d, s = canvas.axes
    for point, place in points_of(case, Family.CANAL):
        fluid = canvas.colour[FLUID, :, :, nearest(s, place[2])] > 0.5
        fluid &= (np.abs(x) < 14)[:, None] & ((d > -2) & (d < 26))[None]
        whole = binary_closing(np.pad(fluid, 4), iterations=4)[4:-4, 4:-4]
        i, j = np.nonzero(whole)
        assert np.hypot(x[i].mean() - place[0], d[j].mean() - place[1]) < LIMIT_MM, point.level


@every_case
def test_foraminal_points_are_the_middle_of_the_painted_section(case: Case) -> None:
    """Its floor is open into fat, so what lies below the section's lower end is left out."""
    spine, anatomy, _ = made(case)
    canvas = painted(case)
    x, d, s = canvas.axes
    for point, place in points_of(case, Family.FORAMINAL):
        level = anatomy.levels[LEVELS.index(point.level)]
        foramen = level.foramen[Side.LEFT if place[0] > 0 else Side.RIGHT]
        open_space = canvas.colour[FORAMINAL, nearest(x, place[0])] > 0.5
        open_space &= s >= level.s_mm + foramen.bottom_mm / foramen.stretch
        parts, _ = label(open_space)
        own = parts[nearest(d, place[1]), nearest(s, place[2])]
        assert own, point.level
        i, j = np.nonzero(parts == own)
        stretch = spine.stretch(*place)
        off = (d[i].mean() - place[1], (s[j].mean() - place[2]) * stretch)
        assert np.hypot(*off) < LIMIT_MM, (point.target, off)


@every_case
def test_foraminal_points_lie_where_the_clearance_is_smallest(case: Case) -> None:
    _, anatomy, _ = made(case)
    for point, place in points_of(case, Family.FORAMINAL):
        side = point.target.condition.side if point.target else None
        assert side is not None
        foramen = anatomy.levels[LEVELS.index(point.level)].foramen[side]
        assert abs(abs(place[0]) - foramen.x_mm) < 0.1
        assert (place[0] > 0) == (side is Side.LEFT)


@every_case
def test_recess_points_are_the_middle_of_the_narrowest_gap(case: Case) -> None:
    _, anatomy, _ = made(case)
    x, d = np.meshgrid(np.arange(-16, 16, 0.1), np.arange(-2, 26, 0.1), indexing="ij")
    for point, place in points_of(case, Family.SUBARTICULAR):
        level = anatomy.levels[LEVELS.index(point.level)]
        side = point.target.condition.side if point.target else None
        assert side is not None
        recess = level.recess[side]
        sign = 1 if side is Side.LEFT else -1
        normal = np.array([sign * np.cos(recess.face_angle_rad), np.sin(recess.face_angle_rad)])
        inside = level.sac.signed_distance(x, d, 0.0) < 0
        inside |= np.hypot(x - recess.root_x_mm, d - recess.root_d_mm) < recess.root_radius_mm
        candidates = np.column_stack([x[inside], d[inside]])
        gap = recess.face_mm - candidates @ normal
        closest = candidates[gap < gap.min() + GRID_MM]
        middles = closest + normal * gap.min() / 2
        assert np.linalg.norm(middles - place[:2], axis=1).min() < LIMIT_MM
        assert abs(place[2] - level.s_mm) < 0.1


@every_case
def test_disc_points_are_the_painted_posterior_margin_at_the_midline(case: Case) -> None:
    canvas = painted(case)
    x, d, s = canvas.axes
    for point, place in points_of(case, None):
        assert abs(place[0]) < 0.05
        profile = canvas.colour[ANNULUS, nearest(x, 0.0), :, nearest(s, place[2])]
        margin = d[np.nonzero(profile > 0.5)[0].max()]
        assert abs(margin - place[1]) < LIMIT_MM, point.level


@every_case
def test_points_keep_the_order_of_the_spine_and_their_side(case: Case) -> None:
    for family in (*Family, None):
        heights: dict[str, list[float]] = {}
        for point, place in points_of(case, family):
            heights.setdefault(point.condition, []).append(place[2])
            if point.target and point.target.condition.side:
                assert (place[0] > 0) == (point.target.condition.side is Side.LEFT)
        for values in heights.values():
            assert (np.diff(values) < -15).all()


@pytest.mark.parametrize("family", list(Family))
@pytest.mark.parametrize("seed", range(40, 46))
def test_a_more_severe_cell_of_a_patient_has_the_smaller_measure(seed: int, family: Family) -> None:
    _, anatomy, _ = made((seed, None))
    cells = [t.index for t in TARGETS if t.condition.family is family]
    order = np.argsort(anatomy.severity[cells])
    measures, severities = anatomy.measures[cells][order], anatomy.severity[cells][order]
    steps = np.diff(measures)[np.diff(severities) > 0.02]
    assert (steps <= 1e-3 * np.abs(measures).max()).all()  # equal where a cap is active


@pytest.mark.slow
def test_bytes_are_the_same_for_one_two_and_three_workers(tmp_path: Path) -> None:
    def hashes(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*"))
            if path.is_file()
        }

    for workers in (1, 2, 3):
        write_dataset(tmp_path / str(workers), studies=3, seed=998, workers=workers)
    one = hashes(tmp_path / "1")
    assert len(one) > 150
    assert hashes(tmp_path / "2") == one
    assert hashes(tmp_path / "3") == one


def test_a_foramen_too_narrow_for_veins_is_painted() -> None:
    """Seed 39 once could not be made: the root of one foramen lies so low that no vein fits."""
    _, anatomy, _ = made((39, None))
    room = [
        foramen.root_height_mm - 3 - (foramen.bottom_mm + 1)
        for level in anatomy.levels
        for foramen in level.foramen.values()
    ]
    assert min(room) < 0
    assert np.isfinite(painted((39, None)).colour).all()
