"""Found and true points drawn on plain images: one picture each, and sheets of many.

What must stay true: a ring is the truth, a cross the prediction, a line joins them; points come on
the 256 grid and are drawn where they lie on the unsquashed image; the worst image comes first.
"""

import io
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from PIL import Image, ImageDraw

from lumbargrade.atomic_files import write_beside
from lumbargrade.competition import write_table
from lumbargrade.competition.coordinate_images import GRID_PX
from lumbargrade.labels import LEVELS
from lumbargrade.report.overlay import TEXT_COLOUR, Colour, Picture, draw_text

CLOSE_PX = 5.0
"""An error up to this counts as a hit."""

BACKGROUND: Colour = (38, 41, 46)
TRUTH_COLOUR: Colour = (86, 204, 255)
FOUND_COLOUR: Colour = (255, 176, 0)
FAR_COLOUR: Colour = (255, 122, 92)
MUTED_COLOUR: Colour = (170, 174, 180)

COLUMNS, ROWS = 3, 3
"""Images on one sheet."""

TILE_PX = 440
"""Longest side of an image on a sheet."""

SINGLE_PX = 640
"""Longest side of a picture of one image."""

_CAPTION_PX, _HEADER_PX, _GAP_PX = 40, 54, 10
_SHARPER = 2
"""Marks are drawn so many times larger and scaled down, which smooths their edges."""

POINT_COLUMNS = (
    "source",
    "filename",
    "level",
    "true_x",
    "true_y",
    "found_x",
    "found_y",
    "px",
)
"""Of ``points.csv``; on the 256 grid."""

FOOTNOTE = "research use only, not a medical device"


@dataclass(frozen=True, slots=True, kw_only=True)
class MarkedImage:
    """An image with true and found disc points, (column, row) on the 256 grid."""

    path: Path
    source: str
    truth: Float64[np.ndarray, "5 2"]
    """NaN where a level has no true point."""
    found: Float64[np.ndarray, "5 2"]

    @property
    def errors_px(self) -> Float64[np.ndarray, "5"]:
        """In-plane error by level; NaN where there is no truth."""
        errors: Float64[np.ndarray, "5"] = np.linalg.norm(self.found - self.truth, axis=1)
        return errors

    @property
    def worst_px(self) -> float:
        """The largest error; −1 where there is no truth."""
        errors = self.errors_px
        return float(np.nanmax(errors)) if np.isfinite(errors).any() else -1.0


def worst_first(images: Iterable[MarkedImage]) -> list[MarkedImage]:
    """Sort by the largest error; images without any truth come last."""
    return sorted(images, key=lambda image: (-image.worst_px, image.source, image.path.name))


