"""The bundled models on a phantom study and on real images, through the command line."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from fake_studies import SHARED_DATA, series
from lumbargrade.cli import app
from lumbargrade.competition import read_coordinates, read_points
from lumbargrade.dicom.volume import RAS_TO_LPS, sagittal_slices
from lumbargrade.dicom.write_mr import derived_uid, write_mr_series
from lumbargrade.labels import LEVELS, TARGETS, View
from lumbargrade.models import bundled_models, open_models
from nifti import read_nifti

needs_real_images = pytest.mark.skipif(
    not SHARED_DATA.is_dir(), reason="the real images are not beside the repository"
)


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def grades_of(folder: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((folder / "grades.json").read_text())
    return document


def test_bundled_weights_fit_their_limits() -> None:
    sizes = [path.stat().st_size for path in bundled_models().rglob("*.safetensors")]
    assert len(sizes) >= 4
    assert sum(sizes) <= 24_000_000
    assert max(sizes) <= 15 * 2**20
    assert set(open_models().detectors) == set(View)


def test_a_phantom_study_is_graded_and_its_points_are_found(
    phantom_dataset: Path, tmp_path: Path
) -> None:
    result = run("predict", phantom_dataset / "train_images" / "102000", "--out", tmp_path)
    assert result.exit_code == 0, result.output
    document = grades_of(tmp_path / "102000")
    assert [row["condition"] for row in document["grades"]] == [t.condition for t in TARGETS]
    marked = {r.target: r for r in read_coordinates(phantom_dataset) if r.study_id == "102000"}
    found = {row.target: row for row in read_points(tmp_path / "points.csv")}
    assert found.keys() == marked.keys()
    same_series = [
        np.hypot(found[t].column - marked[t].column, found[t].row - marked[t].row)
        for t in marked
        if found[t].series_id == marked[t].series_id
    ]
    assert len(same_series) >= 20
    assert np.median(same_series) < 8


@needs_real_images
def test_a_real_t2_volume_is_graded_with_two_views_missing(tmp_path: Path) -> None:
    voxels, affine_ras = read_nifti(SHARED_DATA / "t2_lumbar_volume" / "t2_lumbar.nii.gz")
    slices = sagittal_slices(
        voxels,
        RAS_TO_LPS @ affine_ras,
        thickness_mm=4.0,
        spacing_mm=4.0,
        sop_instance_uid=lambda number: derived_uid("volume", number),
    )
    header = series("t2 sag", spacing_between_slices_mm=4.0)
    write_mr_series(tmp_path / "study", header, slices)
    result = run("predict", tmp_path / "study", "--out", tmp_path / "out")
    assert result.exit_code == 0, result.output
    document = grades_of(tmp_path / "out" / header.study_uid)
    assert document["views"]["sagittal_t2"]["slices"] == len(slices) == 9
    assert document["views"]["sagittal_t1"] is None
    assert document["views"]["axial_t2"] is None
    for row, target in zip(document["grades"], TARGETS, strict=True):
        missing = target.condition.view is not View.SAGITTAL_T2
        assert ("view_missing" in row["flags"]) == missing
        # the volume ends at L5: the lowest level alone may be placed below it
        uncovered = "level_not_covered" in row["flags"]
        assert not uncovered or (not missing and target.level is LEVELS[-1])
        assert (row["point"] is None) == (missing or uncovered)
        assert sum(row["probabilities"].values()) == pytest.approx(1.0, abs=1e-9)


@needs_real_images
def test_public_dicom_cases_are_refused_without_a_traceback(tmp_path: Path) -> None:
    result = run("predict", SHARED_DATA / "dicom_cases", "--out", tmp_path / "out")
    assert result.exit_code in (1, 3), result.output
    assert result.exception is None or isinstance(result.exception, SystemExit)
    assert not list(tmp_path.rglob("grades.json"))


@needs_real_images
@pytest.mark.slow
def test_real_mid_sagittal_slices_are_located() -> None:
    result = run("locate-images", SHARED_DATA / "lumbar_coordinates", "--json")
    assert result.exit_code == 0, result.output
    scores = json.loads(result.stdout)
    assert scores["images"] == 142
    assert scores["points"] == 710
    assert 0 <= scores["within_5px"] <= 1
