"""A full disk or a kill leaves no half of a file, and the same command afterwards completes."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from conftest import PHANTOM_SEED
from fake_dataset import write_dataset
from fake_main import command, run, settings
from kill import files_no_larger_than
from lumbargrade.atomic_files import is_partial

AS_THE_FIXTURE = ("--studies", "2", "--seed", PHANTOM_SEED)


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def whole(folder: Path) -> dict[str, bytes]:
    """What is there under its own name."""
    return {
        name: content
        for name, content in contents(folder).items()
        if not any(is_partial(part) for part in Path(name).parts)
    }


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_dataset(tmp_path_factory.mktemp("dataset"), "101", "102", "103")


@pytest.fixture(scope="module")
def predicted(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("predicted")
    assert run("predict", dataset, "--out", out).returncode == 0
    return contents(out)


# Full disks --------------------------------------------------------------------------------------


def test_predict_on_a_full_disk_names_the_file_and_goes_on_later(
    dataset: Path, predicted: dict[str, bytes], tmp_path: Path
) -> None:
    largest = max(len(content) for content in predicted.values())
    with files_no_larger_than(largest - 1):
        result = run("predict", dataset, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "report.html cannot be written: File too large; what was finished stays" in result.stderr
    left = contents(tmp_path / "out")
    assert left == {path: predicted[path] for path in left}
    assert run("predict", dataset, "--out", tmp_path / "out").returncode == 0
    assert contents(tmp_path / "out") == predicted


def test_a_full_disk_costs_no_finished_study(
    dataset: Path, predicted: dict[str, bytes], tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("predict", dataset, "--out", out).returncode == 0
    with files_no_larger_than(1000):
        result = run("predict", dataset, "--out", out, "--force")
    assert result.returncode == 1
    assert contents(out) == predicted


@pytest.mark.parametrize(
    ("words", "file"),
    [(("submit", "--out", "s.csv"), "s.csv"), (("prepare", "--out", "cache"), "sagittal_t2.npy")],
)
def test_other_commands_on_a_full_disk_name_the_file_and_leave_nothing_half(
    dataset: Path, tmp_path: Path, words: tuple[str, ...], file: str
) -> None:
    name, option, out = words
    with files_no_larger_than(1500):
        result = run(name, dataset, option, tmp_path / out)
    assert result.returncode == 1
    assert f"{file} cannot be written: File too large" in result.stderr
    assert not [path for path in tmp_path.rglob("*") if file in path.name]
    assert run(name, dataset, option, tmp_path / out).returncode == 0
    assert [path for path in tmp_path.rglob("*") if path.name == file]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 64 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(disk)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no small disk can be mounted here")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_is_really_full_is_named(
    dataset: Path, predicted: dict[str, bytes], small_disk: Path
) -> None:
    result = run("predict", dataset, "--out", small_disk / "out")
    assert result.returncode == 1
    assert "report.html cannot be written: No space left on device" in result.stderr
    left = contents(small_disk / "out")
    assert left == {path: predicted[path] for path in left}


# Kills -------------------------------------------------------------------------------------------


def kill_after(words: list[str], appeared: Path, seconds: float) -> None:
    """Start a command and kill it some time after a folder appeared, unless it ended by then."""
    with subprocess.Popen(
        words, env=settings(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not appeared.exists() and process.poll() is None:
            time.sleep(0.002)
        time.sleep(seconds)
        os.kill(process.pid, signal.SIGKILL)


def test_predict_killed_at_any_moment_leaves_whole_files_and_completes(
    dataset: Path, predicted: dict[str, bytes], tmp_path: Path
) -> None:
    rng = np.random.default_rng(3)
    out = tmp_path / "out"
    words = command("predict", dataset, "--out", out, "--force")
    for _ in range(4):
        kill_after(words, out / "101", rng.uniform(0, 0.5))
        left = whole(out)
        assert left == {path: predicted[path] for path in left}
    (out / "101" / ".grades.json.4194305.partial").write_bytes(b"half")
    assert run("predict", dataset, "--out", out, "--force").returncode == 0
    assert contents(out) == predicted


@pytest.mark.slow
def test_phantom_killed_at_any_moment_leaves_whole_studies_and_completes(
    phantom_dataset: Path, tmp_path: Path
) -> None:
    rng = np.random.default_rng(4)
    words = command("phantom", tmp_path / "out", *AS_THE_FIXTURE)
    expected = contents(phantom_dataset)
    for _ in range(3):
        kill_after(words, tmp_path / "out" / "train_images", rng.uniform(0, 3))
        left = whole(tmp_path / "out")
        assert left == {path: expected[path] for path in left}
    assert run(*words[4:]).returncode == 0
    assert contents(tmp_path / "out") == expected


@pytest.mark.slow
def test_phantom_on_a_full_disk_names_the_file_and_completes_later(
    phantom_dataset: Path, tmp_path: Path
) -> None:
    words = ("phantom", tmp_path / "out", *AS_THE_FIXTURE)
    with files_no_larger_than(10_000):
        result = run(*words)
    assert result.returncode == 1
    assert ".dcm cannot be written: File too large" in result.stderr
    assert contents(tmp_path / "out") == {}
    assert run(*words).returncode == 0
    assert contents(tmp_path / "out") == contents(phantom_dataset)
