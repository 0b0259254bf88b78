"""How fast studies come from the prepared cache, and how fast from DICOM files.

What must stay true: both ways end in the same pixels and geometry in memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumbargrade.bench.timing import Spread, in_turns, ratios, seconds_of
from lumbargrade.cache import load_cached
from lumbargrade.dicom import StudyFiles, read_study
from lumbargrade.labels import View
from lumbargrade.records import ViewVolume
from lumbargrade.volumes import view_volumes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingSpeed:
    """Of the same studies read both ways, all files in the system's page cache."""

    studies: int
    slices: int
    cache_studies_per_second: Spread
    cache_slices_per_second: Spread
    dicom_studies_per_second: Spread
    dicom_slices_per_second: Spread
    cache_to_dicom: Spread
    """How many times as fast the cache is."""


def reading_speed(files: Sequence[StudyFiles], cache: Path, repeats: int) -> ReadingSpeed:
    """Read studies alternately from the cache and from DICOM.

    Args:
        files: the studies.
        cache: the same studies, prepared.
        repeats: rounds.
    """
    folders = [cache / item.study_id for item in files]
    slices = sum(_slices(load_cached(folder).volumes) for folder in folders)
    seconds = in_turns(
        {
            "cache": lambda: seconds_of(lambda: [read_prepared(folder) for folder in folders]),
            "dicom": lambda: seconds_of(lambda: [view_volumes(read_study(item)) for item in files]),
        },
        repeats,
    )
    per_second = {
        (name, count): Spread.of([count / value for value in values])
        for name, values in seconds.items()
        for count in (len(files), slices)
    }
    return ReadingSpeed(
        studies=len(files),
        slices=slices,
        cache_studies_per_second=per_second["cache", len(files)],
        cache_slices_per_second=per_second["cache", slices],
        dicom_studies_per_second=per_second["dicom", len(files)],
        dicom_slices_per_second=per_second["dicom", slices],
        cache_to_dicom=ratios(seconds["dicom"], seconds["cache"]),
    )


def read_prepared(folder: Path) -> dict[View, list[np.ndarray]]:
    """Open a prepared study and copy all its pixels into memory."""
    study = load_cached(folder)
    return {
        view: [np.array(pixels) for pixels in volume.slices]
        for view, volume in study.volumes.items()
    }


def _slices(volumes: Mapping[View, ViewVolume]) -> int:
    return sum(len(volume.slices) for volume in volumes.values())
