"""What a finished run left, collected for its report.

What must stay true: everything is read from the run's own files and the labels; the floor comes
from the dataset's ``oracle.csv`` alone.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lumbargrade.arrays import Labels
from lumbargrade.competition import read_submission
from lumbargrade.competition.table import read_columns
from lumbargrade.ensemble_file import ENSEMBLE_FILE, Ensemble
from lumbargrade.ensemble_steps import COMPARISON, RISK_COVERAGE, way_file
from lumbargrade.evaluation import Aligned, align
from lumbargrade.intervals import score_intervals
from lumbargrade.labels import VIEWS
from lumbargrade.out_of_fold import ANSWERS
from lumbargrade.plots.training import LearningCurves
from lumbargrade.recipe_settings import Recipe
from lumbargrade.resampling import PairedDifference
from lumbargrade.run_layout import ENSEMBLE, classifier_step, detector_step, first_step
from lumbargrade.scorecard import Scorecard, measure
from lumbargrade.step_seconds import seconds_by_step
from lumbargrade.steps import Step
from lumbargrade.training.checkpoint import read_metrics
from lumbargrade.uncertainty import RiskCoverage

ORACLE_FILE = "oracle.csv"
RESAMPLES = 1000

MEAN_ERROR = "mean error, mm"
"""By which a detector's epochs are judged."""

SCORE = "score"
"""By which a classifier's are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepTime:
    """One step and how long it took."""

    name: str
    seconds: float | None
    """Of the call that finished it; None where the log does not say."""
    whole: bool
    """That call began it, too; else earlier calls took some time as well."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """How the answers of a run with folds became one."""

    ways: dict[str, dict[str, float]]
    """Way of averaging → score and parts."""
    members: dict[str, dict[str, float]]
    """``classifier at set`` → score and parts."""
    differences: dict[str, PairedDifference]
    """Way → the chosen way's score minus its own."""
    ensemble: Ensemble
    curve: RiskCoverage


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Everything that the report shows."""

    recipe: Recipe
    steps: tuple[StepTime, ...]
    """Of a run with folds; one with a split keeps no times."""
    card: Scorecard
    """Of the run's answers to studies that it did not train on, before calibration."""
    joined: Joined | None
    """None for a run with a split."""
    learning: tuple[LearningCurves, ...]


def gather_split(
    recipe: Recipe,
    run: Path,
    labels: Mapping[str, Labels],
    oracle: Path | None,
    learning: Sequence[LearningCurves],
) -> RunFacts:
    """Read a finished run with a split.

    Args:
        recipe: its settings.
        run: its folder.
        labels: study id → (25,) grades, of the classifier's validation studies.
        oracle: the true probabilities' answers, where the dataset has them.
        learning: of its members.
    """
    truth = dict(sorted(labels.items()))
    answers = align(truth, read_submission(run / ANSWERS))
    return RunFacts(
        recipe=recipe,
        steps=(),
        card=_card(answers, truth, oracle),
        joined=None,
        learning=tuple(learning),
    )


def gather(
    recipe: Recipe,
    run: Path,
    steps: Sequence[Step],
    labels: Mapping[str, Labels],
    oracle: Path | None,
) -> RunFacts:
    """Read a finished run.

    Args:
        recipe: its settings.
        run: its folder.
        steps: its steps.
        labels: study id → (25,) grades.
        oracle: the true probabilities' answers, where the dataset has them.
    """
    document: dict[str, Any] = json.loads((run / ENSEMBLE / COMPARISON).read_text())
    truth = dict(sorted(labels.items()))
    answers = align(truth, read_submission(run / ANSWERS))
    others = {
        name: align(truth, read_submission(run / ENSEMBLE / way_file(name))).answers
        for name in document["scores"]
    }
    measured = seconds_by_step(run)
    drawn = score_intervals(answers.labels, answers.answers, others=others, resamples=RESAMPLES)
    return RunFacts(
        recipe=recipe,
        steps=tuple(
            StepTime(name=step.name, seconds=seconds, whole=whole)
            for step in steps
            for seconds, whole in [measured.get(step.name, (None, True))]
        ),
        card=_card(answers, truth, oracle),
        joined=Joined(
            ways=document["scores"],
            members=document["members"],
            differences={name: parts["score"] for name, parts in drawn.differences.items()},
            ensemble=Ensemble.from_yaml(run / ENSEMBLE_FILE),
            curve=_curve(run / ENSEMBLE / RISK_COVERAGE),
        ),
        learning=tuple(_learning(recipe, run)),
    )


def _card(answers: Aligned, truth: dict[str, Labels], oracle: Path | None) -> Scorecard:
    floor = None if oracle is None else align(truth, read_submission(oracle), allow_others=True)
    return measure(answers, training=truth, floor=floor, resamples=RESAMPLES)


def oracle_of(data: Path) -> Path | None:
    """The dataset's answers from the true probabilities, where it is synthetic."""
    path = data / ORACLE_FILE
    return path if path.is_file() else None


def _curve(path: Path) -> RiskCoverage:
    coverage, log_loss, error = (
        np.array(column, dtype=np.float64)
        for column in read_columns(path, ("coverage", "log_loss", "error"))
    )
    return RiskCoverage(coverage=coverage, log_loss=log_loss, error=error)


def _learning(recipe: Recipe, run: Path) -> list[LearningCurves]:
    folds = range(recipe.folds or 0)
    kinds = [
        LearningCurves(
            title=f"{name}, {view.heading}",
            unit=MEAN_ERROR,
            scores={
                f"fold {fold}": _scores(run / detector_step(name, view, fold)) for fold in folds
            },
        )
        for name in recipe.detectors
        for view in VIEWS
    ]
    for name, setup in recipe.classifiers.items():
        two = setup.classifier.weighted_fit is not None
        for number, place in enumerate((first_step, classifier_step)[0 if two else 1 :], start=1):
            kinds.append(
                LearningCurves(
                    title=f"{name}, step {number}" if two else name,
                    unit=SCORE,
                    scores={f"fold {fold}": _scores(run / place(name, fold)) for fold in folds},
                )
            )
    return kinds


def _scores(folder: Path) -> list[float]:
    return [epoch["score"] for epoch in read_metrics(folder)]


def learning_of(title: str, unit: str, folder: Path) -> LearningCurves:
    """The one curve of a member that was trained once."""
    return LearningCurves(title=title, unit=unit, scores={"": _scores(folder)})
