"""How long each stage of ``predict`` takes for a study.

What must stay true: the stages are the functions that ``predict`` calls, one after the other.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from lumbargrade.bench.timing import Spread, in_turns, seconds_of
from lumbargrade.classifier.infer import grade_crops
from lumbargrade.crops import cut_crops
from lumbargrade.detector.features import known_levels
from lumbargrade.detector.one_view import find_in_view
from lumbargrade.dicom import StudyFiles, read_study
from lumbargrade.labels import VIEWS, View
from lumbargrade.outputs import write_prediction
from lumbargrade.pipeline import Pipeline
from lumbargrade.prediction import Prediction
from lumbargrade.records import ViewVolume
from lumbargrade.report.html import render_report
from lumbargrade.volumes import view_volumes


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTimes:
    """Seconds of a study, over studies and rounds."""

    stages: dict[str, Spread]
    """In the order in which they run."""
    whole: Spread
    """Their sum, study by study."""


def stage_times(
    pipeline: Pipeline,
    studies: Sequence[tuple[StudyFiles, Prediction]],
    out: Path,
    repeats: int,
) -> StageTimes:
    """Time the stages of several studies in turns.

    Args:
        pipeline: loaded models.
        studies: their files, and what these models said of them.
        out: where results may be written.
        repeats: rounds.
    """
    seconds: dict[str, list[float]] = {}
    sums: list[float] = []
    for item, prediction in studies:
        actions = _stages(pipeline, item, prediction, out)
        rounds = in_turns(
            {name: partial(seconds_of, action) for name, action in actions.items()}, repeats
        )
        for name, values in rounds.items():
            seconds.setdefault(name, []).extend(values)
        sums += [sum(values) for values in zip(*rounds.values(), strict=True)]
    stages = {name: Spread.of(values) for name, values in seconds.items()}
    return StageTimes(stages=stages, whole=Spread.of(sums))


def _stages(
    pipeline: Pipeline, files: StudyFiles, prediction: Prediction, out: Path
) -> dict[str, Callable[[], object]]:
    study, volumes = prediction.study, prediction.volumes
    levels = known_levels(_positions(prediction))
    actions: dict[str, Callable[[], object]] = {
        "read": lambda: read_study(files),
        "volumes": lambda: view_volumes(study),
    }
    for view in VIEWS:
        if view in volumes:
            actions[f"detect {view}"] = partial(_detect, pipeline, view, volumes[view], levels)
    wanted = tuple(dict.fromkeys(classifier.crops for classifier in pipeline.classifiers))
    crops = {settings: cut_crops(volumes, prediction.landmarks, settings) for settings in wanted}
    actions["crop"] = lambda: [
        cut_crops(volumes, prediction.landmarks, settings) for settings in wanted
    ]
    actions["classify"] = lambda: [
        grade_crops(classifier, crops[classifier.crops]) for classifier in pipeline.classifiers
    ]
    actions["report"] = lambda: write_prediction(out, prediction, render_report(prediction))
    return actions


def _detect(pipeline: Pipeline, view: View, volume: ViewVolume, levels: np.ndarray) -> None:
    for detectors in pipeline.detectors:
        find_in_view(detectors[view], volume, levels)


def _positions(prediction: Prediction) -> np.ndarray:
    """(30, 3) as :func:`known_levels` wants them: 25 targets, discs unknown."""
    rows = [
        np.full(3, np.nan) if item.position_lps_mm is None else item.position_lps_mm
        for item in prediction.landmarks
    ]
    return np.concatenate([np.stack(rows), np.full((5, 3), np.nan)])
