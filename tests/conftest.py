"""Fixtures made of phantom studies, shared by all tests."""

from pathlib import Path

import pytest
from hypothesis import settings

import shape_checks  # noqa: F401  # before anything imports the package
from fake_studies import series, slices
from lumbargrade import timm_import  # noqa: F401  # before a test imports timm
from lumbargrade.dicom.write_mr import write_mr_series
from lumbargrade.phantom.dataset import write_dataset

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")  # the same examples every time, on a busy machine too

PHANTOM_SEED = 2000


@pytest.fixture(scope="session")
def phantom_dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two phantom studies of the test split, in the competition's layout."""
    out = tmp_path_factory.mktemp("phantom")
    write_dataset(out, studies=2, seed=PHANTOM_SEED, workers=2)
    return out


@pytest.fixture
def sagittal(tmp_path: Path) -> Path:
    """A folder with one sagittal T2 series of 12 slices."""
    write_mr_series(tmp_path / "study", series(), slices())
    return tmp_path / "study"
