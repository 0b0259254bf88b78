import os
from pathlib import Path

import pytest

from lumbargrade.atomic_files import partial_name, sweep_partial, write_beside


def test_a_file_is_replaced_as_a_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_beside(path, "old")
    write_beside(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.txt"
    write_beside(path, "old")

    def fail(*_: object) -> None:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OSError, match="no space"):
        write_beside(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_bears_a_temporary_name_is_swept_away(tmp_path: Path) -> None:
    kept = tmp_path / "member" / "weights.safetensors"
    kept.parent.mkdir()
    kept.write_text("weights")
    file = partial_name(kept)
    file.write_text("half")
    folder = partial_name(tmp_path / "study")
    folder.mkdir()
    partial_name(folder / "inner.json").write_text("half")
    assert set(sweep_partial(tmp_path)) == {file.name, folder.name}
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [kept]


def test_two_processes_never_write_under_one_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = partial_name(tmp_path / "a")
    monkeypatch.setattr(os, "getpid", lambda: 1)
    assert partial_name(tmp_path / "a") != mine
