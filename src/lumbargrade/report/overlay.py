"""Marks on images: points, crop boxes, orientation letters, a scale bar.

What must stay true: functions are pure (pixels in, a new image out), a picture is drawn in true
proportions of millimetres, and a pixel's centre stays its centre: shown = (stored + 0.5) · scale
− 0.5.
"""

import base64
import io
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Float64, UInt8
from PIL import Image, ImageDraw, ImageFont

from lumbargrade.arrays import Affine
from lumbargrade.geometry import Plane, lps_to_slices, normal_of, spacing_of, tilt_deg
from lumbargrade.records import Crop

Picture = Image.Image
Colour = tuple[int, int, int]

POINT_COLOUR: Colour = (0, 229, 255)
BOX_COLOUR: Colour = (255, 214, 10)
TEXT_COLOUR: Colour = (235, 235, 235)
SHADOW: Colour = (0, 0, 0)

SCALE_BAR_MM = 20.0
"""Length of the scale bar."""

JPEG_QUALITY = 80
"""Of the still pictures."""

_LETTERS = (("R", "L"), ("A", "P"), ("F", "H"))
"""Per LPS axis: the letter where the coordinate is small, and where it is large."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Canvas:
    """A slice drawn for display, with the scales that lead from its pixels to the picture."""

    picture: Picture
    row_scale: float
    column_scale: float
    """Picture pixels per slice pixel."""
    px_per_mm: float

    def place(self, row: float, column: float) -> tuple[float, float]:
        """(x, y) in the picture of a pixel position of the slice."""
        return (
            (column + 0.5) * self.column_scale - 0.5,
            (row + 0.5) * self.row_scale - 0.5,
        )


def draw_slice(pixels: UInt8[np.ndarray, "row column"], affine: Affine, *, size: int) -> Canvas:
    """Scale a slice to a picture of true proportions, with orientation letters and a scale bar.

    Args:
        pixels: 0..255, in radiological orientation.
        affine: of these pixels.
        size: longest side of the picture, in pixels.
    """
    _, between_rows, between_columns = spacing_of(affine)
    rows, columns = pixels.shape
    px_per_mm = float(size / max(rows * between_rows, columns * between_columns))
    width = max(1, round(columns * between_columns * px_per_mm))
    height = max(1, round(rows * between_rows * px_per_mm))
    picture = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    canvas = Canvas(
        picture=picture.convert("RGB"),
        row_scale=height / rows,
        column_scale=width / columns,
        px_per_mm=px_per_mm,
    )
    _draw_letters(canvas.picture, affine)
    _draw_scale_bar(canvas)
    return canvas


def edge_letters(affine: Affine) -> tuple[str, str, str, str]:
    """Letters of the picture's left, right, top and bottom edge: R, L, A, P, H or F."""
    letters = []
    for axis in (2, 1):
        direction = affine[:3, axis]
        along = int(np.abs(direction).argmax())
        low, high = _LETTERS[along]
        letters += [low, high] if direction[along] > 0 else [high, low]
    return letters[0], letters[1], letters[2], letters[3]


def _draw_letters(picture: Picture, affine: Affine) -> None:
    left, right, top, bottom = edge_letters(affine)
    width, height = picture.size
    draw_text(picture, left, (5, height / 2), anchor="lm")
    draw_text(picture, right, (width - 6, height / 2), anchor="rm")
    draw_text(picture, top, (width / 2, 4), anchor="ma")
    draw_text(picture, bottom, (width / 2, height - 5), anchor="md")


def _draw_scale_bar(canvas: Canvas) -> None:
    width, height = canvas.picture.size
    length = SCALE_BAR_MM * canvas.px_per_mm
    if length > width / 2:
        return
    draw = ImageDraw.Draw(canvas.picture)
    line = [(width - 8 - length, height - 8), (width - 8, height - 8)]
    draw.line(line, fill=SHADOW, width=5)
    draw.line(line, fill=TEXT_COLOUR, width=2)
    text = f"{SCALE_BAR_MM:.0f} mm"
    draw_text(canvas.picture, text, (width - 8, height - 12), anchor="rd", size=11)


