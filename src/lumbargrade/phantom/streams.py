"""Random streams of the phantom: one per study and organ, reader or scanner.

What must stay true: the draws of one stream depend on the benchmark version, the study's seed and
the stream alone, so that adding a structure shifts nothing else and studies can be made in any
order by any number of workers.
"""

from enum import IntEnum

import numpy as np

BENCHMARK_VERSION = 0
"""Part of every key. Version 0 is frozen (``tests/test_phantom_frozen.py``): any change of labels,
anatomy, points or images takes the next number."""


class Stream(IntEnum):
    """What a random stream is for; the numbers are part of the benchmark."""

    SEVERITY = 0
    READER = 1
    SPINE = 2
    CAUSES = 3
    TISSUE = 5
    TEXTURE = 6
    SAGITTAL_T2 = 7
    SAGITTAL_T1 = 8
    AXIAL_T2 = 9
    COVERAGE = 10
    PITFALLS = 11
    HOSPITAL = 12
    COORDINATES = 13
    BONES = 15
    DISCS = 16
    CANAL = 17
    FACETS = 18
    FORAMINA = 19
    SURROUNDINGS = 20
    VARIANTS = 21
    SLIP = 22
    HERNIATIONS = 23
    FORAMEN_CAUSES = 24
    FLAVUM = 25


def generator(seed: int, stream: Stream, *, part: int = 0) -> np.random.Generator:
    """The random generator of one study's stream (Philox, keyed by version and seed).

    Args:
        seed: of the study.
        stream: what the draws are for.
        part: numbers independent sub-streams, such as the series of one view.
    """
    return np.random.Generator(
        np.random.Philox(key=[BENCHMARK_VERSION, seed], counter=[0, 0, part, int(stream)])
    )
