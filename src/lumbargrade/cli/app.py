"""The typer application and its commands."""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from lumbargrade.atomic_files import WriteError
from lumbargrade.records import InvalidStudyError
from lumbargrade.settings import ConfigError
from lumbargrade.steps import StepsFailedError

EXIT_SOME_FAILED = 1
EXIT_USAGE = 2
EXIT_NOTHING_READABLE = 3

app = typer.Typer(
    name="lumbargrade",
    help="Finds 25 points in a lumbar-spine MRI study and grades the narrowing at each of them. "
    "Research software, not a medical device.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

stderr = Console(stderr=True)

DISCLAIMER = "research use only, not a medical device"
"""Wherever a person reads a result in a terminal."""


@app.callback()
def group() -> None:
    """Make the application a group of commands, however many there are."""


def main() -> None:
    """Run the command line; bad data and settings become one message, bugs keep a traceback."""
    logging.basicConfig(
        level=logging.INFO,
        format="%(message)s",
        handlers=[RichHandler(console=stderr, show_time=False, show_path=False)],
    )
    try:
        app()
    except ConfigError as error:
        stderr.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(EXIT_USAGE)
    except WriteError as error:
        stderr.print(
            f"{error}; what was finished stays, the same command goes on",
            style="red",
            markup=False,
            soft_wrap=True,
        )
        sys.exit(EXIT_SOME_FAILED)
    except StepsFailedError as error:
        stderr.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(EXIT_SOME_FAILED)
    except (InvalidStudyError, FileNotFoundError) as error:
        stderr.print(str(error), style="red", markup=False, soft_wrap=True)
        sys.exit(EXIT_NOTHING_READABLE)


@contextmanager
def progress_bar(title: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a progress bar on stderr; the value is called once per finished item."""
    columns = (TextColumn(title), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=stderr) as progress:
        task = progress.add_task(title, total=total)
        yield lambda: progress.advance(task)