def draw_text(
    picture: Picture,
    text: str,
    at: tuple[float, float],
    *,
    anchor: str = "la",
    size: int = 14,
    colour: Colour = TEXT_COLOUR,
) -> None:
    """Write text with a dark rim, legible on bright and on dark tissue."""
    font = ImageFont.load_default(size)
    ImageDraw.Draw(picture).text(
        at, text, font=font, fill=colour, anchor=anchor, stroke_width=2, stroke_fill=SHADOW
    )


def with_point(
    canvas: Canvas, row: float, column: float, *, label: str = "", label_left: bool = False
) -> Canvas:
    """Mark a point: a ring with four ticks that leave its centre free to see.

    Args:
        canvas: the drawn slice.
        row: of the point, in the slice's pixels.
        column: likewise.
        label: written beside the ring.
        label_left: on its left instead of its right.
    """
    canvas = replace(canvas, picture=canvas.picture.copy())
    draw = ImageDraw.Draw(canvas.picture)
    x, y = canvas.place(row, column)
    radius, tick = 7, 6
    for stroke, ink in ((4, SHADOW), (2, POINT_COLOUR)):
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=ink, width=stroke)
        for dx, dy in ((1, 0), (-1, 0), (0, 1), (0, -1)):
            start = (x + dx * radius, y + dy * radius)
            end = (x + dx * (radius + tick), y + dy * (radius + tick))
            draw.line((start, end), fill=ink, width=stroke)
    if label:
        shift = radius + tick + 3
        at, anchor = ((x - shift, y), "rm") if label_left else ((x + shift, y), "lm")
        draw_text(canvas.picture, label, at, anchor=anchor, size=13, colour=POINT_COLOUR)
    return canvas


def with_box(canvas: Canvas, corners: Float[np.ndarray, "4 2"]) -> Canvas:
    """Outline a crop.

    Args:
        canvas: the drawn slice.
        corners: (row, column) of the crop's corners on the slice, in order around it.
    """
    canvas = replace(canvas, picture=canvas.picture.copy())
    draw = ImageDraw.Draw(canvas.picture)
    outline = [canvas.place(float(row), float(column)) for row, column in corners]
    outline.append(outline[0])
    draw.line(outline, fill=SHADOW, width=4, joint="curve")
    draw.line(outline, fill=BOX_COLOUR, width=2, joint="curve")
    return canvas


def crop_corners_lps_mm(crop: Crop) -> Float64[np.ndarray, "4 3"]:
    """Corners of a crop's middle slice in LPS mm, in order around it."""
    rows, columns = crop.pixels.shape[1:]
    top, left, bottom, right = -0.5, -0.5, rows - 0.5, columns - 0.5
    index = np.array(
        [[0, top, left, 1], [0, top, right, 1], [0, bottom, right, 1], [0, bottom, left, 1]]
    )
    corners: Float64[np.ndarray, "4 3"] = (index @ crop.affine.T)[:, :3]
    return corners


def crop_corners(crop: Crop, affine: Affine) -> Float64[np.ndarray, "4 2"]:
    """Corners (row, column) of a crop's middle slice, on a slice with the given affine."""
    corners = [lps_to_slices(affine[None], corner)[0, 1:] for corner in crop_corners_lps_mm(crop)]
    return np.stack(corners)


def slice_name(affine: Affine, plane: Plane) -> str:
    """The plane of a slice's view and its tilt from it, in words."""
    return f"{plane}, tilted {tilt_deg(normal_of(affine), plane):.0f}°"


def to_data_uri(picture: Picture) -> str:
    """A picture as a JPEG in a ``data:`` address, so that a report needs no other file."""
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
