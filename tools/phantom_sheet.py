"""Contact sheets: phantom images beside real ones, and crops of every family by severity and grade.

    python tools/phantom_sheet.py DATASET --out docs [--real DATA]

DATASET is a phantom dataset with images. Without DATA the sheets of the phantom alone are written.
DATA holds ``lumbar_coordinates/`` and
``spider_midsagittal/`` (8-bit mid-sagittal slices, T2 and T1) and ``t2_lumbar_volume/``.

What must stay true: both sides of a sheet are windowed and scaled alike, so that a difference on
the sheet is one of the images.
"""

import argparse
import gzip
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter, map_coordinates

from lumbargrade.competition import read_truth
from lumbargrade.competition.truth import TruthPoint
from lumbargrade.dicom import read_study
from lumbargrade.geometry import lps_to_slices, spacing_of
from lumbargrade.labels import Family, Grade, View
from lumbargrade.records import Series, SliceImage

Picture = NDArray[np.uint8]

TILE_PX = 256
CROP_MM = 50.0
CROP_PX = 150
AXIAL_MM = 80.0
"""Height of the part of an axial plane that is shown; the real volume is 38 mm wide."""

_CANAL_ROWS = slice(135, 205)
"""Where the canal is in the real volume's planes, counted from the front."""

SEVERITIES = (-2.0, -1.0, -0.3, 0.3, 0.8, 1.3, 2.0)
"""Wanted severities of a row of crops; the nearest of the dataset are shown with their own."""

GRADE_SEVERITIES = {Grade.NORMAL_MILD: -1.0, Grade.MODERATE: 0.5, Grade.SEVERE: 1.4}
"""The severities that a column of the sheet by grades looks for."""

GRADE_VIEWS = (
    (Family.CANAL, View.SAGITTAL_T2),
    (Family.CANAL, View.AXIAL_T2),
    (Family.FORAMINAL, View.SAGITTAL_T1),
    (Family.FORAMINAL, View.SAGITTAL_T2),
    (Family.FORAMINAL, View.AXIAL_T2),
    (Family.SUBARTICULAR, View.AXIAL_T2),
    (Family.SUBARTICULAR, View.SAGITTAL_T2),
)
"""The rows of that sheet."""

EXAMPLES = 3
"""Tiles of one grade in such a row, each of another study; the same in every row of a family."""

NEAR_MM = 3.0
"""A row shows a point where a slice lies that near to it."""

JPEG_QUALITY = 85


def windowed(pixels: NDArray[np.generic]) -> Picture:
    """Grey values from the 1st to the 99.5th percentile, as 8 bits."""
    values = np.asarray(pixels, dtype=np.float64)
    low, high = np.percentile(values, (1, 99.5))
    grey: Picture = np.clip((values - low) * 255 / max(high - low, 1), 0, 255).astype(np.uint8)
    return grey


