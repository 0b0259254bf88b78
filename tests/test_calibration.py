from pathlib import Path

import numpy as np
import pytest

from lumbargrade.calibration import Calibration, apply_calibration, fit_calibration
from lumbargrade.labels import MISSING_GRADE
from lumbargrade.metric import FAMILY_INDEX


def random_answers(studies: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """True probabilities, and labels drawn from them."""
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 1.5, (studies, 25, 3))
    p = np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    labels = (rng.random((studies, 25, 1)) > p.cumsum(-1)).sum(-1)
    sharper = p**sharpness
    return labels, sharper / sharper.sum(-1, keepdims=True)


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 2.0])
def test_temperature_undoes_a_known_sharpening(sharpness: float) -> None:
    labels, answers = random_answers(1000, sharpness)
    calibration = fit_calibration(labels, answers)
    for temperature in (calibration.spinal, calibration.foraminal, calibration.subarticular):
        assert temperature == pytest.approx(sharpness, rel=0.08)


def test_each_family_gets_its_own_temperature() -> None:
    labels, sharp = random_answers(1000, 2.0)
    _, plain = random_answers(1000, 1.0)
    answers = np.where((FAMILY_INDEX == 0)[:, None], sharp, plain)
    calibration = fit_calibration(labels, answers)
    assert calibration.spinal == pytest.approx(2.0, rel=0.08)
    assert calibration.foraminal == pytest.approx(1.0, rel=0.08)


def test_missing_labels_have_no_influence() -> None:
    labels, answers = random_answers(50, 1.5)
    labels[::2, 3:20] = MISSING_GRADE
    changed = np.where((labels == MISSING_GRADE)[..., None], [0.98, 0.01, 0.01], answers)
    assert fit_calibration(labels, answers) == fit_calibration(labels, changed)


def test_a_family_without_labels_keeps_its_answers() -> None:
    labels, answers = random_answers(50, 2.0)
    labels[:, FAMILY_INDEX == 2] = MISSING_GRADE
    assert fit_calibration(labels, answers).subarticular == 1.0


def test_calibration_keeps_row_sums_and_the_likeliest_grade() -> None:
    _, answers = random_answers(20, 1.0)
    calibrated = apply_calibration(Calibration(spinal=3.0, foraminal=0.3), answers)
    np.testing.assert_allclose(calibrated.sum(-1), 1.0, atol=1e-12)
    np.testing.assert_array_equal(calibrated.argmax(-1), answers.argmax(-1))


def test_temperature_two_takes_the_square_root() -> None:
    answers = np.tile([0.64, 0.32, 0.04], (25, 1))
    expected = np.sqrt([0.64, 0.32, 0.04]) / np.sqrt([0.64, 0.32, 0.04]).sum()
    calibrated = apply_calibration(Calibration(spinal=2.0), answers)
    np.testing.assert_allclose(calibrated[0], expected)
    np.testing.assert_allclose(calibrated[5:], answers[5:])


def test_calibration_is_read_back_from_yaml(tmp_path: Path) -> None:
    calibration = Calibration(spinal=1.2345678901234567)
    calibration.to_yaml(tmp_path / "calibration.yaml")
    assert Calibration.from_yaml(tmp_path / "calibration.yaml") == calibration
