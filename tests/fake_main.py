"""The command line with a stand-in for the pipeline: everything but the networks is real.

``python fake_main.py WORDS...`` behaves like ``lumbargrade WORDS...`` with models that answer at
once; :func:`run` does the same inside the tests' own process, which is quicker.
"""

import io
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest import mock

HERE = Path(__file__).resolve()


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """What a command left."""

    returncode: int
    stdout: str
    stderr: str
    """With line breaks and runs of spaces as one space: messages are wrapped to a terminal."""


def run(*words: object) -> Finished:
    """Run one command to its end."""
    from lumbargrade.cli import main

    out, err = io.StringIO(), io.StringIO()
    with (
        stand_ins(),
        own_logging(),
        mock.patch.object(sys, "argv", ["lumbargrade", *map(str, words)]),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 0
    stderr = " ".join(err.getvalue().replace("│", " ").split())
    return Finished(returncode=code, stdout=out.getvalue(), stderr=stderr)


@contextmanager
def own_logging() -> Iterator[None]:
    """Let the command set up logging as in a process of its own."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    root.handlers = []
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level


@contextmanager
def stand_ins() -> Iterator[None]:
    """Put the stand-ins where the real ones would be imported."""
    from fake_records import MODELS_HASH, FakePredictor

    class FakePipeline(FakePredictor):
        @classmethod
        def load(
            cls, models: Path | None = None, device: str = "auto", *, threads: int | None = None
        ) -> "FakePipeline":
            return cls()

    module: Any = ModuleType("lumbargrade.pipeline")
    module.Pipeline = FakePipeline
    real = sys.modules.get("lumbargrade.pipeline")
    sys.modules["lumbargrade.pipeline"] = module
    models = SimpleNamespace(hash=MODELS_HASH)
    try:
        with mock.patch("lumbargrade.models.open_models", return_value=models):
            yield
    finally:
        del sys.modules["lumbargrade.pipeline"]
        if real is not None:
            sys.modules["lumbargrade.pipeline"] = real


def command(*words: object) -> list[str]:
    """What to start for a process of its own."""
    return [sys.executable, "-W", "error", str(HERE), *map(str, words)]


def settings() -> dict[str, str]:
    """Its environment: this repository's sources come first."""
    paths = [str(HERE.parents[1] / "src"), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


if __name__ == "__main__":
    from lumbargrade.cli import main

    with stand_ins():
        main()
