import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from fake_prepared import write_prepared
from fake_spine import SIZE, arrays
from lumbargrade.cache import DISC
from lumbargrade.competition import read_coordinate_images
from lumbargrade.config import DetectorSettings, ExtraSlicesSettings, FitSettings
from lumbargrade.detector.batches import training_batches
from lumbargrade.detector.model import build_detector
from lumbargrade.detector.scores import score_maps
from lumbargrade.extra_slices import folds_by_patient, read_extra_slices, slice_arrays
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import LEVELS, View
from lumbargrade.locate_images import find_disc_points
from lumbargrade.recipe import run_recipe
from lumbargrade.records import InvalidStudyError
from lumbargrade.settings import ConfigError
from lumbargrade.volumes import SquareVolume
from test_recipe import TINY

SETTINGS = DetectorSettings(
    image_size=SIZE,
    train_slices=6,
    one_slice_probability=0.0,
    extra_slices=ExtraSlicesSettings(per_batch=3),
    fit=FitSettings(batch_size=2),
)


def write_slices(folder: Path, images: int, *, shape: tuple[int, int] = (120, 90)) -> Path:
    """A coordinate dataset; its first image lacks L1/L2. A bright disc marks every point."""
    place = folder / "data" / "processed_test_jpgs"
    place.mkdir(parents=True)
    rows = ["filename,source,x,y,level,relative_x,relative_y"]
    row, column = np.mgrid[: shape[0], : shape[1]]
    for number in range(images):
        pixels = np.random.default_rng(number).uniform(20, 90, shape)
        for index, level in enumerate(LEVELS):
            if number == 0 and index == 0:
                continue
            x, y = 0.5 + 0.02 * index, 0.2 + 0.13 * index
            distance = np.hypot(column - x * shape[1], row - y * shape[0])
            pixels[distance < max(shape) / 35] = 250
            name = level.value.upper().replace("_", "/")
            rows.append(f"{number}_t2.png,test,0,0,{name},{x},{y}")
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{number}_t2.png")
    (folder / "coords_pretrain.csv").write_text("\n".join(rows) + "\n")
    return folder


@pytest.mark.parametrize("shape", [(120, 90), (90, 120), (200, 200)])
def test_points_lie_on_their_pixels_after_the_slice_was_made_square(
    shape: tuple[int, int], tmp_path: Path
) -> None:
    image = read_coordinate_images(write_slices(tmp_path, 2, shape=shape))[1]
    view = slice_arrays(image, 96)
    assert np.isnan(view.landmarks_lps_mm[:DISC]).all()
    bright = view.pixels[0] > 150
    for point in view.landmarks_lps_mm[DISC:]:
        _, row, column = lps_to_slices(view.affines, point)[0]
        near = np.hypot(*(np.indices(bright.shape) - np.array([row, column])[:, None, None])) < 4
        rows, columns = np.nonzero(bright & near)
        assert abs(rows.mean() - row) < 0.6
        assert abs(columns.mean() - column) < 0.6


