"""tau: how well could a perfect reader measure a severity from the phantom's own images?

    python tools/phantom_tau.py --seed 2000 --studies 4 [--level 3] [--workers 2]

For every graded cell of a level the noise-free crop around its true point (40 x 40 mm on the five
nearest slices, at the acquired matrix) is rendered again with the severity of one condition moved
by a tenth, and with one number of the level's shapes moved by a fifth of its spread, all measures
kept. From these derivatives and the noise follows the smallest error that a fit can have
(Cramér-Rao), in latent units, twice: for a reader who knows the shapes (brightness, offset, a shift
in the plane and the other four conditions of the level unknown), and for one who knows of each
number in ``SHAPES`` only how it is spread.

What must stay true: causes' other draws, tissues, textures, rootlets and coil are known to both
readers, so both figures are floors: real readers, and models, lie above them.
"""

import argparse
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from multiprocessing import get_context

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq

from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import CONDITIONS, LEVELS, Family, Target, View
from lumbargrade.phantom.acquisition import Scanner
from lumbargrade.phantom.anatomy import Anatomy, LevelAnatomy, solve_anatomy
from lumbargrade.phantom.body import build_body
from lumbargrade.phantom.causes import LevelCauses
from lumbargrade.phantom.foramen import Foramen, root_outline
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.protocol import SeriesProtocol, plan_study
from lumbargrade.phantom.recess import placed_beside
from lumbargrade.phantom.sac import plane_grid, solve_sac
from lumbargrade.phantom.slip import with_slip
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.study import stored_affines
from lumbargrade.phantom.tissue import Tissue, tissue_signals
from lumbargrade.phantom.truth import StoredSeries, TruePoint, true_points

Values = NDArray[np.float64]

STEP = 0.1
"""By how much a severity is moved."""

SHAPE_STEP = 0.2
"""By how much a number of the shapes is moved, in units of its spread."""

PAINTED_MM = 34.0
"""A level is painted this far above and below its disc."""

FORM = {
    "aspect": 0.1, "square": 0.15, "triangular": 0.09, "corner_mm": 0.38, "back_angle_rad": 0.09,
    "back_reach_mm": 0.7, "evenness": 0.12, "buckle_at_mm": 1.2, "buckle_width_mm": 0.7,
}  # fmt: skip
CAUSES = {"congenital_mm2": 28.0, "front_fat_mm": 0.3, "film_mm": 0.17, "fat_pad_mm": 1.0}
DISC = {"disc_height_mm": 1.0, "posterior_fat_mm": 0.6, "hydration": 0.25}
FORAMEN = {
    "root_d_mm": 0.6, "root_height_mm": 0.6, "root_half_d_mm": 0.17, "root_half_height_mm": 0.23,
    "front_mm": 0.5, "back_mm": 0.5, "top_mm": 0.7, "front_bump_mm": 0.5, "bump_height_mm": 0.7,
    "back_bump_mm": 0.5, "tip_height_mm": 0.9, "arch": 0.014, "bottom_mm": 0.45,
    "corner_mm": 0.43, "x_mm": 0.8, "root_tilt_rad": 0.22, "floor_slope": 0.2,
}  # fmt: skip
RECESS = {
    "face_angle_rad": 0.086, "root_radius_mm": 0.17, "flavum_mm": 0.5, "facet_mm": 0.6,
    "joint_fluid_mm": 0.3, "joint_angle_rad": 0.15,
}  # fmt: skip
"""Spreads (standard deviations) of the numbers in which shapes are drawn, about as drawn."""

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
    """One graded cell and the perfect readers' errors there."""

    family: Family
    severity: float
    tau: float
    """Of the reader who knows the shapes."""
    tau_unknown_shapes: float