def write_sheets(images: Sequence[MarkedImage], path: Path) -> tuple[Path, ...]:
    """Write sheets as PNG: to ``path`` itself, or to ``<path>-01.png`` and so on where several.

    Returns:
        The files.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = math.ceil(len(images) / (COLUMNS * ROWS))
    paths = [path]
    if pages > 1:
        paths = [path.with_name(f"{path.stem}-{page + 1:02}.png") for page in range(pages)]
    for place, sheet in zip(paths, draw_sheets(images), strict=True):
        _write(place, sheet)
    return tuple(paths)


def write_pictures(images: Sequence[MarkedImage], folder: Path) -> tuple[Path, ...]:
    """Write sheets, one picture an image and the points into a folder.

    Returns:
        The sheets, the folder of pictures and the table.
    """
    singles = folder / "images"
    singles.mkdir(parents=True, exist_ok=True)
    for image in images:
        _write(singles / f"{image.source}_{image.path.stem}.png", draw_image(image))
    table = folder / "points.csv"
    rows = (
        (image.source, image.path.name, level.spelling, *image.truth[row], *image.found[row], error)
        for image in worst_first(images)
        for row, (level, error) in enumerate(zip(LEVELS, image.errors_px, strict=True))
        if math.isfinite(error)
    )
    write_table(table, POINT_COLUMNS, rows)
    return (*write_sheets(images, folder / "sheet.png"), singles, table)


def _write(path: Path, picture: Picture) -> None:
    buffer = io.BytesIO()
    picture.save(buffer, "PNG", compress_level=3)
    write_beside(path, buffer.getvalue())


def draw_image(image: MarkedImage, *, size: int = SINGLE_PX) -> Picture:
    """One image with its points, a caption below.

    Args:
        image: the file and its points.
        size: longest side of the image in the picture.
    """
    with Image.open(image.path) as file:
        pixels = file.convert("L")
    scale = _SHARPER * size / max(pixels.size)
    large = (round(pixels.width * scale), round(pixels.height * scale))
    drawn = pixels.resize(large, Image.Resampling.BICUBIC).convert("RGB")
    unit = _SHARPER * max(1.0, size / 420)
    per_grid_px = np.array(pixels.size) / GRID_PX  # (column, row) of the image per grid pixel
    places = [(points * per_grid_px + 0.5) * scale - 0.5 for points in (image.truth, image.found)]
    for level, error in enumerate(image.errors_px):
        _draw_level(drawn, level, places[0][level], places[1][level], float(error), unit=unit)
    shown = drawn.reduce(_SHARPER)
    picture = Image.new("RGB", (max(shown.width, TILE_PX), shown.height + _CAPTION_PX), BACKGROUND)
    picture.paste(shown, ((picture.width - shown.width) // 2, 0))
    _draw_caption(picture, image, shown.height)
    return picture


def draw_sheets(images: Sequence[MarkedImage]) -> Iterator[Picture]:
    """Sheets of ``COLUMNS`` x ``ROWS`` images, the worst first."""
    ordered = worst_first(images)
    errors = np.concatenate([image.errors_px for image in ordered])
    known = errors[np.isfinite(errors)]
    share = f"{(known <= CLOSE_PX).mean():.1%} of {len(known)} points" if len(known) else "no point"
    pages = math.ceil(len(ordered) / (COLUMNS * ROWS))
    for page in range(pages):
        tiles = ordered[page * COLUMNS * ROWS : (page + 1) * COLUMNS * ROWS]
        sheet = _sheet_of([draw_image(image, size=TILE_PX) for image in tiles])
        _draw_header(
            sheet,
            f"{len(ordered)} images, {share} within {CLOSE_PX:.0f} px; worst first; "
            f"sheet {page + 1} of {pages}",
        )
        yield sheet


def _sheet_of(tiles: Sequence[Picture]) -> Picture:
    columns = min(COLUMNS, len(tiles))
    rows = math.ceil(len(tiles) / columns)
    width, height = TILE_PX + _GAP_PX, TILE_PX + _CAPTION_PX + _GAP_PX
    size = (max(columns, 2) * width + _GAP_PX, rows * height + _HEADER_PX + _GAP_PX)
    sheet = Image.new("RGB", size, BACKGROUND)
    for number, tile in enumerate(tiles):
        row, column = divmod(number, columns)
        left = _GAP_PX + column * width + (TILE_PX - tile.width) // 2
        bottom = _HEADER_PX + (row + 1) * height
        sheet.paste(tile, (left, bottom - tile.height))
    return sheet


def _draw_level(
    picture: Picture,
    level: int,
    truth: Float64[np.ndarray, "2"],
    found: Float64[np.ndarray, "2"],
    error: float,
    *,
    unit: float,
) -> None:
    """Ring, cross, line and the level's name, at (x, y) of the picture.

    ``error`` is in px of the grid, NaN without truth; ``unit`` is the width of a fine line.
    """
    draw = ImageDraw.Draw(picture)
    x, y = float(found[0]), float(found[1])
    colour = FAR_COLOUR if error > CLOSE_PX else TEXT_COLOUR
    arm, fine = 5 * unit, max(2, round(1.2 * unit))
    text, at = LEVELS[level].spelling, (x, y)
    if math.isfinite(error):
        text, at = f"{text}  {error:.1f}", (float(truth[0]), float(truth[1]))
        draw.line((at, (x, y)), fill=colour, width=fine)
        radius = 5.5 * unit
        box = (at[0] - radius, at[1] - radius, at[0] + radius, at[1] + radius)
        draw.ellipse(box, outline=TRUTH_COLOUR, width=fine)
    for slope in (1, -1):
        ends = ((x - arm, y - slope * arm), (x + arm, y + slope * arm))
        draw.line(ends, fill=FOUND_COLOUR, width=fine)
    label = (max(at[0], x) + 9 * unit, at[1])
    draw_text(picture, text, label, anchor="lm", size=round(12 * unit), colour=colour)


def _draw_caption(picture: Picture, image: MarkedImage, top: int) -> None:
    errors = image.errors_px[np.isfinite(image.errors_px)]
    found = f"{(errors <= CLOSE_PX).sum()} of {len(errors)} within {CLOSE_PX:.0f} px"
    told = f"worst {image.worst_px:.1f} px, {found}" if len(errors) else "no true point"
    name = f"{image.source} {image.path.name}"
    draw_text(picture, name, (6, top + 5), size=12)
    draw_text(picture, told, (6, top + 21), size=12, colour=MUTED_COLOUR)


def _draw_header(sheet: Picture, text: str) -> None:
    draw_text(sheet, text, (_GAP_PX, 8), size=15)
    x: float = _GAP_PX
    for word, colour in (
        ("ring: truth", TRUTH_COLOUR),
        ("cross: prediction", FOUND_COLOUR),
        (f"farther than {CLOSE_PX:.0f} px", FAR_COLOUR),
        (f"errors in px on the 256 grid; {FOOTNOTE}", MUTED_COLOUR),
    ):
        draw_text(sheet, word, (x, 31), size=13, colour=colour)
        x += ImageDraw.Draw(sheet).textlength(word, font_size=13) + 18
