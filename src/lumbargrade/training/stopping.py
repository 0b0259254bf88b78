"""How a long job is asked to stop, and where it may do so.

What must stay true: the first request takes effect at once, or where a step ends that must not be
torn apart; a second one takes effect at once. No signal is touched here: the command line decides
which signals are requests.
"""

from collections.abc import Iterator
from contextlib import contextmanager


class Stopped(BaseException):
    """The process was asked to stop; as with ``KeyboardInterrupt``, no handler of errors sees it.

    Attributes:
        signal_number: by which signal.
    """

    def __init__(self, signal_number: int) -> None:
        super().__init__(f"stopped by signal {signal_number}")
        self.signal_number = signal_number

    def __reduce__(self) -> tuple[type["Stopped"], tuple[int]]:
        return type(self), (self.signal_number,)  # processes tell each other


class Stop:
    """The request to stop, whether it came and when it takes effect."""

    def __init__(self) -> None:
        self._asked: int | None = None
        self._held = 0

    @property
    def is_asked(self) -> bool:
        """Whether a request came, be it held back or not."""
        return self._asked is not None

    def ask(self, signal_number: int) -> None:
        """Ask the job to stop; to be called by a signal's handler.

        Raises:
            Stopped: now, unless a step is under way.
            KeyboardInterrupt: this is the second request.
        """
        if self._asked is not None:
            raise KeyboardInterrupt
        self._asked = signal_number
        self._heed()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep a request back until the block ends.

        Raises:
            Stopped: at the end, where a request came meanwhile.
        """
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
        self._heed()

    def _heed(self) -> None:
        if self._asked is not None and not self._held:
            raise Stopped(self._asked)
