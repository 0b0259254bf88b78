"""Files that are whole or not there, whenever the process is killed.

What must stay true: a file is written under a temporary name in its own folder and renamed into
place; what a kill leaves under such a name is never read, and swept away by whoever holds the
folder next.
"""

import os
import shutil
from pathlib import Path

PARTIAL = ".*.partial"
"""How temporary names look: hidden, with the writing process in them."""


def partial_name(path: Path) -> Path:
    """The temporary name under which this process writes a file or a folder."""
    return path.with_name(f".{path.name}.{os.getpid()}.partial")


def write_beside(path: Path, content: str | bytes) -> None:
    """Write a file under a temporary name in its own folder, then rename it into place."""
    data = content.encode() if isinstance(content, str) else content
    beside = partial_name(path)
    try:
        beside.write_bytes(data)
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


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
