"""Submissions that lose no row, and how long they will take."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from fake_dataset import write_dataset
from fake_records import WITHOUT_IMAGES, FakePredictor
from lumbargrade.batch import find_all_studies
from lumbargrade.competition import read_labels, read_submission
from lumbargrade.metric import competition_metric, weighted_prior
from lumbargrade.phantom.dataset import write_labels
from lumbargrade.prediction import Prediction
from lumbargrade.records import InvalidStudyError, Study
from lumbargrade.submission import Reason, submit_studies
from lumbargrade.submission_estimate import Estimate, estimate_submission, spread_over


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), "201", "202", "203", split="test")


class FaultyPredictor(FakePredictor):
    """Raises at one study, or answers it with numbers that are none."""

    def __init__(self, fault: BaseException | None) -> None:
        super().__init__()
        self.fault = fault

    def run(self, study: Study) -> Prediction:
        if study.study_id != "202":
            return super().run(study)
        if self.fault is not None:
            raise self.fault
        prediction = super().run(study)
        nothing = np.full((25, 3), np.nan)
        return replace(prediction, grades=replace(prediction.grades, metric_probabilities=nothing))


def fallen_back(table: Path) -> set[str]:
    read = read_submission(table)
    assert len(read.row_ids) == 75
    assert np.isfinite(read.probabilities).all()
    return {
        row_id.partition("_")[0]
        for row_id, row in zip(read.row_ids, read.probabilities, strict=True)
        if tuple(row) == WITHOUT_IMAGES
    }


@pytest.mark.parametrize(
    ("fault", "detail"),
    [
        (RuntimeError("CUDA out of memory"), "RuntimeError: CUDA out of memory"),
        (MemoryError("of the machine"), "MemoryError: of the machine"),
        (IndexError("3"), "IndexError: 3"),
        (None, "not finite"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else None,
)
def test_a_fault_costs_one_study_alone(
    dataset: Path, tmp_path: Path, fault: Exception | None, detail: str
) -> None:
    out = tmp_path / "s.csv"
    found = submit_studies(FaultyPredictor(fault), find_all_studies([dataset]), [], out)
    assert fallen_back(out) == {"202"}
    assert (found.graded, found.studies) == (2, 3)
    failed = [item for item in found.fall_backs if item.reason is Reason.STUDY_FAILED]
    assert {item.study_id for item in failed} == {"202"}
    assert all(detail in item.detail for item in failed)


@pytest.mark.parametrize("fault", [KeyboardInterrupt(), TypeError("a bug")])
def test_what_ends_the_call_leaves_all_rows(
    dataset: Path, tmp_path: Path, fault: BaseException
) -> None:
    out = tmp_path / "s.csv"
    with pytest.raises(type(fault)):
        submit_studies(FaultyPredictor(fault), find_all_studies([dataset]), [], out)
    assert fallen_back(out) == {"202", "203"}
    assert (
        "203_spinal_canal_stenosis_l1_l2,study_failed,not reached"
        in (tmp_path / "s_fallbacks.csv").read_text()
    )


def test_the_interval_is_that_of_a_sum_of_further_draws() -> None:
    """By hand: mean 3, sample spread 1, Student's quantile 4.3027 of 2 degrees of freedom."""
    found = Estimate(start_seconds=36.0, study_seconds=(2.0, 3.0, 4.0), failed=0, studies=1200)
    assert found.hours == pytest.approx(1.01)
    width = 4.30265 * np.sqrt(1200 + 1200**2 / 3) / 3600
    assert found.interval_hours == pytest.approx((1.01 - width, 1.01 + width), abs=1e-5)
    assert replace(found, study_seconds=(3.0,)).interval_hours is None


def test_measured_studies_are_spread_from_the_first_to_the_last() -> None:
    assert spread_over([str(index) for index in range(9)], 3) == ["0", "4", "8"]
    assert spread_over(["a", "b"], 5) == ["a", "b"]
    assert spread_over(["a", "b"], 1) == ["a"]


def test_an_estimate_grades_a_few_studies_and_one_of_them_twice(dataset: Path) -> None:
    predictor = FakePredictor()
    ids = ("201", "202", "203")
    found = estimate_submission(
        lambda: predictor, dataset / "test_images", ids, measured=2, studies=700
    )
    assert predictor.runs == 3
    assert len(found.study_seconds) == 2
    assert 0 < found.mean_seconds < 60


def test_an_estimate_without_a_readable_study_is_refused(tmp_path: Path) -> None:
    (tmp_path / "test_images" / "7").mkdir(parents=True)
    with pytest.raises(InvalidStudyError, match="none of 1 studies"):
        estimate_submission(
            FakePredictor, tmp_path / "test_images", ("7",), measured=5, studies=700
        )


def test_the_bundled_models_answer_without_images_nearly_as_the_best_constant(
    tmp_path: Path,
) -> None:
    from lumbargrade.pipeline import Pipeline

    write_labels(tmp_path, studies=500, seed=5000)
    labels = np.stack(list(read_labels(tmp_path).values()))
    constant = Pipeline.load(device="cpu").answers_without_images()
    scores = [
        competition_metric(labels, np.broadcast_to(answers, (len(labels), 25, 3))).score
        for answers in (constant, weighted_prior(labels))
    ]
    assert scores[1] <= scores[0] < scores[1] + 0.02
