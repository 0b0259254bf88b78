"""``lumbargrade phantom-check``: do the phantom's labels behave like the real ones?"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lumbargrade.cli.app import EXIT_SOME_FAILED, app

if TYPE_CHECKING:
    from lumbargrade.phantom.calibration import Calibration


@app.command("phantom-check")
def phantom_check(
    dataset: Annotated[
        Path | None,
        typer.Argument(
            exists=True,
            file_okay=False,
            help="Folder of train.csv, oracle.csv and oracle_probability.csv; "
            "without it labels are drawn in memory.",
        ),
    ] = None,
    studies: Annotated[int, typer.Option(min=100, help="How many to draw.")] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the first one drawn.")] = 0,
    halo: Annotated[float, typer.Option(min=0, max=1, help="0 is the benchmark's control.")] = 0.3,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Compare the phantom's labels with the real labels' statistics; 1 where a target is missed."""
    from lumbargrade.phantom.calibration import check_labels
    from lumbargrade.phantom.label_set import draw_label_set, read_label_set
    from lumbargrade.phantom.labels import label_model

    calibration = check_labels(
        draw_label_set(label_model(halo), studies=studies, seed=seed)
        if dataset is None
        else read_label_set(dataset)
    )
    if as_json:
        document = asdict(calibration)
        document["checks"] = [
            asdict(check) | {"gap": check.gap, "met": check.met} for check in calibration.checks
        ]
        typer.echo(json.dumps(document, allow_nan=False))
    else:
        _show(calibration)
    if not all(check.met for check in calibration.checks):
        raise typer.Exit(EXIT_SOME_FAILED)


def _show(calibration: "Calibration") -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    for title, comparisons, form in (
        ("Prevalence, sides pooled", calibration.prevalence, "{:.2%}"),
        ("Spearman correlation, sides pooled", calibration.spearman, "{:.3f}"),
    ):
        table = Table(title=title, title_justify="left")
        for name in ("", "phantom", "real", "difference"):
            table.add_column(name, justify="left" if not name else "right")
        for item in comparisons:
            values = (item.found, item.real, item.found - item.real)
            table.add_row(item.name, *(form.format(value) for value in values))
        console.print(table)
    table = Table(title="Best answers (q) and true probabilities (p)", title_justify="left")
    for name in ("", "score", "canal", "foraminal", "subarticular", "any severe"):
        table.add_column(name, justify="right" if name else "left")
    for name, parts in (("q", calibration.floor), ("p", calibration.probability)):
        table.add_row(name, *(f"{value:.4f}" for value in asdict(parts).values()))
    for rescaled in calibration.rescaled:
        table.add_row(f"q rescaled: {rescaled.name}", f"{rescaled.score:.4f}")
    console.print(table)
    any_severe = calibration.any_severe_canal
    console.print(
        f"{calibration.studies} studies; any severe canal {any_severe.found:.2%} "
        f"(real {any_severe.real:.2%}); weighted prior {calibration.weighted_prior:.4f}",
        highlight=False,
    )
    table = Table(title="Targets", title_justify="left")
    for name in ("", "found", "target", "result"):
        table.add_column(name, justify="left" if not name else "right")
    for check in calibration.checks:
        wanted = f"{check.low:g} to {check.high:g}" if check.high < 9 else f"above {check.low:g}"
        result = "met" if check.met else f"missed by {check.gap:.4f}"
        table.add_row(check.name, f"{check.found:.4f}", wanted, result)
    console.print(table)
