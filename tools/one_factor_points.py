"""Does one setting of a detector matter? Trainings that differ in it alone, seed by seed.

    python tools/one_factor_points.py RECIPE --view sagittal_t1 --data CACHE --test CACHE --out DIR
        --seeds 0 1 2 --factor sagittal_t1.pointer=transformer

For the recipe as it is and for each factor (one or more settings, separated by blanks) the view's
detector is trained with every seed on one split of one prepared dataset, and then finds the points
of all --test studies, which nothing was chosen by. Each factor's errors are compared with the
recipe's own, averaged over the seeds, by a paired bootstrap over studies. The same command goes on
where it was cut off; several may train different factors into one folder at once.

What must stay true: data, split, budget and seeds are the same on both sides of a comparison.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64
from one_factor import BASE, read_arms

from lumbargrade.detector.infer import load_detector
from lumbargrade.detector.slices import ViewArrays, load_view
from lumbargrade.detector.train import CLOSE_PX, WORST_MM, study_errors
from lumbargrade.labels import View
from lumbargrade.one_member import train_one_detector
from lumbargrade.prepared import PreparedStudies, survey
from lumbargrade.recipe import detector_settings
from lumbargrade.resampling import draw_studies, interval_of
from lumbargrade.runtime import prepare_for_networks, usable_cores

FIGURES = ("mean_mm", "within_5px", "exact_slice", "slice_within_1")
"""Mean distance, each cut at ``WORST_MM``, and shares of the points."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is left, find, compare, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--view", type=View, required=True, choices=list(View))
    parser.add_argument("--data", type=Path, required=True, help="prepared studies")
    parser.add_argument("--test", type=Path, required=True, help="prepared studies, all of them")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--factor", action="append", required=True, metavar="KEY=VALUE ...")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], help="for all trainings")
    parser.add_argument("--train-only", action="store_true", help="find nothing, compare nothing")
    parser.add_argument("--bootstrap", type=int, default=2000)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    prepare_for_networks()
    recipes = read_arms(options.recipe, options.set, options.factor)
    test = PreparedStudies(options.test, tuple(survey(options.test)))
    errors: dict[str, list[list[np.ndarray]]] = {arm: [] for arm in recipes}
    for seed in options.seeds:
        for arm, recipe in recipes.items():
            member = options.out / arm / f"seed{seed}"
            train_one_detector(
                recipe,
                options.view,
                options.data,
                member,
                training_seed=seed,
                device=options.device,
                workers=usable_cores(),
            )
            if options.train_only:
                continue
            size = detector_settings(recipe, options.view).image_size
            errors[arm].append(errors_of(member, load_view(test, options.view, size)))
    if options.train_only:
        return
    print(json.dumps(compare_arms(errors, options.bootstrap), indent=1))  # noqa: T201


def errors_of(member: Path, studies: Sequence[ViewArrays]) -> list[np.ndarray]:
    """Of each study, (point, 3): mm, px in the plane, slice spacings across it."""
    detector = load_detector(member)
    return [study_errors(detector, study) for study in studies]


def sums_of(errors: Sequence[np.ndarray]) -> Float64[np.ndarray, "study 5"]:
    """Sums over each study's points of what :data:`FIGURES` are means of, and the points."""
    rows = []
    for of_study in errors:
        distance_mm, in_plane_px, spacings = of_study.T
        rows.append(
            [
                np.minimum(distance_mm, WORST_MM).sum(),
                (in_plane_px <= CLOSE_PX).sum(),
                (spacings <= 0.5).sum(),
                (spacings <= 1.5).sum(),
                len(of_study),
            ]
        )
    sums: Float64[np.ndarray, "study 5"] = np.array(rows, dtype=np.float64)
    return sums


def compare_arms(
    errors: Mapping[str, Sequence[Sequence[np.ndarray]]], resamples: int
) -> dict[str, Any]:
    """Each arm's figures by seed and on average, and each factor's minus the recipe's own.

    Args:
        errors: by arm and seed, study by study.
        resamples: how many sets of studies to draw.
    """
    by_seed = {arm: [sums_of(found) for found in seeds] for arm, seeds in errors.items()}
    pooled = {arm: np.mean(seeds, axis=0) for arm, seeds in by_seed.items()}
    draws = np.concatenate(list(draw_studies(len(pooled[BASE]), resamples=resamples)))
    drawn = {arm: _means(draws @ sums) for arm, sums in pooled.items()}
    document: dict[str, Any] = {}
    for arm, sums in pooled.items():
        whole = _means(sums.sum(axis=0))
        figures: dict[str, Any] = {}
        for index, name in enumerate(FIGURES):
            figures[name] = {
                "by_seed": [float(_means(item.sum(axis=0))[index]) for item in by_seed[arm]],
                "mean": float(whole[index]),
            }
            if arm != BASE:
                interval = interval_of(drawn[arm][:, index] - drawn[BASE][:, index])
                figures[name]["minus_base"] = float(
                    whole[index] - _means(pooled[BASE].sum(axis=0))[index]
                )
                figures[name]["interval"] = None if interval is None else asdict(interval)
        document[arm] = figures
    return document


def _means(sums: Float64[np.ndarray, "*draw 5"]) -> Float64[np.ndarray, "*draw 4"]:
    means: Float64[np.ndarray, "*draw 4"] = sums[..., :-1] / sums[..., -1:]
    return means


if __name__ == "__main__":
    main()