def moved_shapes(level: LevelAnatomy) -> Iterator[LevelAnatomy]:
    """A level with one number of its shapes moved at a time, all five measures kept."""
    for name, spread in FORM.items():
        form = replace(
            level.causes.form, **{name: getattr(level.causes.form, name) + SHAPE_STEP * spread}
        )
        yield _with_causes(level, replace(level.causes, form=form))
    for name, spread in CAUSES.items():
        value = getattr(level.causes, name) + SHAPE_STEP * spread
        yield _with_causes(level, replace(level.causes, **{name: value}))
    margin, shift = level.causes.margin, SHAPE_STEP * 0.18
    front = margin.broad_mm + margin.focal_mm / 1.6
    back = level.causes.left_share + level.causes.right_share
    shift = shift if front < 0.5 else -shift
    yield _with_causes(
        level,
        replace(
            level.causes,
            margin=replace(
                margin,
                broad_mm=margin.broad_mm * (1 + shift / front),
                focal_mm=margin.focal_mm * (1 + shift / front),
            ),
            left_share=level.causes.left_share * (1 - 2 * shift / back),
            right_share=level.causes.right_share * (1 - 2 * shift / back),
        ),
    )
    lean = SHAPE_STEP * 0.1 * back
    yield _with_causes(
        level,
        replace(
            level.causes,
            left_share=level.causes.left_share + lean,
            right_share=level.causes.right_share - lean,
        ),
    )
    for name, spread in DISC.items():
        yield replace(level, **{name: getattr(level, name) + SHAPE_STEP * spread})
    for name, spread in FORAMEN.items():
        foramen = {
            side: _at_clearance(
                replace(one, **{name: getattr(one, name) + SHAPE_STEP * spread}),
                _clearance(one),
            )
            for side, one in level.foramen.items()
        }
        yield replace(level, foramen=foramen)
    for name, spread in RECESS.items():
        recess = {
            side: replace(one, **{name: getattr(one, name) + SHAPE_STEP * spread})
            for side, one in level.recess.items()
        }
        yield _beside_sac(replace(level, recess=recess))


def _with_causes(level: LevelAnatomy, causes: LevelCauses) -> LevelAnatomy:
    """A level whose sac has other causes and the same area."""
    sac, area = solve_sac(causes, level.canal_area_mm2)
    pushed = float(sac.margin.push(0.0, 0.0) - level.sac.margin.push(0.0, 0.0))
    further = pushed + causes.front_fat_mm - level.causes.front_fat_mm
    return _beside_sac(
        replace(
            level, causes=causes, sac=sac, canal_area_mm2=area, bulge_mm=level.bulge_mm + further
        )
    )


def _beside_sac(level: LevelAnatomy) -> LevelAnatomy:
    x, d = plane_grid()
    inside = level.sac.signed_distance(x, d, 0.0) < 0
    recess = {
        side: placed_beside(one, level.sac, (x[inside], d[inside]), side)
        for side, one in level.recess.items()
    }
    return replace(level, recess=recess)


def _clearance(foramen: Foramen) -> float:
    """Distance from the root to the nearest wall, below 0 where they overlap."""
    return float(-foramen.signed_distance(*root_outline(foramen)).max())


def _at_clearance(foramen: Foramen, clearance_mm: float) -> Foramen:
    """The foramen with all walls moved away from the root until its clearance is as wanted."""

    def opened(gap: float) -> Foramen:
        return replace(
            foramen,
            front_mm=foramen.front_mm - gap,
            back_mm=foramen.back_mm + gap,
            top_mm=foramen.top_mm + gap,
            bottom_mm=foramen.bottom_mm - max(gap, 0.0),
        )

    return opened(brentq(lambda gap: _clearance(opened(gap)) - clearance_mm, -4.0, 4.0))


