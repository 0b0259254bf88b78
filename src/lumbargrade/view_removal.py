"""What each view is worth: studies graded once with all they have, and once without each view.

What must stay true: a study without a view is a study that never had it, for the detectors too;
whatever is compared was answered for the same studies.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np

from lumbargrade.arrays import Labels
from lumbargrade.labels import VIEWS, View
from lumbargrade.metric import MetricParts
from lumbargrade.paired import compare_answers
from lumbargrade.records import Grades, InvalidStudyError, Study
from lumbargrade.resampling import PairedDifference


@runtime_checkable
class Grader(Protocol):
    """What grades a study; a pipeline, or a stand-in for one."""

    def predict(self, study: Study) -> Grades:
        """Grade one study."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WithoutView:
    """What the answers without a view score."""

    studies_with_view: int
    """The others' answers are those of the complete studies."""
    parts: MetricParts
    differences: dict[str, PairedDifference]
    """``score`` and each part: without the view minus complete, above zero where it is missed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewRemovals:
    """What each view is worth."""

    studies: int
    complete: MetricParts
    without: dict[View, WithoutView]


def without_view(study: Study, view: View) -> Study:
    """The study as if no series of a view had been there."""
    return replace(study, series=tuple(item for item in study.series if item.view is not view))


def grade_without_views(
    grader: Grader, study: Study, done: Callable[[], None] | None = None
) -> dict[View | None, np.ndarray]:
    """Grade a study with everything (None), and without each of its views.

    Args:
        grader: answers.
        study: to be graded.
        done: called after each of the four answers.

    Returns:
        (25, 3) answers q; without a view that the study lacks, those of the study as it is.
    """
    answers: dict[View | None, np.ndarray] = {}
    for view in (None, *VIEWS):
        if view is not None and not study.series_of(view):
            answers[view] = answers[None]
        else:
            left = study if view is None else without_view(study, view)
            answers[view] = grader.predict(left).metric_probabilities
        if done is not None:
            done()
    return answers


def measure_removals(
    truth: Mapping[str, Labels],
    answers: Mapping[str, Mapping[View | None, np.ndarray]],
    views_of: Mapping[str, Iterable[View]],
    *,
    resamples: int,
    seed: int = 0,
) -> ViewRemovals:
    """Score the answers without each view against those to the complete studies.

    Args:
        truth: study id → (25,) grades.
        answers: study id → what :func:`grade_without_views` gave.
        views_of: study id → the views that it has.
        resamples: sets of studies to draw.
        seed: of the draws.

    Raises:
        InvalidStudyError: no study was answered for, or a family has no grade among them.
    """
    study_ids = sorted(truth.keys() & answers.keys())
    if not study_ids:
        raise InvalidStudyError("no study with grades in the truth was answered for")
    labels = np.stack([truth[study_id] for study_id in study_ids])

    def rows(view: View | None) -> np.ndarray:
        return np.stack([answers[study_id][view] for study_id in study_ids])

    found = {
        view: compare_answers(labels, [rows(view)], [rows(None)], resamples=resamples, seed=seed)
        for view in VIEWS
    }
    return ViewRemovals(
        studies=len(study_ids),
        complete=next(iter(found.values())).second,
        without={
            view: WithoutView(
                studies_with_view=sum(view in views_of[study_id] for study_id in study_ids),
                parts=comparison.first,
                differences=comparison.differences,
            )
            for view, comparison in found.items()
        },
    )
