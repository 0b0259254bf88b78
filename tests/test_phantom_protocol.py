"""What is planned on the scanner has the distributions of real studies."""

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from lumbargrade.labels import View
from lumbargrade.phantom.protocol import UNCOVERED, SeriesProtocol, plan_study
from lumbargrade.phantom.spine import build_spine
from lumbargrade.phantom.tissue import Sequence, Tissue, marrow_fat_share, tissue_signals

SEEDS = range(2000, 2400)


@cache
def plans() -> tuple[tuple[SeriesProtocol, ...], ...]:
    return tuple(plan_study(seed, build_spine(seed)) for seed in SEEDS)


def series_of(view: View) -> list[SeriesProtocol]:
    return [series for study in plans() for series in study if series.view is view]


def pixel_mm(series: SeriesProtocol, rows: int) -> float:
    return float(np.linalg.norm(series.affines[0][:3, 1])) * series.acquired[0] / rows


@pytest.mark.parametrize("view", list(View))
def test_pixels_are_as_small_as_real_ones(view: View) -> None:
    acquired = [pixel_mm(s, s.acquired[0]) for s in series_of(view)]
    stored = [pixel_mm(s, s.stored[0]) for s in series_of(view)]
    assert min(acquired) >= 0.45
    assert max(acquired) <= 0.9
    assert 0.58 < np.median(acquired) < 0.75
    assert min(stored) >= 0.3
    assert 0.5 < np.median(stored) < 0.68


@pytest.mark.parametrize(
    ("view", "largest_spacing_mm"),
    [(View.SAGITTAL_T1, 6.5), (View.SAGITTAL_T2, 6.5), (View.AXIAL_T2, 5.0)],
)
def test_slices_are_3_5_to_5_5_mm_thick_and_at_most_1_5_mm_apart(
    view: View, largest_spacing_mm: float
) -> None:
    for series in series_of(view):
        assert 3.5 <= series.thickness_mm <= 5.5
        assert series.spacing_mm <= largest_spacing_mm
        assert series.spacing_mm - series.thickness_mm <= 1.5


def test_one_study_in_six_has_several_axial_series_flat_or_tilted() -> None:
    several = [
        axial
        for study in plans()
        if len(axial := [s for s in study if s.view is View.AXIAL_T2]) > 1
    ]
    assert 0.1 < len(several) / len(SEEDS) < 0.23
    same_normal = [
        np.allclose(axial[0].affines[:1, :3, 0], axial[-1].affines[:, :3, 0], atol=1e-6)
        for axial in several
    ]
    assert 0.05 < np.mean(same_normal) < 0.75


def test_axial_slices_of_a_study_have_the_real_median_and_a_long_tail() -> None:
    counts = [sum(len(s.affines) for s in study if s.view is View.AXIAL_T2) for study in plans()]
    low, median, high = np.percentile(counts, (5, 50, 95))
    assert 15 <= low <= 24
    assert 26 <= median <= 33
    assert 45 <= high <= 75
    assert 100 <= max(counts) <= 192


def test_files_of_most_studies_stay_below_30_megabytes() -> None:
    megabytes = [
        sum(2e-6 * len(s.affines) * s.stored[0] * s.stored[1] for s in study) for study in plans()
    ]
    assert np.mean(np.array(megabytes) <= 30.01) > 0.95
    assert max(megabytes) < 40


def test_studies_whose_axial_slices_end_below_a_disc_are_as_many_as_wanted() -> None:
    ends = []
    for seed in SEEDS:
        spine = build_spine(seed)
        axial = [s for s in plan_study(seed, spine) if s.view is View.AXIAL_T2]
        highest = max(
            float((affine @ [0, s.acquired[0] / 2, s.acquired[1] / 2, 1])[2])
            for s in axial
            for affine in s.affines
        )
        discs = [float(spine.to_lps(0, 4, float(v))[2]) for v in spine.graded_s_mm()]
        ends.append([disc > highest + 5 for disc in discs])
    shares = np.mean(ends, axis=0)
    assert abs(shares[0] - UNCOVERED["l1_l2"]) < 0.03
    assert abs(shares[1] - UNCOVERED["l2_l3"]) < 0.025
    assert not shares[2:].any()


def signals(
    seed: int, echo: float = 100.0, repetition: float = 4000.0, inversion: float | None = None
) -> NDArray[np.float64]:
    sequence = Sequence(
        echo_time_ms=echo, repetition_time_ms=repetition, inversion_time_ms=inversion, field_t=1.5
    )
    return tissue_signals(seed, sequence)


def test_on_t2_marrow_is_60_percent_as_bright_as_fluid_and_spreads_as_in_patients() -> None:
    ratios = [(v := signals(seed))[Tissue.MARROW] / v[Tissue.CSF] for seed in range(300)]
    low, median, high = np.percentile(ratios, (10, 50, 90))
    assert 0.5 < median < 0.7
    assert low < 0.48
    assert high > 0.7


def test_marrow_brightens_with_its_fat_on_t1_and_t2_and_darkens_on_stir() -> None:
    shares = np.array([marrow_fat_share(seed) for seed in range(100)])
    assert 0.12 < shares.std() < 0.22
    for times, sign in (((), 1), ((10.0, 600.0), 1), ((50.0, 4000.0, 160.0), -1)):
        all_signals = np.array([signals(seed, *times) for seed in range(100)])
        marrow = all_signals[:, Tissue.MARROW] / all_signals[:, Tissue.MARROW].mean()
        assert sign * np.corrcoef(shares, marrow)[0, 1] > 0.4
