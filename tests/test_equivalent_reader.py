"""The tool that says how well a reader must measure to score as a submission does."""

import json
from pathlib import Path

import numpy as np
import pytest

from lumbargrade.metric import study_sums
from lumbargrade.phantom.label_set import ORACLE_FILE, draw_label_set
from lumbargrade.phantom.labels import label_model
from lumbargrade.phantom.streams import Stream, generator
from test_phantom_tools import tool

reader = tool("equivalent_reader")

MODEL = label_model()
STUDIES = 2000
SEEDS = range(STUDIES)


def severities() -> np.ndarray:
    drawn = np.array([generator(seed, Stream.SEVERITY).standard_normal(25) for seed in SEEDS])
    found: np.ndarray = MODEL.mean + drawn @ MODEL.severity_root.T
    return found


def test_a_reader_without_error_gives_the_best_answers() -> None:
    answers = reader.answers_of_reader(MODEL, severities(), 0.0)
    labels = draw_label_set(MODEL, studies=STUDIES, seed=0)
    np.testing.assert_allclose(answers, labels.oracle, atol=1e-9)


@pytest.mark.parametrize("tau", [0.3, 0.8])
def test_answers_of_a_reader_who_errs_by_tau_are_found_to_be_such(tau: float) -> None:
    labels = draw_label_set(MODEL, studies=STUDIES, seed=0).grades
    seen = severities() + tau * np.random.default_rng(1).standard_normal((STUDIES, 25))
    own = study_sums(labels, reader.answers_of_reader(MODEL, seen, tau))
    readers = [reader.reader_sums(MODEL, severities(), labels, each) for each in reader.TAUS]
    (found,) = reader.equivalent_tau(own, readers, np.ones((1, STUDIES)))
    assert found[:4] == pytest.approx([tau] * 4, abs=0.08)


def test_the_reader_knows_how_far_to_trust_what_he_sees() -> None:
    """Answers made for another error than the one he makes lose more."""
    labels = draw_label_set(MODEL, studies=STUDIES, seed=0).grades
    seen = severities() + 0.8 * np.random.default_rng(1).standard_normal((STUDIES, 25))
    everyone = np.ones((1, STUDIES))
    right, sure, unsure = (
        reader.losses_of(study_sums(labels, reader.answers_of_reader(MODEL, seen, tau)), everyone)
        for tau in (0.8, 0.3, 1.6)
    )
    assert right[0, 0] < sure[0, 0]
    assert right[0, 0] < unsure[0, 0]


def test_the_command_tells_the_floor_of_a_dataset(
    phantom_dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reader.main([str(phantom_dataset), str(phantom_dataset / ORACLE_FILE), "--bootstrap", "20"])
    document = json.loads(capsys.readouterr().out)
    assert document["submission"]["score"]["tau"] == pytest.approx(0.0, abs=0.01)
    assert document["reader"]["0.0"]["score"] == pytest.approx(
        document["submission"]["score"]["loss"], abs=1e-6
    )
    assert document["reader"]["1.0"]["score"] > document["reader"]["0.3"]["score"]
