"""Folds by patient over real 2-D slices: how well does a detector find patients it never saw?

    python tools/slice_folds.py RECIPE COORDINATES --out DIR [--data CACHE] [--set KEY=VALUE]...

For each fold a sagittal T2 detector is trained without the fold's slices, on the recipe's studies
beside the other slices (--data), else on the other slices alone (as `sagittal_t2.extra_slices.
pretrain` says, else `sagittal_t2.fit`; a batch is so many slices). The held-out slices are then
located with either decoding. The same command goes on where it was cut off.

What must stay true: no slice of a held-out patient is trained on or chooses an epoch.
"""

import argparse
import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lumbargrade.atomic_files import write_beside
from lumbargrade.competition import read_coordinate_images
from lumbargrade.config import DetectorMember, DetectorSettings
from lumbargrade.detector.infer import load_detector
from lumbargrade.extra_slices import folds_by_patient
from lumbargrade.labels import View
from lumbargrade.locate_images import ImagePoints, locate_images, score_points, whole_spine_shift
from lumbargrade.one_member import train_one_detector
from lumbargrade.pretraining import pretrain_detector
from lumbargrade.recipe_settings import Recipe
from lumbargrade.runtime import prepare_for_networks, usable_cores
from lumbargrade.settings import parse_overrides
from lumbargrade.training.checkpoint import CONFIG

DECODINGS = ("independent", "joint")


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is left, locate, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("coordinates", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", type=Path, help="studies to train on beside the slices")
    parser.add_argument("--only", type=int, nargs="+", help="these folds alone")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--points", type=Path, help="write the points found, one JSON document")
    options = parser.parse_args(arguments)
    recipe = Recipe.from_yaml(options.recipe, parse_overrides(options.set))
    prepare_for_networks()
    folds = recipe.sagittal_t2.extra_slices.folds
    found: dict[str, list[ImagePoints]] = {decoding: [] for decoding in DECODINGS}
    by_fold = {}
    for fold in options.only or range(folds):
        of_fold = holding_out(recipe, fold)
        member = options.out / f"fold{fold}"
        if options.data is None:
            pretrain_detector(
                of_fold.sagittal_t2, options.coordinates, member,
                seed=recipe.seed, device=options.device,
            )  # fmt: skip
        else:
            train_one_detector(
                of_fold, View.SAGITTAL_T2, options.data, member,
                extra_slices=options.coordinates, device=options.device, workers=usable_cores(),
            )  # fmt: skip
        points = locate_held_out(of_fold, fold, options.coordinates, member)
        by_fold[str(fold)] = {name: figures(of_decoding) for name, of_decoding in points.items()}
        for name, of_decoding in points.items():
            found[name] += of_decoding
    if options.points is not None:
        document = {name: written(found[name]) for name in DECODINGS}
        write_beside(options.points, json.dumps(document))
    pooled = {name: figures(of_decoding) for name, of_decoding in found.items()}
    print(json.dumps({"folds": by_fold, "all": pooled}, indent=1))  # noqa: T201


def holding_out(recipe: Recipe, fold: int) -> Recipe:
    """The recipe with a fold of its extra slices held out."""
    slices = recipe.sagittal_t2.extra_slices.model_copy(update={"held_out_fold": fold})
    detector = recipe.sagittal_t2.model_copy(update={"extra_slices": slices})
    return recipe.model_copy(update={"sagittal_t2": detector})


def locate_held_out(
    recipe: Recipe, fold: int, coordinates: Path, member: Path
) -> dict[str, list[ImagePoints]]:
    """The held-out slices' points, with either decoding."""
    images = read_coordinate_images(coordinates)
    folds = folds_by_patient(images, recipe.sagittal_t2.extra_slices.folds)
    held_out = [image for image, own in zip(images, folds, strict=True) if own == fold]
    detector = load_detector(member)
    trained: DetectorSettings = DetectorMember.from_yaml(member / CONFIG).detector
    points = {}
    for decoding in DECODINGS:
        detector.settings = trained.model_copy(update={"decoding": decoding})
        points[decoding] = locate_images(held_out, detector)
    return points


def written(points: Sequence[ImagePoints]) -> list[dict[str, Any]]:
    """Found and true points, px of the 256 grid, for JSON."""
    return [
        {name: value.tolist() for name, value in dataclasses.asdict(item).items()}
        for item in points
    ]


def figures(points: Sequence[ImagePoints]) -> dict[str, float]:
    """As `locate-images` states them, and how many whole spines are off by a level or more."""
    shifts = sum(whole_spine_shift(item) != 0 for item in points)
    return {**dataclasses.asdict(score_points(points)), "shifted_spines": shifts}


if __name__ == "__main__":
    main()
