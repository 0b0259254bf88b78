"""Carry the disc points of T2 slices over to the same patients' T1 slices.

    python tools/carry_points.py COORDINATES T1_FOLDER OUT [--sheet PICTURE]

COORDINATES holds marked T2 slices (`coords_pretrain.csv`), T1_FOLDER slices of the same patients,
paired by the part of the file's name before the first underscore. Each T1 slice is laid over its T2
slice by the shift and the scale at which their edges correlate best, on grids whose longer side has
256 px; the points move along. A pair that fits badly, or about as well elsewhere, is left out and
named. OUT is a coordinate dataset with the T2 slices and, under the same source, so that a patient
stays on one side of all folds, the T1 slices.

What must stay true: the points of T2 are copied, never moved; a pair that is left out is named.
"""

import argparse
import dataclasses
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float64
from PIL import Image, ImageDraw
from scipy import ndimage, signal

from lumbargrade.competition import CoordinateImage, read_coordinate_images
from lumbargrade.competition.coordinate_images import (
    GRID_PX,
    image_path,
    write_coordinate_table,
)
from lumbargrade.plain_images import read_plain_image

SCALES = (1.0, *np.arange(0.8, 1.26, 0.025))
"""Of the T1 slice's pixels, those of its own longer side being 256."""

FITS_FROM = 0.58
"""Correlation of edges from which a pair is trusted."""

RIVAL_FROM_PX = 15
"""A second best place is at least so far from the best one: the spine repeats itself after 30."""

RIVAL_BELOW = 0.9
"""The second best place correlates less than this part of the best."""

FARTHEST_PX = 64
"""No shift is larger."""

SAME_SCALE_WORTH = 0.01
"""Another scale must correlate better than none by this."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Overlay:
    """How a T1 slice lies over its T2 slice, px of grids whose longer side has 256."""

    correlation: float
    rival: float
    """Correlation at the best place that is somewhere else, at the same scale."""
    scale: float
    down: int
    right: int

    @property
    def trusted(self) -> bool:
        """Whether the points may be carried over."""
        return self.correlation >= FITS_FROM and self.rival < RIVAL_BELOW * self.correlation


def main(arguments: Sequence[str] | None = None) -> None:
    """Carry what can be carried, and print one JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("coordinates", type=Path)
    parser.add_argument("t1_folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sheet", type=Path, help="a picture of the carried points")
    options = parser.parse_args(arguments)
    marked = read_coordinate_images(options.coordinates)
    of_patient = {path.stem.partition("_")[0]: path for path in options.t1_folder.glob("*.jpg")}
    images, left_out, overlays = [], [], {}
    for image in marked:
        copied = image_path(options.out, image.source, image.path.name)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image.path, copied)
        images.append(dataclasses.replace(image, path=copied))
        other = of_patient.get(image.path.stem.partition("_")[0])
        if other is None:
            continue
        overlay = lay_over(read_plain_image(image.path), read_plain_image(other))
        overlays[other.name] = overlay
        if not overlay.trusted:
            left_out.append(other.name)
            continue
        images.append(carried(image, other, overlay, options.out))
    write_coordinate_table(options.out, images)
    moved = [image for image in images if image.path.name in overlays]
    if options.sheet is not None and moved:
        draw_sheet(moved, options.sheet)
    found = {name: dataclasses.asdict(overlay) for name, overlay in overlays.items()}
    print(json.dumps({"left_out": left_out, "pairs": len(overlays), "overlays": found}, indent=1))  # noqa: T201


def lay_over(
    t2: Float64[np.ndarray, "row column"], t1: Float64[np.ndarray, "row2 column2"]
) -> Overlay:
    """The shift and scale at which the edges of a T1 slice fit those of a T2 slice best."""
    fixed = edges(t2, 1.0)
    best: Overlay | None = None
    for scale in SCALES:
        moving = edges(t1, float(scale))
        found = _best_shift(fixed, moving, float(scale))
        worth = SAME_SCALE_WORTH if best is not None and best.scale == 1 else 0.0
        if best is None or found.correlation > best.correlation + worth:
            best = found
    assert best is not None
    return best


