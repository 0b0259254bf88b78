"""``lumbargrade locate-images``: the sagittal T2 detector on plain images."""

from pathlib import Path
from typing import Annotated

import typer

from lumbargrade.cli.app import app, progress_bar


@app.command("locate-images")
def locate_images(
    coordinates: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="Folder that holds coords_pretrain.csv and data/."
        ),
    ],
    models: Annotated[
        Path | None, typer.Option(file_okay=False, help="A run or bundled models.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout, numbers unrounded.")
    ] = False,
) -> None:
    """Find the disc points of 2-D images and compare them with the known ones."""
    import dataclasses
    import json

    from lumbargrade.competition import read_coordinate_images
    from lumbargrade.detector.infer import load_detector
    from lumbargrade.labels import View
    from lumbargrade.locate_images import locate_images as locate
    from lumbargrade.locate_images import score_points
    from lumbargrade.models import open_models
    from lumbargrade.runtime import prepare_for_networks

    images = read_coordinate_images(coordinates)
    prepare_for_networks()
    detector = load_detector(open_models(models).detectors[View.SAGITTAL_T2][0])
    with progress_bar("Locating", len(images)) as advance:
        scores = score_points(locate(images, detector, on_image=advance))
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(scores)))
        return
    typer.echo(
        f"{scores.points} points on {scores.images} images: "
        f"{scores.within_5px:.1%} within 5 px, median {scores.median_px:.2f} px, "
        f"95 % below {scores.p95_px:.2f} px, {scores.level_correct:.1%} at their own level"
    )
