"""`tools/carry_points.py` and `tools/t1_levels.py`, which reads what it writes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from lumbargrade.competition import CoordinateImage, read_coordinate_images
from lumbargrade.competition.coordinate_images import image_path, write_coordinate_table
from test_phantom_tools import tool

POINTS = np.array([[120.0 + 4 * k, 60.0 + 32 * k] for k in range(5)])


def body(seed: int) -> np.ndarray:
    """Smooth blobs on a grid of 256, bytes."""
    noise = np.random.default_rng(seed).normal(size=(256, 256))
    blobs = ndimage.gaussian_filter(noise, 5.0)
    pixels: np.ndarray = np.clip(128 + 60 * blobs / blobs.std(), 20, 240)
    return pixels


def write(path: Path, pixels: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.round().astype(np.uint8)).save(path, quality=95)


@pytest.fixture
def slices(tmp_path: Path) -> tuple[Path, Path]:
    """T2 slices of three patients; T1 slices of two: moved, of less contrast, and a stranger."""
    coordinates, t1 = tmp_path / "t2", tmp_path / "t1"
    images = []
    for patient in (1, 2, 3):
        path = image_path(coordinates, "spider", f"{patient}_t2.jpg")
        write(path, body(patient))
        images.append(
            CoordinateImage(
                path=path, source="spider", points=POINTS, present=np.ones(5, dtype=bool)
            )
        )
    write_coordinate_table(coordinates, images)
    moved = np.roll(body(1), (-12, 7), axis=(0, 1))
    write(t1 / "1_t1.jpg", np.kron(40 + 0.5 * moved, np.ones((2, 2))))
    write(t1 / "2_t1.jpg", body(99))
    return coordinates, t1


def test_points_move_with_the_patient_and_strangers_are_left_out(
    slices: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sheet = tmp_path / "both", tmp_path / "sheet.png"
    arguments = [*map(str, slices), str(out), "--sheet", str(sheet)]
    tool("carry_points").main(arguments)
    document = json.loads(capsys.readouterr().out)
    assert document["left_out"] == ["2_t1.jpg"]
    assert document["pairs"] == 2
    assert document["overlays"]["1_t1.jpg"]["scale"] == pytest.approx(1.0)
    found = {image.path.name: image for image in read_coordinate_images(out)}
    assert sorted(found) == ["1_t1.jpg", "1_t2.jpg", "2_t2.jpg", "3_t2.jpg"]
    np.testing.assert_allclose(found["1_t2.jpg"].points, POINTS, atol=1e-9)
    np.testing.assert_allclose(found["1_t1.jpg"].points, POINTS + np.array([7.0, -12.0]), atol=1.0)
    assert found["1_t1.jpg"].source == "spider"
    assert sheet.is_file()


def test_the_names_of_levels_are_counted_by_detector(
    slices: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tool("carry_points").main([*map(str, slices), str(tmp_path / "both")])
    capsys.readouterr()
    levels = tool("t1_levels")
    levels.main([str(tmp_path / "both")])
    document = json.loads(capsys.readouterr().out)
    assert {way["slices"] for way in document.values()} == {1}
    off = np.array([[0] * 10, [1] * 10, [-1] * 6 + [0] * 4])
    assert levels.figures(off) == {
        "slices": 3,
        "level_right": pytest.approx(14 / 30),
        "spines_one_too_high": 1,
        "spines_one_too_low": 1,
    }
