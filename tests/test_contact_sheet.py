from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lumbargrade.report.contact_sheet import (
    COLUMNS,
    FOUND_COLOUR,
    ROWS,
    TRUTH_COLOUR,
    MarkedImage,
    draw_image,
    worst_first,
    write_pictures,
    write_sheets,
)


def marked(
    folder: Path, name: str, *, shift: float = 0.0, size: tuple[int, int] = (60, 120)
) -> MarkedImage:
    """A black image of (width, height) whose points lie ``shift`` grid pixels off."""
    path = folder / f"{name}.jpg"
    Image.new("L", size).save(path)
    truth = np.column_stack([np.full(5, 128.0), np.linspace(40, 216, 5)])
    found = truth + np.array([shift, 0.0])
    return MarkedImage(path=path, source="test", truth=truth, found=found)


def centre_of(picture: Image.Image, colour: tuple[int, int, int]) -> np.ndarray:
    """Mean (x, y) of the pixels near a colour."""
    pixels = np.asarray(picture, dtype=np.int64)
    near = np.abs(pixels - colour).sum(axis=2) < 60
    assert near.sum() > 20
    rows, columns = np.nonzero(near)
    return np.array([columns.mean(), rows.mean()])


@pytest.mark.parametrize("size", [(60, 120), (120, 60), (80, 80)])
def test_rings_and_crosses_lie_where_the_points_are(tmp_path: Path, size: tuple[int, int]) -> None:
    image = marked(tmp_path, "a", size=size, shift=30.0)
    picture = draw_image(image, size=400)
    shown = (400 * size[0] / max(size), 400 * size[1] / max(size))
    left = (picture.width - shown[0]) / 2
    for colour, points in ((TRUTH_COLOUR, image.truth), (FOUND_COLOUR, image.found)):
        x, y = centre_of(picture, colour)
        assert x == pytest.approx(left + points[:, 0].mean() / 256 * shown[0], abs=3.5)
        assert y == pytest.approx(points[:, 1].mean() / 256 * shown[1], abs=3.5)


def test_the_worst_image_comes_first_and_one_without_truth_last(tmp_path: Path) -> None:
    images = [marked(tmp_path, name, shift=shift) for name, shift in (("a", 1.0), ("b", 9.0))]
    nothing = MarkedImage(
        path=images[0].path,
        source="test",
        truth=np.full((5, 2), np.nan),
        found=images[0].found,
    )
    ordered = worst_first([nothing, *images])
    assert [image.worst_px for image in ordered] == [9.0, 1.0, -1.0]
    assert draw_image(nothing).width > 100


@pytest.mark.parametrize(
    ("images", "names"), [(1, ["s.png"]), (9, ["s.png"]), (10, ["s-01.png", "s-02.png"])]
)
def test_many_images_make_several_sheets(tmp_path: Path, images: int, names: list[str]) -> None:
    assert COLUMNS * ROWS == 9
    drawn = [marked(tmp_path, str(number), shift=2.0 * number) for number in range(images)]
    files = write_sheets(drawn, tmp_path / "out" / "s.png")
    assert [path.name for path in files] == names
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    for path in files:
        with Image.open(path) as sheet:
            assert sheet.width > 800


def test_a_folder_holds_sheets_pictures_and_points(tmp_path: Path) -> None:
    drawn = [marked(tmp_path, name, shift=shift) for name, shift in (("a", 1.5), ("b", 9.0))]
    folder = tmp_path / "out"
    write_pictures(drawn, folder)
    assert {path.name for path in folder.iterdir()} == {"sheet.png", "points.csv", "images"}
    assert {path.name for path in (folder / "images").iterdir()} == {"test_a.png", "test_b.png"}
    lines = (folder / "points.csv").read_text().splitlines()
    assert lines[0] == "source,filename,level,true_x,true_y,found_x,found_y,px"
    assert lines[1] == "test,b.jpg,L1/L2,128.0,40.0,137.0,40.0,9.0"
    assert len(lines) == 11
