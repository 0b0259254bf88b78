"""Tissues and their signal under spin-echo and inversion-recovery sequences.

What must stay true: a signal is proton density times relaxation, from T1, T2 and proton density at
the scanner's field; jitter per patient comes from the tissue's own stream.

Source: typical relaxation times at 1.5 T and 3 T (Stanisz et al., MRM 54:507, 2005; Gold et al.,
AJR 183:343, 2004); fat's T2 is the long apparent one of turbo spin-echo trains. Marrow is a mixture
of fat and water; how much of it is fat differs widely between adults.
"""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lumbargrade.phantom.streams import Stream, generator


class Tissue(IntEnum):
    """What a voxel may be made of."""

    AIR = 0
    FAT = 1
    MUSCLE = 2
    MARROW = 3
    CORTEX = 4
    ANNULUS = 5
    NUCLEUS = 6
    CSF = 7
    CORD = 8
    ROOT = 9
    FLAVUM = 10
    JOINT_FLUID = 11
    VESSEL = 12
    VISCERA = 13
    VEIN = 14
    KIDNEY = 15
    BOWEL_FLUID = 16


# proton density, T1 at 1.5 T, T1 at 3 T, T2 (ms)
_PROPERTIES = {
    Tissue.AIR: (0.0, 1000.0, 1000.0, 10.0),
    Tissue.FAT: (0.92, 280.0, 350.0, 190.0),
    Tissue.MUSCLE: (0.75, 980.0, 1300.0, 50.0),
    Tissue.MARROW: (0.80, 850.0, 1000.0, 58.0),  # its water; fat is mixed in
    Tissue.CORTEX: (0.12, 900.0, 900.0, 8.0),
    Tissue.ANNULUS: (0.80, 900.0, 1000.0, 36.0),
    Tissue.NUCLEUS: (0.88, 1150.0, 1350.0, 108.0),
    Tissue.CSF: (1.0, 4000.0, 4200.0, 1500.0),
    Tissue.CORD: (0.78, 920.0, 1050.0, 85.0),
    Tissue.ROOT: (0.75, 900.0, 1050.0, 72.0),
    Tissue.FLAVUM: (0.56, 750.0, 850.0, 42.0),
    Tissue.JOINT_FLUID: (0.9, 2600.0, 3000.0, 400.0),
    Tissue.VESSEL: (0.06, 1400.0, 1600.0, 100.0),
    Tissue.VISCERA: (0.75, 720.0, 850.0, 62.0),
    Tissue.VEIN: (0.8, 1300.0, 1500.0, 140.0),
    Tissue.KIDNEY: (0.85, 900.0, 1150.0, 80.0),
    Tissue.BOWEL_FLUID: (0.95, 1900.0, 2300.0, 180.0),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sequence:
    """The timing of a spin-echo series, in ms; with an inversion pulse where a time is given."""

    echo_time_ms: float
    repetition_time_ms: float
    inversion_time_ms: float | None
    field_t: float
    fat_saturated: bool = False
    contrast_agent: bool = False


FAT_LEFT = 0.12
"""What a fat saturation leaves of the signal of fat."""

_MARROW_FAT = (0.58, 0.18)
"""Mean and spread over patients of the share of fat in marrow."""

T1_WITH_AGENT = {Tissue.VEIN: 0.2, Tissue.VESSEL: 0.3, Tissue.MUSCLE: 0.85, Tissue.JOINT_FLUID: 0.8}
"""T1 after a gadolinium contrast agent as a share of the native one."""


def tissue_signals(seed: int, sequence: Sequence) -> NDArray[np.float64]:
    """Signal of every tissue, in the order of ``Tissue``, for one patient."""
    jitter = generator(seed, Stream.TISSUE).normal(1.0, 0.06, (len(Tissue), 3))
    properties = np.array([_PROPERTIES[tissue] for tissue in Tissue])
    density = properties[:, 0] * jitter[:, 0]
    t1 = properties[:, 2 if sequence.field_t > 2 else 1] * jitter[:, 1]
    t2 = properties[:, 3] * jitter[:, 2]
    if sequence.contrast_agent:
        t1 = t1 * [T1_WITH_AGENT.get(tissue, 1.0) for tissue in Tissue]
    recovery = 1 - np.exp(-sequence.repetition_time_ms / t1)
    if sequence.inversion_time_ms is not None:
        inverted = 1 - 2 * np.exp(-sequence.inversion_time_ms / t1)
        recovery = np.abs(inverted + np.exp(-sequence.repetition_time_ms / t1))
    signals: NDArray[np.float64] = density * recovery * np.exp(-sequence.echo_time_ms / t2)
    if sequence.fat_saturated:
        signals[Tissue.FAT] *= FAT_LEFT
    share = marrow_fat_share(seed)
    signals[Tissue.MARROW] += share * (signals[Tissue.FAT] - signals[Tissue.MARROW])
    return signals


def marrow_fat_share(seed: int) -> float:
    """Share of fat in one patient's marrow."""
    share = generator(seed, Stream.TISSUE, part=1).normal(*_MARROW_FAT)
    return float(np.clip(share, 0.2, 0.9))
