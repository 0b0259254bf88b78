"""Severities and grades of synthetic studies, after the real labels' statistics.

What must stay true: everything here is in latent units, where the thresholds of moderate and
severe are 0 and 1 for every target; the reader's noise is drawn from a stream of its own, so the
true probabilities are known exactly.

Source: aggregate label statistics of LumbarDISC (arXiv 2506.09162), in ``label_targets.json``.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray
from scipy.special import ndtr

from lumbargrade.arrays import Labels, Probabilities
from lumbargrade.labels import CONDITIONS, GRADE_WEIGHTS, LEVELS, TARGETS, Family
from lumbargrade.phantom.streams import Stream, generator

Latent = Float64[np.ndarray, "25"]
"""One value per target in latent units."""

READER_SIGMA = {Family.CANAL: 0.49, Family.FORAMINAL: 0.42, Family.SUBARTICULAR: 0.51}
"""Standard deviation of a reader's noise, latent units."""

DEFAULT_HALO = 0.3
"""How far the other conditions of a level move a reader's impression of one."""

SMALLEST_EIGENVALUE = 0.02
"""Eigenvalues of the perceived severity's covariance are clipped here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelModel:
    """The joint distribution of severity, perception and reading."""

    mean: Latent
    sigma: Latent
    """Reader noise per target."""
    halo: Float64[np.ndarray, "25 25"]
    """Centred anatomy severity → centred perceived severity."""
    severity_root: Float64[np.ndarray, "25 25"]
    """A square root of the covariance of the anatomy's severity."""
    noise_root: Float64[np.ndarray, "25 25"]

    def draw_severity(self, seed: int) -> Latent:
        """The anatomy's severity S of one study, uncentred."""
        draw = generator(seed, Stream.SEVERITY).standard_normal(len(TARGETS))
        severity: Latent = self.mean + self.severity_root @ draw
        return severity

    def perceive(self, severity: NDArray[np.float64]) -> NDArray[np.float64]:
        """Perceived severity mean + u of anatomy severity S; both (..., 25)."""
        perceived: NDArray[np.float64] = self.mean + (severity - self.mean) @ self.halo.T
        return perceived

    def probabilities(self, perceived: NDArray[np.float64]) -> NDArray[np.float64]:
        """True probabilities (..., 25, 3) of the grades at a perceived severity (..., 25)."""
        at_most_mild = ndtr(-perceived / self.sigma)
        at_most_moderate = ndtr((1 - perceived) / self.sigma)
        return np.stack(
            [at_most_mild, at_most_moderate - at_most_mild, 1 - at_most_moderate], axis=-1
        )

    def draw_noise(self, seed: int) -> Latent:
        """The reader's noise of one study."""
        noise: Latent = self.noise_root @ generator(seed, Stream.READER).standard_normal(
            len(TARGETS)
        )
        return noise


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyLabels:
    """Grades of one study and the probabilities they were drawn from."""

    severity: Latent
    grades: Labels
    probabilities: Probabilities

    @property
    def oracle(self) -> Probabilities:
        """q, the answers that minimise the competition metric: proportional to (1, 2, 4) · p."""
        weighted = self.probabilities * np.array(GRADE_WEIGHTS)
        answers: Probabilities = weighted / weighted.sum(axis=-1, keepdims=True)
        return answers


@cache
def label_model(halo: float = DEFAULT_HALO) -> LabelModel:
    """Build the label distribution; ``halo`` 0 is the benchmark's control."""
    targets = json.loads((files(__package__) / "label_targets.json").read_text())
    mean, sd = np.array(targets["mean"]), np.array(targets["sd"])
    sigma = np.array([READER_SIGMA[t.condition.family] for t in TARGETS])
    family = np.array([list(Family).index(t.condition.family) for t in TARGETS])
    level = np.tile(np.arange(len(LEVELS)), len(CONDITIONS))

    total = np.outer(sd, sd) * np.array(targets["polychoric"])
    shared = (
        0.4 * (family[:, None] == family)
        + 0.3 * (level[:, None] == level)
        + 0.3 * np.eye(len(TARGETS))
    )
    noise = np.outer(sigma, sigma) * shared
    values, vectors = np.linalg.eigh(total - noise)
    perceived = (vectors * np.maximum(values, SMALLEST_EIGENVALUE)) @ vectors.T
    rescale = np.sqrt((sd**2 - sigma**2) / np.diag(perceived))
    perceived *= np.outer(rescale, rescale)

    others = (level[:, None] == level) & ~np.eye(len(TARGETS), dtype=bool)
    mixing = np.eye(len(TARGETS)) + halo * others / (len(CONDITIONS) - 1) * np.outer(sd, 1 / sd)
    inverse = np.linalg.inv(mixing)
    return LabelModel(
        mean=mean,
        sigma=sigma,
        halo=mixing,
        severity_root=_square_root(inverse @ perceived @ inverse.T),
        noise_root=_square_root(noise),
    )


def label_study(model: LabelModel, seed: int, severity: Latent) -> StudyLabels:
    """Grades and true probabilities of the study of a seed, given its anatomy's severity."""
    perceived = model.perceive(severity)
    reading = perceived + model.draw_noise(seed)
    return StudyLabels(
        severity=severity,
        grades=(reading > 0).astype(np.int64) + (reading > 1),
        probabilities=model.probabilities(perceived),
    )


def _square_root(covariance: NDArray[np.float64]) -> NDArray[np.float64]:
    """Symmetric square root, stable across libraries up to rounding."""
    values, vectors = np.linalg.eigh((covariance + covariance.T) / 2)
    root: NDArray[np.float64] = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    return root
