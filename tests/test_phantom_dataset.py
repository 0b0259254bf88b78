"""Phantom studies as files: layout, truth on the slices, and independence from workers."""

from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK

from lumbargrade.competition import (
    read_coordinates,
    read_labels,
    read_series_descriptions,
    read_truth,
)
from lumbargrade.dicom.read import read_study
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import MISSING_GRADE, TARGETS, View
from lumbargrade.phantom.dataset import Pitfalls, write_dataset, write_labels
from lumbargrade.phantom.pitfalls import MarkedPoint, add_pitfalls
from lumbargrade.phantom.study import StudyProfile
from lumbargrade.settings import ConfigError


def hashes(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.dcm"))
    }


def test_the_study_of_a_seed_is_the_same_alone_and_among_others(
    phantom_dataset: Path, tmp_path: Path
) -> None:
    write_dataset(tmp_path, studies=1, seed=2001, workers=1)
    together, alone = phantom_dataset / "train_images/102001", tmp_path / "train_images/102001"
    assert hashes(alone) == hashes(together)
    rows = (phantom_dataset / "oracle.csv").read_text().splitlines()
    assert (tmp_path / "oracle.csv").read_text().splitlines()[1:] == rows[26:]


def test_a_second_call_keeps_finished_studies(phantom_dataset: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in phantom_dataset.rglob("*.dcm")}
    table = (phantom_dataset / "phantom_truth.csv").read_bytes()
    write_dataset(phantom_dataset, studies=2, seed=2000)
    assert {path: path.stat().st_mtime_ns for path in phantom_dataset.rglob("*.dcm")} == before
    assert (phantom_dataset / "phantom_truth.csv").read_bytes() == table


@pytest.mark.parametrize(
    "change", [{"halo": 0.0}, {"profile": StudyProfile.HOSPITAL}, {"profile": StudyProfile.RSNA}]
)
def test_images_made_with_other_settings_are_never_given_new_labels(
    phantom_dataset: Path, change: dict[str, Any]
) -> None:
    table = (phantom_dataset / "train.csv").read_bytes()
    with pytest.raises(ConfigError, match=r"102000 holds images made with other settings"):
        write_dataset(phantom_dataset, studies=1, seed=2000, **change)
    assert (phantom_dataset / "train.csv").read_bytes() == table


def test_every_view_is_recognised_from_its_headers(phantom_dataset: Path) -> None:
    described = read_series_descriptions(phantom_dataset)
    study = read_study(phantom_dataset / "train_images/102000")
    views = {series.series_id: series.view for series in study.series}
    for row in described:
        if row.study_id == "102000":
            assert views[row.series_id] is row.view


def test_marked_points_are_the_true_ones_within_a_tenth_mm_for_simpleitk(
    phantom_dataset: Path,
) -> None:
    truth = {(t.study_id, t.target): t for t in read_truth(phantom_dataset) if t.target}
    checked = 0
    for row in read_coordinates(phantom_dataset):
        path = phantom_dataset / "train_images" / row.study_id / row.series_id
        image = SimpleITK.ReadImage(str(path / f"{row.instance_number}.dcm"))
        place = image.TransformContinuousIndexToPhysicalPoint((row.column, row.row, 0.0))
        true = truth[row.study_id, row.target]
        direction = np.array(image.GetDirection()).reshape(3, 3)[:, 2]
        in_plane = np.array(place) - true.position_lps_mm
        in_plane -= direction * (in_plane @ direction)
        assert np.linalg.norm(in_plane) < 0.1
        checked += 1
    assert checked >= 45


def test_points_lie_within_one_slice_spacing_where_covered(phantom_dataset: Path) -> None:
    study = read_study(phantom_dataset / "train_images/102000")
    slices = {
        (series.series_id, image.instance_number): image
        for series in study.series
        for image in series.slices
    }
    for true in read_truth(phantom_dataset):
        if true.study_id == "102000" and true.covered:
            image = slices[true.series_id, true.instance_number]
            distance = lps_to_slices(image.affine[None], true.position_lps_mm)[0, 0]
            assert abs(distance) <= np.linalg.norm(image.affine[:3, 0])


def test_empty_cells_are_exactly_the_uncovered_levels(phantom_dataset: Path) -> None:
    labels = read_labels(phantom_dataset)
    for true in read_truth(phantom_dataset):
        if true.target is not None:
            missing = labels[true.study_id][true.target.index] == MISSING_GRADE
            assert missing == (not true.covered)


def test_canal_points_shine_on_t2_where_the_canal_is_wide(phantom_dataset: Path) -> None:
    study = read_study(phantom_dataset / "train_images/102000")
    (series,) = study.series_of(View.SAGITTAL_T2)
    slices = {image.instance_number: image for image in series.slices}
    ratios = []
    for true in read_truth(phantom_dataset):
        wide = true.target in TARGETS[:5] and (true.measure or 0) > 150
        if true.study_id == "102000" and wide:
            image = slices[true.instance_number]
            _, row, column = lps_to_slices(image.affine[None], true.position_lps_mm)[0]
            patch = image.pixels[int(row) - 2 : int(row) + 3, int(column) - 2 : int(column) + 3]
            ratios.append(float(patch.mean() / np.median(image.pixels[image.pixels > 20])))
    assert ratios
    assert min(ratios) > 1.5


def test_labels_only_writes_three_tables(tmp_path: Path) -> None:
    write_labels(tmp_path, studies=30, seed=7)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "oracle.csv",
        "oracle_probability.csv",
        "train.csv",
    ]
    assert min(read_labels(tmp_path)["100007"]) >= 0


def test_pitfalls_touch_training_seeds_only_unless_asked() -> None:
    assert Pitfalls.AUTO.apply_to(999)
    assert not Pitfalls.AUTO.apply_to(1000)
    assert Pitfalls.ON.apply_to(2000)
    assert not Pitfalls.OFF.apply_to(0)


def test_pitfalls_jitter_points_by_a_pixel_and_a_half() -> None:
    points = tuple(
        MarkedPoint(target=t, series_id="1", instance_number=5, column=100.0, row=50.0)
        for t in TARGETS
    )
    columns = [
        p.column for seed in range(200) for p in add_pitfalls(seed, points, {"1": range(1, 10)})
    ]
    assert np.std(columns) == pytest.approx(1.5, abs=0.1)
    numbers = {
        p.instance_number for s in range(50) for p in add_pitfalls(s, points, {"1": range(1, 6)})
    }
    assert numbers == {4, 5}
