"""tau: how well could a perfect reader measure a severity from the phantom's own images?

    python tools/phantom_tau.py --seed 2000 --studies 4 [--workers 2]

For every graded cell the noise-free crop around its true point (40 x 40 mm on the five nearest
slices, at the acquired matrix) is rendered again with the severity of one condition moved by a
tenth. From these derivatives and the noise follows the smallest error that an unbiased fit can have
(Cramér-Rao), in latent units, with brightness, offset, a shift in the plane and the other four
conditions of the level unknown.

What must stay true: everything else (shapes, causes' shares, tissues, coil) is known to this
reader, so the figure is a floor: real readers, and models, lie above it.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray

from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import CONDITIONS, LEVELS, TARGETS, Family, Target, View
from lumbargrade.phantom.acquisition import Scanner
from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.body import build_body
from lumbargrade.phantom.canvas import Canvas
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.protocol import SeriesProtocol, plan_study
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.study import stored_affines
from lumbargrade.phantom.tissue import Tissue, tissue_signals
from lumbargrade.phantom.truth import StoredSeries, TruePoint, true_points

Values = NDArray[np.float64]

STEP = 0.1
"""By how much a severity is moved."""

HALF_MM = 20.0
SLICES = 5
MILDEST = -1.0
"""Cells milder than this are far from a threshold and often at a cap; they are left out."""

_REFERENCE = {
    View.SAGITTAL_T1: Tissue.MARROW,
    View.SAGITTAL_T2: Tissue.CSF,
    View.AXIAL_T2: Tissue.CSF,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CellError:
    """One graded cell and the perfect reader's error there."""

    family: Family
    severity: float
    tau: float


def errors_of_study(seed: int) -> list[CellError]:
    """The perfect reader's error at every covered cell of the study of a seed."""
    spine = build_spine(seed)
    severity = label_model().draw_severity(seed)
    protocols = plan_study(seed, spine)
    sequences = list(dict.fromkeys(p.sequence for p in protocols))
    signals = np.stack([tissue_signals(seed, sequence) for sequence in sequences])
    body = build_body(seed, spine, signals)
    base = solve_anatomy(seed, spine, severity)
    points = {p.target: p for p in _points(spine, base, protocols) if p.target and p.covered}
    steps = np.where((severity < 1) & (severity > 1 - 2 * STEP), -STEP, STEP)
    crops = {
        target: _small_protocols(protocols, point)
        for target, point in points.items()
        if (point.severity or 0.0) > MILDEST
    }

    def render(canvas: Canvas) -> dict[Target, Values]:
        return {
            target: np.stack(
                [
                    Scanner(spine, canvas, body, sequences.index(small.sequence)).sample_slice(
                        small, small.affines[0]
                    )
                    for small in slices
                ]
            )
            for target, slices in crops.items()
        }

    plain = render(paint_spine(seed, spine, base, signals))
    derivatives: dict[Target, list[Values]] = {target: [] for target in crops}
    for condition in range(len(CONDITIONS)):
        moved = severity.copy()
        cells = slice(condition * len(LEVELS), (condition + 1) * len(LEVELS))
        moved[cells] += steps[cells]
        changed = render(paint_spine(seed, spine, solve_anatomy(seed, spine, moved), signals))
        for target in crops:
            step = steps[condition * len(LEVELS) + LEVELS.index(target.level)]
            derivatives[target].append((changed[target] - plain[target]) / step)
    results = []
    for target, slices in crops.items():
        small = slices[0]
        reference = signals[sequences.index(small.sequence), _REFERENCE[small.view]]
        noise = float(reference) / small.faults.signal_to_noise
        own = CONDITIONS.index(target.condition)
        tau = smallest_error(plain[target], derivatives[target], own, noise)
        level = points[target].severity
        if tau is not None and level is not None:
            results.append(CellError(family=target.condition.family, severity=level, tau=tau))
    return results


def _points(
    spine: Spine, anatomy: Anatomy, protocols: tuple[SeriesProtocol, ...]
) -> tuple[TruePoint, ...]:
    stored = [
        StoredSeries(
            series_id=str(number), number=number, protocol=protocol,
            affines=stored_affines(protocol),
            instance_numbers=tuple(range(1, len(protocol.affines) + 1)), variant=(),
        )
        for number, protocol in enumerate(protocols, start=1)
    ]  # fmt: skip
    return true_points(spine, anatomy, stored)


def _small_protocols(
    protocols: tuple[SeriesProtocol, ...], point: TruePoint
) -> list[SeriesProtocol]:
    """The slices nearest to a point, cut to its surroundings, one protocol each."""
    protocol = protocols[int(point.series_id) - 1]
    best = protocol.affines[point.instance_number - 1]
    places = [
        (affine, lps_to_slices(affine[None], point.position_lps_mm)[0])
        for affine in protocol.affines
    ]
    parallel = [
        (affine, place)
        for affine, place in places
        if affine[:3, 0] @ best[:3, 0] > 0.999 * (best[:3, 0] @ best[:3, 0])
    ]
    parallel.sort(key=lambda item: abs(float(item[1][0])))
    small = []
    for affine, place in parallel[:SLICES]:
        pixel = np.linalg.norm(affine[:3, 1:3], axis=0)
        first = np.round(place[1:] - HALF_MM / pixel).astype(int)
        size = np.ceil(2 * HALF_MM / pixel).astype(int)
        cut = affine.copy()
        cut[:3, 3] += affine[:3, 1:3] @ first
        shape = (int(size[0]), int(size[1]))
        small.append(replace(protocol, affines=cut[None], acquired=shape, stored=shape))
    return small


def smallest_error(
    plain: Values, derivatives: list[Values], own: int, noise: float
) -> float | None:
    """Cramér-Rao bound of one severity; None where the images do not depend on it."""
    by_row: Values = np.gradient(plain, axis=1)
    by_column: Values = np.gradient(plain, axis=2)
    columns = [derivatives[own], *derivatives[:own], *derivatives[own + 1 :]]
    columns += [plain, np.ones_like(plain), by_row, by_column]
    jacobian = np.stack([column.ravel() for column in columns], axis=1) / noise
    if not np.any(jacobian[:, 0]):
        return None
    others = jacobian[:, 1:]
    answer = np.linalg.lstsq(others, jacobian[:, 0], rcond=1e-9)[0]
    information = float(np.sum((jacobian[:, 0] - others @ answer) ** 2))
    return float(1 / np.sqrt(information)) if information > 0 else None


def main() -> None:
    """Print the error of each family, by grade."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--studies", type=int, default=4)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.studies)
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        cells = [cell for study in pool.map(errors_of_study, seeds) for cell in study]
    print(f"{options.studies} studies, {len(cells)} of {options.studies * len(TARGETS)} cells")  # noqa: T201
    for family in Family:
        for name, low, high in (
            ("all", -9, 9),
            ("mild", -9, 0),
            ("moderate", 0, 1),
            ("severe", 1, 9),
        ):
            tau = [c.tau for c in cells if c.family is family and low <= c.severity < high]
            if tau:
                few, middle, many = np.percentile(tau, (10, 50, 90))
                line = f"{family:13} {name:9} {len(tau):4d} cells  tau {middle:.4f}"
                print(f"{line} ({few:.4f} to {many:.4f})")  # noqa: T201


if __name__ == "__main__":
    main()