def edges(
    pixels: Float64[np.ndarray, "row column"], scale: float
) -> Float64[np.ndarray, "row2 column2"]:
    """How steep the logarithm of brightness is, less its mean; alike in both contrasts."""
    ratio = GRID_PX / max(pixels.shape) * scale
    shape = [max(round(length * ratio), 1) for length in pixels.shape]
    small = np.asarray(
        Image.fromarray(pixels.astype(np.float32)).resize(
            (shape[1], shape[0]), Image.Resampling.BILINEAR
        ),
        dtype=np.float64,
    )
    smooth = ndimage.gaussian_filter(small, 1.0)
    logs = np.log1p(20 * smooth / max(float(np.percentile(smooth, 99)), 1e-6))
    steep = np.hypot(ndimage.sobel(logs, 0), ndimage.sobel(logs, 1))
    steep = np.minimum(steep, np.percentile(steep, 98))
    centred: Float64[np.ndarray, "row2 column2"] = steep - steep.mean()
    return centred


def _best_shift(
    fixed: Float64[np.ndarray, "row column"],
    moving: Float64[np.ndarray, "row2 column2"],
    scale: float,
) -> Overlay:
    norm = np.sqrt((fixed**2).sum() * (moving**2).sum())
    correlation = signal.fftconvolve(fixed, moving[::-1, ::-1]) / max(norm, 1e-12)
    down = np.arange(correlation.shape[0]) - (moving.shape[0] - 1)
    right = np.arange(correlation.shape[1]) - (moving.shape[1] - 1)
    allowed: Bool[np.ndarray, "shift shift2"] = (np.abs(down) <= FARTHEST_PX)[:, None] & (
        np.abs(right) <= FARTHEST_PX
    )
    correlation = np.where(allowed, correlation, -1.0)
    row, column = np.unravel_index(int(correlation.argmax()), correlation.shape)
    away = np.hypot((down - down[row])[:, None], right - right[column]) >= RIVAL_FROM_PX
    return Overlay(
        correlation=float(correlation[row, column]),
        rival=float(correlation[away].max()),
        scale=scale,
        down=int(down[row]),
        right=int(right[column]),
    )


def carried(image: CoordinateImage, other: Path, overlay: Overlay, out: Path) -> CoordinateImage:
    """The T1 slice with the points of its T2 slice, copied into the dataset."""
    copied = image_path(out, image.source, other.name)
    shutil.copyfile(other, copied)
    t2_shape, t1_shape = read_plain_image(image.path).shape, read_plain_image(other).shape
    on_longer = image.points * np.array(t2_shape[::-1]) / max(t2_shape)
    moved = (on_longer - [overlay.right, overlay.down]) / overlay.scale
    points = moved * max(t1_shape) / np.array(t1_shape[::-1])
    inside = ((points >= 0) & (points <= GRID_PX)).all(axis=1)
    return CoordinateImage(
        path=copied,
        source=image.source,
        points=np.where(inside[:, None], points, np.nan),
        present=image.present & inside,
    )


def draw_sheet(images: Sequence[CoordinateImage], picture: Path, *, columns: int = 16) -> None:
    """All carried slices side by side, points as dots from head (green) to foot (red)."""
    side = 200
    sheet = Image.new("RGB", (columns * side, -(-len(images) // columns) * side))
    for index, image in enumerate(images):
        with Image.open(image.path) as file:
            tile = file.convert("RGB").resize((side, side))
        draw = ImageDraw.Draw(tile)
        for level, (x, y) in enumerate(image.points):
            if image.present[level]:
                at = (x * side / GRID_PX, y * side / GRID_PX)
                draw.circle(at, 3, fill=(60 * level, 255 - 60 * level, 0))
        draw.text((4, 4), image.path.stem, fill=(255, 255, 0))
        sheet.paste(tile, (index % columns * side, index // columns * side))
    sheet.save(picture)


if __name__ == "__main__":
    main()
