"""Stopping a long command: the first signal at a good place, the second at once."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import typer

from lumbargrade.cli.app import stderr
from lumbargrade.training.stopping import Stop, Stopped

SIGNAL_EXIT = 128
"""A command that was stopped exits with this and the signal's number: 130 Ctrl-C, 143 SIGTERM."""


@contextmanager
def stopping_kindly(kept_in: Path) -> Iterator[Stop]:
    """Take Ctrl-C and SIGTERM as requests to stop, and say how to go on.

    Args:
        kept_in: where what was done is kept.
    """
    stop = Stop()

    def ask(number: int, _: FrameType | None) -> None:
        stop.ask(number)

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, ask) for number in numbers}
    try:
        yield stop
    except Stopped as stopped:
        _say(f"Stopped by {signal.Signals(stopped.signal_number).name}", kept_in)
        raise typer.Exit(SIGNAL_EXIT + stopped.signal_number) from None
    except KeyboardInterrupt:
        _say("Stopped at once", kept_in)
        raise typer.Exit(SIGNAL_EXIT + signal.SIGINT) from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _say(what: str, kept_in: Path) -> None:
    text = f"{what}. What was done is kept in {kept_in}; the same command goes on from there."
    stderr.print(text, style="yellow", markup=False, soft_wrap=True)
