import os
from pathlib import Path

import pytest

from kill import DEAD_PROCESS, files_no_larger_than
from lumbargrade.atomic_files import (
    WriteError,
    append_line,
    folder_beside,
    is_partial,
    make_folder,
    partial_name,
    sweep_partial,
    write_beside,
    write_together,
)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}


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


def test_a_full_disk_is_an_error_that_names_the_file_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_beside(path, "old")
    with files_no_larger_than(1000), pytest.raises(WriteError, match=r"a\.txt cannot be written: "):
        write_beside(path, "x" * 1001)
    assert contents(tmp_path) == {"a.txt": "old"}


def test_files_that_belong_together_are_all_old_or_all_new(tmp_path: Path) -> None:
    small, large, mark = (tmp_path / name for name in ("small", "large", "mark"))
    write_together({small: "1", large: "1", mark: "1"})
    with files_no_larger_than(1000), pytest.raises(WriteError, match="large cannot be written"):
        write_together({small: "2", large: "2" * 1001, mark: "2"})
    assert contents(tmp_path) == {"small": "1", "large": "1", "mark": "1"}
    write_together({small: "3", large: "3" * 1001, mark: "3"})
    assert contents(tmp_path) == {"small": "3", "large": "3" * 1001, "mark": "3"}


def test_where_a_kill_falls_between_two_files_the_mark_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, mark = tmp_path / "first", tmp_path / "mark"
    write_together({first: "1", mark: "1"})
    replaced: list[Path] = []

    def killed(self: Path, target: Path) -> None:
        if replaced:
            raise KeyboardInterrupt
        replaced.append(target)
        os.replace(self, target)

    monkeypatch.setattr(Path, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        write_together({first: "2", mark: "2"})
    assert contents(tmp_path) == {"first": "2"}


def test_a_folder_appears_whole_or_stays_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "study"
    with folder_beside(folder) as beside:
        (beside / "a").write_text("1")
        assert not folder.exists()

    def stopped() -> None:
        with folder_beside(folder) as beside:
            (beside / "a").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert contents(folder) == {"a": "1"}
    with folder_beside(folder) as beside:
        (beside / "b").write_text("3")
    assert contents(folder) == {"b": "3"}
    assert list(tmp_path.iterdir()) == [folder]


def test_what_a_dead_process_left_goes_and_what_a_living_one_writes_stays(tmp_path: Path) -> None:
    path, folder = tmp_path / "a[1].txt", tmp_path / "study"
    dead_file = tmp_path / f".{path.name}.{DEAD_PROCESS}.partial"
    dead_folder = tmp_path / f".{folder.name}.{DEAD_PROCESS}.partial"
    living = tmp_path / f".{path.name}.{os.getppid()}.partial"
    other = tmp_path / f".b.txt.{DEAD_PROCESS}.partial"
    for left in (dead_file, living, other):
        left.write_text("half")
    dead_folder.mkdir()
    (dead_folder / "x").write_text("half")
    write_beside(path, "new")
    with folder_beside(folder) as beside:
        (beside / "x").write_text("whole")
    assert {item.name for item in tmp_path.iterdir()} == {
        *(path.name, folder.name, living.name, other.name),
    }


def test_a_line_that_does_not_fit_leaves_the_lines_before_it(tmp_path: Path) -> None:
    path = tmp_path / "lines"
    append_line(path, "x" * 900)
    with files_no_larger_than(1000), pytest.raises(WriteError, match="lines cannot be written"):
        append_line(path, "y" * 900)
    append_line(path, "z")
    assert path.read_text() == "x" * 900 + "\nz\n"


def test_a_file_in_the_way_of_a_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(WriteError, match=r"out/a cannot be written: Not a directory"):
        make_folder(tmp_path / "out" / "a")


@pytest.mark.parametrize(
    ("name", "expected"),
    [(".a.json.12.partial", True), (".study.partial", True), ("a.partial", False), (".a", False)],
)
def test_temporary_names_are_told_by_their_form(name: str, expected: bool) -> None:
    assert is_partial(name) is expected


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
