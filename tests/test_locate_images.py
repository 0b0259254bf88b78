import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from fake_spine import SIZE
from lumbargrade.cli.app import app
from lumbargrade.competition import read_coordinate_images
from lumbargrade.config import DetectorMember, DetectorSettings
from lumbargrade.detector.model import build_detector
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import LEVELS, View
from lumbargrade.locate_images import (
    ImagePoints,
    find_disc_points,
    locate_images,
    score_points,
    whole_spine_shift,
)
from lumbargrade.plain_images import one_slice_volume
from lumbargrade.records import InvalidStudyError, ViewVolume
from lumbargrade.training.checkpoint import CONFIG, WEIGHTS, save_weights

REAL_IMAGES = Path(__file__).parents[2] / "shared" / "data" / "lumbar_coordinates"

TINY = DetectorSettings(
    encoder_depth=3, decoder_channels=(8,), heatmap_stride=4, image_size=SIZE, lstm_hidden=8
)


def truth() -> np.ndarray:
    return np.column_stack([np.full(5, 120.0), np.arange(5) * 30.0 + 50])


def test_scores_by_hand() -> None:
    found = truth()
    found[0] += [3.0, 4.0]  # 5 px: still within
    found[1] += [0.0, 29.0]  # 29 px from its own level, 1 px from the next one
    present = np.array([True, True, True, True, False])
    scores = score_points([ImagePoints(found=found, truth=truth(), present=present)])
    assert (scores.images, scores.points) == (1, 4)
    assert scores.within_5px == 0.75
    assert scores.level_correct == 0.75
    assert scores.median_px == 2.5
    assert scores.p95_px == pytest.approx(np.percentile([5, 29, 0, 0], 95))


def test_absent_levels_neither_count_nor_attract() -> None:
    points = truth()
    points[1] = np.nan
    found = truth()
    found[0] = truth()[1]  # 30 px off, where the absent level would be
    present = np.array([True, False, True, True, True])
    scores = score_points([ImagePoints(found=found, truth=points, present=present)])
    assert scores.points == 4
    assert scores.level_correct == 1 - 1 / 4  # as near to the next level's truth: not its own


def test_nothing_to_compare_with_is_an_error() -> None:
    with pytest.raises(ValueError, match="no image has a true point"):
        score_points([])


def test_an_image_is_shown_with_its_front_left_and_head_up() -> None:
    pixels = np.random.default_rng(0).uniform(1, 255, (40, 30)).astype(np.float32)
    volume = one_slice_volume(pixels, name="x")
    assert volume.slices[0].shape == (40, 30)
    position = (volume.affines[0] @ [0, 10.0, 20.0, 1.0])[:3]
    np.testing.assert_allclose(lps_to_slices(volume.affines, position)[0], [0, 10, 20], atol=1e-9)
    down, back = volume.affines[0][:3, 1], volume.affines[0][:3, 2]
    assert down[2] < 0
    assert back[1] > 0
    assert np.linalg.norm(down) * 40 == pytest.approx(290.0)


@pytest.mark.parametrize("shape", [(300, 180), (180, 300)])
def test_points_come_back_on_the_256_grid_of_the_unsquashed_image(
    shape: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "1.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)).save(path)
    pixels = np.array([[30.0 + 25 * level, 60.0 + level] for level in range(5)])  # row, column

    def answer(_: object, volumes: dict[View, ViewVolume]) -> tuple[np.ndarray, np.ndarray]:
        affine = volumes[View.SAGITTAL_T2].affines[0]
        local = np.column_stack([np.zeros(5), pixels, np.ones(5)])
        return (local @ affine.T)[:, :3], np.ones(5)

    monkeypatch.setattr("lumbargrade.locate_images.disc_landmarks", answer)
    torch.manual_seed(0)
    found = find_disc_points(path, build_detector(View.SAGITTAL_T2, TINY).eval())
    expected = pixels[:, ::-1] * 256 / np.array([shape[1], shape[0]])
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.fixture
def coordinates(tmp_path: Path) -> Path:
    folder = tmp_path / "coordinates"
    images = folder / "data" / "processed_test_jpgs"
    images.mkdir(parents=True)
    rows = ["filename,source,x,y,level,relative_x,relative_y"]
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 255, (120, 90), dtype=np.uint8)
        Image.fromarray(pixels).save(images / f"{number}.jpg")
        rows += [
            f"{number}.jpg,test,0,0,{level.value.upper().replace('_', '/')},0.5,{0.2 + 0.1 * k}"
            for k, level in enumerate(LEVELS)
        ]
    (folder / "coords_pretrain.csv").write_text("\n".join(rows) + "\n")
    return folder


