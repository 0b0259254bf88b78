"""Does one setting of the classifier matter? Trainings that differ in it alone, seed by seed.

    python tools/one_factor.py RECIPE --data CACHE --out DIR --seeds 0 1 2
        --factor crops.side_mm=56 --factor "classifier.sequence.over=none classifier.dropout=0"

For the recipe as it is and for each factor (one or more settings, separated by blanks) a classifier
is trained with every seed, at the marked points (--landmarks: at those of a run), on one split of
one prepared dataset. Each factor's answers to the validation studies are then compared with the
recipe's own, the losses averaged over the seeds, by a paired bootstrap over studies. The same
command goes on where it was cut off.

The validation studies also choose the epoch, in all trainings alike; every score is a little too
good for that.

What must stay true: data, split, budget and seeds are the same on both sides of a comparison.
"""

import argparse
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lumbargrade.cli.compare import comparison_document
from lumbargrade.competition import read_submission
from lumbargrade.evaluation import align, keep_submitted
from lumbargrade.one_member import train_one_classifier
from lumbargrade.out_of_fold import ANSWERS
from lumbargrade.paired import compare_answers
from lumbargrade.prepared import survey
from lumbargrade.recipe_settings import Recipe
from lumbargrade.runtime import prepare_for_networks, usable_cores
from lumbargrade.settings import ConfigError, parse_overrides

BASE = "base"


def main(arguments: Sequence[str] | None = None) -> None:
    """Train what is left, compare, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--data", type=Path, required=True, help="prepared studies")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--factor", action="append", required=True, metavar="KEY=VALUE ...")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", action="append", default=[], help="for all trainings")
    parser.add_argument("--landmarks", type=Path, help="landmarks.jsonl of a run")
    parser.add_argument("--bootstrap", type=int, default=2000)
    parser.add_argument("--device", default="auto")
    options = parser.parse_args(arguments)
    prepare_for_networks()
    recipes = read_arms(options.recipe, options.set, options.factor)
    for seed in options.seeds:
        for arm, recipe in recipes.items():
            train_one_classifier(
                recipe,
                options.data,
                options.out / arm / f"seed{seed}",
                landmarks=options.landmarks,
                training_seed=seed,
                device=options.device,
                workers=usable_cores(),
            )
    found = compare_arms(options.data, options.out, list(recipes), options.seeds, options.bootstrap)
    print(json.dumps(found, indent=1))  # noqa: T201


def read_arms(recipe: Path, common: Sequence[str], factors: Sequence[str]) -> dict[str, Recipe]:
    """The recipe as it is and with each factor, by the names of their folders.

    Args:
        recipe: its file.
        common: settings (KEY=VALUE) of all trainings.
        factors: each one or more settings, separated by blanks.

    Raises:
        ConfigError: two factors have one name, or one changes which studies train.
    """
    arms = {BASE: list(common)} | {
        folder_name(factor): [*common, *factor.split()] for factor in factors
    }
    if len(arms) <= len(factors):
        raise ConfigError(f"two factors of one name among {', '.join(factors)}")
    recipes = {
        arm: Recipe.from_yaml(recipe, parse_overrides(changes)) for arm, changes in arms.items()
    }
    check_splits(recipes)
    return recipes


def folder_name(factor: str) -> str:
    """A factor's folder, e.g. ``crops.side-mm=56``."""
    return re.sub(r"[^A-Za-z0-9.=+-]+", "-", factor.strip())


def check_splits(recipes: dict[str, Recipe]) -> None:
    """Refuse factors that change which studies train.

    Raises:
        ConfigError: one does.
    """
    base = recipes[BASE]
    for arm, recipe in recipes.items():
        if (recipe.seed, recipe.split) != (base.seed, base.split):
            raise ConfigError(f"{arm}: seed and split must be the same in all trainings")


def compare_arms(
    data: Path, out: Path, arms: Sequence[str], seeds: Sequence[int], resamples: int
) -> dict[str, Any]:
    """Each factor against the recipe as it is: ``first`` is the factor."""
    truth = {study_id: facts.labels for study_id, facts in survey(data).items()}
    tables = {
        arm: [read_submission(out / arm / f"seed{seed}" / ANSWERS) for seed in seeds]
        for arm in arms
    }
    labels = keep_submitted(truth, tables[BASE][0])
    answers = {
        arm: [align(labels, table).answers for table in of_arm] for arm, of_arm in tables.items()
    }
    grades = np.stack(list(labels.values()))
    return {
        arm: comparison_document(
            compare_answers(grades, answers[arm], answers[BASE], resamples=resamples)
        )
        for arm in arms
        if arm != BASE
    }


if __name__ == "__main__":
    main()
