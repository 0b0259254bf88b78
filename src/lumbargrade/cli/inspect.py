"""``lumbargrade inspect``: every series found, its view and why, geometry, problems."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lumbargrade.cli.app import EXIT_NOTHING_READABLE, EXIT_SOME_FAILED, app, stderr
from lumbargrade.labels import VIEWS
from lumbargrade.records import SeriesReport

if TYPE_CHECKING:
    from lumbargrade.dicom.files import Findings
    from lumbargrade.dicom.inspection import Inspection


@app.command()
def inspect(
    path: Annotated[
        Path, typer.Argument(exists=True, help="A dataset, a folder, an archive or one file.")
    ],
    json_output: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False,
) -> None:
    """Show every series found below PATH: its view and why, its geometry, its problems."""
    from lumbargrade.dicom.files import find
    from lumbargrade.dicom.inspection import inspect_study

    findings = find(path)
    inspections = [inspect_study(files) for files in findings.studies]
    if json_output:
        typer.echo(json.dumps(_document(findings, inspections), indent=1))
    else:
        for inspection in inspections:
            _print_study(inspection)
        _print_files(findings)
    for refusal in findings.refused_archives:
        stderr.print(refusal, style="red", markup=False, highlight=False, soft_wrap=True)
    if not findings.dicom_files:
        stderr.print(f"{path}: nothing here is a DICOM file", style="red", markup=False)
        raise typer.Exit(EXIT_NOTHING_READABLE)
    if findings.refused_archives:
        raise typer.Exit(EXIT_SOME_FAILED)


def _document(findings: "Findings", inspections: "list[Inspection]") -> dict[str, Any]:
    return {
        "schema": "lumbargrade/inspect/1",
        "files": {"dicom": findings.dicom_files, "foreign": findings.foreign_files},
        "problems": [*findings.problems, *findings.refused_archives],
        "studies": [
            {
                "study_id": inspection.study_id,
                "study_uid": inspection.study_uid,
                "views": {view.value: _series_ids(inspection, view.value) for view in VIEWS},
                "warnings": list(inspection.warnings),
                "series": [asdict(report) for report in inspection.reports],
            }
            for inspection in inspections
        ],
    }


def _series_ids(inspection: "Inspection", view: str) -> list[str]:
    return [
        report.series_id for report in inspection.reports if report.used and report.view == view
    ]


def _print_study(inspection: "Inspection") -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=Text(f"study {inspection.study_id}"), title_justify="left")
    for name in ("series", "geometry", "used as", "why"):
        table.add_column(name, overflow="fold")
    for report in inspection.reports:
        table.add_row(*(Text(cell) for cell in _row(report)))
    console = Console()
    console.print(table)
    for warning in inspection.warnings:
        stderr.print(f"study {inspection.study_id}: {warning}", style="yellow", markup=False)


def _row(report: SeriesReport) -> tuple[str, ...]:
    return (
        f"{report.description or '(no description)'}\n{report.series_id}",
        _geometry(report),
        report.view.value if report.used and report.view else "–",
        "\n".join([report.reason, *(f"! {problem}" for problem in report.problems)]),
    )


def _geometry(report: SeriesReport) -> str:
    spacing = [*(report.pixel_spacing_mm or ()), report.slice_spacing_mm]
    in_mm = " x ".join(f"{value:.2f}" for value in spacing if value is not None)
    stacks = f" in {report.stacks} stacks" if report.stacks > 1 else ""
    lines = [
        f"{report.plane or 'no plane'}, {report.slices} slices{stacks}",
        f"{report.rows} x {report.columns}" + (f", {in_mm} mm" if in_mm else ""),
    ]
    if any(round(tilt) for tilt in report.tilts_deg):
        lines.append("tilted " + ", ".join(f"{tilt:.0f}°" for tilt in report.tilts_deg))
    return "\n".join(lines)


def _print_files(findings: "Findings") -> None:
    stderr.print(
        f"{findings.dicom_files} DICOM files, {findings.foreign_files} other files",
        highlight=False,
    )
    for problem in findings.problems:
        stderr.print(problem, style="yellow", markup=False)
