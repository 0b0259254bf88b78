"""The report of a run with a split, which has no steps, folds or ensemble to tell of."""

from collections.abc import Mapping
from pathlib import Path

from lumbargrade.arrays import Labels
from lumbargrade.classifier.train import FIRST_STEP
from lumbargrade.labels import VIEWS, View
from lumbargrade.recipe_settings import Recipe
from lumbargrade.run_report.gather import MEAN_ERROR, SCORE, gather_split, learning_of
from lumbargrade.run_report.page import write_run_report


def write_split_report(
    recipe: Recipe,
    run: Path,
    labels: Mapping[str, Labels],
    oracle: Path | None,
    *,
    detectors: Mapping[View, Path],
    classifier: Path,
) -> Path:
    """Write ``report.html``: how good the answers to the validation studies are.

    Args:
        recipe: the run's settings.
        run: its folder.
        labels: study id → (25,) grades, of the classifier's validation studies.
        oracle: the true probabilities' answers, where the dataset has them.
        detectors: their folders.
        classifier: its folder.
    """
    learning = [learning_of(view.heading, MEAN_ERROR, detectors[view]) for view in VIEWS]
    steps = {"classifier": classifier}
    if recipe.classifier.weighted_fit is not None:
        steps = {"classifier, step 1": classifier / FIRST_STEP, "classifier, step 2": classifier}
    learning += [learning_of(title, SCORE, folder) for title, folder in steps.items()]
    return write_run_report(gather_split(recipe, run, labels, oracle, learning), run)
