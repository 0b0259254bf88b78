"""Values of DICOM tags as plain Python values.

What must stay true: a missing or malformed value is None or empty, never a default or a guess.
"""

import math
from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset

from lumbargrade.dicom.quiet import UNREADABLE


class Tags:
    """Looks a keyword up in the first dataset that has it; a malformed value counts as absent."""

    def __init__(self, sources: tuple[Dataset, ...]) -> None:
        self._sources = sources

    def value(self, *keywords: str) -> Any:
        """The first value that is there and not empty, None where there is none."""
        for keyword in keywords:
            for source in self._sources:
                try:
                    value = source.get(keyword)
                except UNREADABLE:
                    continue
                if value is not None and value != "":
                    return value
        return None

    def text(self, keyword: str) -> str:
        """A text without padding; empty where absent."""
        value = self.value(keyword)
        return "" if value is None else str(value).strip().strip("\0")

    def words(self, *keywords: str) -> tuple[str, ...]:
        """One or several words, in capitals."""
        value = self.value(*keywords)
        if value is None:
            return ()
        parts = [value] if isinstance(value, str) else list(_iterate(value))
        return tuple(str(part).strip().upper() for part in parts)

    def numbers(self, keyword: str, count: int) -> tuple[float, ...] | None:
        """So many finite numbers, else None."""
        numbers = _finite(self.value(keyword))
        return numbers if numbers is not None and len(numbers) == count else None

    def number(self, *keywords: str) -> float | None:
        """One finite number, else None."""
        numbers = _finite(self.value(*keywords))
        return numbers[0] if numbers is not None and len(numbers) == 1 else None

    def first_number(self, *keywords: str) -> float | None:
        """The first of one or several finite numbers, else None."""
        numbers = _finite(self.value(*keywords))
        return numbers[0] if numbers else None

    def integer(self, keyword: str) -> int | None:
        """One whole number, else None."""
        number = self.number(keyword)
        return None if number is None or not number.is_integer() else int(number)


def _finite(value: Any) -> tuple[float, ...] | None:
    if value is None:
        return None
    try:
        numbers = tuple(float(part) for part in _iterate(value))
    except (TypeError, ValueError, OverflowError):
        return None
    return numbers if all(math.isfinite(number) for number in numbers) else None


def _iterate(value: Any) -> Iterable[Any]:
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        return (value,)
    return value
