"""How the process uses its cores, for the speed of networks on the CPU.

What must stay true: results do not change.
"""

import logging
import os
import re

from lumbargrade.memory import keep_big_buffers

DEVICE_NAME = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
"""What can name a device; whether it is there is another question."""

_log = logging.getLogger(__name__)


def usable_cores() -> int:
    """How many cores this process may use: its affinity, not the machine's count."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def prepare_for_networks(threads: int | None = None) -> int:
    """Set up a process that will run networks: big buffers kept, torch's threads set.

    Args:
        threads: for one operation; None leaves torch's own choice, which honours
            ``OMP_NUM_THREADS``, but never more than the cores this process may use.

    Returns:
        The threads that one operation will use.

    Raises:
        ValueError: threads below 1.
    """
    if threads is not None and threads < 1:
        raise ValueError(f"threads must be at least 1, found {threads}")
    import torch

    keep_big_buffers()
    count = min(torch.get_num_threads(), usable_cores()) if threads is None else threads
    torch.set_num_threads(count)
    _log.debug("networks run on %d threads", count)
    return count
