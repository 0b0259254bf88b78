"""Cut sagittal views above or below known levels: which of the cut levels are told as not covered?

    python tools/cut_levels.py [--phantom DATA] [--coordinates COORDINATES] [--models DIR]

DATA comes from ``lumbargrade phantom``, COORDINATES is a 2-D coordinate dataset. Every view is
looked at whole, and with its upper or lower edge at a random distance from L1/L2, L2/L3, L4/L5 or
L5/S1; every other cut view is cut to a square as well. JSON on standard output.

What must stay true: a level counts as cut where its true point lies beyond the edge and as covered
where it lies at least ``ROOM_MM`` inside; those in between count as neither.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from lumbargrade.competition import read_coordinate_images, read_truth
from lumbargrade.detector.infer import load_detector
from lumbargrade.detector.model import Detector
from lumbargrade.detector.one_view import find_in_view
from lumbargrade.dicom import read_study
from lumbargrade.dicom.files import find
from lumbargrade.geometry import lps_to_slices, spacing_of
from lumbargrade.labels import LEVELS, Condition, View
from lumbargrade.models import open_models
from lumbargrade.plain_images import one_slice_volume, read_plain_image
from lumbargrade.records import ViewVolume
from lumbargrade.runtime import prepare_for_networks
from lumbargrade.volumes import view_volumes

ROOM_MM = 5.0
CLOSE_MM = 10.0
"""A covered point this near to the truth is right."""

FAR_CUTS_MM = (-35.0, 20.0)
"""Where edges are put around L1/L2 and L5/S1: from outside to inside of the point."""

NEAR_CUTS_MM = (-15.0, 12.0)
"""Likewise around L2/L3 and L4/L5."""

FEWEST_ROWS = 40
KINDS = {
    View.SAGITTAL_T2: (Condition.SPINAL_CANAL_STENOSIS, None),
    View.SAGITTAL_T1: (
        Condition.LEFT_NEURAL_FORAMINAL_NARROWING,
        Condition.RIGHT_NEURAL_FORAMINAL_NARROWING,
    ),
}
"""The kinds of points of a sagittal view, in channel order; None for the disc points."""

Truth = Float64[np.ndarray, "level 3"]


def cut_rows_and_columns(
    volume: ViewVolume, rows: tuple[int, int], columns: tuple[int, int]
) -> ViewVolume:
    """A part of every slice of a view, each pixel where it was."""
    affines = volume.affines.copy()
    affines[:, :3, 3] += affines[:, :3, 1] * rows[0] + affines[:, :3, 2] * columns[0]
    part = (slice(*rows), slice(*columns))
    slices = [np.ascontiguousarray(np.asarray(pixels)[part]) for pixels in volume.slices]
    return replace(volume, slices=slices, affines=affines)


def cut_views(
    volume: ViewVolume, truth: Truth, rng: np.random.Generator, *, cuts: int
) -> Iterator[tuple[str, ViewVolume]]:
    """A view whole, and cut: ``cuts`` times at either end, once around the next level inwards."""
    yield "whole", volume
    middle = len(volume.slices) // 2
    _, row_mm, column_mm = spacing_of(volume.affines[middle])
    height, width = np.shape(volume.slices[middle])
    places = np.stack([lps_to_slices(volume.affines, point)[middle, 1:] for point in truth])
    jobs = [("lower", 4, rng.uniform(*FAR_CUTS_MM)) for _ in range(cuts)]
    jobs += [("upper", 0, rng.uniform(*FAR_CUTS_MM)) for _ in range(cuts)]
    jobs += [("lower", 3, rng.uniform(*NEAR_CUTS_MM)), ("upper", 1, rng.uniform(*NEAR_CUTS_MM))]
    for number, (edge, level, room_mm) in enumerate(jobs):
        sign = 1 if edge == "lower" else -1
        at = round(places[level, 0] + sign * room_mm / row_mm + 0.5)
        first, stop = (0, at) if edge == "lower" else (at, height)
        if stop - first < FEWEST_ROWS or first < 0 or stop > height:
            continue
        left, right = 0, width
        if number % 2:
            half = (stop - first) * row_mm / column_mm / 2
            centre = float(places[:, 1].mean())
            left, right = max(0, int(centre - half)), min(width, int(centre + half))
        yield edge, cut_rows_and_columns(volume, (first, stop), (left, right))


def count(detector: Detector, volume: ViewVolume, truths: Sequence[Truth | None]) -> Counter[str]:
    """Levels of one view by what they are and what is said of them; kinds without truth not."""
    found = find_in_view(detector, volume, np.full((len(LEVELS), 3), np.nan)).positions_lps_mm
    counts: Counter[str] = Counter()
    for kind, truth in enumerate(truths):
        if truth is None:
            continue
        points = found[kind * len(LEVELS) : (kind + 1) * len(LEVELS)]
        for point, true, room_mm in zip(points, truth, _rooms_mm(volume, truth), strict=True):
            lost = bool(np.isnan(point).any())
            what = "cut" if room_mm < 0 else "covered" if room_mm >= ROOM_MM else "at_the_edge"
            counts[what] += 1
            counts[f"{what}_called"] += lost
            if room_mm >= 0:
                counts["points"] += 1
                near = not lost and float(np.linalg.norm(point - true)) < CLOSE_MM
                counts["points_right"] += near
    return counts


def _rooms_mm(volume: ViewVolume, truth: Truth) -> Float64[np.ndarray, "level"]:
    """How far points lie inside the upper or lower edge, whichever is nearer."""
    middle = len(volume.slices) // 2
    row_mm = float(np.linalg.norm(volume.affines[middle, :3, 1]))
    rows = np.stack([lps_to_slices(volume.affines, point)[middle, 1] for point in truth])
    height = np.shape(volume.slices[middle])[0]
    rooms: Float64[np.ndarray, "level"] = row_mm * np.minimum(rows + 0.5, height - 0.5 - rows)
    return rooms


def measure_phantom(data: Path, detectors: Mapping[View, Detector]) -> dict[str, Counter[str]]:
    """Figures by view, of whole views and of cut ones."""
    truths = {
        (point.study_id, point.condition, point.level): point.position_lps_mm
        for point in read_truth(data)
    }
    figures: dict[str, Counter[str]] = {}
    for index, files in enumerate(find(data).studies):
        volumes = view_volumes(read_study(files))
        for view, kinds in KINDS.items():
            known = [
                np.stack([truths[files.study_id, kind, level] for level in LEVELS])
                for kind in kinds
            ]
            rng = np.random.default_rng([index, view is View.SAGITTAL_T1])
            for name, part in cut_views(volumes[view], known[0], rng, cuts=4):
                key = f"{view.value} {'whole' if name == 'whole' else 'cut'}"
                figures.setdefault(key, Counter()).update(count(detectors[view], part, known))
    return figures


def measure_slices(folder: Path, detector: Detector) -> dict[str, Counter[str]]:
    """Figures of the disc points of plain 2-D images that have all five."""
    figures: dict[str, Counter[str]] = {}
    for index, image in enumerate(read_coordinate_images(folder)):
        if not image.present.all():
            continue
        pixels = read_plain_image(image.path)
        volume = one_slice_volume(pixels, name=image.path.name)
        places = image.points[:, ::-1] / 256 * np.array(pixels.shape)
        local = np.column_stack([np.zeros(len(LEVELS)), places, np.ones(len(LEVELS))])
        truth = (local @ volume.affines[0].T)[:, :3]
        rng = np.random.default_rng([index, 7])
        for name, part in cut_views(volume, truth, rng, cuts=3):
            key = f"slices {'whole' if name == 'whole' else 'cut'}"
            figures.setdefault(key, Counter()).update(count(detector, part, [None, truth]))
    return figures


def main() -> None:
    """Write the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--phantom", type=Path, help="of lumbargrade phantom")
    parser.add_argument("--coordinates", type=Path, help="a 2-D coordinate dataset")
    parser.add_argument("--models", type=Path, help="as in predict; default: the bundled ones")
    arguments = parser.parse_args()
    if arguments.phantom is None and arguments.coordinates is None:
        parser.error("nothing to measure: give --phantom, --coordinates or both")
    prepare_for_networks()
    models = open_models(arguments.models)
    detectors = {
        view: load_detector(models.detectors[view][0], image_size=models.image_sizes[view][0])
        for view in KINDS
    }
    figures: dict[str, Counter[str]] = {}
    if arguments.phantom is not None:
        figures |= measure_phantom(arguments.phantom, detectors)
    if arguments.coordinates is not None:
        figures |= measure_slices(arguments.coordinates, detectors[View.SAGITTAL_T2])
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
