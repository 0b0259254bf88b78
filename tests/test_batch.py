import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fake_dataset import break_study, write_dataset
from fake_records import MODELS_HASH, FakePredictor
from fake_studies import write_study
from lumbargrade.batch import Outcome, StudyResult, find_all_studies, grade_batch, predict_batch
from lumbargrade.competition import read_points, read_submission
from lumbargrade.dicom import StudyFiles


@pytest.fixture(autouse=True)
def quick_report(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumbargrade.batch.render_report", lambda item: item.grades.study_id)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), "101", "102")


def predict(
    predictor: FakePredictor, studies: Sequence[StudyFiles], out: Path, *, force: bool = False
) -> list[StudyResult]:
    models_hash = predictor.models_hash
    return predict_batch(lambda: predictor, studies, out, models_hash=models_hash, force=force)


def _contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_batch_writes_three_files_per_study_and_two_tables(dataset: Path, tmp_path: Path) -> None:
    results = predict(FakePredictor(), find_all_studies([dataset]), tmp_path / "out")
    assert [item.outcome for item in results] == [Outcome.DONE, Outcome.DONE]
    assert sorted(_contents(tmp_path / "out")) == [
        *(f"101/{name}" for name in ("grades.csv", "grades.json", "report.html")),
        *(f"102/{name}" for name in ("grades.csv", "grades.json", "report.html")),
        "points.csv",
        "predictions.csv",
    ]
    assert {item.series_id for item in read_points(tmp_path / "out" / "points.csv")} <= {
        *("9001", "9002", "9003"),
    }


def test_a_second_run_skips_and_leaves_equal_bytes(dataset: Path, tmp_path: Path) -> None:
    predictor, studies = FakePredictor(), find_all_studies([dataset])
    predict(predictor, studies, tmp_path)
    first = _contents(tmp_path)
    (tmp_path / "predictions.csv").unlink()
    results = predict(predictor, studies, tmp_path)
    assert [item.outcome for item in results] == [Outcome.SKIPPED, Outcome.SKIPPED]
    assert predictor.runs == 2
    assert _contents(tmp_path) == first


@dataclass(frozen=True)
class CountedLoad:
    """Notes in a folder which process loaded a predictor."""

    notes: Path

    def __call__(self) -> FakePredictor:
        (self.notes / f"{os.getpid()}-{time.monotonic_ns()}").touch()
        return FakePredictor()


def test_several_processes_write_the_same_bytes_and_load_the_models_once_each(
    tmp_path: Path,
) -> None:
    names = [str(number) for number in range(101, 107)]
    dataset = write_dataset(tmp_path / "data", *names)
    break_study(dataset, "104")
    studies = find_all_studies([dataset])
    notes = [tmp_path / f"notes{workers}" for workers in (1, 2)]
    seen: list[str] = []
    for workers, folder in enumerate(notes, start=1):
        folder.mkdir()
        results = predict_batch(
            CountedLoad(folder), [*studies, studies[0]], tmp_path / f"out{workers}",
            models_hash=MODELS_HASH, workers=workers,
            on_result=lambda item: seen.append(item.study_id),
        )  # fmt: skip
        outcomes = {item.study_id: item.outcome for item in results[:-1]}
        assert [name for name in names if outcomes[name] is Outcome.FAILED] == ["104"]
        assert "found in two places" in results[-1].error
    assert seen == [*names, "101"] * 2
    alone, shared = (
        {name: data for name, data in _contents(tmp_path / f"out{workers}").items()
         if not name.endswith("report.html")}
        for workers in (1, 2)
    )  # fmt: skip
    assert shared == alone
    processes = [path.name.split("-")[0] for path in notes[1].iterdir()]
    assert len(processes) == len(set(processes)) <= 2
    assert str(os.getpid()) not in processes


def test_models_are_loaded_once_and_only_when_a_study_needs_them(
    dataset: Path, tmp_path: Path
) -> None:
    loads = []

    def load() -> FakePredictor:
        loads.append("loaded")
        return FakePredictor()

    studies = find_all_studies([dataset])
    for _ in range(2):
        predict_batch(load, studies, tmp_path, models_hash=MODELS_HASH)
    assert len(loads) == 1


def test_force_predicts_again(dataset: Path, tmp_path: Path) -> None:
    predictor, studies = FakePredictor(), find_all_studies([dataset])
    predict(predictor, studies, tmp_path)
    results = predict(predictor, studies, tmp_path, force=True)
    assert [item.outcome for item in results] == [Outcome.DONE, Outcome.DONE]
    assert predictor.runs == 4


def test_other_models_predict_again(dataset: Path, tmp_path: Path) -> None:
    studies = find_all_studies([dataset])
    predict(FakePredictor(), studies, tmp_path)
    results = predict(FakePredictor(models_hash="other"), studies, tmp_path)
    assert [item.outcome for item in results] == [Outcome.DONE, Outcome.DONE]


def test_two_folders_get_equal_bytes_whatever_the_order(dataset: Path, tmp_path: Path) -> None:
    studies = find_all_studies([dataset])
    predict(FakePredictor(), studies, tmp_path / "a")
    predict(FakePredictor(), studies[::-1], tmp_path / "elsewhere" / "b")
    assert _contents(tmp_path / "a") == _contents(tmp_path / "elsewhere" / "b")


def test_a_bad_study_leaves_nothing_and_stops_no_other(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "101", "102", "103")
    break_study(dataset, "102")
    results = predict(FakePredictor(), find_all_studies([dataset]), tmp_path / "out")
    outcomes = {item.study_id: item.outcome for item in results}
    assert outcomes == {"101": Outcome.DONE, "102": Outcome.FAILED, "103": Outcome.DONE}
    assert "102" in results[1].error
    assert ".dcm" in results[1].error
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("101", "103", "points.csv", "predictions.csv"),
    ]
    rows = read_submission(tmp_path / "out" / "predictions.csv").row_ids
    assert {row.partition("_")[0] for row in rows} == {"101", "103"}


