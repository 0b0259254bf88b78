"""Do the levels of sagittal T1 keep their names on real slices?

    python tools/t1_levels.py CARRIED [--models MODELS]

CARRIED is what `tools/carry_points.py` writes: mid-sagittal T2 slices and T1 slices of the same
patients (`*_t1.jpg`) with the five disc points. No foramen is in such a slice, so nothing is said
about where foramina are found; what can be seen is at which level a detector believes to be. For
each T1 slice: the T1 detector alone, the same told the levels (canal points 6 mm behind the marked
discs), and the sagittal T2 detector, which reads the levels where a study has no T2.

What must stay true: a point counts as at the level whose marked disc is nearest in height, discs
and foramina alike; foramina lie above their disc by `ABOVE_MM`.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64, Int

from lumbargrade.competition import CoordinateImage, read_coordinate_images
from lumbargrade.detector.infer import load_detector
from lumbargrade.detector.model import Detector
from lumbargrade.detector.one_view import find_in_view
from lumbargrade.labels import LEVELS, TARGETS, View
from lumbargrade.models import open_models
from lumbargrade.plain_images import (
    grid_points_lps_mm,
    one_slice_volume,
    read_plain_image,
)
from lumbargrade.records import ViewVolume
from lumbargrade.runtime import prepare_for_networks

BEHIND_MM = 6.0
"""The canal's middle behind the marked disc margin, on the nominal field of view."""

ABOVE_MM = 8.0
"""A foramen's point above its level's disc."""

UNKNOWN = np.full((len(LEVELS), 3), np.nan)


def main(arguments: Sequence[str] | None = None) -> None:
    """Name the levels of every T1 slice, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("carried", type=Path)
    parser.add_argument("--models", type=Path, help="default: the bundled ones")
    options = parser.parse_args(arguments)
    prepare_for_networks()
    models = open_models(options.models)
    t1, t2 = (
        load_detector(models.detectors[view][0], image_size=models.image_sizes[view][0])
        for view in (View.SAGITTAL_T1, View.SAGITTAL_T2)
    )
    names: dict[str, list[Int[np.ndarray, "_"]]] = {}
    for image in read_coordinate_images(options.carried):
        if not image.path.stem.endswith("_t1") or not image.present.all():
            continue
        volume, discs = opened(image)
        for told in (False, True):
            levels = discs + np.array([0.0, BEHIND_MM, 0.0]) if told else UNKNOWN
            way = "T1 detector, told the levels" if told else "T1 detector alone"
            names.setdefault(way, []).append(off_by(t1, volume, levels, discs, cross_view=told))
        names.setdefault("T2 detector", []).append(off_by(t2, volume, UNKNOWN, discs))
    print(json.dumps({way: figures(np.array(found)) for way, found in names.items()}, indent=1))  # noqa: T201


def opened(image: CoordinateImage) -> tuple[ViewVolume, Float64[np.ndarray, "5 3"]]:
    """The slice as a view, and its marked discs in LPS mm of the nominal field of view."""
    pixels = read_plain_image(image.path)
    volume = one_slice_volume(pixels, name=image.path.name)
    return volume, grid_points_lps_mm(image.points, pixels, volume)


def off_by(
    detector: Detector,
    volume: ViewVolume,
    levels_lps_mm: Float64[np.ndarray, "5 3"],
    discs_lps_mm: Float64[np.ndarray, "5 3"],
    *,
    cross_view: bool = False,
) -> Int[np.ndarray, "channel"]:
    """By how many levels each point of the detector is off, positive towards the feet."""
    detector.settings = detector.settings.model_copy(update={"cross_view": cross_view})
    seen = dataclasses.replace(volume, view=detector.view)
    found = find_in_view(detector, seen, levels_lps_mm, all_shown=True)
    own = [
        LEVELS.index(TARGETS[landmark].level)
        if landmark < len(TARGETS)
        else landmark - len(TARGETS)
        for landmark in detector.channels.landmarks
    ]
    above_mm = ABOVE_MM if detector.view is View.SAGITTAL_T1 else 0.0
    heights = found.positions_lps_mm[:, None, 2] - (discs_lps_mm[None, :, 2] + above_mm)
    nearest: Int[np.ndarray, "channel"] = np.abs(heights).argmin(axis=1) - np.array(own)
    return nearest


def figures(off: Int[np.ndarray, "slice channel"]) -> dict[str, float | int]:
    """Over all slices."""
    spines = np.median(off, axis=1)
    return {
        "slices": len(off),
        "level_right": float((off == 0).mean()),
        "spines_one_too_high": int((spines <= -0.5).sum()),
        "spines_one_too_low": int((spines >= 0.5).sum()),
    }


if __name__ == "__main__":
    main()
