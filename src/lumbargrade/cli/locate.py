"""``lumbargrade locate-images``: the sagittal T2 detector on plain images."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lumbargrade.cli.app import DISCLAIMER, app, progress_bar, stderr
from lumbargrade.cli.models_option import Models

if TYPE_CHECKING:
    from lumbargrade.report.contact_sheet import MarkedImage


@app.command("locate-images")
def locate_images(
    coordinates: Annotated[
        Path,
        typer.Argument(
            exists=True, file_okay=False, help="Folder that holds coords_pretrain.csv and data/."
        ),
    ],
    models: Models = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="One JSON document on stdout, numbers unrounded.")
    ] = False,
    sheet: Annotated[
        Path | None,
        typer.Option(
            help="Draw truth and prediction: FILE.png for sheets of images, worst first; a folder "
            "for sheets, one picture an image and points.csv."
        ),
    ] = None,
) -> None:
    """Find the disc points of 2-D images and compare them with the known ones."""
    import dataclasses
    import json

    import numpy as np

    from lumbargrade.competition import read_coordinate_images
    from lumbargrade.detector.infer import load_detector
    from lumbargrade.labels import View
    from lumbargrade.locate_images import locate_images as locate
    from lumbargrade.locate_images import score_points
    from lumbargrade.models import open_models
    from lumbargrade.records import InvalidStudyError
    from lumbargrade.runtime import prepare_for_networks

    images = read_coordinate_images(coordinates)
    if not any(np.isfinite(image.points).any() for image in images):
        raise InvalidStudyError(f"{coordinates}: its table marks no point to compare with")
    prepare_for_networks()
    folder, view = open_models(models), View.SAGITTAL_T2
    detector = load_detector(folder.detectors[view][0], image_size=folder.image_sizes[view][0])
    with progress_bar("Locating", len(images)) as advance:
        found = locate(images, detector, on_image=advance)
    scores = score_points(found)
    if sheet is not None:
        from lumbargrade.report.contact_sheet import MarkedImage

        marked = [
            MarkedImage(
                path=image.path, source=image.source, truth=image.points, found=points.found
            )
            for image, points in zip(images, found, strict=True)
        ]
        for path in _draw(marked, sheet):
            stderr.print(f"drew {path}", markup=False, soft_wrap=True)
    if as_json:
        typer.echo(json.dumps(dataclasses.asdict(scores)))
        return
    typer.echo(
        f"{scores.points} points on {scores.images} images: "
        f"{scores.within_5px:.1%} within 5 px, median {scores.median_px:.2f} px, "
        f"95 % below {scores.p95_px:.2f} px, {scores.level_correct:.1%} at their own level; "
        f"{DISCLAIMER}"
    )


def _draw(images: "list[MarkedImage]", place: Path) -> tuple[Path, ...]:
    """Draw sheets into a file, or sheets and single pictures into a folder."""
    from lumbargrade.report.contact_sheet import write_pictures, write_sheets

    if place.suffix.lower() == ".png":
        return write_sheets(images, place)
    return write_pictures(images, place)
