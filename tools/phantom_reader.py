"""How well does a plain reader measure severities who has learned them from other studies?

    python tools/phantom_reader.py DATASET CACHE [--studies N]

DATASET is a phantom dataset, CACHE its prepared studies (``lumbargrade prepare``). Around every
true point of a covered cell a block of the view's slices is cut out (40 x 40 mm, three slices), and
ridge regression on its principal components learns the severity, from the studies of four folds,
for those of the fifth. Its error about the line that its answers follow, in latent units, bounds
``tau`` from above: what an ideal reader of the images errs by, shapes unknown, is no more. Answers
and severities are taken as deviations from their level's mean, because to recognise the level is
not to measure the severity; what else goes with a severity (other conditions, age) still helps.

What must stay true: no study is on both sides; severities at caps of their measure are left out.
"""

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates

from lumbargrade.cache import load_cached
from lumbargrade.competition import read_truth
from lumbargrade.competition.truth import TruthPoint
from lumbargrade.geometry import lps_to_slices, spacing_of
from lumbargrade.labels import LEVELS, Family, Level, Side
from lumbargrade.records import ViewVolume

Values = NDArray[np.float64]

HALF_MM = 20.0
PIXELS = 27
SLICES = 3
BLUR = 0.4
"""Standard deviation of the smoothing before the pixels are taken, in their distances."""

MILDEST = -1.0
"""As in ``phantom_tau.py``: milder cells are far from a threshold and often at a cap."""

COMPONENTS = (20, 40, 80, 160)
PENALTIES = (0.1, 1.0, 10.0, 100.0)
"""In units of the components' mean square; the best pair by the training folds alone is used."""

FOLDS = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One graded cell: its severity, and what the images show there."""

    study_id: str
    level: Level
    family: Family
    severity: float
    pixels: Values


def block_around(volume: ViewVolume, position: Values, mirrored: bool) -> Values:
    """Grey values (slice, row, column) around a position, on its nearest slices; side by side."""
    places = np.array([lps_to_slices(affine[None], position)[0] for affine in volume.affines])
    best = int(np.argmin(np.abs(places[:, 0])))
    own = np.flatnonzero(volume.stack_ids == volume.stack_ids[best])
    near = own[np.argsort(np.abs(places[own, 0]))[:SLICES]]
    near = near[np.argsort(places[near, 0])]
    steps = (np.arange(PIXELS) + 0.5) / PIXELS * 2 * HALF_MM - HALF_MM
    rows = []
    for index in near:
        spacing = spacing_of(volume.affines[index])[1:]
        blur = BLUR * 2 * HALF_MM / PIXELS / spacing
        row, column = places[index, 1:]
        image = np.asarray(volume.slices[index])
        reach = np.ceil(HALF_MM / spacing + 4 * blur + 2).astype(int)
        first = np.clip(np.array([row, column]).astype(int) - reach, 0, None)
        last = np.clip(np.array([row, column]).astype(int) + reach + 1, 1, image.shape)
        near_pixels = image[first[0] : last[0], first[1] : last[1]].astype(np.float32)
        grid = np.meshgrid(
            row - first[0] + steps / spacing[0], column - first[1] + steps / spacing[1],
            indexing="ij",
        )  # fmt: skip
        rows.append(map_coordinates(gaussian_filter(near_pixels, blur), grid, order=1))
    while len(rows) < SLICES:
        rows.append(rows[-1])
    block = np.stack(rows)
    return np.asarray(block[..., ::-1] if mirrored else block, dtype=np.float64)


def cells_of(dataset: Path, cache: Path, studies: int) -> Iterator[Cell]:
    """Every covered cell that is not too mild; right sides of axial views are mirrored."""
    by_study: dict[str, list[TruthPoint]] = {}
    for point in read_truth(dataset):
        by_study.setdefault(point.study_id, []).append(point)
    for study_id in sorted(by_study)[:studies]:
        volumes = load_cached(cache / study_id).volumes
        for point in by_study[study_id]:
            severity = point.severity
            if point.target is None or severity is None or not point.covered:
                continue
            if severity <= MILDEST or point.target.condition.view not in volumes:
                continue
            family = point.target.condition.family
            mirrored = family is Family.SUBARTICULAR and point.target.condition.side is Side.RIGHT
            volume = volumes[point.target.condition.view]
            pixels = block_around(volume, point.position_lps_mm, mirrored)
            pixels = (pixels - pixels.mean()) / max(float(pixels.std()), 1e-6)
            yield Cell(
                study_id=study_id,
                level=point.level,
                family=family,
                severity=severity,
                pixels=pixels.ravel(),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Ridge:
    """Ridge regressions on leading principal components of the same cells."""

    centre: Values
    scale: Values
    axes: Values
    mean: float
    projection: Values
    """Of the severities, about their mean, on each component's scores."""

    def answers(self, pixels: Values, components: int, penalty: float) -> Values:
        """Severities of further cells."""
        k = min(components, len(self.scale))
        penalised = self.scale[:k] ** 2 + penalty * float(np.mean(self.scale**2))
        return np.asarray(
            self.mean + (pixels - self.centre) @ self.axes[:k].T @ (self.projection[:k] / penalised)
        )


