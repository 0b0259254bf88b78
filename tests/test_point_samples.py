import numpy as np
import pytest

from lumbargrade.labels import CONDITIONS, TARGETS
from lumbargrade.point_intervals import point_intervals
from lumbargrade.point_samples import CONDITION_TARGETS, EVERY_TARGET, FigureSample


def some_sample(percent: float | None, studies: int = 12) -> FigureSample:
    rng = np.random.default_rng(0)
    values = np.round(rng.gamma(2, 1, size=(studies, 25)), 1)  # some are equal
    return FigureSample.of(
        (
            (study, target, float(values[study, target.index]))
            for study in range(studies)
            for target in TARGETS
            if rng.random() < 0.8
        ),
        percent=percent,
    )


@pytest.mark.parametrize("percent", [None, 0, 50, 95, 100])
@pytest.mark.parametrize("targets", [EVERY_TARGET, CONDITION_TARGETS[CONDITIONS[3]]])
def test_a_drawn_figure_is_that_of_the_drawn_studies_written_out(
    percent: float | None, targets: np.ndarray
) -> None:
    sample = some_sample(percent)
    times = np.random.default_rng(1).multinomial(12, np.full(12, 1 / 12), size=30).astype(float)
    rows = targets[sample.target]
    for found, counts in zip(sample.drawn(targets, times), times, strict=True):
        written_out = np.repeat(sample.value[rows], counts[sample.study[rows]].astype(int))
        expected = written_out.mean() if percent is None else np.percentile(written_out, percent)
        assert found == pytest.approx(expected, abs=1e-12)


def test_a_draw_without_a_row_has_no_figure() -> None:
    sample = FigureSample.of([(0, TARGETS[0], 1.0), (1, TARGETS[1], None)])
    assert sample.figure(EVERY_TARGET) == 1.0
    assert sample.figure(CONDITION_TARGETS[CONDITIONS[1]]) is None
    drawn = sample.drawn(EVERY_TARGET, np.array([[1.0, 1.0], [0.0, 2.0]]))
    assert drawn[0] == 1.0
    assert np.isnan(drawn[1])


def test_intervals_hold_the_figure_and_shrink_with_the_number_of_studies() -> None:
    widths = []
    for studies in (12, 192):
        sample = some_sample(None, studies)
        found = point_intervals({"mean": sample}, studies, resamples=300)
        interval, figure = found.overall["mean"], sample.figure(EVERY_TARGET)
        assert interval is not None
        assert figure is not None
        assert interval.low <= figure <= interval.high
        widths.append(interval.standard_error)
        assert set(found.by_condition) == set(CONDITIONS)
    assert widths[1] == pytest.approx(widths[0] / 4, rel=0.4)
