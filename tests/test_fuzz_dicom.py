"""A sample of damaged files is read as documented, and the judge would see if it were not."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import fuzz_judge
from fake_studies import series, slices
from fuzz_bases import BaseStudy
from fuzz_dicom import Worker
from fuzz_judge import AS_TAGGED, FAULT, IGNORED, LEFT_OUT, UNCHANGED, judge, truth_of
from fuzz_mutations import MUTATIONS, TAGS, Mutation, encode, find_element
from lumbargrade.dicom.write_mr import write_mr_series

SCRIPT = Path(__file__).with_name("fuzz_dicom.py")
DAMAGED = Path("study", "4.dcm")


@pytest.fixture
def study(tmp_path: Path) -> Path:
    write_mr_series(tmp_path / "study", series(), slices())
    return tmp_path


def test_two_hundred_damaged_files_end_as_documented() -> None:
    command = [sys.executable, str(SCRIPT), "--count", "200", "--seed", "7", "--no-phantoms"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout + finished.stderr
    counts = [int(count) for count in re.findall(r"^ *(\d+)  ", finished.stdout, re.MULTILINE)]
    assert sum(counts) == 200
    assert counts[-1] == 0  # faults
    assert counts[0] > 20  # the damage is not always fatal
    assert counts[2] + counts[3] > 50  # nor always harmless


@pytest.mark.slow
def test_five_thousand_damaged_files_end_as_documented() -> None:
    command = [sys.executable, str(SCRIPT), "--count", "5000", "--seed", "1"]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    assert finished.returncode == 0, finished.stdout


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.__name__)
def test_every_mutation_changes_most_files_and_repeats_by_its_seed(
    study: Path, mutation: Mutation
) -> None:
    raw = (study / DAMAGED).read_bytes()
    first = [mutation(raw, np.random.default_rng(seed)) for seed in range(30)]
    again = [mutation(raw, np.random.default_rng(seed)) for seed in range(30)]
    assert first == again
    assert sum(changed != raw for changed in first) >= 10


def test_the_judge_tells_outcomes_apart(study: Path) -> None:
    truth = truth_of(study)
    raw = (study / DAMAGED).read_bytes()
    assert judge(study, DAMAGED, truth)[0] == UNCHANGED

    found = find_element(raw, TAGS["PixelSpacing"], np.random.default_rng(0))
    assert found is not None
    finer = encode(TAGS["PixelSpacing"], b"DS", b"5.0\\4.0")
    (study / DAMAGED).write_bytes(raw[: found.start] + finer + raw[found.end :])
    assert judge(study, DAMAGED, truth)[0] == AS_TAGGED

    (study / DAMAGED).write_bytes(raw[:-900])
    assert judge(study, DAMAGED, truth)[0] == LEFT_OUT
    (study / DAMAGED).write_bytes(raw[:100])
    assert judge(study, DAMAGED, truth)[0] == IGNORED


def test_the_judge_sees_a_slice_that_stands_elsewhere(
    study: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth = truth_of(study)
    plain = fuzz_judge.plain_geometry

    def moved(path: Path, frame: int | None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        position, orientation, spacing = plain(path, frame)
        return position + np.array([0, 1e-6, 0]), orientation, spacing

    monkeypatch.setattr(fuzz_judge, "plain_geometry", moved)
    outcome, detail = judge(study, DAMAGED, truth)
    assert outcome == FAULT
    assert "stands elsewhere than its tags say" in detail


def test_the_judge_sees_pixels_of_another_shape_and_slices_lost_without_a_word(
    study: Path,
) -> None:
    truth = truth_of(study)
    key = (str(DAMAGED), None)
    other = replace(truth.slices[key], shape=(47, 40))
    outcome, detail = judge(study, DAMAGED, replace(truth, slices=truth.slices | {key: other}))
    assert (outcome, "was (47, 40)" in detail) == (FAULT, True)
    more = replace(truth, slices=truth.slices | {("study/99.dcm", None): other})
    outcome, detail = judge(study, DAMAGED, more)
    assert (outcome, "lost without a word" in detail) == (FAULT, True)


def test_a_process_that_dies_is_a_fault_and_is_replaced(study: Path) -> None:
    worker = Worker([BaseStudy(name="one", folder=study)], seed=1)
    worker.process.kill()
    worker.process.join()
    verdict = worker.ask(0)
    assert verdict.fault == "DIED: the process ended with -9"
    assert worker.ask(1).fault is None
    worker.stop()
