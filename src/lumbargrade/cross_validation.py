"""A cross-validated recipe as a graph of steps, and doing what is left of it.

What must stay true: a finished step is known by the hash of its inputs, so a changed setting does
again what depends on it and nothing else; the run's folder is a model folder when all steps are
done, and not while some are being replaced; the same call goes on where an earlier one was cut off
and leaves the same bytes; a run's folder takes one set of data.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from lumbargrade.atomic_files import remove_folder, write_beside
from lumbargrade.confidence_fits import fit_confidences
from lumbargrade.encoder_weights import recorded_weights
from lumbargrade.ensemble_file import ENSEMBLE_FILE
from lumbargrade.ensemble_steps import SCORES
from lumbargrade.folder_lock import held_folder
from lumbargrade.labels import VIEWS
from lumbargrade.metric import MetricParts
from lumbargrade.models import (
    CALIBRATION,
    MANIFEST,
    MemberEntry,
    write_confidences,
    write_manifest,
)
from lumbargrade.out_of_fold import ANSWERS, LANDMARKS, POINTS, read_landmarks
from lumbargrade.point_confidence import DetectorFit
from lumbargrade.prepared import PreparedStudies, data_sha256, prepared_cache, survey
from lumbargrade.ray_steps import ClusterSettings, do_on_cluster
from lumbargrade.recipe import LIBRARIES, PREPARED
from lumbargrade.recipe_settings import Recipe
from lumbargrade.run_layout import (
    CALIBRATED,
    ENSEMBLE,
    EVALUATION,
    FOLDS,
    classifier_step,
    detector_step,
    points_file,
    points_step,
)
from lumbargrade.run_plan import RunPlan
from lumbargrade.run_report.gather import gather, oracle_of
from lumbargrade.run_report.page import write_run_report
from lumbargrade.settings import ConfigError
from lumbargrade.step_seconds import StepClock
from lumbargrade.steps import UNFINISHED, Step, StepState, do_step, read_record, states_of
from lumbargrade.training.checkpoint import CONFIG
from lumbargrade.training.stopping import Stop
from lumbargrade.training.task import OnEpoch

logger = logging.getLogger(__name__)

OnStep = Callable[[int, int, StepState], None]
"""Told before each step that is to do: its number (from 1), how many steps there are, its state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossValidated:
    """What a finished run came to."""

    out: Path
    scores: dict[str, MetricParts]
    """Out of fold: as trained, calibrated, and of the weighted prior."""
    done: tuple[str, ...]
    """The steps that this call did."""


def run_cross_validation(
    recipe: Recipe,
    data: Path,
    out: Path,
    *,
    device: str = "auto",
    workers: int = 1,
    stop: Stop | None = None,
    on_step: OnStep | None = None,
    on_epoch: OnEpoch | None = None,
    cluster: ClusterSettings | None = None,
) -> CrossValidated:
    """Train every member of a recipe with folds, or go on with it.

    Args:
        recipe: with ``folds``.
        data: a dataset of DICOM files with training tables, or the prepared studies of one.
        out: the run's folder.
        device: auto, cpu, cuda, cuda:N or mps.
        workers: processes for preparing.
        stop: asks the run to stop where it can go on later without loss.
        on_step: progress.
        on_epoch: progress of a training.
        cluster: do the steps there, several at a time, instead of here; ``data`` and ``out`` are
            on a file system that all its machines share. Progress is logged.

    Raises:
        ConfigError: the folder holds a run on other data, or another process works in it.
        StepsFailedError: some steps failed on the cluster; the others are done.
        InvalidStudyError: too few studies, or none that can be read.
        Stopped: the run was asked to stop; the same call goes on.
    """
    if cluster is not None:
        data, out = data.resolve(), out.resolve()
    with held_folder(out):
        cache = prepared_cache(data, out / PREPARED, workers=workers)
        facts = survey(cache)
        sha256 = data_sha256(list(facts.values()))
        check_data(out, sha256)
        recipe.to_yaml(out / CONFIG)
        plan = RunPlan(recipe=recipe, run=out, cache=cache, facts=facts, device=device)
        steps = plan.steps(stop=stop, on_epoch=on_epoch)
        done = _do_steps(plan, steps, on_step, cluster, stop or Stop())
        found = _describe(plan, done)
        labels = {study_id: item.labels for study_id, item in facts.items()}
        write_run_report(gather(recipe, out, steps, labels, oracle_of(data)), out)
        return found


