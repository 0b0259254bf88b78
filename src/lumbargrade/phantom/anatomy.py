"""Sizes of the structures at the five levels, solved so that the graded measures hit their values.

What must stay true: at least two causes share every narrowing, in proportions drawn at random; the
labels are computed from the measures taken on the solved shapes, not from the severities asked for.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from lumbargrade.labels import LEVELS, TARGETS, Side
from lumbargrade.phantom.causes import LevelCauses, draw_causes
from lumbargrade.phantom.foramen import Foramen, draw_herniation, solve_foramen
from lumbargrade.phantom.foramen_causes import draw_foramen_causes
from lumbargrade.phantom.labels import Latent
from lumbargrade.phantom.measures import measure_at_severity, severity_of_measure
from lumbargrade.phantom.recess import Recess, solve_recess
from lumbargrade.phantom.sac import Sac, plane_grid, solve_sac
from lumbargrade.phantom.spine import FIRST_GRADED_DISC, Spine
from lumbargrade.phantom.streams import Stream, generator


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelAnatomy:
    """Everything that is solved at one disc level."""

    s_mm: float
    disc_height_mm: float
    bulge_mm: float
    """d of the posterior disc margin in the midline."""
    hydration: float
    causes: LevelCauses
    sac: Sac
    sac_centre_x_mm: float
    sac_centre_d_mm: float
    canal_area_mm2: float
    posterior_fat_mm: float
    recess: dict[Side, Recess]
    foramen: dict[Side, Foramen]


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """The five levels, the measures taken there, and the severities they stand for."""

    levels: tuple[LevelAnatomy, ...]
    measures: Latent
    """mm² for the canal, mm else, in target order."""
    severity: Latent


def solve_anatomy(seed: int, spine: Spine, severity: Latent) -> Anatomy:
    """Build the five levels of the study of a seed so that its measures match a severity."""
    rng = generator(seed, Stream.CAUSES)
    wanted = np.array(
        [
            measure_at_severity(t.condition.family, float(v), spine.size)
            for t, v in zip(TARGETS, severity, strict=True)
        ]
    ).reshape(5, len(LEVELS))
    causes = [
        draw_causes(seed, level, column, spine.size, float(spine.slip_mm[level]))
        for level, column in enumerate(severity.reshape(5, len(LEVELS)).T)
    ]
    levels = tuple(
        _solve_level(seed, rng, spine, level, causes[level], (severity[level::5], wanted[:, level]))
        for level in range(len(LEVELS))
    )
    sides = (Side.LEFT, Side.RIGHT)
    measures = np.array(
        [
            [lv.canal_area_mm2 for lv in levels],
            *[[lv.foramen[side].clearance_mm for lv in levels] for side in sides],
            *[[lv.recess[side].width_mm for lv in levels] for side in sides],
        ]
    ).reshape(-1)
    measured = np.array(
        [
            severity_of_measure(t.condition.family, float(m), spine.size, float(v))
            for t, m, v in zip(TARGETS, measures, severity, strict=True)
        ]
    )
    return Anatomy(levels=levels, measures=measures, severity=measured)


def _solve_level(
    seed: int,
    rng: np.random.Generator,
    spine: Spine,
    level: int,
    causes: LevelCauses,
    column: tuple[Float64[np.ndarray, "5"], Float64[np.ndarray, "5"]],
) -> LevelAnatomy:
    """Solve foramina, canal and recesses of a level.

    Args:
        seed: of the study.
        rng: of all levels' solutions.
        spine: its course.
        level: 0 for L1/L2.
        causes: what narrows the level.
        column: severities and measures wanted there, in order of conditions.
    """
    severity, wanted = column
    s = float(spine.graded_s_mm()[level])
    height = float(spine.disc_height_mm[FIRST_GRADED_DISC + level]) * (1 - causes.height_loss)
    foramen = {}
    for i, side in enumerate((Side.LEFT, Side.RIGHT)):
        part = 2 * level + i
        herniation = draw_herniation(seed, part, float(severity[1 + i]))
        mix = draw_foramen_causes(seed, part, causes.height_loss, herniated=herniation is not None)
        foramen[side] = solve_foramen(
            rng, spine, side, s, height, float(wanted[1 + i]), mix, herniation
        )
    sac, area = solve_sac(causes, float(wanted[0]))
    x, d = plane_grid()
    inside = sac.signed_distance(x, d, 0.0) < 0
    recess = {
        side: solve_recess(rng, sac, (x[inside], d[inside]), side, float(wanted[3 + i]))
        for i, side in enumerate((Side.LEFT, Side.RIGHT))
    }
    return LevelAnatomy(
        s_mm=s,
        disc_height_mm=height,
        bulge_mm=_posterior_margin(rng, sac, causes),
        hydration=float(np.clip(rng.normal(0.72 - 0.8 * causes.degeneration, 0.25), 0, 1)),
        causes=causes,
        sac=sac,
        sac_centre_x_mm=float(x[inside].mean()) if inside.any() else 0.0,
        sac_centre_d_mm=float(d[inside].mean()) if inside.any() else sac.centre_d_mm,
        canal_area_mm2=area,
        posterior_fat_mm=float(rng.uniform(0.3, 2.5)),
        recess=recess,
        foramen=foramen,
    )


def _posterior_margin(rng: np.random.Generator, sac: Sac, causes: LevelCauses) -> float:
    """D of the disc's margin in the midline: a film in front of the sac, more where it is flat."""
    push = float(sac.margin.push(0.0, 0.0))
    spare = max(causes.front_fat_mm - 0.5, 0.0) * np.exp(-push / 2.0)
    return causes.front_fat_mm + push - float(rng.uniform(0.3, 0.7)) - float(spare)
