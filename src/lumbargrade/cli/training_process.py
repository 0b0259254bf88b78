"""A process of a training command: the one that does the command, or one that lends it a device.

What must stay true: of the processes that ``torchrun`` starts, the first alone shows, writes and
heeds signals; the others end when it does.
"""

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lumbargrade.cli.stopping import stopping_kindly
from lumbargrade.training.stopping import Stop

if TYPE_CHECKING:
    from lumbargrade.training.ranks import Ranks


@contextmanager
def training_process(out: Path, device: str) -> Iterator[Stop]:
    """Take signals as requests to stop; where there are several processes, share the training.

    Args:
        out: where what was done is kept.
        device: auto, cpu, cuda, cuda:N or mps.

    Raises:
        typer.Exit: this is not the first process, and the first one is done, or gone.
    """
    with stopping_kindly(out) as stop:
        from lumbargrade.training.ranks import Ranks, launched_group

        if launched_group() is None:
            yield stop
            return
        ranks = Ranks.join(device)
        if not ranks.is_first:
            raise typer.Exit(_lend(ranks))
        yield stop
        ranks.leave()


def _lend(ranks: "Ranks") -> int:
    """Take part in what the first process trains; returns the exit code."""
    from lumbargrade.runtime import prepare_for_networks
    from lumbargrade.training.loop import assist

    for number in (signal.SIGINT, signal.SIGTERM):  # the first process says when to stop
        signal.signal(number, signal.SIG_IGN)
    logging.getLogger().setLevel(logging.ERROR)
    prepare_for_networks()
    try:
        assist(ranks)
    except RuntimeError as error:
        logging.getLogger(__name__).error(
            "the first process is gone, or this one failed: %s", error
        )
        return 1
    ranks.leave()
    return 0
