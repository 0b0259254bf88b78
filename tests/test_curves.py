import numpy as np
import pytest
from scipy.stats import binomtest

from lumbargrade.curves import ROC_POINTS, reliability, roc_curve, wilson_interval


@pytest.mark.parametrize(("hits", "rows"), [(0, 5), (3, 10), (50, 60), (7, 7)])
def test_bands_are_wilson_intervals(hits: int, rows: int) -> None:
    expected = binomtest(hits, rows).proportion_ci(method="wilson")
    assert wilson_interval(hits, rows) == pytest.approx((expected.low, expected.high), abs=1e-9)


def test_a_reliability_bin_counts_its_rows() -> None:
    p = np.array([0.05, 0.15, 0.16, 1.0])
    bins = reliability(np.array([False, True, False, True]), p)
    assert [item.rows for item in bins] == [1, 2, 0, 0, 0, 0, 0, 0, 0, 1]
    assert bins[1].mean_probability == pytest.approx(0.155)
    assert bins[1].frequency == 0.5
    assert (bins[2].mean_probability, bins[2].frequency, bins[2].frequency_low) == (None,) * 3


def test_a_thinned_curve_keeps_its_ends_and_its_area() -> None:
    rng = np.random.default_rng(0)
    positive = rng.random(20_000) < 0.3
    curve = roc_curve(positive, rng.normal(positive * 1.5))
    x, y = np.array(curve.false_positive_rate), np.array(curve.true_positive_rate)
    assert len(x) <= ROC_POINTS
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())
    assert area == pytest.approx(curve.auc, abs=2e-3)


def test_one_class_has_no_curve() -> None:
    curve = roc_curve(np.array([True, True]), np.array([0.2, 0.4]))
    assert (curve.auc, curve.true_positive_rate, curve.positives) == (None, [], 2)