def check_data(out: Path, sha256: str) -> None:
    """Refuse a folder that was begun on other data, or by a recipe with a split.

    Raises:
        ConfigError: it was.
    """
    record = read_record(out / FOLDS)
    if record is not None and record["settings"]["data_sha256"] != sha256:
        raise ConfigError(
            f"{out} holds a run on other data: give the same --data to go on with it, "
            "or another --out"
        )
    if record is None and any((out / name).exists() for name in ("split.json", "members")):
        raise ConfigError(f"{out} holds a run of a recipe with a split: give another --out")


def _do_steps(
    plan: RunPlan,
    steps: list[Step],
    on_step: OnStep | None,
    cluster: ClusterSettings | None,
    stop: Stop,
) -> tuple[str, ...]:
    states = states_of(plan.run, steps)
    again = [state for state in states if state.replaces]
    for state in again:
        logger.info("%s will be done again (%s)", state.step.name, state.reason)
    if not all(state.done for state in states):
        (plan.run / MANIFEST).unlink(missing_ok=True)  # until all fits together again
    if cluster is not None:
        done = do_on_cluster(plan, states, cluster, stop)
    else:
        done = _one_by_one(plan, states, on_step)
    remove_folder(plan.run / UNFINISHED)  # what was begun with settings no longer asked for, too
    return done


def _one_by_one(
    plan: RunPlan, states: Sequence[StepState], on_step: OnStep | None
) -> tuple[str, ...]:
    hashes = {state.step.name: state.inputs_sha256 for state in states}
    done = []
    for number, state in enumerate(states, start=1):
        if state.done:
            continue
        if on_step is not None:
            on_step(number, len(states), state)
        clock = StepClock.start(plan.run, state.step, plan.device)
        is_whole = do_step(plan.run, state, {name: hashes[name] for name in state.step.after})
        clock.stop(whole=is_whole)
        done.append(state.step.name)
    return tuple(done)


def _describe(plan: RunPlan, done: tuple[str, ...]) -> CrossValidated:
    """Put what a model folder needs where it belongs, the manifest last."""
    recipe, out = plan.recipe, plan.run
    folds = range(recipe.folds or 0)
    for step, name in ((ENSEMBLE, ENSEMBLE_FILE), (CALIBRATED, CALIBRATION), (ENSEMBLE, ANSWERS)):
        write_beside(out / name, (out / step / name).read_bytes())
    first = next(iter(recipe.detectors))
    tables = [out / points_step(first, fold) / points_file(first, fold) for fold in folds]
    write_beside(out / POINTS, joined_tables(tables))
    write_confidences(out, _confidences(plan))
    scores: dict[str, Any] = json.loads((out / EVALUATION / SCORES).read_text())
    entries = [
        MemberEntry(
            path=detector_step(name, view, fold), stage="detector", view=view, fold=fold, name=name
        )
        for fold in folds
        for name in recipe.detectors
        for view in VIEWS
    ]
    entries += [
        MemberEntry(path=classifier_step(name, fold), stage="classifier", fold=fold, name=name)
        for fold in folds
        for name in recipe.classifiers
    ]
    write_manifest(
        out,
        name=recipe.name,
        members=entries,
        facts={
            "recipe": recipe.name,
            "seed": recipe.seed,
            "training_data": {
                "licence": recipe.data_licence,
                "sha256": data_sha256(list(plan.facts.values())),
                "studies": {"all": len(plan.facts)},
            },
            **recorded_weights(out / member.path for member in entries),
            "out_of_fold": {"score": scores["as trained"]["score"]},
            "versions": {library: version(library) for library in LIBRARIES},
        },
    )
    return CrossValidated(
        out=out,
        scores={name: MetricParts(**parts) for name, parts in scores.items()},
        done=done,
    )


def _confidences(plan: RunPlan) -> dict[str, DetectorFit]:
    """Of each set and fold, fitted on the studies that the fold holds out."""
    recipe = plan.recipe
    fits: dict[str, DetectorFit] = {}
    for fold in range(recipe.folds or 0):
        for name in recipe.detectors:
            landmarks = read_landmarks(plan.run / points_step(name, fold) / LANDMARKS)
            folders = {view: detector_step(name, view, fold) for view in VIEWS}
            studies = PreparedStudies(plan.cache, tuple(landmarks))
            fits |= fit_confidences(folders, studies, landmarks)
    return fits


def joined_tables(paths: list[Path]) -> str:
    """Several CSV tables of the same columns as one."""
    heads, bodies = zip(*(path.read_text().split("\n", 1) for path in paths), strict=True)
    return "\n".join([heads[0], "".join(bodies)])
