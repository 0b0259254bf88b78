"""Do the phantom's labels behave like the real ones? Every target, found against wanted.

What must stay true: the real figures come from ``label_targets.json`` alone; sides are pooled
before anything is compared, as they are there; a missed target says by how much.

Source: aggregate label statistics of LumbarDISC (arXiv 2506.09162).
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from itertools import pairwise
from typing import Any

import numpy as np
from jaxtyping import Float64
from scipy.stats import spearmanr

from lumbargrade.labels import (
    CONDITIONS,
    GRADES,
    LEVELS,
    MIRROR_CONDITION,
    MISSING_GRADE,
    Family,
    Grade,
    mirror_left_right,
)
from lumbargrade.metric import MetricParts, competition_metric, weighted_prior
from lumbargrade.phantom.label_set import LabelSet
from lumbargrade.phantom.rescaling import RescaledScore, rescaled_scores

PREVALENCE_TOLERANCE = 0.010
SPEARMAN_TOLERANCE = 0.04
ANY_SEVERE_CANAL = (0.165, 0.195)
FLOOR = (0.304, 0.324)
WEIGHTED_PRIOR = (0.78, 0.80)
RESCALING_GAIN = 0.001
"""What a monotone rescaling of the best answers may gain at most."""

_SPEARMAN_NAME = {
    Family.CANAL: "spinal_canal_stenosis",
    Family.FORAMINAL: "neural_foraminal_narrowing",
    Family.SUBARTICULAR: "subarticular_stenosis",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One figure of the phantom and the real one."""

    name: str
    found: float
    real: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """A target: the range it asks for, what was found, and how far outside that lies."""

    name: str
    found: float
    low: float
    high: float

    @property
    def gap(self) -> float:
        """Distance to the range, 0 inside it; NaN where nothing could be found."""
        return max(self.low - self.found, self.found - self.high, 0.0)

    @property
    def met(self) -> bool:
        """Whether the figure lies in its range."""
        return self.low <= self.found <= self.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """Everything that ``phantom-check`` shows."""

    studies: int
    prevalence: tuple[Comparison, ...]
    """Per family, level and grade, sides pooled."""
    spearman: tuple[Comparison, ...]
    """Between conditions of a level, then between neighbouring levels of a condition."""
    any_severe_canal: Comparison
    floor: MetricParts
    """Of q, the best answers."""
    probability: MetricParts
    """Of p, the true probabilities."""
    weighted_prior: float
    rescaled: tuple[RescaledScore, ...]
    checks: tuple[Check, ...]


def check_labels(labels: LabelSet) -> Calibration:
    """Compare a set of labels with the real labels' statistics.

    Raises:
        InvalidStudyError: a family without any label.
    """
    prevalence, spearman = _prevalence(labels), _spearman(labels)
    canal = labels.grades[:, : len(LEVELS)]
    any_severe = Comparison(
        name="any severe canal",
        found=float((canal == GRADES.index(Grade.SEVERE)).any(axis=1).mean()),
        real=float(_targets()["any_severe_canal"]),
    )
    floor = competition_metric(labels.grades, labels.oracle)
    prior = weighted_prior(labels.grades)
    prior_score = competition_metric(
        labels.grades, np.broadcast_to(prior, (len(labels.grades), *prior.shape))
    ).score
    rescaled = rescaled_scores(labels)
    gain = max(0.0, floor.score - min(item.score for item in rescaled))
    checks = (
        _distance_check("largest prevalence difference", prevalence, PREVALENCE_TOLERANCE),
        _distance_check("largest Spearman difference", spearman, SPEARMAN_TOLERANCE),
        _range_check("any severe canal", any_severe.found, ANY_SEVERE_CANAL),
        _range_check("floor", floor.score, FLOOR),
        _range_check("foraminal minus canal floor", floor.foraminal - floor.spinal, (0, 9)),
        _range_check("subarticular minus foraminal", floor.subarticular - floor.foraminal, (0, 9)),
        _range_check("weighted prior", prior_score, WEIGHTED_PRIOR),
        _range_check("gain of a monotone rescaling", gain, (0, RESCALING_GAIN)),
    )
    return Calibration(
        studies=len(labels.grades),
        prevalence=prevalence,
        spearman=spearman,
        any_severe_canal=any_severe,
        floor=floor,
        probability=competition_metric(labels.grades, labels.probabilities),
        weighted_prior=prior_score,
        rescaled=rescaled,
        checks=checks,
    )


