"""What ``train`` would do: each step, whether it is done or why not, and what it may cost.

What must stay true: nothing is written; a cost is a mean of seconds that the run's log holds for
steps of the same kind on the same device, or unknown, never a guess.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lumbargrade.cache import STUDY_FILE
from lumbargrade.cross_validation import check_data
from lumbargrade.folds import split_studies
from lumbargrade.labels import VIEWS
from lumbargrade.models import MANIFEST
from lumbargrade.out_of_fold import LANDMARKS, read_landmarks
from lumbargrade.prepare import UNFINISHED
from lumbargrade.prepared import data_sha256, survey
from lumbargrade.recipe import PREPARED
from lumbargrade.recipe_settings import Recipe, split_of
from lumbargrade.run_folder import claim_settings
from lumbargrade.run_layout import CLASSIFIER_PATH, detector_path
from lumbargrade.run_plan import RunPlan
from lumbargrade.step_seconds import mean_seconds
from lumbargrade.steps import states_of, unfinished_folder
from lumbargrade.training.checkpoint import CHECKPOINT, CONFIG, is_complete

NOT_YET = "not done yet"
BEGUN = "begun"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepForecast:
    """One step of a run that was not begun, or not finished, or is finished."""

    name: str
    reason: str
    """Why it is to do; empty where it is done."""
    seconds: float | None
    """What is left may take; None where that is unknown, 0 where it is done."""


def forecast(recipe: Recipe, data: Path, out: Path, *, device: str) -> list[StepForecast]:
    """List the steps of a run.

    Args:
        recipe: the settings.
        data: as for training.
        out: the run's folder, which need not be there.
        device: as asked for; seconds measured on another one do not count.

    Raises:
        ConfigError: training would refuse the folder.
        FileNotFoundError: the cache holds no study.
    """
    cache = _cache_of(data, out)
    prepare = StepForecast(
        name="prepare",
        reason="" if cache is not None else NOT_YET,
        seconds=0.0 if cache is not None else None,
    )
    rest = _cross_validated if recipe.folds is not None else _single_split
    return [prepare, *rest(recipe, cache, out, device)]


def _cache_of(data: Path, out: Path) -> Path | None:
    """Where the prepared studies are, if they are."""
    for place in (data, out / PREPARED):
        if any(place.glob(f"[!.]*/{STUDY_FILE}")) and not (place / UNFINISHED).exists():
            return place
    return None


def _cross_validated(
    recipe: Recipe, cache: Path | None, out: Path, device: str
) -> Sequence[StepForecast]:
    facts = {} if cache is None else survey(cache)
    if cache is not None:
        check_data(out, data_sha256(list(facts.values())))
    plan = RunPlan(recipe=recipe, run=out, cache=cache or out, facts=facts, device=device)
    measured = mean_seconds(out, device)
    found = []
    for state in states_of(out, plan.steps()):
        reason = "after prepare" if cache is None else state.reason
        if reason and unfinished_folder(out, state).is_dir():
            reason = f"{reason}, {BEGUN}"
        seconds = measured.get(state.step.kind) if reason else 0.0
        found.append(StepForecast(name=state.step.name, reason=reason, seconds=seconds))
    return found


def _single_split(
    recipe: Recipe, cache: Path | None, out: Path, device: str
) -> Sequence[StepForecast]:
    if (out / CONFIG).is_file():
        claim_settings(out, recipe)  # compares alone
    found = [_member(out, detector_path(view)) for view in VIEWS]
    found.append(_entry("points", done=_has_points(recipe, cache, out)))
    found.append(_member(out, CLASSIFIER_PATH))
    found.append(_entry("answers and calibration", done=(out / MANIFEST).is_file()))
    return found


def _member(out: Path, path: str) -> StepForecast:
    begun = any((out / path).rglob(CHECKPOINT))
    return _entry(path, done=is_complete(out / path), begun=begun)


def _has_points(recipe: Recipe, cache: Path | None, out: Path) -> bool:
    known = read_landmarks(out / LANDMARKS)
    if cache is None or not known:
        return False
    labels = {study_id: item.labels for study_id, item in survey(cache).items()}
    split = split_studies(labels, split_of(recipe), recipe.seed)
    return {*split.classifier, *split.classifier_validation} <= known.keys()


def _entry(name: str, *, done: bool, begun: bool = False) -> StepForecast:
    reason = "" if done else f"{NOT_YET}, {BEGUN}" if begun else NOT_YET
    return StepForecast(name=name, reason=reason, seconds=0.0 if done else None)
