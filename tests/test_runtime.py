import os
import subprocess
import sys

import pytest

from lumbargrade import runtime


def test_threads_are_set_and_reported() -> None:
    import torch

    before = torch.get_num_threads()
    try:
        assert runtime.prepare_for_networks(1) == 1
        assert torch.get_num_threads() == 1
        assert runtime.prepare_for_networks() == 1
    finally:
        torch.set_num_threads(before)


def test_no_threads_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1, found 0"):
        runtime.prepare_for_networks(0)


def test_usable_cores_honour_the_process_affinity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 5, 7}, raising=False)
    assert runtime.usable_cores() == 3


def test_timm_imports_in_a_fresh_process() -> None:
    code = "import lumbargrade.timm_import, torchvision, timm; print(timm.__version__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
