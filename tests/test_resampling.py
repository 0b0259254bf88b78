import numpy as np
import pytest

from lumbargrade.resampling import draw_studies, interval_of


def test_every_draw_holds_as_many_studies_as_there_are() -> None:
    lots = list(draw_studies(30, resamples=250, seed=1))
    assert [len(times) for times in lots] == [100, 100, 50]
    assert (np.concatenate(lots).sum(axis=1) == 30).all()


def test_a_study_is_drawn_once_on_average_with_the_spread_of_a_bootstrap() -> None:
    times = np.concatenate(list(draw_studies(50, resamples=4000, seed=2)))
    assert times.mean() == pytest.approx(1.0)
    assert times.var() == pytest.approx(1 - 1 / 50, rel=0.02)
    assert (times == 0).mean() == pytest.approx((1 - 1 / 50) ** 50, abs=0.005)


def test_equal_seeds_give_equal_draws() -> None:
    first, second, other = (
        np.concatenate(list(draw_studies(20, resamples=120, seed=seed))) for seed in (3, 3, 4)
    )
    assert (first == second).all()
    assert not (first == other).all()


def test_an_interval_leaves_out_draws_without_a_value() -> None:
    values = np.append(np.linspace(0, 1, 1001), [np.nan] * 50)
    interval = interval_of(values)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))
    assert interval.standard_error == pytest.approx(np.linspace(0, 1, 1001).std(ddof=1))


def test_one_value_makes_no_interval() -> None:
    assert interval_of(np.array([0.5, np.nan, np.nan])) is None
