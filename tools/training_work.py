"""How much arithmetic a recipe with folds asks for, counted without doing any of it.

    python tools/training_work.py recipes/rsna_single.yaml [--studies 1975] [--set KEY=VALUE]...

Forward passes are counted on tensors without contents (convolutions and matrix products; recurrent
layers, augmentation and reading are left out). A training step counts three times its forward pass.
Views have the RSNA set's median numbers of slices; a training step sees at most ``train_slices``.

What must stay true: nothing here is a time. Divided by what a device sustains on such networks, it
is a floor of the time; how much above it a training lies, one measured step says.
"""

import argparse
import sys
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from lumbargrade.classifier.model import GradeClassifier
from lumbargrade.config import DetectorSettings
from lumbargrade.detector.model import build_detector
from lumbargrade.labels import TARGETS, VIEWS, View
from lumbargrade.recipe_settings import ClassifierSetup, Recipe
from lumbargrade.settings import parse_overrides

SLICES = {View.SAGITTAL_T2: 17, View.SAGITTAL_T1: 17, View.AXIAL_T2: 29}
BACKWARD = 3
"""A forward and a backward pass, in forward passes: the backward one costs two."""


def detector_flops(view: View, settings: DetectorSettings) -> float:
    """Of one slice's forward pass."""
    with torch.device("meta"):
        detector = build_detector(view, settings)
        images = torch.empty(1, 3, settings.image_size, settings.image_size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        detector.eval().look_at(images)
    return float(counter.get_total_flops())


def classifier_flops(setup: ClassifierSetup) -> float:
    """Of one study's forward pass: its CNN over all slices of all crops."""
    with torch.device("meta"):
        model = GradeClassifier(
            setup.classifier, channels=setup.crops.channels, slices=setup.crops.slices
        )
        size = setup.classifier.input_px or setup.crops.size_px
        together = setup.classifier.slices_as == "channels"
        planes = setup.crops.channels * (setup.crops.slices if together else 1)
        images = torch.empty(1, planes, size, size)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        model.encoders[0].eval()(images)
    runs = len(TARGETS) * (1 if together else setup.crops.slices)
    return float(counter.get_total_flops()) * runs


def work_of(recipe: Recipe, studies: int) -> dict[str, float]:
    """Floating-point operations of all folds, by member."""
    folds = recipe.folds or 1
    others = studies * (folds - 1) / folds
    training, validation = others * (1 - recipe.fold_validation), others * recipe.fold_validation
    work: dict[str, float] = {}
    for name, members in recipe.detectors.items():
        for view in VIEWS:
            settings: DetectorSettings = getattr(members, view.value)
            seen = min(settings.train_slices, SLICES[view])
            looks = BACKWARD * training * seen + validation * SLICES[view]
            looks = settings.fit.epochs * looks + studies / folds * SLICES[view]
            work[f"detector {name} {view}"] = folds * looks * detector_flops(view, settings)
    for name, setup in recipe.classifiers.items():
        second = setup.classifier.weighted_fit
        looks = setup.classifier.fit.epochs * (BACKWARD * training + validation)
        if second is not None:  # the body is frozen: forward alone
            share = 1 if setup.classifier.weighted_fit_frozen else BACKWARD
            looks += second.epochs * (share * training + validation)
        looks += studies / folds * len(recipe.detectors)
        work[f"classifier {name}"] = folds * looks * classifier_flops(setup)
    return work


def main() -> None:
    """Print each member's work over all folds, and the sum."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--studies", type=int, default=1975)
    parser.add_argument("--set", action="append", default=[], dest="overrides")
    args = parser.parse_args()
    recipe = Recipe.from_yaml(args.recipe, parse_overrides(args.overrides))
    if recipe.folds is None:
        raise SystemExit(f"{args.recipe} has a split; this counts recipes with folds")
    work = work_of(recipe, args.studies)
    for name, flops in work.items():
        sys.stdout.write(f"{name:32} {flops / 1e15:8.2f} PFLOP\n")
    sys.stdout.write(f"{'all':32} {sum(work.values()) / 1e15:8.2f} PFLOP\n")


if __name__ == "__main__":
    main()
