"""What is known about a submission as one JSON document.

What must stay true: the first five keys are the official metric and its parts; ``interval`` repeats
the shape of the document, with [low, high] in the place of a number; nothing is rounded.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

from lumbargrade.breakdown import GroupFigures, GroupKind
from lumbargrade.curves import FamilyCurves
from lumbargrade.intervals import GroupIntervals, ScoreIntervals
from lumbargrade.labels import Grade
from lumbargrade.resampling import Interval
from lumbargrade.scorecard import AGAINST, FLOOR, WEIGHTED_PRIOR, Scorecard


def score_document(card: Scorecard) -> dict[str, Any]:
    """Everything on a scorecard."""
    document: dict[str, Any] = asdict(card.evaluation.parts) | asdict(card.evaluation)
    del document["parts"]
    for name, reference in card.references.items():
        if name != AGAINST:
            document[name] = reference.parts.score
            document[f"{name}_parts"] = asdict(reference.parts)
    document |= _by_group(card.groups, lambda figures: _figures(card, figures))
    document["curves"] = {curves.family.value: _curves(curves) for curves in card.curves}
    if card.intervals is not None:
        document |= _intervals(card.intervals)
    return document


_Grouped = TypeVar("_Grouped", GroupFigures, GroupIntervals)


def _by_group(
    items: Sequence[_Grouped], document_of: Callable[[_Grouped], dict[str, Any]]
) -> dict[str, Any]:
    return {
        f"by_{kind}": {
            item.group.name: document_of(item) for item in items if item.group.kind is kind
        }
        for kind in GroupKind
    }


def _figures(card: Scorecard, figures: GroupFigures) -> dict[str, Any]:
    document = asdict(figures)
    del document["group"]
    key = (figures.group.kind, figures.group.name)
    for name in (FLOOR, WEIGHTED_PRIOR):
        if name in card.references:
            document[f"{name}_loss"] = card.references[name].loss_by_group[key]
    return document


def _curves(curves: FamilyCurves) -> dict[str, Any]:
    document = asdict(curves)
    del document["family"]
    document["confusion"] = curves.confusion.tolist()
    return document


def _intervals(intervals: ScoreIntervals) -> dict[str, Any]:
    interval: dict[str, Any] = {name: _ends(item) for name, item in intervals.parts.items()}
    interval["auc"] = _ends(intervals.auc)
    families = {
        item.group.name: item for item in intervals.groups if item.group.kind is GroupKind.FAMILY
    }
    interval["kappa"] = {name: _ends(item.kappa) for name, item in families.items()}
    interval["calibration_error"] = {
        name: _ends(item.calibration_error[Grade.SEVERE]) for name, item in families.items()
    }
    interval |= _by_group(intervals.groups, _group_interval)
    score = intervals.parts["score"]
    document: dict[str, Any] = {
        "interval": interval,
        "standard_error": None if score is None else score.standard_error,
        "bootstrap": {"resamples": intervals.resamples, "seed": intervals.seed},
    }
    for name, parts in intervals.differences.items():
        key = AGAINST if name == AGAINST else f"against_{name}"
        document[key] = asdict(parts["score"]) | {
            "parts": {part: asdict(item) for part, item in parts.items() if part != "score"}
        }
    return document


def _group_interval(item: GroupIntervals) -> dict[str, Any]:
    return {
        "loss": _ends(item.loss),
        "auc": _ends(item.auc),
        "kappa": _ends(item.kappa),
        "calibration_error": {
            grade.value: _ends(interval) for grade, interval in item.calibration_error.items()
        },
    }


def _ends(interval: Interval | None) -> list[float] | None:
    return None if interval is None else [interval.low, interval.high]
