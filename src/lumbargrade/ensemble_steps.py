"""The steps of a cross-validated run after the answers: ensemble, calibration, evaluation.

What must stay true: they read out-of-fold tables and labels alone, never a network.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lumbargrade.arrays import Labels
from lumbargrade.atomic_files import write_beside
from lumbargrade.calibration import (
    Calibration,
    apply_calibration,
    fit_calibration,
    metric_answers,
    with_prior,
)
from lumbargrade.competition import read_submission, write_submission, write_table
from lumbargrade.ensemble import fit_weights
from lumbargrade.ensemble_comparison import (
    POINTS_FIRST,
    WEIGHTED,
    OutOfFold,
    compare,
    scores_of,
)
from lumbargrade.ensemble_file import ENSEMBLE_FILE, Ensemble, EnsemblePair
from lumbargrade.labels import TARGETS
from lumbargrade.metric import (
    competition_metric,
    reweight_for_metric,
    undo_metric_weights,
    weighted_prior,
)
from lumbargrade.models import CALIBRATION
from lumbargrade.out_of_fold import ANSWERS
from lumbargrade.recipe_settings import MEAN_POINTS, Recipe
from lumbargrade.run_layout import (
    CALIBRATED,
    ENSEMBLE,
    EVALUATION,
    answers_file,
    answers_step,
    read_folds,
)
from lumbargrade.steps import Step
from lumbargrade.uncertainty import disagreement, risk_coverage, threshold_for

COMPARISON = "comparison.json"
RISK_COVERAGE = "risk_coverage.csv"
SCORES = "scores.json"


def way_file(name: str) -> str:
    """The table of the answers of one way of averaging."""
    return f"answers_{name}.csv"


def ensemble_steps(recipe: Recipe, run: Path, labels: Mapping[str, Labels]) -> list[Step]:
    """The steps, in the order in which they are done."""
    folds = range(recipe.folds or 0)
    answers = tuple(answers_step(name, fold) for fold in folds for name in recipe.classifiers)

    def read_chosen(file: str, step: str) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
        study_ids = tuple(sorted(labels))
        q = _aligned(run / step / file, study_ids)
        return study_ids, np.stack([labels[key] for key in study_ids]), undo_metric_weights(q)

    def join(folder: Path) -> None:
        _join(recipe, read_out_of_fold(recipe, run, labels), folder)

    def calibrate(folder: Path) -> None:
        _, truth, p = read_chosen(ANSWERS, ENSEMBLE)
        fitted = fit_calibration(truth, p, any_severe=recipe.fit_any_severe)
        with_prior(fitted, truth).to_yaml(folder / CALIBRATION)

    def evaluate(folder: Path) -> None:
        _, truth, p = read_chosen(ANSWERS, ENSEMBLE)
        calibration = Calibration.from_yaml(run / CALIBRATED / CALIBRATION)
        answers = {
            "as trained": p,
            "calibrated": apply_calibration(calibration, p),
            "weighted prior": np.broadcast_to(undo_metric_weights(weighted_prior(truth)), p.shape),
        }
        scores = {name: asdict(parts) for name, parts in scores_of(truth, answers).items()}
        if recipe.fit_any_severe:
            q = metric_answers(calibration, answers["calibrated"])
            scores["with any-severe odds"] = asdict(competition_metric(truth, q))
        write_beside(folder / SCORES, json.dumps(scores, indent=1) + "\n")

    settings = recipe.ensemble.model_dump(mode="json")
    return [
        Step(name=ENSEMBLE, kind="ensemble", settings=settings, after=answers, work=join),
        Step(
            name=CALIBRATED,
            kind="calibration",
            settings={"fit_any_severe": True} if recipe.fit_any_severe else {},
            after=(ENSEMBLE,),
            work=calibrate,
        ),
        Step(
            name=EVALUATION,
            kind="evaluation",
            settings={},
            after=(ENSEMBLE, CALIBRATED),
            work=evaluate,
        ),
    ]


def read_out_of_fold(recipe: Recipe, run: Path, labels: Mapping[str, Labels]) -> OutOfFold:
    """Collect the members' tables of all folds."""
    study_ids = tuple(sorted(labels))
    fold_of = {
        study_id: index for index, fold in enumerate(read_folds(run)) for study_id in fold.held_out
    }
    pairs = tuple((name, points) for name in recipe.classifiers for points in recipe.detectors)
    several = len(recipe.detectors) > 1
    means = tuple((name, MEAN_POINTS) for name in recipe.classifiers) if several else ()

    def read(name: str, points: str) -> np.ndarray:
        rows: dict[str, np.ndarray] = {}
        for index in range(recipe.folds or 0):
            held_out = tuple(key for key in study_ids if fold_of[key] == index)
            table = run / answers_step(name, index) / answers_file(name, points, index)
            rows |= dict(zip(held_out, _aligned(table, held_out), strict=True))
        return undo_metric_weights(np.stack([rows[key] for key in study_ids]))

    return OutOfFold(
        study_ids=study_ids,
        fold=np.array([fold_of[key] for key in study_ids]),
        labels=np.stack([labels[key] for key in study_ids]),
        pairs=pairs,
        members=tuple(read(*pair) for pair in pairs),
        at_mean_points=tuple(read(*pair) for pair in means),
    )