def test_training_and_finding_see_the_same_square(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[SquareVolume] = []

    def spy(detector, square, stack_ids, levels):  # type: ignore[no-untyped-def]
        seen.append(square)
        return score_maps(detector, square, stack_ids, levels)

    monkeypatch.setattr("lumbargrade.detector.one_view.score_maps", spy)
    image = read_coordinate_images(write_slices(tmp_path, 1))[0]
    find_disc_points(image.path, build_detector(View.SAGITTAL_T2, TINY.sagittal_t2).eval())
    trained_on = slice_arrays(image, TINY.sagittal_t2.image_size)
    np.testing.assert_array_equal(seen[0].pixels, trained_on.pixels)
    np.testing.assert_allclose(seen[0].affines, trained_on.affines)


def test_each_batch_has_its_extra_slices_which_teach_marked_disc_points_alone(
    tmp_path: Path,
) -> None:
    extra = read_extra_slices(write_slices(tmp_path, 4), SETTINGS.extra_slices).arrays(SIZE)
    studies = [arrays(View.SAGITTAL_T2, study_id) for study_id in ("1", "2", "3", "4")]
    batches = list(training_batches(studies, SETTINGS, seed=0, epoch=0, extra=extra))
    assert [len(batch.lengths) for batch in batches] == [5, 5]
    assert all(batch.lengths[2:].tolist() == [1, 1, 1] for batch in batches)
    known = torch.cat([batch.heatmap_known[-3:] for batch in batches])
    assert float(known[:, :5].sum()) == 0  # canal points
    assert int((known[:, 5] == 0).sum()) >= 1  # the slice without L1/L2 comes round once or twice
    assert int((known[:, 6:] == 1).sum()) >= 20
    pointers = torch.cat([batch.weights_known[-3:] for batch in batches])
    assert float(pointers[:, :5].sum()) == 0
    again = list(training_batches(studies, SETTINGS, seed=0, epoch=0, extra=extra[::-1]))
    for first, second in zip(batches, again, strict=True):
        assert torch.equal(first.images, second.images)
    assert not torch.equal(batches[0].images[-3:], batches[1].images[-3:])


def test_all_extra_slices_have_their_turn_before_one_comes_again(tmp_path: Path) -> None:
    extra = read_extra_slices(write_slices(tmp_path, 6), SETTINGS.extra_slices).arrays(SIZE)
    plain = SETTINGS.model_copy(
        update={
            "augment": SETTINGS.augment.model_copy(
                update={name: 0.0 for name in type(SETTINGS.augment).model_fields
                        if name.endswith("_probability")}
            )
        }
    )  # fmt: skip
    studies = [arrays(View.SAGITTAL_T2, study_id) for study_id in ("1", "2", "3", "4")]
    batches = list(training_batches(studies, plain, seed=0, epoch=0, extra=extra))
    shown = torch.cat([batch.images[-3:, 0] for batch in batches])
    assert len({image.numpy().tobytes() for image in shown}) == 6


def test_folds_share_no_patient_and_are_of_equal_size(tmp_path: Path) -> None:
    folder = write_slices(tmp_path, 10)
    images = read_coordinate_images(folder)
    folds = folds_by_patient([*images, *images], 5)
    assert folds[:10] == folds[10:]
    assert sorted(folds[:10]) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    assert folds_by_patient(images[::-1], 5) == folds[:10][::-1]
    kept = read_extra_slices(folder, ExtraSlicesSettings(held_out_fold=2))
    assert {image.path.name for image in kept.images} == {
        image.path.name for image, fold in zip(images, folds[:10], strict=True) if fold != 2
    }
    assert kept.sha256 != read_extra_slices(folder, ExtraSlicesSettings()).sha256


def test_a_fold_that_is_not_there_and_an_unreadable_image_are_refused(tmp_path: Path) -> None:
    folder = write_slices(tmp_path, 2)
    with pytest.raises(ConfigError, match="the folds are 0 to 4"):
        read_extra_slices(folder, ExtraSlicesSettings(held_out_fold=5))
    (folder / "data" / "processed_test_jpgs" / "1_t2.png").write_bytes(b"no image")
    with pytest.raises(InvalidStudyError, match=r"1_t2\.png: no image"):
        read_extra_slices(folder, ExtraSlicesSettings()).arrays(64)


def test_a_run_with_slices_says_so_and_goes_on_with_the_same_slices_only(tmp_path: Path) -> None:
    cache = write_prepared(tmp_path / "prepared", 10)
    slices = write_slices(tmp_path / "slices", 3)
    recipe = TINY.model_copy(
        update={
            "sagittal_t2": TINY.sagittal_t2.model_copy(
                update={"extra_slices": ExtraSlicesSettings(per_batch=1, licence="CC BY 4.0")}
            )
        }
    )
    run_recipe(recipe, cache, tmp_path / "run", extra_slices=slices, device="cpu")
    facts = json.loads((tmp_path / "run" / "manifest.json").read_text())["training_data"]
    assert facts["licence"] == "Apache-2.0; CC BY 4.0"
    used = read_extra_slices(slices, recipe.sagittal_t2.extra_slices)
    assert facts["extra_slices"] == {"licence": "CC BY 4.0", "sha256": used.sha256, "slices": 3}
    with pytest.raises(ConfigError, match="other data"):
        run_recipe(recipe, cache, tmp_path / "run", device="cpu")
    run_recipe(recipe, cache, tmp_path / "plain", device="cpu")
    weights = "members/detector_{}/fold0/weights.safetensors"
    with_slices, without = (
        {view: (tmp_path / name / weights.format(view.value)).read_bytes() for view in View}
        for name in ("run", "plain")
    )
    assert with_slices[View.SAGITTAL_T2] != without[View.SAGITTAL_T2]
    assert with_slices[View.SAGITTAL_T1] == without[View.SAGITTAL_T1]