@cache
def _targets() -> dict[str, Any]:
    targets: dict[str, Any] = json.loads((files(__package__) / "label_targets.json").read_text())
    return targets


def _range_check(name: str, found: float, limits: tuple[float, float]) -> Check:
    return Check(name=name, found=found, low=limits[0], high=limits[1])


def _distance_check(name: str, comparisons: tuple[Comparison, ...], tolerance: float) -> Check:
    largest = float(np.max([abs(item.found - item.real) for item in comparisons]))
    return Check(name=name, found=largest, low=0.0, high=tolerance)


def _prevalence(labels: LabelSet) -> tuple[Comparison, ...]:
    labelled = (labels.grades != MISSING_GRADE).sum(axis=0)
    counts = np.stack([(labels.grades == grade).sum(axis=0) for grade in range(len(GRADES))], 1)
    found = (counts + mirror_left_right(counts)) / (labelled + mirror_left_right(labelled))[:, None]
    real = np.array(_targets()["prevalence"])
    return tuple(
        Comparison(
            name=f"{family} {level.spelling} {grade}",
            found=float(found[first * len(LEVELS) + k, g]),
            real=float(real[first * len(LEVELS) + k, g]),
        )
        for family, first in _first_condition().items()
        for k, level in enumerate(LEVELS)
        for g, grade in enumerate(GRADES)
    )


def _first_condition() -> dict[Family, int]:
    return {
        family: next(i for i, c in enumerate(CONDITIONS) if c.family is family) for family in Family
    }


def _spearman(labels: LabelSet) -> tuple[Comparison, ...]:
    cells = np.where(labels.grades == MISSING_GRADE, np.nan, labels.grades)
    cells = cells.reshape(len(cells), len(CONDITIONS), len(LEVELS))
    mirrored = np.array([CONDITIONS.index(MIRROR_CONDITION[c]) for c in CONDITIONS])
    comparisons = []
    for k, level in enumerate(LEVELS):
        real = _targets()["spearman_same_level"][level.value]
        found = _correlations(cells[:, :, k])
        found = (found + found[np.ix_(mirrored, mirrored)]) / 2
        comparisons += [
            Comparison(
                name=f"{level.spelling} {CONDITIONS[i]} with {CONDITIONS[j]}",
                found=float(found[i, j]),
                real=float(real[i][j]),
            )
            for i in range(len(CONDITIONS))
            for j in range(i)
        ]
    for family, first in _first_condition().items():
        real = _targets()["spearman_between_levels"][_SPEARMAN_NAME[family]]
        sides = {first, int(mirrored[first])}
        found = np.mean([_correlations(cells[:, c]) for c in sides], axis=0)
        comparisons += [
            Comparison(
                name=f"{family} {upper.spelling} with {lower.spelling}",
                found=float(found[k, k + 1]),
                real=float(real[k][k + 1]),
            )
            for k, (upper, lower) in enumerate(pairwise(LEVELS))
        ]
    return tuple(comparisons)


def _correlations(cells: Float64[np.ndarray, "study n"]) -> Float64[np.ndarray, "n n"]:
    """Spearman's rank correlation of every pair of columns, over studies that have both."""
    result = np.eye(cells.shape[1])
    for i in range(cells.shape[1]):
        for j in range(i):
            both = np.isfinite(cells[:, [i, j]]).all(axis=1)
            result[i, j] = result[j, i] = spearmanr(cells[both, i], cells[both, j]).statistic
    return result