def test_where_every_study_fails_no_folder_is_made(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "101")
    break_study(dataset, "101")
    predict(FakePredictor(), find_all_studies([dataset]), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_paths_that_overlap_give_a_study_once(dataset: Path) -> None:
    study = dataset / "train_images" / "101"
    for paths in ([dataset, study], [study, dataset], [dataset, dataset]):
        assert sorted(item.study_id for item in find_all_studies(paths)) == ["101", "102"]


def test_one_id_in_two_datasets_fails_the_second(dataset: Path, tmp_path: Path) -> None:
    other = write_dataset(tmp_path / "other", "101")
    results = predict(FakePredictor(), find_all_studies([dataset, other]), tmp_path / "out")
    assert [item.outcome for item in results] == [Outcome.DONE, Outcome.DONE, Outcome.FAILED]
    assert "two places" in results[2].error


def test_outside_the_rsna_layout_uids_name_study_and_series(tmp_path: Path) -> None:
    write_study(tmp_path / "in")
    (result,) = predict(FakePredictor(), find_all_studies([tmp_path / "in"]), tmp_path / "o")
    assert result.study_id.startswith("2.25.")
    points = read_points(tmp_path / "o" / "points.csv")
    assert points
    assert all(point.series_id.startswith("2.25.") for point in points)


def test_grading_alone_writes_nothing(dataset: Path, tmp_path: Path) -> None:
    seen = []
    results = grade_batch(
        FakePredictor, find_all_studies([dataset]), on_result=lambda item: seen.append(item)
    )
    assert seen == results
    assert not list(tmp_path.iterdir())


def test_tables_hold_nothing_of_an_earlier_call_when_every_study_fails(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "101")
    predict(FakePredictor(), find_all_studies([dataset]), tmp_path / "out")
    break_study(dataset, "101")
    (result,) = predict(FakePredictor(), find_all_studies([dataset]), tmp_path / "out", force=True)
    assert result.outcome is Outcome.FAILED
    assert "slices cannot be decoded: 9001/" in result.error
    assert read_submission(tmp_path / "out" / "predictions.csv").row_ids == ()
    assert read_points(tmp_path / "out" / "points.csv") == ()
