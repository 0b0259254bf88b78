"""Synthetic mid-slices in the public coordinate dataset's layout."""

from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from lumbargrade.cli import app
from lumbargrade.competition import read_coordinate_images, read_truth
from lumbargrade.dicom.read import read_study
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import LEVELS, View
from lumbargrade.phantom.coordinate_dataset import write_coordinate_dataset


@pytest.fixture(scope="module")
def coordinates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("coordinates")
    arguments = ["phantom", str(out), "--coordinates", "--studies", "2", "--seed", "2000"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 0, result.output
    return out


def test_the_table_and_the_images_lie_as_in_the_public_dataset(coordinates: Path) -> None:
    lines = (coordinates / "coords_pretrain.csv").read_text().splitlines()
    assert lines[0] == "filename,source,x,y,level,relative_x,relative_y"
    assert len(lines) == 1 + 2 * 5
    filename, source, x, y, level, relative_x, relative_y = lines[1].split(",")
    assert (source, level) == ("phantom", "L5/S1")
    assert float(x) / 256 == float(relative_x)
    assert float(y) / 256 == float(relative_y)
    with Image.open(coordinates / "data" / "processed_phantom_jpgs" / filename) as image:
        assert image.mode == "L"
        assert min(image.size) >= 160


def test_points_are_the_true_disc_points_within_half_a_pixel(
    coordinates: Path, phantom_dataset: Path
) -> None:
    images = {image.path.name: image for image in read_coordinate_images(coordinates)}
    for study_id in ("102000", "102001"):
        (series,) = read_study(phantom_dataset / "train_images" / study_id).series_of(
            View.SAGITTAL_T2
        )
        truth = {
            t.level: t.position_lps_mm
            for t in read_truth(phantom_dataset)
            if t.study_id == study_id and t.condition is None
        }
        middle = np.mean(list(truth.values()), axis=0)
        slice_ = min(series.slices, key=lambda s: abs(lps_to_slices(s.affine[None], middle)[0, 0]))
        found = images[f"{study_id}_t2.jpg"]
        with Image.open(found.path) as image:
            assert image.size == slice_.pixels.shape[::-1]
        assert found.present.all()
        for level, point in zip(LEVELS, found.points, strict=True):
            _, row, column = lps_to_slices(slice_.affine[None], truth[level])[0]
            expected = np.array([column, row]) * 256 / np.array(slice_.pixels.shape[::-1])
            assert np.abs(point - expected).max() < 0.5


def test_discs_have_dark_annulus_in_front_and_bright_sac_behind(coordinates: Path) -> None:
    behind, at = [], []
    for item in read_coordinate_images(coordinates):
        with Image.open(item.path) as image:
            pixels = np.asarray(image, dtype=float)
        scale = np.array(pixels.shape[::-1]) / 256
        for x, y in item.points[:3] * scale:
            step = 8 * scale[0]
            behind.append(pixels[int(y), int(x + 1) : int(x + step)].max())
            at.append(pixels[int(y) - 1 : int(y) + 2, int(x - 3) : int(x)].mean())
    assert np.median(behind) > 2 * np.median(at)


def test_labels_and_coordinates_at_once_are_refused(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["phantom", str(tmp_path), "--coordinates", "--labels-only"])
    assert result.exit_code == 2


@pytest.mark.slow
def test_bytes_are_the_same_for_any_number_of_workers(coordinates: Path, tmp_path: Path) -> None:
    def hashes(folder: Path) -> dict[str, str]:
        return {
            str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
            for path in sorted(folder.rglob("*.*"))
            if path.is_file()
        }

    for workers in (2, 3):
        write_coordinate_dataset(tmp_path / str(workers), studies=3, seed=2000, workers=workers)
    two, three = hashes(tmp_path / "2"), hashes(tmp_path / "3")
    assert two == three
    name = "data/processed_phantom_jpgs/102001_t2.jpg"
    assert hashes(coordinates)[name] == two[name]
