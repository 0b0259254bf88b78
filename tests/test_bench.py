import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor
from typer.testing import CliRunner

from fake_spine import volume
from lumbargrade.bench.networks import HERE, PLAIN, Contender, flops_of, network_actions
from lumbargrade.bench.reading import read_prepared, reading_speed
from lumbargrade.bench.skipping import skipping_speeds
from lumbargrade.bench.steps import FIT, StepClock, UnvalidatedTask
from lumbargrade.bench.timing import Spread, in_turns, ratios
from lumbargrade.calibration import Calibration
from lumbargrade.cli.app import app
from lumbargrade.detector.model import build_detector
from lumbargrade.dicom import find_studies, read_study
from lumbargrade.labels import View
from lumbargrade.models import bundled_models
from lumbargrade.pipeline import Pipeline
from lumbargrade.prepare import prepare_dataset
from lumbargrade.training.loop import fit
from lumbargrade.volumes import view_volumes
from test_detector_search import decided
from test_training_loop import SumTask, small_network


def test_a_spread_is_the_median_between_the_extremes() -> None:
    assert Spread.of([5.0, 1.0, 2.0]) == Spread(median=2.0, low=1.0, high=5.0, repeats=3)


def test_measures_are_taken_in_turns_and_the_first_round_is_not_counted() -> None:
    asked: list[str] = []
    values = iter(range(100))

    def measure(name: str) -> float:
        asked.append(name)
        return float(next(values))

    found = in_turns({"a": lambda: measure("a"), "b": lambda: measure("b")}, 2)
    assert asked == ["a", "b"] * 3
    assert found == {"a": (2.0, 4.0), "b": (3.0, 5.0)}


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that slows down tenfold in the last round changes no ratio."""
    assert ratios([4.0, 4.0, 40.0], [2.0, 2.0, 20.0]) == Spread.of([2.0, 2.0, 2.0])


def test_both_ways_of_reading_end_in_the_same_pixels(phantom_dataset: Path, tmp_path: Path) -> None:
    prepare_dataset(phantom_dataset, tmp_path)
    files = find_studies(phantom_dataset)[:1]
    from_cache = read_prepared(tmp_path / files[0].study_id)
    from_dicom = view_volumes(read_study(files[0]))
    assert from_cache.keys() == from_dicom.keys()
    for view, slices in from_cache.items():
        for ours, theirs in zip(slices, from_dicom[view].slices, strict=True):
            assert (ours == theirs).all()
    speed = reading_speed(files, tmp_path, 1)
    assert speed.slices == sum(len(slices) for slices in from_cache.values())
    per_study = speed.cache_slices_per_second.median / speed.cache_studies_per_second.median
    assert per_study == pytest.approx(speed.slices)
    assert speed.cache_to_dicom.median > 1


class SlowTask(SumTask):
    """Waits 20 ms for each batch and takes 60 ms a step."""

    def batches(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        for batch in super().batches(epoch):
            time.sleep(0.02)
            yield batch

    def loss(self, model: torch.nn.Module, batch: dict[str, Tensor]) -> Tensor:
        time.sleep(0.06)
        return super().loss(model, batch)


def test_the_share_of_waiting_is_measured_in_the_real_loop(tmp_path: Path) -> None:
    clock, task = StepClock(torch.device("cpu")), UnvalidatedTask(SlowTask())
    fit(small_network(), task, FIT, tmp_path, seed=0, device="cpu", watch=clock.watch)
    speed = clock.speed(8)
    assert len(clock.steps) == 5
    assert speed.steps_per_second.repeats == 3  # the first two are not counted
    assert speed.steps_per_second.high < 1 / 0.08
    assert 0.02 / max(clock.steps) <= speed.waiting_share.median < 0.6


def test_too_few_steps_are_an_error() -> None:
    with pytest.raises(ValueError, match="more than 2 steps are needed, found 0"):
        StepClock(torch.device("cpu")).speed(8)


def test_matrix_products_are_counted_as_two_operations_a_cell_and_term() -> None:
    a = torch.ones(3, 5)
    assert flops_of(lambda: a @ a.T) == 2 * 3 * 3 * 5


def test_skipping_is_measured_for_the_detectors_that_can() -> None:
    views = (View.SAGITTAL_T2, View.AXIAL_T2)
    detectors = {view: decided(view, 0, high=True) for view in views}
    torch.manual_seed(0)
    told = detectors[View.SAGITTAL_T2].settings.model_copy(update={"pointer_peaks": True})
    detectors[View.SAGITTAL_T2] = build_detector(View.SAGITTAL_T2, told).eval()
    pipeline = Pipeline(
        detectors=(detectors,), classifiers=(), calibration=Calibration(),
        models_hash="", models_name="",
    )  # fmt: skip
    steps: list[str] = []
    speeds = skipping_speeds(
        pipeline, [{view: volume(view) for view in views}], 1, on_step=steps.append
    )
    assert list(speeds) == ["axial_t2"]
    assert len(steps) == 1
    assert 0 < speeds["axial_t2"].segmented.median < 1
    assert speeds["axial_t2"].largest_difference_mm < 1e-3
    assert speeds["axial_t2"].times_as_fast.median > 0


def test_plain_pytorch_gives_the_same_answers() -> None:
    """So that both do the same work; only layout and chunks differ."""
    slices = {View.SAGITTAL_T2: 2}
    actions = {
        kind: network_actions(
            Contender(kind=kind, models=bundled_models(), device="cpu", slices=slices, threads=1)
        )
        for kind in (HERE, PLAIN)
    }
    assert list(actions[HERE]) == ["sagittal_t2", "classifier"]
    with torch.inference_mode():
        for name, here in actions[HERE].items():
            torch.testing.assert_close(here(), actions[PLAIN][name](), atol=1e-3, rtol=1e-3)


@pytest.mark.slow
def test_bench_prints_one_document(phantom_dataset: Path) -> None:
    command = ["bench", "--json", "--data", str(phantom_dataset), "--studies", "1"]
    result = CliRunner().invoke(app, [*command, "--repeats", "1", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["schema"] == "lumbargrade/bench/1"
    assert set(document) == {
        "schema", "machine", "reading", "predict", "skipping", "networks", "training",
    }  # fmt: skip
    assert document["skipping"] == {}  # the bundled pointers are told heatmaps' peaks
    assert document["machine"]["device"] == "cpu"
    stages = list(document["predict"]["stages"])
    assert stages == [
        "read", "volumes", "detect sagittal_t2", "detect sagittal_t1", "detect axial_t2",
        "crop", "classify", "report",
    ]  # fmt: skip
    names = {"sagittal_t2", "sagittal_t1", "axial_t2", "classifier"}
    assert set(document["networks"]["networks"]) == names
    for network in document["networks"]["networks"].values():
        assert 0 < network["share_of_matrix_rate"]["median"] < 1.5
        assert network["largest_difference"] < 1e-2
    assert set(document["training"]) == names
