"""The benchmark is frozen: what a seed makes stays what it was, on any machine."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lumbargrade.phantom.dataset import write_dataset
from phantom_fingerprint import REFERENCE, SEED, fingerprint


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder: Path = tmp_path_factory.mktemp("frozen")
    write_dataset(folder, studies=1, seed=SEED)
    return fingerprint(folder)


@pytest.fixture(scope="module")
def frozen() -> dict[str, Any]:
    reference: dict[str, Any] = json.loads(REFERENCE.read_text())
    return reference


def test_labels_and_points_are_those_of_the_version(
    made: dict[str, Any], frozen: dict[str, Any]
) -> None:
    assert made["grades"] == frozen["grades"]
    np.testing.assert_allclose(made["severity"], frozen["severity"], atol=1e-4)
    np.testing.assert_allclose(made["points_lps_mm"], frozen["points_lps_mm"], atol=1e-3)


def test_images_are_those_of_the_version(made: dict[str, Any], frozen: dict[str, Any]) -> None:
    """Up to a grey level here and there, which is another library's arithmetic."""
    assert made["series"].keys() == frozen["series"].keys()
    for name, expected in frozen["series"].items():
        found = made["series"][name]
        assert (found["slices"], found["shape"]) == (expected["slices"], expected["shape"])
        np.testing.assert_allclose(found["blocks"], expected["blocks"], atol=0.05, err_msg=name)
