"""The measuring tools beside the package."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from lumbargrade.competition.coordinate_images import (
    CoordinateImage,
    image_path,
    write_coordinate_table,
)

TOOLS = Path(__file__).parents[1] / "tools"


def tool(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_the_perfect_readers_error_is_that_of_a_fit_to_noisy_images() -> None:
    rng = np.random.default_rng(0)
    plain = rng.normal(100, 20, (3, 12, 12))
    derivatives = [rng.normal(0, 5, plain.shape) for _ in range(5)]
    noise = 4.0
    bound = tool("phantom_tau").smallest_error(plain, derivatives, 2, noise)
    gradients = np.gradient(plain, axis=1), np.gradient(plain, axis=2)
    columns = [*derivatives, plain, np.ones_like(plain), *gradients]
    jacobian = np.stack([column.ravel() for column in columns], axis=1)
    found = [
        np.linalg.lstsq(jacobian, rng.normal(0, noise, plain.size), rcond=None)[0][2]
        for _ in range(600)
    ]
    assert np.std(found) == pytest.approx(bound, rel=0.1)
    derivatives[2] = 0 * plain
    assert tool("phantom_tau").smallest_error(plain, derivatives, 2, noise) is None


def test_figures_tell_marrow_disc_and_fluid_of_a_drawn_spine(tmp_path: Path) -> None:
    pixels = np.full((256, 256), 10, np.uint8)
    pixels[:, 90:130] = 120  # marrow
    pixels[:, 130:145] = 240  # fluid
    heights = np.arange(5) * 30 + 60
    for y in heights:
        pixels[y - 4 : y + 5, 90:130] = 60  # disc
    path = image_path(tmp_path, "drawn", "1.jpg")
    path.parent.mkdir(parents=True)
    Image.fromarray(pixels).save(path, quality=100)
    points = np.column_stack([np.full(5, 130.0), heights.astype(float)])
    image = CoordinateImage(path=path, source="drawn", points=points, present=np.full(5, True))
    write_coordinate_table(tmp_path, [image])
    figures = tool("phantom_figures").figures(image)
    assert figures["marrow / fluid"] == pytest.approx(0.5, abs=0.02)
    assert figures["disc / marrow"] == pytest.approx(0.5, abs=0.03)
    assert figures["disc distance / image height"] == pytest.approx(30 / 256)
    assert figures["edge width / disc distance"] < 0.06


def test_both_sides_of_a_sheet_are_windowed_alike() -> None:
    sheet = tool("phantom_sheet")
    pixels = np.random.default_rng(0).normal(300, 60, (64, 48))
    np.testing.assert_array_equal(sheet.windowed(pixels), sheet.windowed(pixels * 5 + 40))
    assert sheet.tile(sheet.windowed(pixels), "x").size == (sheet.TILE_PX, sheet.TILE_PX)
