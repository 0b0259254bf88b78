"""Grey values and sharpness of mid-sagittal T2 slices, phantom against real, in numbers.

    python tools/phantom_figures.py REAL_COORDINATES PHANTOM_COORDINATES

Both are folders in the layout of the public coordinate dataset. Each figure is the median over
images, with the 10th and 90th percentile, of what is read around the five disc points.

What must stay true: every figure is a ratio or a share, so that neither the scale of grey values
nor the size of a pixel enters; lengths are shares of the distance between neighbouring discs.
"""

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter, map_coordinates

from lumbargrade.competition import CoordinateImage, read_coordinate_images
from lumbargrade.competition.coordinate_images import GRID_PX

Values = NDArray[np.float64]


def figures(item: CoordinateImage) -> dict[str, float] | None:
    """Figures of one image; None where not all five points are there."""
    if not item.present.all():
        return None
    with Image.open(item.path) as file:
        pixels = np.asarray(file.convert("L"), dtype=np.float64)
    points = item.points * np.array(pixels.shape[::-1]) / GRID_PX
    points = points[np.argsort(points[:, 1])]
    pitch = float(np.linalg.norm(np.diff(points, axis=0), axis=1).mean())
    axis = np.gradient(points, axis=0)
    axis /= np.linalg.norm(axis, axis=1, keepdims=True)
    front = np.column_stack([-axis[:, 1], axis[:, 0]])
    front *= np.sign(-front[:, :1])  # to the left of the image, where the patient's front is

    def sample(places: Values) -> Values:
        return np.asarray(map_coordinates(pixels, places[:, ::-1].T, order=1, mode="nearest"))

    middles = (points[:-1] + points[1:]) / 2
    between = (front[:-1] + front[1:]) / 2
    marrow = sample(middles + 0.42 * pitch * between)
    disc = sample(points + 0.42 * pitch * front)
    annulus = sample(points + 0.04 * pitch * front)
    profile = np.linspace(-0.45, 0.25, 141)
    lines = np.array(
        [sample(m - f * profile[:, None] * pitch) for m, f in zip(middles, between, strict=True)]
    )
    fluid = np.array([sample(m - f * np.linspace(0.05, 0.45, 30)[:, None] * pitch).max()
                      for m, f in zip(middles, between, strict=True)])  # fmt: skip
    smooth = gaussian_filter(pixels, 2.0)
    y, x = (np.round(middles + 0.42 * pitch * between).astype(int)).T[::-1]
    half = max(2, round(0.1 * pitch))
    patches = [pixels[b - half : b + half, a - half : a + half] for a, b in zip(x, y, strict=True)]
    steepest = np.abs(np.diff(lines, axis=1)).max(axis=1) / np.ptp(lines, axis=1)
    return {
        "marrow / fluid": float(np.median(marrow) / np.median(fluid)),
        "disc / marrow": float(np.median(disc) / max(np.median(marrow), 1)),
        "annulus / marrow": float(np.median(annulus) / max(np.median(marrow), 1)),
        "brightest (99 %) / fluid": float(np.percentile(smooth, 99) / np.median(fluid)),
        "share of black pixels": float((smooth < 0.08 * np.median(fluid)).mean()),
        "unevenness inside a vertebra": float(
            np.median([p.std() / max(p.mean(), 1) for p in patches])
        ),
        "edge width / disc distance": float(np.median((profile[1] - profile[0]) / steepest)),
        "disc distance / image height": pitch / pixels.shape[0],
        "rows": float(pixels.shape[0]),
    }


def main() -> None:
    """Print a table of both datasets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("real", type=Path)
    parser.add_argument("phantom", type=Path)
    options = parser.parse_args()
    tables = []
    for folder in (options.real, options.phantom):
        rows = [f for f in map(figures, read_coordinate_images(folder)) if f is not None]
        tables.append({name: np.array([row[name] for row in rows]) for name in rows[0]})
        print(f"{folder}: {len(rows)} images")  # noqa: T201
    for name in tables[0]:
        texts = []
        for table in tables:
            low, middle, high = np.percentile(table[name], (10, 50, 90))
            texts.append(f"{middle:8.3f} ({low:.3f} to {high:.3f})")
        print(f"{name:32}", *texts)  # noqa: T201


if __name__ == "__main__":
    main()
