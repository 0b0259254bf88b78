"""``lumbargrade train`` and ``train-classifier``: recipes → model folders."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from lumbargrade.cli.app import app, stderr
from lumbargrade.cli.device_option import Device
from lumbargrade.cli.training_options import Data, ExtraSlices, Overrides, RecipeFile
from lumbargrade.cli.training_process import training_process
from lumbargrade.recipe_settings import Recipe
from lumbargrade.settings import ConfigError, parse_overrides

if TYPE_CHECKING:
    from lumbargrade.metric import MetricParts
    from lumbargrade.steps import StepState


@app.command()
def train(
    recipe: RecipeFile,
    data: Data,
    out: Annotated[Path, typer.Option(file_okay=False, help="The run's folder.")],
    extra_slices: ExtraSlices = None,
    overrides: Overrides = None,
    device: Device = "auto",
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="List the steps, done or to do and why; write nothing."),
    ] = False,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Do the steps of a recipe with folds on a Ray cluster: auto, HOST:PORT or local.",
        ),
    ] = None,
    step_cpus: Annotated[
        int, typer.Option(min=1, help="With --ray: CPUs, and threads, of a step with a network.")
    ] = 1,
    step_gpus: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="With --ray: GPUs of such a step; one if there are any; 0.5 lets two share one.",
        ),
    ] = None,
) -> None:
    """Train both stages as a recipe says; the same command goes on where it was cut off."""
    settings = Recipe.from_yaml(recipe, parse_overrides(overrides or []))
    if dry_run:
        _show_forecast(settings, data, out, device)
        return
    with training_process(out, device) as stop:
        from lumbargrade.cross_validation import run_cross_validation
        from lumbargrade.ray_steps import ClusterSettings
        from lumbargrade.recipe import run_recipe
        from lumbargrade.runtime import prepare_for_networks, usable_cores

        prepare_for_networks()
        if settings.folds is not None:
            if extra_slices is not None:
                raise ConfigError("--extra-slices wants a recipe with a split, not with folds")
            cluster = None
            if ray is not None:
                cluster = ClusterSettings(address=ray, cpus=step_cpus, gpus=step_gpus)
            found = run_cross_validation(
                settings, data, out, device=device, workers=usable_cores(), stop=stop,
                on_step=_show_step, on_epoch=_show_epoch, cluster=cluster,
            )  # fmt: skip
            _show(found.scores)
            stderr.print(f"Models: {out}", markup=False)
            return
        if ray is not None:
            raise ConfigError("--ray spreads the steps of a recipe with folds, not with a split")
        summary = run_recipe(
            settings, data, out,
            extra_slices=extra_slices, device=device, workers=usable_cores(), stop=stop,
        )  # fmt: skip
    _show({"as trained": summary.score, "calibrated": summary.calibrated})
    stderr.print(f"Models: {out}", markup=False)


@app.command("train-classifier")
def train_classifier(
    recipe: RecipeFile,
    data: Data,
    out: Annotated[Path, typer.Option(file_okay=False, help="The member's folder.")],
    landmarks: Annotated[
        Path | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="A run's landmarks.jsonl; without it, the dataset's marked points.",
        ),
    ] = None,
    overrides: Overrides = None,
    seed: Annotated[
        int | None,
        typer.Option(help="Of the training alone (default: the recipe's, which cuts the split)."),
    ] = None,
    device: Device = "auto",
) -> None:
    """Train one classifier, at the points of an earlier run or at the marked ones.

    Beside the network, OUT/out_of_fold.csv holds its answers to the validation studies.
    """
    settings = Recipe.from_yaml(recipe, parse_overrides(overrides or []))
    with training_process(out, device) as stop:
        from lumbargrade.one_member import train_one_classifier
        from lumbargrade.runtime import prepare_for_networks, usable_cores

        prepare_for_networks()
        score = train_one_classifier(
            settings, data, out,
            landmarks=landmarks, training_seed=seed,
            device=device, workers=usable_cores(), stop=stop,
        )  # fmt: skip
    _show({"as trained": score})


def _show_forecast(recipe: Recipe, data: Path, out: Path, device: str) -> None:
    from lumbargrade.dry_run import forecast

    steps = forecast(recipe, data, out, device=device)
    width = max(len(step.name) for step in steps)
    for step in steps:
        cost = "unknown" if step.seconds is None else f"about {step.seconds:.0f} s"
        state = f"to do  {cost:14} {step.reason}" if step.reason else "done"
        typer.echo(f"{step.name:{width}}  {state}")
    left = [step for step in steps if step.reason]
    known = [step.seconds for step in left if step.seconds is not None]
    typer.echo(
        f"{len(steps) - len(left)} of {len(steps)} steps done; left: about {sum(known):.0f} s for "
        f"{len(known)} steps, unknown for {len(left) - len(known)}"
    )


def _show_step(number: int, count: int, state: "StepState") -> None:
    stderr.print(f"[{number}/{count}] {state.step.name}: {state.reason}", markup=False)


def _show_epoch(epoch: int, planned: int, metrics: Mapping[str, float]) -> None:
    shown = ", ".join(f"{name} {value:.3f}" for name, value in metrics.items())
    stderr.print(f"  epoch {epoch} of {planned}: {shown}", markup=False)


def _show(scores: "dict[str, MetricParts]") -> None:
    table = Table("", "score", "spinal", "foraminal", "subarticular", "any severe")
    for name, parts in scores.items():
        values = (
            parts.score,
            parts.spinal,
            parts.foraminal,
            parts.subarticular,
            parts.any_severe_spinal,
        )
        table.add_row(name, *(f"{value:.4f}" for value in values))
    stderr.print(table)