def errors_of_level(task: tuple[int, int]) -> list[CellError]:
    """The perfect readers' errors at the covered cells of a level (0 for L1/L2) of a seed."""
    seed, number = task
    severity = label_model().draw_severity(seed)
    spine = with_slip(seed, build_spine(seed), severity)
    protocols = plan_study(seed, spine)
    sequences = list(dict.fromkeys(p.sequence for p in protocols))
    signals = np.stack([tissue_signals(seed, sequence) for sequence in sequences])
    body = build_body(seed, spine, signals)
    base = solve_anatomy(seed, spine, severity)
    points = {
        p.target: p
        for p in _points(spine, base, protocols)
        if p.target and p.covered and p.level is LEVELS[number] and (p.severity or 0.0) > MILDEST
    }
    crops = {target: _small_protocols(protocols, point) for target, point in points.items()}
    disc = base.levels[number].s_mm

    def render(anatomy: Anatomy) -> dict[Target, Values]:
        heights = disc - PAINTED_MM, disc + PAINTED_MM
        canvas = paint_spine(seed, spine, anatomy, signals, heights)
        scanners = [Scanner(spine, canvas, body, k) for k in range(len(sequences))]
        return {
            target: np.stack(
                [
                    scanners[sequences.index(small.sequence)].sample_slice(small, small.affines[0])
                    for small in slices
                ]
            )
            for target, slices in crops.items()
        }

    plain = render(base)
    by_severity = []
    for condition in range(len(CONDITIONS)):
        moved = severity.copy()
        cell = condition * len(LEVELS) + number
        step = -STEP if 1 - 2 * STEP < severity[cell] < 1 else STEP
        moved[cell] += step
        changed = render(solve_anatomy(seed, spine, moved))
        by_severity.append({t: (changed[t] - plain[t]) / step for t in crops})
    by_shape = []
    for shape in moved_shapes(base.levels[number]):
        levels = (*base.levels[:number], shape, *base.levels[number + 1 :])
        changed = render(replace(base, levels=levels))
        by_shape.append({t: (changed[t] - plain[t]) / SHAPE_STEP for t in crops})
    results = []
    for target, slices in crops.items():
        small = slices[0]
        reference = signals[sequences.index(small.sequence), _REFERENCE[small.view]]
        noise = float(reference) / small.faults.signal_to_noise
        own = CONDITIONS.index(target.condition)
        derivatives = [images[target] for images in by_severity]
        known = smallest_error(plain[target], derivatives, own, noise)
        shapes = [images[target] for images in by_shape]
        unknown = smallest_error(plain[target], derivatives, own, noise, shapes)
        level = points[target].severity
        if known is not None and unknown is not None and level is not None:
            results.append(
                CellError(
                    family=target.condition.family, severity=level, tau=known,
                    tau_unknown_shapes=unknown,
                )
            )  # fmt: skip
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
    plain: Values,
    derivatives: list[Values],
    own: int,
    noise: float,
    shapes: Sequence[Values] = (),
) -> float | None:
    """Cramér-Rao bound of one severity; None where the images do not depend on it.

    Args:
        plain: the images.
        derivatives: by the severity of each condition.
        own: the condition whose severity is measured.
        noise: standard deviation of a pixel.
        shapes: derivatives by further numbers, each known to be spread by 1 about its value.
    """
    by_row: Values = np.gradient(plain, axis=1)
    by_column: Values = np.gradient(plain, axis=2)
    columns = [derivatives[own], *derivatives[:own], *derivatives[own + 1 :]]
    columns += [plain, np.ones_like(plain), by_row, by_column]
    free = len(columns) - 1
    jacobian = np.stack([column.ravel() for column in (*columns, *shapes)], axis=1) / noise
    if not np.any(jacobian[:, 0]):
        return None
    spread = np.zeros((len(shapes), free + len(shapes)))
    spread[:, free:] = np.eye(len(shapes))
    others = np.concatenate([jacobian[:, 1:], spread])
    image = np.concatenate([jacobian[:, 0], np.zeros(len(shapes))])
    answer = np.linalg.lstsq(others, image, rcond=1e-9)[0]
    information = float(np.sum((image - others @ answer) ** 2))
    return float(1 / np.sqrt(information)) if information > 0 else None


def main() -> None:
    """Print the error of each family, by grade."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=2000)
    parser.add_argument("--studies", type=int, default=4)
    parser.add_argument("--level", type=int, default=3, help="0 for L1/L2 to 4 for L5/S1")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    tasks = [(options.seed + k, options.level) for k in range(options.studies)]
    with ProcessPoolExecutor(options.workers, mp_context=get_context("spawn")) as pool:
        cells = [cell for level in pool.map(errors_of_level, tasks) for cell in level]
    print(f"{options.studies} studies, {len(cells)} cells of {LEVELS[options.level].spelling}")  # noqa: T201
    for family in Family:
        for name, low, high in (
            ("all", -9, 9),
            ("mild", -9, 0),
            ("moderate", 0, 1),
            ("severe", 1, 9),
        ):
            own = [c for c in cells if c.family is family and low <= c.severity < high]
            if own:
                line = f"{family:13} {name:9} {len(own):4d} cells"
                for words, tau in (
                    ("shapes known", [c.tau for c in own]),
                    ("unknown", [c.tau_unknown_shapes for c in own]),
                ):
                    few, middle, many = np.percentile(tau, (10, 50, 90))
                    line += f"  {words} {middle:.4f} ({few:.4f} to {many:.4f})"
                print(line)  # noqa: T201


if __name__ == "__main__":
    main()