def _aligned(table: Path, study_ids: Sequence[str]) -> np.ndarray:
    """A table's answers q in the order of studies and targets, (study, 25, 3)."""
    submission = read_submission(table)
    row_of = {row_id: index for index, row_id in enumerate(submission.row_ids)}
    rows = [row_of[target.row_id(key)] for key in study_ids for target in TARGETS]
    q: np.ndarray = submission.probabilities[rows].reshape(len(study_ids), len(TARGETS), -1)
    return q


def _join(recipe: Recipe, found: OutOfFold, folder: Path) -> None:
    settings = recipe.ensemble
    answers = compare(found)
    scores = {name: asdict(parts) for name, parts in scores_of(found.labels, answers).items()}
    members = {
        f"{name} at {points}": asdict(parts)
        for (name, points), parts in zip(
            found.pairs,
            scores_of(
                found.labels, dict(zip(map(str, found.pairs), found.members, strict=True))
            ).values(),
            strict=True,
        )
    }
    weights = fit_weights(found.labels, found.members)
    one_set = not found.at_mean_points  # its points are their own mean
    chosen = "plain" if settings.answers == POINTS_FIRST and one_set else settings.answers
    averaged = found.at_mean_points if chosen == POINTS_FIRST else found.members
    shares = weights if chosen == WEIGHTED else (1.0 / len(averaged),) * len(averaged)
    uncertainty = disagreement(averaged, shares)
    several = sum(share > 0 for share in shares) > 1
    ensemble = Ensemble(
        answers=chosen,
        merge_px=settings.merge_px,
        uncertain_above=threshold_for(uncertainty, settings.certain_share) if several else None,
        pairs=tuple(
            EnsemblePair(classifier=name, points=points, weight=share)
            for (name, points), share in zip(
                [(name, MEAN_POINTS) for name in recipe.classifiers]
                if chosen == POINTS_FIRST
                else found.pairs,
                shares,
                strict=True,
            )
        ),
    )
    ensemble.to_yaml(folder / ENSEMBLE_FILE)
    curve = risk_coverage(found.labels, answers[chosen], uncertainty)
    write_table(
        folder / RISK_COVERAGE,
        ("coverage", "log_loss", "error"),
        zip(curve.coverage.tolist(), curve.log_loss.tolist(), curve.error.tolist(), strict=True),
    )
    document = {
        "chosen": chosen,
        "scores": scores,
        "members": members,
        "fitted_weights": {
            f"{name} at {points}": weight
            for (name, points), weight in zip(found.pairs, weights, strict=True)
        },
    }
    write_beside(folder / COMPARISON, json.dumps(document, indent=1) + "\n")
    for name, p in (*answers.items(), (None, answers[chosen])):
        table = ANSWERS if name is None else way_file(name)
        rows = dict(zip(found.study_ids, reweight_for_metric(p), strict=True))
        write_submission(folder / table, rows)
