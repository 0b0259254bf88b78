import subprocess
import sys

import pytest

from lumbargrade.memory import keep_big_buffers


def test_big_buffers_are_kept_where_the_library_is_glibc() -> None:
    taken = keep_big_buffers()
    if sys.platform.startswith("linux"):
        maps = subprocess.run(["ldd", "--version"], capture_output=True, text=True, check=False)
        assert taken == ("GLIBC" in maps.stdout.upper() or "GNU" in maps.stdout.upper())
    else:
        assert not taken


def test_big_buffers_are_left_alone_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_big_buffers() is False
