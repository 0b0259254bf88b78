"""All steps of a cross-validated run, made from plain data.

What must stay true: whoever makes the steps of the same plan, in this process or on another
machine, makes the same ones.
"""

from dataclasses import dataclass
from pathlib import Path

from lumbargrade.ensemble_steps import ensemble_steps
from lumbargrade.folds import cross_validation
from lumbargrade.member_steps import MemberSteps
from lumbargrade.prepared import StudyFacts, data_sha256
from lumbargrade.recipe_settings import Recipe
from lumbargrade.run_layout import FOLDS, write_folds
from lumbargrade.steps import Step
from lumbargrade.training.stopping import Stop
from lumbargrade.training.task import OnEpoch


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What the steps of a run follow from, and where they work; it can be sent elsewhere."""

    recipe: Recipe
    run: Path
    cache: Path
    """The prepared studies."""
    facts: dict[str, StudyFacts]
    device: str
    """auto, cpu, cuda, cuda:N or mps."""

    def steps(self, *, stop: Stop | None = None, on_epoch: OnEpoch | None = None) -> list[Step]:
        """The steps, in an order in which they can be done.

        Args:
            stop: asks them to stop where they can go on later.
            on_epoch: progress of a training.
        """
        recipe = self.recipe
        labels = {study_id: item.labels for study_id, item in self.facts.items()}

        def cut(folder: Path) -> None:
            k = recipe.folds or 0
            write_folds(folder, cross_validation(labels, k, recipe.fold_validation, recipe.seed))

        settings = {
            "data_sha256": data_sha256(list(self.facts.values())),
            "folds": recipe.folds,
            "fold_validation": recipe.fold_validation,
            "seed": recipe.seed,
        }
        first = Step(name=FOLDS, kind="folds", settings=settings, after=(), work=cut)
        members = MemberSteps(
            recipe=recipe, run=self.run, cache=self.cache, facts=self.facts,
            device=self.device, stop=stop or Stop(), on_epoch=on_epoch,
        )  # fmt: skip
        return [first, *members.steps(), *ensemble_steps(recipe, self.run, labels)]
