"""``lumbargrade bench``: how fast this machine reads, predicts and trains."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from lumbargrade.cli.app import app, stderr
from lumbargrade.cli.device_option import Device
from lumbargrade.cli.models_option import Models

if TYPE_CHECKING:
    from lumbargrade.bench.suite import BenchResult
    from lumbargrade.bench.timing import Spread


@app.command()
def bench(
    data: Annotated[
        Path | None,
        typer.Option(
            exists=True, file_okay=False, help="Dataset to measure on (default: phantom studies)."
        ),
    ] = None,
    models: Models = None,
    device: Device = "auto",
    studies: Annotated[int, typer.Option(min=1, help="Studies to measure on.")] = 2,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds that count.")] = 3,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout, numbers unrounded.")
    ] = False,
) -> None:
    """Measure reading, the stages of predict, networks against plain PyTorch, and training."""
    import json

    from lumbargrade.bench.suite import run_bench

    result = run_bench(
        data,
        models=models,
        device=device,
        studies=studies,
        repeats=repeats,
        on_step=lambda step: stderr.print(f"Measuring: {step}", markup=False),
    )
    if as_json:
        typer.echo(json.dumps(result.document()))
    else:
        _show(result)


def _show(result: "BenchResult") -> None:
    machine = result.machine
    console = Console()
    versions = ", ".join(f"{name} {version}" for name, version in machine.versions.items())
    console.print(
        f"{machine.system}, {machine.device_name}, {machine.cores} cores, {machine.threads} "
        f"threads, device {machine.device}; {versions}",
        markup=False,
    )
    reading = result.reading
    table = _table("Reading", "per second", "studies", "slices")
    for name, by_study, by_slice in (
        ("prepared cache", reading.cache_studies_per_second, reading.cache_slices_per_second),
        ("DICOM", reading.dicom_studies_per_second, reading.dicom_slices_per_second),
    ):
        table.add_row(name, _words(by_study), _words(by_slice))
    table.add_row("cache to DICOM", _words(reading.cache_to_dicom), "")
    console.print(table)

    table = _table("Predict", "seconds a study", "")
    for name, seconds in {**result.predict.stages, "whole": result.predict.whole}.items():
        table.add_row(name, _words(seconds))
    console.print(table)

    if result.skipping:
        table = _table(
            "Slices that cannot win left out", "", "segmented", "seconds", "every slice",
            "times as fast",
        )  # fmt: skip
        for name, speeds in result.skipping.items():
            table.add_row(
                name,
                _words(speeds.segmented),
                _words(speeds.seconds),
                _words(speeds.every_slice_seconds),
                _words(speeds.times_as_fast),
            )
        console.print(table)

    table = _table(
        "Networks, one study", "", "GFLOP", "seconds", "plain PyTorch", "times as fast",
        "share of matrix rate",
    )  # fmt: skip
    for name, network in result.networks.networks.items():
        table.add_row(
            name,
            f"{network.gflop:.3g}",
            _words(network.seconds),
            _words(network.plain_seconds),
            _words(network.plain_to_here),
            _words(network.share_of_matrix_rate),
        )
    rate = result.networks.matrix_gflop_per_second
    table.caption = f"float32 matrix product: {_words(rate)} GFLOP/s"
    console.print(table)

    table = _table("Training", "", "steps per second", "share waiting for data")
    for name, speed in result.training.items():
        table.add_row(name, _words(speed.steps_per_second), _words(speed.waiting_share))
    console.print(table)


def _table(title: str, *columns: str) -> Table:
    return Table(*columns, title=title, title_justify="left")


def _words(spread: "Spread") -> str:
    return f"{spread.median:.3g} ({spread.low:.3g} to {spread.high:.3g})"