def tile(pixels: Picture, caption: str, size: int = TILE_PX) -> Image.Image:
    """A picture fitted into a square, with a caption in its corner."""
    image = Image.fromarray(pixels)
    image.thumbnail((size, size), Image.Resampling.LANCZOS)
    square = Image.new("L", (size, size))
    square.paste(image, ((size - image.width) // 2, (size - image.height) // 2))
    ImageDraw.Draw(square).text((4, 3), caption, fill=255, stroke_width=1, stroke_fill=0)
    return square


def sheet(rows: Iterable[list[Image.Image]], path: Path) -> None:
    """Paste rows of tiles and save them as one JPEG."""
    rows = list(rows)
    size = rows[0][0].width
    whole = Image.new("L", (size * max(map(len, rows)), size * len(rows)))
    for y, row in enumerate(rows):
        for x, image in enumerate(row):
            whole.paste(image, (x * size, y * size))
    whole.save(path, quality=JPEG_QUALITY)


def nearest_slice(series: Iterable[Series], position: NDArray[np.float64]) -> SliceImage:
    """The slice that lies nearest to a position."""
    slices = [image for one in series for image in one.slices]
    return min(slices, key=lambda image: abs(lps_to_slices(image.affine[None], position)[0, 0]))


def square_pixels(image: SliceImage) -> Picture:
    """A slice at its true proportions."""
    spacing = spacing_of(image.affine)[1:]
    picture = Image.fromarray(windowed(image.pixels))
    height = round(picture.height * spacing[0] / spacing[1])
    return np.asarray(picture.resize((picture.width, height)))


def crop(image: SliceImage, position: NDArray[np.float64], size_mm: float = CROP_MM) -> Picture:
    """The square millimetres around a position, on the slice's own plane, windowed by the slice."""
    _, row, column = lps_to_slices(image.affine[None], position)[0]
    spacing = spacing_of(image.affine)[1:]
    steps = (np.arange(CROP_PX) + 0.5) / CROP_PX * size_mm - size_mm / 2
    grid = np.meshgrid(row + steps / spacing[0], column + steps / spacing[1], indexing="ij")
    sampled: Picture = map_coordinates(windowed(image.pixels), grid, order=1)
    return sampled


def mid_sagittal_rows(
    dataset: Path, real: list[Path], view: View, count: int
) -> list[list[Image.Image]]:
    """Real mid-slices above, phantom mid-slices below."""
    truth = read_truth(dataset)
    ours = []
    for study_id in sorted({point.study_id for point in truth})[:count]:
        discs = [t.position_lps_mm for t in truth if t.study_id == study_id and t.condition is None]
        study = read_study(dataset / "train_images" / study_id)
        image = nearest_slice(study.series_of(view), np.mean(discs, axis=0))
        ours.append(tile(square_pixels(image), f"phantom {study_id}"))
    theirs = []
    for path in real[:count]:
        with Image.open(path) as file:
            theirs.append(tile(windowed(np.asarray(file.convert("L"))), f"real {path.stem}"))
    return [theirs, ours]


def crop_rows(dataset: Path) -> list[list[Image.Image]]:
    """Crops at the true points of each family, by severity."""
    truth = [point for point in read_truth(dataset) if point.covered and point.target is not None]
    rows = []
    for family in Family:
        points = [t for t in truth if t.target is not None and t.target.condition.family is family]
        row = []
        for wanted in SEVERITIES:
            point = min(points, key=lambda p: abs(_severity(p) - wanted))
            points.remove(point)
            if point.target is None:
                continue
            study = read_study(dataset / "train_images" / point.study_id)
            series = study.series_of(point.target.condition.view)
            image = nearest_slice(
                [s for s in series if s.series_id == point.series_id], point.position_lps_mm
            )
            caption = f"{family} S {_severity(point):.1f} {point.level.spelling}"
            row.append(tile(crop(image, point.position_lps_mm), caption, CROP_PX))
        rows.append(row)
    return rows


def _severity(point: TruthPoint) -> float:
    return np.inf if point.severity is None else point.severity


def points_of_grade(
    truth: Sequence[TruthPoint], family: Family, severity: float
) -> list[TruthPoint]:
    """The covered points of a family nearest to a severity, nearest first, one a study."""
    points = [
        t
        for t in truth
        if t.covered and t.target is not None and t.target.condition.family is family
    ]
    chosen: dict[str, TruthPoint] = {}
    for point in sorted(points, key=lambda p: abs(_severity(p) - severity)):
        chosen.setdefault(point.study_id, point)
    return list(chosen.values())


def grade_rows(dataset: Path) -> list[list[Image.Image]]:
    """Crops at true points, a row per family and view, three tiles per grade, mild to severe."""
    truth = read_truth(dataset)
    series_of = {
        (t.study_id, t.level, t.target.condition.view): t.series_id
        for t in truth
        if t.target is not None
    }
    rows: list[list[Image.Image]] = [[] for _ in GRADE_VIEWS]
    for family in Family:
        own = [k for k, (shown, _) in enumerate(GRADE_VIEWS) if shown is family]
        for grade, severity in GRADE_SEVERITIES.items():
            examples = 0
            for point in points_of_grade(truth, family, severity):
                folder = dataset / "train_images" / point.study_id
                folders = [
                    folder / series_of[point.study_id, point.level, GRADE_VIEWS[k][1]] for k in own
                ]
                caption = f"{grade.spelling} S {_severity(point):.1f} {point.level.spelling}"
                found = [_near_tile(path, point.position_lps_mm, caption) for path in folders]
                tiles = [image for image in found if image is not None]
                if len(tiles) < len(own):
                    continue
                for k, image in zip(own, tiles, strict=True):
                    rows[k].append(image)
                examples += 1
                if examples == EXAMPLES:
                    break
    return rows


def _near_tile(folder: Path, position: NDArray[np.float64], caption: str) -> Image.Image | None:
    """The place of a point on the nearest slice of a series; None where none is near."""
    image = nearest_slice(read_study(folder).series, position)
    if abs(lps_to_slices(image.affine[None], position)[0, 0]) > NEAR_MM:
        return None
    return tile(crop(image, position), caption, CROP_PX)


def real_axial_tiles(volume: Path, count: int) -> list[Image.Image]:
    """Axial planes of the real 1 mm T2 volume, whose axes run to the left, the front, the head."""
    data = gzip.decompress(volume.read_bytes())
    shape = np.frombuffer(data, "<i2", 8, 40)[1:4]
    kinds = {2: "u1", 4: "<i2", 512: "<u2", 16: "<f4", 64: "<f8"}
    kind = kinds[int(np.frombuffer(data, "<i2", 1, 70)[0])]
    start = int(np.frombuffer(data, "<f4", 1, 108)[0])
    voxels = np.frombuffer(data, kind, int(np.prod(shape)), start).reshape(shape, order="F")
    tiles = []
    for z in np.linspace(20, shape[2] - 40, count).astype(int):
        plane = windowed(voxels[:, ::-1, z].T)
        bright = gaussian_filter(plane.astype(np.float32), 4)[_CANAL_ROWS].max(axis=1)
        row = _CANAL_ROWS.start + int(np.argmax(bright))
        half = int(AXIAL_MM / 2)
        picture = Image.fromarray(plane[row - half : row + half])
        enlarged = picture.resize((picture.width * TILE_PX // picture.height, TILE_PX))
        tiles.append(tile(np.asarray(enlarged), f"real volume, plane {z}"))
    return tiles


def phantom_axial_tiles(dataset: Path, count: int) -> list[Image.Image]:
    """Axial slices around the left recess points of L3/L4 to L5/S1, on the real planes' scale."""
    truth = [
        t for t in read_truth(dataset) if t.target is not None and t.target.index in (17, 18, 19)
    ]
    tiles = []
    for point in truth[:: max(1, len(truth) // count)][:count]:
        study = read_study(dataset / "train_images" / point.study_id)
        image = nearest_slice(study.series_of(View.AXIAL_T2), point.position_lps_mm)
        picture = Image.fromarray(crop(image, point.position_lps_mm, AXIAL_MM))
        enlarged = np.asarray(picture.resize((TILE_PX, TILE_PX)))
        tiles.append(tile(enlarged, f"phantom {point.study_id} {point.level.spelling}"))
    return tiles


def main() -> None:
    """Write the sheets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", type=Path)
    parser.add_argument("--real", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--count", type=int, default=6)
    options = parser.parse_args()
    sheet(grade_rows(options.dataset), options.out / "sheet_grades.jpg")
    sheet(crop_rows(options.dataset), options.out / "sheet_crops.jpg")
    if options.real is None:
        return
    t2 = sorted((options.real / "lumbar_coordinates").rglob("*.jpg"))
    t1 = sorted(
        p for p in (options.real / "spider_midsagittal").rglob("*") if p.suffix in (".jpg", ".png")
    )
    volume = next((options.real / "t2_lumbar_volume").glob("*.nii.gz"))
    for name, real, view in (("t2", t2, View.SAGITTAL_T2), ("t1", t1, View.SAGITTAL_T1)):
        chosen = real[:: max(1, len(real) // options.count)]
        rows = mid_sagittal_rows(options.dataset, chosen, view, options.count)
        sheet(rows, options.out / f"sheet_sagittal_{name}.jpg")
    sheet(
        [
            real_axial_tiles(volume, options.count),
            phantom_axial_tiles(options.dataset, options.count),
        ],
        options.out / "sheet_axial_t2.jpg",
    )


if __name__ == "__main__":
    main()
