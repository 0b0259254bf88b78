"""Which studies train which stage, and which are held out.

What must stay true: a study is in one part only (of each fold); parts depend on the seed and on
the studies' grades, never on the order in which studies are given; severe studies are spread
evenly.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lumbargrade.arrays import Labels
from lumbargrade.labels import GRADES, LEVELS, Grade
from lumbargrade.recipe_settings import SplitSettings
from lumbargrade.records import InvalidStudyError

_MODERATE = GRADES.index(Grade.MODERATE)
_SEVERE = GRADES.index(Grade.SEVERE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Study ids by what they are for; disjoint, each sorted."""

    detector: tuple[str, ...]
    detector_validation: tuple[str, ...]
    classifier: tuple[str, ...]
    """Unseen by the detector, so that its points on them err as they will on new studies."""
    classifier_validation: tuple[str, ...]


def split_studies(labels: Mapping[str, Labels], settings: SplitSettings, seed: int) -> Split:
    """Share studies between the two stages.

    Args:
        labels: study id → (25,) grades, missing ones allowed.
        settings: fractions of all studies; the classifier trains on the rest.
        seed: shuffles studies of equal severity; they are dealt in order of severity, so that with
            few such ties another seed changes little.

    Returns:
        Parts of the asked size, rounded, at least one study each.

    Raises:
        InvalidStudyError: too few studies to give every part one.
    """
    total = len(labels)
    held = [settings.detector, settings.detector_validation, settings.classifier_validation]
    sizes = [max(1, round(fraction * total)) for fraction in held]
    rest = total - sum(sizes)
    if rest < 1:
        raise InvalidStudyError(
            f"{total} studies cannot be split into {sum(sizes)} for the detector and validation "
            f"(fractions {held}) and at least one for the classifier"
        )
    detector, detector_validation, classifier_validation, classifier = _deal(
        labels, [*sizes, rest], seed
    )
    return Split(
        detector=detector,
        detector_validation=detector_validation,
        classifier=classifier,
        classifier_validation=classifier_validation,
    )


def k_folds(labels: Mapping[str, Labels], k: int, seed: int) -> tuple[tuple[str, ...], ...]:
    """Cut studies into k parts of equal size, give or take one.

    Args:
        labels: study id → (25,) grades, missing ones allowed.
        k: number of folds.
        seed: another seed, other folds.

    Returns:
        The studies held out by each fold, sorted.

    Raises:
        InvalidStudyError: fewer studies than folds.
        ValueError: fewer than two folds.
    """
    if k < 2:
        raise ValueError(f"folds must be at least 2, found {k}")
    if len(labels) < k:
        raise InvalidStudyError(f"{len(labels)} studies cannot be cut into {k} folds")
    size, larger = divmod(len(labels), k)
    return _deal(labels, [size + (fold < larger) for fold in range(k)], seed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fold:
    """Study ids of one fold by what they are for; disjoint, each sorted, together all studies."""

    held_out: tuple[str, ...]
    """What the fold's members never see."""
    training: tuple[str, ...]
    validation: tuple[str, ...]
    """Chooses the epoch."""


def cross_validation(
    labels: Mapping[str, Labels], k: int, validation: float, seed: int
) -> tuple[Fold, ...]:
    """Cut studies into folds, and each fold's other studies into training and validation.

    Args:
        labels: study id → (25,) grades, missing ones allowed.
        k: number of folds.
        validation: share of the other folds' studies, rounded, at least one study.
        seed: another seed, other folds.

    Raises:
        InvalidStudyError: too few studies to leave each fold one to train on.
    """
    folds = []
    for index, held_out in enumerate(k_folds(labels, k, seed)):
        others = {study_id: labels[study_id] for study_id in labels.keys() - set(held_out)}
        size = max(1, round(validation * len(others)))
        if size >= len(others):
            raise InvalidStudyError(
                f"{len(labels)} studies in {k} folds leave none to train on beside {size} for "
                "choosing the epoch"
            )
        chosen, training = _deal(others, [size, len(others) - size], seed + index)
        folds.append(Fold(held_out=held_out, training=training, validation=chosen))
    return tuple(folds)


def severity_rank(labels: Labels) -> tuple[bool, int, int]:
    """What studies are stratified on: any severe canal, severe cells, moderate cells."""
    canal = labels[: len(LEVELS)]
    return (
        bool((canal == _SEVERE).any()),
        int((labels == _SEVERE).sum()),
        int((labels == _MODERATE).sum()),
    )


def _deal(
    labels: Mapping[str, Labels], sizes: Sequence[int], seed: int
) -> tuple[tuple[str, ...], ...]:
    """Walk through the studies by severity and give each to the part that lags most."""
    rng = np.random.default_rng(seed)
    shuffled = [str(study_id) for study_id in rng.permutation(sorted(labels))]
    by_severity = sorted(shuffled, key=lambda study_id: severity_rank(labels[study_id]))
    parts: list[list[str]] = [[] for _ in sizes]
    for position, study_id in enumerate(by_severity, start=1):
        lag = [
            size * position / len(by_severity) - len(part) if len(part) < size else -np.inf
            for size, part in zip(sizes, parts, strict=True)
        ]
        parts[int(np.argmax(lag))].append(study_id)
    return tuple(tuple(sorted(part)) for part in parts)
