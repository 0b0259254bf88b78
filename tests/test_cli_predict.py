import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from fake_dataset import break_study, write_dataset
from fake_records import MODELS_HASH, FakePredictor
from lumbargrade.cli import app
from lumbargrade.competition import read_submission
from lumbargrade.labels import TARGETS
from lumbargrade.records import InvalidStudyError
from lumbargrade.settings import ConfigError


class FakePipeline(FakePredictor):
    """Stands where the real one would be imported, which needs weights and seconds."""

    @classmethod
    def load(
        cls, models: Path | None = None, device: str = "auto", *, threads: int | None = None
    ) -> "FakePipeline":
        if device == "cuda:7":
            raise ConfigError("device 'cuda:7' is not there")
        return cls()


@pytest.fixture(autouse=True)
def fake_pipeline(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("lumbargrade.pipeline")
    module.Pipeline = FakePipeline
    module.choose_device = lambda name: "cpu" if name == "auto" else name
    monkeypatch.setitem(sys.modules, "lumbargrade.pipeline", module)
    monkeypatch.setattr("lumbargrade.batch.render_report", lambda _: "")
    models = SimpleNamespace(hash=MODELS_HASH)
    monkeypatch.setattr("lumbargrade.models.open_models", lambda path=None: models)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), "101", "102")


def run(*words: object) -> Result:
    return CliRunner().invoke(app, [str(word) for word in words])


def test_predict_prints_the_reports_on_stdout_alone(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = run("predict", dataset, "--out", out)
    assert result.exit_code == 0, result.output
    assert result.stdout.split() == [str(out / name / "report.html") for name in ("101", "102")]
    assert "L5/S1" in result.stderr
    assert "2 done" in result.stderr


def test_predict_takes_several_paths(dataset: Path, tmp_path: Path) -> None:
    paths = [dataset / "train_images" / name for name in ("102", "101")]
    assert run("predict", *paths, "--out", tmp_path).exit_code == 0
    assert len(read_submission(tmp_path / "predictions.csv").row_ids) == 50


def test_predict_again_skips_and_force_redoes(dataset: Path, tmp_path: Path) -> None:
    run("predict", dataset, "--out", tmp_path)
    assert "2 skipped" in run("predict", dataset, "--out", tmp_path).stderr
    assert "2 done" in run("predict", dataset, "--out", tmp_path, "--force").stderr


def test_a_bad_study_is_named_and_the_exit_code_is_1(tmp_path: Path) -> None:
    dataset = write_dataset(tmp_path / "in", "101", "102")
    break_study(dataset, "101")
    result = run("predict", dataset, "--out", tmp_path / "out")
    assert result.exit_code == 1
    assert "study 101: no usable view" in result.stderr
    assert "1 done, 1 failed" in result.stderr
    document = json.loads((tmp_path / "out" / "102" / "grades.json").read_text())
    assert len(document["grades"]) == 25


def test_nothing_readable_is_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "note.txt").write_text("not an image")
    result = run("predict", tmp_path, "--out", tmp_path / "out")
    assert result.exit_code == 3
    assert "no DICOM study found" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words", [["/no/such/place", "--out", "x"], [], [".", "--out", "x", "--models", "/no/such"]]
)
def test_a_wrong_command_line_is_exit_code_2(words: list[str]) -> None:
    assert run("predict", *words).exit_code == 2


def test_a_device_that_is_not_there_is_a_settings_error(dataset: Path, tmp_path: Path) -> None:
    result = run("predict", dataset, "--out", tmp_path, "--device", "cuda:7")
    assert isinstance(result.exception, ConfigError)  # ``main`` turns it into exit code 2


def test_demo_shows_the_truth_and_keeps_its_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def write_small(out: Path, **_: object) -> None:
        made.append(out)
        write_dataset(out, "101")
        header = ",".join(["study_id", *(target.column for target in TARGETS)])
        (out / "train.csv").write_text(f"{header}\n101{',Moderate' * 20}{',' * 5}\n")

    monkeypatch.setattr("lumbargrade.phantom.dataset.write_dataset", write_small)
    for _ in range(2):
        result = run("demo", "--out", tmp_path / "demo")
        assert result.exit_code == 0, result.output
        assert result.stdout.strip() == str(tmp_path / "demo" / "101" / "report.html")
        assert "of 20 labelled grades agree" in result.stderr
    assert len(made) == 1
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        *("101", "points.csv", "predictions.csv", "study"),
    ]


def test_what_can_be_no_device_is_refused_though_nothing_is_left_to_do(
    dataset: Path, tmp_path: Path
) -> None:
    assert run("predict", dataset, "--out", tmp_path).exit_code == 0
    assert run("predict", dataset, "--out", tmp_path).exit_code == 0
    result = run("predict", dataset, "--out", tmp_path, "--device", "gpu")
    assert result.exit_code == 2
    assert "none of auto, cpu, cuda, cuda:N, mps" in " ".join(result.stderr.split())


@pytest.mark.parametrize("studies", [(), ("101", "102")])
def test_demo_refuses_images_that_it_did_not_make(tmp_path: Path, studies: tuple[str, ...]) -> None:
    (tmp_path / "study").mkdir()
    if studies:
        write_dataset(tmp_path / "study", *studies)
    result = run("demo", "--out", tmp_path)
    assert isinstance(result.exception, InvalidStudyError)
    assert f"{tmp_path / 'study'} holds {len(studies)} studies" in str(result.exception)


def test_demo_says_why_its_study_cannot_be_read(tmp_path: Path) -> None:
    write_dataset(tmp_path / "study", "101")
    break_study(tmp_path / "study", "101")
    result = run("demo", "--out", tmp_path)
    assert result.exit_code == 1
    assert "101: no usable view" in result.stderr
