"""Files and folders that are whole or not there, whenever the process is killed.

What must stay true: a file is written under a temporary name in its own folder and renamed into
place; a failure (a full disk, say) names the file and leaves what was there before; what a kill
leaves under a temporary name is never read, and goes when its file is written again or when
whoever holds the folder sweeps it. This holds against kills; against a power cut only for what is
written as ``synced``.
"""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path

PARTIAL = ".*.partial"
"""How temporary names look: hidden, with the writing process in them."""


class WriteError(OSError):
    """A file cannot be written; names it and the system's reason."""


def is_partial(name: str) -> bool:
    """Whether a file or folder of this name is unfinished, whoever began it."""
    return fnmatchcase(name, PARTIAL)


def partial_name(path: Path) -> Path:
    """The temporary name under which this process writes a file or a folder."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def write_beside(path: Path, content: str | bytes, *, synced: bool = False) -> None:
    """Write a file under a temporary name in its own folder, then rename it into place.

    Args:
        path: its place.
        content: all of it.
        synced: wait until the content is on the disk before renaming, or a power cut could keep
            the new name and lose the content.

    Raises:
        WriteError: the system refuses; nothing changed.
    """
    write_together({path: content}, synced=synced)


def write_together(contents: Mapping[Path, str | bytes], *, synced: bool = False) -> None:
    """Write several files; none is replaced before all of them are complete.

    The last one counts as the mark of completion: it is removed before the others are replaced,
    and comes last. A kill in between leaves whole files without the mark.

    Args:
        contents: path → content, in the order in which the files shall appear.
        synced: as for :func:`write_beside`.

    Raises:
        WriteError: the system refuses; nothing changed.
    """
    beside = {path: partial_name(path) for path in contents}
    try:
        for path, content in contents.items():
            _remove_leftovers(path)
            with _naming(path):
                _write(
                    beside[path],
                    content.encode() if isinstance(content, str) else content,
                    synced=synced,
                )
        *_, last = contents
        if len(contents) > 1:
            with _naming(last):
                last.unlink(missing_ok=True)
        for path, temporary in beside.items():
            with _naming(path):
                temporary.replace(path)
    finally:
        for temporary in beside.values():
            with suppress(OSError):
                temporary.unlink()


def _write(path: Path, content: bytes, *, synced: bool) -> None:
    with path.open("wb") as file:
        file.write(content)
        if synced:
            file.flush()
            os.fsync(file.fileno())


@contextmanager
def folder_beside(folder: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name, then rename it into place, replacing what was there.

    Args:
        folder: its place.

    Yields:
        An empty folder to write into; it is removed where the block fails.

    Raises:
        WriteError: the system refuses; what was there before is untouched.
    """
    beside = partial_name(folder)
    make_folder(folder.parent)
    _remove_leftovers(folder)
    shutil.rmtree(beside, ignore_errors=True)
    make_folder(beside)
    try:
        with _naming(folder):
            yield beside
            remove_folder(folder)
            beside.replace(folder)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def remove_folder(folder: Path) -> None:
    """Remove a folder, where there is one; renamed first, so that no half of it bears its name."""
    if folder.is_dir():
        old = partial_name(folder.with_name(f"{folder.name}.old"))
        shutil.rmtree(old, ignore_errors=True)
        folder.replace(old)
        shutil.rmtree(old)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there.

    Raises:
        WriteError: the system refuses, or a file is in the way.
    """
    with _naming(folder):
        folder.mkdir(parents=True, exist_ok=True)


def append_line(path: Path, line: str) -> None:
    """Add a line to a file; where the disk is full, the file keeps the lines that it had.

    Raises:
        WriteError: the system refuses.
    """
    with _naming(path):
        size = path.stat().st_size if path.exists() else 0
        try:
            with path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        except OSError:
            os.truncate(path, size)
            raise


def sweep_partial(folder: Path) -> tuple[str, ...]:
    """Remove what killed processes left under temporary names, at any depth.

    Only for a folder into which nothing else writes.

    Returns:
        The names of what was removed.
    """
    removed = []
    for path in sorted(folder.rglob(PARTIAL), key=lambda path: len(path.parts)):
        if path.is_dir():
            shutil.rmtree(path)
        elif path.exists():
            path.unlink()
        else:  # inside a folder that is gone by now
            continue
        removed.append(path.name)
    return tuple(removed)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Turn the system's errors, which often name no file, into ones that name it."""
    try:
        yield
    except WriteError:
        raise
    except OSError as error:
        reason = error.strerror or str(error) or type(error).__name__
        raise WriteError(f"{path} cannot be written: {reason}") from error


def _remove_leftovers(path: Path) -> None:
    """Remove what killed processes left of this file or folder; those that run keep theirs."""
    prefix = f".{path.name}."
    for other in path.parent.glob(f"{escape(prefix)}*.partial"):
        process = other.name.removeprefix(prefix).removesuffix(".partial")
        if process.isdecimal() and not _runs(int(process)):
            _remove(other)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _runs(process: int) -> bool:
    """Whether a process runs on this machine; always yes on Windows, where asking would end it."""
    if os.name == "nt":
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, and is another user's
        return True
    return True
