"""Which classifier looks at whose points, and how heavily its answer weighs.

What must stay true: a classifier answers at the points of detectors of its own fold, as it did out
of fold, and folds weigh the same; without an ensemble file every classifier meets every detector.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from lumbargrade.ensemble_file import Ensemble
from lumbargrade.models import ModelFolder
from lumbargrade.recipe_settings import MEAN_POINTS
from lumbargrade.settings import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """One answer to be averaged."""

    classifier: int
    points: tuple[int, ...]
    """Indices of the detector sets whose mean points are taken; mostly one."""
    weight: float
    member: int
    """Passes of one member, one per fold, count as one where disagreement is measured."""


def every_pass(detectors: int, classifiers: int) -> tuple[Pass, ...]:
    """Every classifier at every detector set's points."""
    return tuple(
        Pass(classifier=classifier, points=(points,), weight=1.0, member=0)
        for points in range(detectors)
        for classifier in range(classifiers)
    )


def passes_of(folder: ModelFolder, ensemble: Ensemble | None) -> tuple[Pass, ...]:
    """The passes of a model folder; those of weight 0 are left out.

    Raises:
        ConfigError: the ensemble names a member that the manifest does not list.
    """
    if ensemble is None:
        return every_pass(len(folder.detector_keys), len(folder.classifier_keys))
    passes = []
    folds = sorted({fold for fold, _ in folder.classifier_keys})
    for fold in folds:
        for member, pair in enumerate(ensemble.pairs):
            if pair.weight == 0:
                continue
            if pair.points == MEAN_POINTS:
                keys = [key for key in folder.detector_keys if key[0] == fold]
            else:
                keys = [(fold, pair.points)]
            passes.append(
                Pass(
                    classifier=_index(folder, folder.classifier_keys, (fold, pair.classifier)),
                    points=tuple(_index(folder, folder.detector_keys, key) for key in keys),
                    weight=pair.weight / len(folds),
                    member=member,
                )
            )
    return tuple(passes)


def _index(folder: ModelFolder, keys: Sequence[tuple[int, str]], key: tuple[int, str]) -> int:
    if key not in keys:
        raise ConfigError(
            f"{folder.path}: its ensemble wants {key[1]} of fold {key[0]}, which its manifest "
            "does not list"
        )
    return keys.index(key)
