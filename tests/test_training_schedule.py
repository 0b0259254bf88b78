import pytest

from lumbargrade.config import FitSettings
from lumbargrade.training.schedule import SchedulePlan, learning_rate_factor


def test_learning_rate_warms_up_over_a_tenth_and_ends_near_zero() -> None:
    rates = [learning_rate_factor(step, 100, 0.1) for step in range(100)]
    assert rates[0] == pytest.approx(1 / 11)
    assert max(rates) == rates[10] == 1.0
    assert rates[55] == pytest.approx(0.5)
    assert rates[-1] < 0.001
    assert rates[:11] == sorted(rates[:11])
    assert rates[10:] == sorted(rates[10:], reverse=True)


class FakeClock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_time_limit_shrinks_the_schedule_to_what_fits() -> None:
    clock = FakeClock()
    plan = SchedulePlan(FitSettings(epochs=100, max_minutes=1.0), steps=20, clock=clock)
    clock.now = 5.0
    plan.after_step(10)  # half a second per step, 10 s per epoch
    assert plan.epochs == 6
    clock.now = 14.0
    plan.after_epoch(1)  # validation cost 4 s: 46 s left, 14 s each
    assert plan.epochs == 4
    clock.now = 16.0
    plan.after_epoch(2)  # faster now, but the plan never grows
    assert plan.epochs == 4


def test_a_time_limit_that_was_overrun_ends_training_now() -> None:
    clock = FakeClock()
    plan = SchedulePlan(FitSettings(epochs=100, max_minutes=1.0), steps=5, clock=clock)
    clock.now = 500.0
    plan.after_epoch(1)
    assert plan.epochs == 1


def test_without_a_time_limit_the_clock_does_not_matter() -> None:
    clock = FakeClock()
    plan = SchedulePlan(FitSettings(epochs=100), steps=20, clock=clock)
    clock.now = 1e6
    plan.after_step(10)
    plan.after_epoch(1)
    assert plan.epochs == 100
    assert plan.seconds() == 0.0
