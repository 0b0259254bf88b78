"""How long a submission will take: measured on a few studies, projected on many.

What must stay true: what is timed is what ``submit`` does with a study, file search included; the
first study is graded once before anything counts; how sure the figure is follows from how much the
measured studies differ, and one study alone says nothing about that.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from scipy.stats import t as student

from lumbargrade.batch import Predictor, find_all_studies, grade_batch
from lumbargrade.records import InvalidStudyError

LIMIT_HOURS = 9.0
"""How long a notebook may run in the competition. Source: its code requirements."""

CERTAINTY = 0.95

_SECONDS_AN_HOUR = 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A projection."""

    start_seconds: float
    """Loading the models, and what the first study costs beyond the others."""
    study_seconds: tuple[float, ...]
    """One for each measured study."""
    failed: int
    """How many of them could not be graded; they count with the time that they took."""
    studies: int
    """On which it is projected."""

    @property
    def mean_seconds(self) -> float:
        """Per study."""
        return mean(self.study_seconds)

    @property
    def hours(self) -> float:
        """For all studies."""
        return self._hours(self.studies * self.mean_seconds)

    @property
    def interval_hours(self) -> tuple[float, float] | None:
        """Where the sum lies with ``CERTAINTY``; None where one study alone was measured.

        The interval of the sum of ``studies`` further draws from a normal distribution of which
        the measured ones are a sample: both its mean and its spread are estimated.
        """
        measured = len(self.study_seconds)
        if measured < 2:
            return None
        quantile = float(student.ppf((1 + CERTAINTY) / 2, measured - 1))
        spread = stdev(self.study_seconds)
        width = quantile * spread * math.sqrt(self.studies + self.studies**2 / measured)
        total = self.studies * self.mean_seconds
        return self._hours(max(0.0, total - width)), self._hours(total + width)

    def _hours(self, seconds: float) -> float:
        return (self.start_seconds + seconds) / _SECONDS_AN_HOUR


def estimate_submission(
    load: Callable[[], Predictor],
    images: Path,
    study_ids: Sequence[str],
    *,
    measured: int,
    studies: int,
    on_study: Callable[[], None] | None = None,
) -> Estimate:
    """Grade a few studies, evenly spread over all, and write nothing.

    Args:
        load: gives the pipeline.
        images: holds a folder per study.
        study_ids: what may be measured, in order.
        measured: how many of them, at most.
        studies: on how many to project.
        on_study: called after each study that counts.

    Raises:
        InvalidStudyError: no study could be graded.
    """
    chosen = spread_over(study_ids, measured)
    begun = time.monotonic()
    predictor = load()
    first, _ = _timed(predictor, images / chosen[0])
    start = time.monotonic() - begun
    seconds: list[float] = []
    failed = 0
    for study_id in chosen:
        taken, is_graded = _timed(predictor, images / study_id)
        seconds.append(taken)
        failed += not is_graded
        if on_study is not None:
            on_study()
    if failed == len(chosen):
        raise InvalidStudyError(f"none of {len(chosen)} studies in {images} could be graded")
    return Estimate(
        start_seconds=max(0.0, start - min(first, seconds[0])),
        study_seconds=tuple(seconds),
        failed=failed,
        studies=studies,
    )


def spread_over(study_ids: Sequence[str], count: int) -> list[str]:
    """At most so many of several ids, evenly spread, the first and the last among them."""
    if len(study_ids) <= count:
        return list(study_ids)
    step = (len(study_ids) - 1) / max(1, count - 1)
    return [study_ids[round(index * step)] for index in range(count)]


def _timed(predictor: Predictor, folder: Path) -> tuple[float, bool]:
    begun = time.monotonic()
    results = grade_batch(lambda: predictor, find_all_studies([folder]))
    is_graded = any(item.grades is not None for item in results)
    return time.monotonic() - begun, is_graded