def test_the_command_writes_one_json_document(
    coordinates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    member = tmp_path / "member"
    member.mkdir()
    DetectorMember(view="sagittal_t2", seed=0, detector=TINY).to_yaml(member / CONFIG)
    save_weights(build_detector(View.SAGITTAL_T2, TINY).state_dict(), member / WEIGHTS)

    view = View.SAGITTAL_T2
    folder = SimpleNamespace(detectors={view: (member,)}, image_sizes={view: (None,)})
    monkeypatch.setattr("lumbargrade.models.open_models", lambda _: folder)
    result = CliRunner().invoke(app, ["locate-images", str(coordinates), "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert list(document) == [
        "images",
        "points",
        "within_5px",
        "median_px",
        "p95_px",
        "level_correct",
    ]
    assert (document["images"], document["points"]) == (2, 10)
    told = CliRunner().invoke(app, ["locate-images", str(coordinates)])
    assert "10 points on 2 images" in told.stdout
    assert "not a medical device" in told.stdout
    drawn = CliRunner().invoke(
        app, ["locate-images", str(coordinates), "--json", "--sheet", str(tmp_path / "s.png")]
    )
    assert json.loads(drawn.stdout) == document
    assert (tmp_path / "s.png").is_file()
    assert "s.png" in drawn.stderr


@pytest.mark.skipif(not REAL_IMAGES.is_dir(), reason="needs the real coordinate images")
def test_real_images_can_be_read_and_answered() -> None:
    torch.manual_seed(0)
    detector = build_detector(View.SAGITTAL_T2, TINY).eval()
    images = read_coordinate_images(REAL_IMAGES)
    found = locate_images(images[:3], detector)
    for item in found:
        assert np.isfinite(item.found).all()
        assert (np.diff(item.found[:, 1]) != 0).all()


@pytest.mark.parametrize("levels", [0, 1, -1, 2, -2])
def test_a_shift_of_the_whole_spine_is_named_by_its_levels(levels: int) -> None:
    found = truth() + np.array([1.0, 30.0 * levels + 4.0])
    item = ImagePoints(found=found, truth=truth(), present=np.ones(5, dtype=bool))
    assert whole_spine_shift(item) == levels


def test_one_point_off_is_no_shift_and_absent_levels_do_not_hide_one() -> None:
    found = truth()
    found[2] = truth()[3]
    one = ImagePoints(found=found, truth=truth(), present=np.ones(5, dtype=bool))
    assert whole_spine_shift(one) == 0
    points = truth()
    points[0] = np.nan
    shifted = truth() + np.array([0.0, 30.0])
    present = np.array([False, True, True, True, True])
    assert whole_spine_shift(ImagePoints(found=shifted, truth=points, present=present)) == 1


def test_a_table_that_marks_no_point_is_refused_by_name(coordinates: Path, tmp_path: Path) -> None:
    header = (coordinates / "coords_pretrain.csv").read_text().split("\n")[0]
    (tmp_path / "coords_pretrain.csv").write_text(header + "\n")
    result = CliRunner().invoke(app, ["locate-images", str(tmp_path), "--json"])
    assert isinstance(result.exception, InvalidStudyError)  # ``main`` makes it exit code 3
    assert f"{tmp_path}: its table marks no point" in str(result.exception)
