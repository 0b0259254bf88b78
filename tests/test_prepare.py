import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pydicom
import pytest
from typer.testing import CliRunner

from kill import DEAD_PROCESS
from lumbargrade.cache import (
    DISC,
    LANDMARKS,
    STUDY_FILE,
    CachedStudy,
    cached_studies,
    load_cached,
    save_cached,
    sop_instances_sha256,
)
from lumbargrade.cli.app import app
from lumbargrade.competition import read_coordinates, read_truth
from lumbargrade.dicom import find_studies, read_study
from lumbargrade.labels import LEVELS, View
from lumbargrade.prepare import UNFINISHED, Outcome, prepare_dataset
from lumbargrade.prepared import prepared_cache
from lumbargrade.records import InvalidStudyError
from lumbargrade.settings import ConfigError
from lumbargrade.volumes import view_volumes


@pytest.fixture(scope="module")
def cache(phantom_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("cache")
    outcomes = prepare_dataset(phantom_dataset, out)
    assert [item.outcome for item in outcomes] == [Outcome.PREPARED] * 2
    return out


def test_prepared_volumes_equal_those_read_from_dicom(phantom_dataset: Path, cache: Path) -> None:
    files = find_studies(phantom_dataset)[0]
    read = view_volumes(read_study(files))
    cached = load_cached(cache / files.study_id)
    assert cached.volumes.keys() == read.keys()
    for view, volume in read.items():
        kept = cached.volumes[view]
        assert isinstance(kept.slices[0].base, np.memmap | np.ndarray)
        for ours, theirs in zip(kept.slices, volume.slices, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        for name in ("affines", "stack_ids", "series_index", "slice_index"):
            np.testing.assert_array_equal(getattr(kept, name), getattr(volume, name))
        numbers = [reference.instance_number for reference in cached.references[view]]
        assert len(set(numbers)) > 1


def test_pixels_stay_on_disk(cache: Path) -> None:
    pixels = load_cached(cached_studies(cache)[0]).volumes[View.SAGITTAL_T2].slices[0]
    owner: object = pixels
    while isinstance(owner, np.ndarray) and not isinstance(owner, np.memmap):
        owner = owner.base
    assert isinstance(owner, np.memmap)
    assert not pixels.flags.writeable


def test_labelled_points_come_back_at_their_pixels(phantom_dataset: Path, cache: Path) -> None:
    study = load_cached(cached_studies(cache)[0])
    rows = [row for row in read_coordinates(phantom_dataset) if row.study_id == study.study_id]
    assert len(rows) > 15
    for row in rows:
        reference = next(
            item
            for item in study.references[row.target.condition.view]
            if item.series_id == row.series_id and item.file_name == f"{row.instance_number}.dcm"
        )
        point = study.landmarks_lps_mm[row.target.index]
        local = np.linalg.solve(reference.affine, np.append(point, 1.0))
        np.testing.assert_allclose(local[:3], [0, row.row, row.column], atol=1e-6)
    labelled = {row.target.index for row in rows}
    absent = sorted(set(range(DISC)) - labelled)
    assert np.isnan(study.landmarks_lps_mm[absent]).all()


def test_disc_points_are_the_planted_ones(phantom_dataset: Path, cache: Path) -> None:
    study = load_cached(cached_studies(cache)[0])
    planted = {
        point.level: point.position_lps_mm
        for point in read_truth(phantom_dataset)
        if point.study_id == study.study_id and point.target is None
    }
    expected = np.array([planted[level] for level in LEVELS])
    np.testing.assert_array_equal(study.landmarks_lps_mm[DISC:], expected)
    assert study.landmarks_lps_mm.shape == (LANDMARKS, 3)


def test_a_second_run_keeps_what_is_there(phantom_dataset: Path, cache: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in sorted(cache.rglob("*"))}
    outcomes = prepare_dataset(phantom_dataset, cache)
    assert {item.outcome for item in outcomes} == {Outcome.KEPT}
    assert before == {path: path.stat().st_mtime_ns for path in sorted(cache.rglob("*"))}


@pytest.fixture
def one_study(phantom_dataset: Path, tmp_path: Path) -> Path:
    """A copy of one study's sagittal T2 series, with its tables."""
    dataset = tmp_path / "dataset"
    dataset.mkdir()
    for table in phantom_dataset.glob("*.csv"):
        shutil.copy(table, dataset)
    study = sorted((phantom_dataset / "train_images").iterdir())[0]
    for series in sorted(study.iterdir()):
        if len(list(series.iterdir())) < 25:
            copy = dataset / "train_images" / study.name / series.name
            shutil.copytree(series, copy)
    return dataset


def test_a_removed_instance_makes_a_study_stale(one_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    assert prepare_dataset(one_study, out)[0].outcome is Outcome.PREPARED
    series = sorted(next((one_study / "train_images").iterdir()).iterdir())[0]
    slices = sorted(series.glob("*.dcm"), key=lambda path: int(path.stem))
    slices[-1].unlink()
    assert prepare_dataset(one_study, out)[0].outcome is Outcome.PREPARED
    assert prepare_dataset(one_study, out)[0].outcome is Outcome.KEPT


def test_changed_grades_reach_a_study_that_is_kept(one_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    before = load_cached(cached_studies(out)[0]).labels
    table = one_study / "train.csv"
    text = table.read_text()
    table.write_text(text.replace("Normal/Mild", "Severe"))
    assert prepare_dataset(one_study, out)[0].outcome is Outcome.KEPT
    after = load_cached(cached_studies(out)[0]).labels
    np.testing.assert_array_equal(after[before == 0], 2)


def test_a_cache_that_was_not_prepared_to_its_end_is_not_trained_on(
    one_study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    (out / UNFINISHED).touch()
    with pytest.raises(ConfigError, match="not prepared to its end"):
        prepared_cache(out, tmp_path / "unused")
    prepare_dataset(one_study, out)
    assert prepared_cache(out, tmp_path / "unused") == out


def test_what_a_killed_run_left_is_done_again(one_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    folder = cached_studies(out)[0]
    (folder / STUDY_FILE).write_text('{"schema": "lumbar')
    partial = out / f".{folder.name}.{DEAD_PROCESS}.partial"
    partial.mkdir()
    (partial / "sagittal_t2.npy").write_bytes(b"half")
    assert prepare_dataset(one_study, out)[0].outcome is Outcome.PREPARED
    assert not partial.exists()
    assert load_cached(folder).study_id == folder.name


def flip(path: Path, at: int) -> None:
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "name", "at_once"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "sagittal_t1.npy", True),
        (lambda path: path.write_bytes(b""), "sagittal_t2.npy", True),
        (lambda path: path.unlink(), "sagittal_t1.npy", True),
        (lambda path: path.unlink(), "checksums.json", True),
        (lambda path: path.write_text("[]"), "checksums.json", True),
        (lambda path: path.unlink(), "truth.json", True),
        (lambda path: path.unlink(), "study.json", True),
        (lambda path: flip(path, 5000), "study.json", True),
        (lambda path: flip(path, 40), "truth.json", True),
        (lambda path: flip(path, 5000), "sagittal_t2.npy", False),
    ],
)
def test_a_damaged_entry_is_noticed_named_and_made_anew(
    one_study: Path,
    tmp_path: Path,
    damage: Callable[[Path], object],
    name: str,
    at_once: bool,
) -> None:
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    folder = cached_studies(out)[0]
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    damage(folder / name)
    if at_once:
        with pytest.raises((InvalidStudyError, FileNotFoundError), match=re.escape(name)):
            load_cached(folder)
    else:  # only reading all pixels shows it
        load_cached(folder)
        assert prepare_dataset(one_study, out)[0].outcome is Outcome.KEPT
    with pytest.raises((InvalidStudyError, FileNotFoundError)):
        prepared_cache(out, tmp_path / "unused")
    (anew,) = prepare_dataset(one_study, out, verify=not at_once)
    assert anew.outcome is Outcome.PREPARED
    assert any(name in problem for problem in anew.problems)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert prepare_dataset(one_study, out, verify=True)[0].outcome is Outcome.KEPT


def test_training_on_a_dataset_makes_damaged_entries_anew(one_study: Path, tmp_path: Path) -> None:
    place = tmp_path / "run" / "prepared"
    prepared_cache(one_study, place)
    folder = cached_studies(place)[0]
    whole = (folder / "sagittal_t2.npy").read_bytes()
    flip(folder / "sagittal_t2.npy", 5000)
    prepared_cache(one_study, place)
    assert (folder / "sagittal_t2.npy").read_bytes() == whole


def test_a_study_that_left_the_dataset_is_not_trained_on(one_study: Path, tmp_path: Path) -> None:
    place = tmp_path / "run" / "prepared"
    prepared_cache(one_study, place)
    shutil.copytree(cached_studies(place)[0], place / "5")
    assert [folder.name for folder in cached_studies(prepared_cache(one_study, place))] != ["5"]
    assert len(cached_studies(place)) == 1


def series_folders(dataset: Path) -> list[Path]:
    return sorted(next((dataset / "train_images").iterdir()).iterdir())


def test_a_file_of_another_size_makes_a_study_stale(one_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    file = sorted(series_folders(one_study)[0].glob("*.dcm"))[0]
    file.write_bytes(file.read_bytes() + b"\0\0")
    assert prepare_dataset(one_study, out)[0].outcome is Outcome.PREPARED


def test_a_view_told_otherwise_makes_a_study_stale(one_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    table = one_study / "train_series_descriptions.csv"
    table.write_text(table.read_text().replace("Sagittal T1", "Sagittal T2/STIR"))
    assert prepare_dataset(one_study, out)[0].outcome is Outcome.PREPARED


def test_nothing_stays_of_a_study_that_cannot_be_read_any_more(
    one_study: Path, tmp_path: Path
) -> None:
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    for series in series_folders(one_study):
        for file in series.iterdir():
            file.write_bytes(file.read_bytes()[:1000])
    assert prepare_dataset(one_study, out)[0].outcome is Outcome.FAILED
    assert list(out.iterdir()) == []


def test_a_study_in_two_places_is_not_prepared(one_study: Path, tmp_path: Path) -> None:
    twice = tmp_path / "twice"
    for name in ("a", "b"):
        shutil.copytree(one_study, twice / name)
    (failed,) = prepare_dataset(twice, tmp_path / "cache")
    assert failed.outcome is Outcome.FAILED
    assert "two places" in failed.problems[0]


@pytest.mark.parametrize("moment", ["before files", "before checksums", "before rename", "old"])
def test_a_kill_at_any_moment_of_a_redo_leaves_no_half_entry(
    one_study: Path, tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kill runs no clean-up: simulated by a child that ends itself."""
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    folder = cached_studies(out)[0]
    whole = {path.name: path.read_bytes() for path in folder.iterdir()}
    flip(folder / "sagittal_t1.npy", 5000)
    target = {
        "before files": "cache.np.save", "before checksums": "cache.write_checksums",
        "before rename": "atomic_files.remove_folder", "old": "atomic_files.shutil.rmtree",
    }[moment]  # fmt: skip
    code = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from lumbargrade import atomic_files, cache, prepare\n"
        f"name, original = '{target}', {target}\n"
        "def kill(*arguments, **options):\n"
        "    if 'rmtree' not in name or '.old.' in str(arguments[0]):\n"
        "        os._exit(9)\n"
        "    return original(*arguments, **options)\n"
        f"{target} = kill\n"
        "prepare.prepare_dataset(Path(sys.argv[1]), Path(sys.argv[2]), verify=True)\n"
    )
    command = [sys.executable, "-c", code, str(one_study), str(out)]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 9
    assert (out / UNFINISHED).exists()
    prepare_dataset(one_study, out, verify=True)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == whole
    assert [path.name for path in out.iterdir()] == [folder.name]


def test_a_failing_study_is_reported_and_the_others_are_done(
    one_study: Path, tmp_path: Path
) -> None:
    broken = one_study / "train_images" / "1" / "2"
    broken.mkdir(parents=True)
    (broken / "1.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"broken")
    out = tmp_path / "cache"
    result = CliRunner().invoke(app, ["prepare", str(one_study), "--out", str(out)])
    assert result.exit_code == 1, result.output
    assert len(cached_studies(out)) == 1
    assert result.stdout == ""


def test_points_on_series_that_were_not_used_are_told(one_study: Path, tmp_path: Path) -> None:
    table = one_study / "train_label_coordinates.csv"
    study_id = next((one_study / "train_images").iterdir()).name
    with table.open("a") as file:
        file.write(f"{study_id},77,1,Spinal Canal Stenosis,L1/L2,10,10\n")
    (outcome,) = prepare_dataset(one_study, tmp_path / "cache")
    assert any("1 labelled points lie on slices of series 77" in text for text in outcome.problems)


IMPROVED = "coords_rsna_improved.csv"
IMPROVED_HEADER = (
    ",study_id,series_id,instance_number,condition,level,side,relative_x,relative_y,x,y"
)


def write_improved(dataset: Path, *lines: str) -> None:
    numbered = [f"{number},{line},1,1" for number, line in enumerate(lines)]
    (dataset / IMPROVED).write_text("\n".join([IMPROVED_HEADER, *numbered]) + "\n")


def test_points_that_were_marked_again_go_first(one_study: Path, tmp_path: Path) -> None:
    out = tmp_path / "cache"
    prepare_dataset(one_study, out)
    before = load_cached(cached_studies(out)[0])
    study_id = before.study_id
    marked = [row for row in read_coordinates(one_study) if row.study_id == study_id]
    rows = {row.target.column: row for row in marked}
    upper, lower = (rows[f"spinal_canal_stenosis_{level}"] for level in ("l1_l2", "l4_l5"))
    slice_of_upper = f"{study_id},{upper.series_id},{upper.instance_number}"
    slice_of_lower = f"{study_id},{lower.series_id},{lower.instance_number}"
    write_improved(
        one_study,
        f"{slice_of_upper},Spinal Canal Stenosis,L1/L2,R,0.25,0.5",
        f"{slice_of_upper},Spinal Canal Stenosis,L1/L2,L,0.1,0.1",
        f"{study_id},{upper.series_id},-1,Spinal Canal Stenosis,L2/L3,R,0.1,0.1",
        f"{study_id},77,3,Spinal Canal Stenosis,L3/L4,R,0.1,0.1",
        f"{slice_of_lower},spinal_canal_stenosis,l4_l5,R,0.5,0.25",
    )
    (outcome,) = prepare_dataset(one_study, out)
    assert outcome.outcome is Outcome.KEPT
    assert any("1 labelled points lie on slices of series 77" in text for text in outcome.problems)
    after = load_cached(out / study_id)
    for row, (x, y) in ((upper, (0.25, 0.5)), (lower, (0.5, 0.25))):
        view = row.target.condition.view
        reference = next(
            item
            for item in after.references[view]
            if item.series_id == row.series_id and item.table_number == row.instance_number
        )
        path = one_study / "train_images" / study_id / row.series_id / f"{row.instance_number}.dcm"
        header = pydicom.dcmread(path, stop_before_pixels=True)
        point = after.landmarks_lps_mm[row.target.index]
        local = np.linalg.solve(reference.affine, np.append(point, 1.0))
        np.testing.assert_allclose(local[:3], [0, y * header.Rows, x * header.Columns], atol=1e-6)
    others = np.ones(LANDMARKS, dtype=bool)
    others[[upper.target.index, lower.target.index]] = False
    np.testing.assert_array_equal(after.landmarks_lps_mm[others], before.landmarks_lps_mm[others])


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            ["1,2,3,Left Subarticular Stenosis,L1/L2,R,0.1,0.1"],
            "line 2: side R of Left Subarticular",
        ),
        (["1,2,3,Spinal Canal Stenosis,L1/L2,R,0.1,0.1"] * 2, "line 3: study 1 has spinal_canal"),
        (["1,2,3,Spinal Canal Stenosis,L1/L2,M,0.1,0.1"], "side is 'M', expected one of L, R"),
    ],
)
def test_a_second_marking_that_cannot_be_is_refused_by_line(
    lines: list[str], message: str, one_study: Path, tmp_path: Path
) -> None:
    write_improved(one_study, *lines)
    with pytest.raises(InvalidStudyError, match=message):
        prepare_dataset(one_study, tmp_path / "cache")


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudyError, match="holds no DICOM study"):
        prepare_dataset(tmp_path, tmp_path / "cache")
    with pytest.raises(FileNotFoundError, match="no prepared study"):
        cached_studies(tmp_path)


def test_saved_equals_loaded_down_to_missing_points(cache: Path, tmp_path: Path) -> None:
    study: CachedStudy = load_cached(cached_studies(cache)[1])
    save_cached(study, tmp_path / study.study_id)
    again = load_cached(tmp_path / study.study_id)
    np.testing.assert_array_equal(again.landmarks_lps_mm, study.landmarks_lps_mm)
    np.testing.assert_array_equal(again.labels, study.labels)
    for ours, theirs in zip(
        again.references[View.AXIAL_T2], study.references[View.AXIAL_T2], strict=True
    ):
        np.testing.assert_array_equal(ours.affine, theirs.affine)
        assert ours.sop_instance_uid == theirs.sop_instance_uid


def test_a_cache_of_another_version_is_refused(cache: Path, tmp_path: Path) -> None:
    folder = tmp_path / "1"
    shutil.copytree(cached_studies(cache)[0], folder)
    document = json.loads((folder / STUDY_FILE).read_text())
    document["schema"] = "lumbargrade/prepared/0"
    (folder / STUDY_FILE).write_text(json.dumps(document))
    with pytest.raises(ValueError, match="prepared/2, found lumbargrade/prepared/0"):
        load_cached(folder)


def test_the_order_of_instances_does_not_change_their_name() -> None:
    assert sop_instances_sha256(["b", "a", "a"]) == sop_instances_sha256(["a", "b"])
    assert sop_instances_sha256(["a"]) != sop_instances_sha256(["a", "b"])