def fit_ridge(pixels: Values, severity: Values) -> Ridge:
    """Find the components of some cells and how the severity goes with them."""
    centre = pixels.mean(axis=0)
    left, scale, axes = np.linalg.svd(pixels - centre, full_matrices=False)
    mean = float(severity.mean())
    return Ridge(
        centre=centre, scale=scale, axes=axes, mean=mean,
        projection=scale * ((severity - mean) @ left),
    )  # fmt: skip


def about_level(values: Values, levels: Values) -> Values:
    """Deviations from the mean of each value's level."""
    away = values.copy()
    for level in np.unique(levels):
        own = levels == level
        away[own] -= values[own].mean()
    return away


def error_about_line(answers: Values, severity: Values, levels: Values) -> float:
    """Spread of answers at equal severity over the slope of their mean, within levels."""
    found, true = about_level(answers, levels), about_level(severity, levels)
    slope = float(found @ true / (true @ true))
    return float(np.std(found - slope * true) / max(slope, 1e-6))


def held_out_answers(cells: list[Cell]) -> Values:
    """Every cell's answer by a reader who has not seen its study.

    Numbers of components are chosen by squared error, not by the error about the line: that does
    not see how timid the answers are, and folds of unlike timidity don't lie on one line.
    """
    pixels = np.stack([cell.pixels for cell in cells])
    severity = np.array([cell.severity for cell in cells])
    names = sorted({cell.study_id for cell in cells})
    fold = np.array([names.index(cell.study_id) % FOLDS for cell in cells])
    answers = np.zeros(len(cells))
    for k in range(FOLDS):
        inner = fold == (k + 1) % FOLDS
        outer = fold == k
        fitted = ~(inner | outer)
        trial = fit_ridge(pixels[fitted], severity[fitted])
        errors = {
            (components, penalty): float(
                np.mean((trial.answers(pixels[inner], components, penalty) - severity[inner]) ** 2)
            )
            for components in COMPONENTS
            for penalty in PENALTIES
        }
        components, penalty = min(errors, key=lambda pair: errors[pair])
        reader = fit_ridge(pixels[~outer], severity[~outer])
        answers[outer] = reader.answers(pixels[outer], components, penalty)
    return answers


def levels_of(cells: list[Cell]) -> Values:
    """Each cell's level, 0 for L1/L2."""
    return np.array([LEVELS.index(cell.level) for cell in cells], dtype=np.float64)


def main() -> None:
    """Print the error of each family."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("cache", type=Path)
    parser.add_argument("--studies", type=int, default=440)
    options = parser.parse_args()
    cells = list(cells_of(options.dataset, options.cache, options.studies))
    for family in Family:
        own = [cell for cell in cells if cell.family is family]
        severity, levels = np.array([cell.severity for cell in own]), levels_of(own)
        answers = held_out_answers(own)
        error = error_about_line(answers, severity, levels)
        found, true = about_level(answers, levels), about_level(severity, levels)
        seen = np.corrcoef(found, true)[0, 1]
        line = f"{family:13} {len(own):5d} cells  tau at most {error:.3f}"
        print(f"{line}  correlation {seen:.3f}  sd of severity {true.std():.3f}")  # noqa: T201


if __name__ == "__main__":
    main()
