"""CSV files with named columns, read and written one way.

What must stay true: a row knows its file and line, so that every error can name them; a file is
written beside its place and renamed into it, so that a killed run leaves no half of a table.
"""

import csv
import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from lumbargrade.atomic_files import write_beside
from lumbargrade.records import InvalidStudyError

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRow:
    """One line of a CSV file."""

    path: Path
    line: int
    cells: dict[str, str]

    def text(self, column: str) -> str:
        """A cell that must not be empty."""
        value = self.cells[column].strip()
        if not value:
            raise self.error(f"{column} is empty")
        return value

    def number(self, column: str) -> float:
        """A finite number."""
        value = self.optional_number(column)
        if value is None:
            raise self.error(f"{column} is empty")
        return value

    def optional_number(self, column: str) -> float | None:
        """A finite number, or None where the cell is empty."""
        text = self.cells[column].strip()
        if not text:
            return None
        try:
            value = float(text)
        except ValueError:
            raise self.error(f"{column} must be a number, found {text!r}") from None
        if not math.isfinite(value):
            raise self.error(f"{column} must be finite, found {text!r}")
        return value

    def optional_integer(self, column: str) -> int | None:
        """A whole number, or None where the cell is empty; ``7.0`` counts as whole."""
        value = self.optional_number(column)
        if value is None:
            return None
        if not value.is_integer():
            raise self.error(f"{column} must be a whole number, found {value}")
        return int(value)

    def integer(self, column: str) -> int:
        """A whole number."""
        value = self.optional_integer(column)
        if value is None:
            raise self.error(f"{column} is empty")
        return value

    def choice(self, column: str, choices: dict[str, T]) -> T:
        """The meaning of one of a few spellings."""
        text = self.cells[column].strip()
        if text not in choices:
            allowed = ", ".join(choices)
            raise self.error(f"{column} is {text!r}, expected one of {allowed}")
        return choices[text]

    def error(self, message: str) -> InvalidStudyError:
        """An error that names the file and the line."""
        return InvalidStudyError(f"{self.path}, line {self.line}: {message}")


def read_table(path: Path, columns: Sequence[str]) -> Iterator[TableRow]:
    """Read a CSV file row by row.

    Args:
        path: the file, UTF-8, with a header line.
        columns: the columns that must be there; others are allowed.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidStudyError: not a text file in UTF-8; a column is missing, or a line has too few or
            too many cells.
    """
    with _naming(path), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file)
        header = _read_header(reader, path, columns)
        for cells in reader:
            if not cells:
                continue
            if len(cells) != len(header):
                raise InvalidStudyError(
                    f"{path}, line {reader.line_num}: expected {len(header)} cells, "
                    f"found {len(cells)}"
                )
            named = dict(zip(header, cells, strict=True))
            yield TableRow(path=path, line=reader.line_num, cells=named)


def read_columns(path: Path, columns: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Read some columns of a long table, several times as fast as row by row.

    Returns:
        As many tuples as columns, one cell a line.

    Raises:
        FileNotFoundError: there is no such file.
        InvalidStudyError: as for :func:`read_table`.
    """
    with _naming(path):
        text = path.read_text(encoding="utf-8-sig")
    lines = [line for line in text.split("\n") if line]
    header = _read_header(csv.reader(lines[:1]), path, columns)
    commas = len(header) - 1
    if '"' in text or any(line.count(",") != commas for line in lines):
        rows = [row.cells for row in read_table(path, columns)]  # names a line of another length
        return tuple(tuple(cells[column] for cells in rows) for column in columns)
    cells = ",".join(lines).split(",")
    return tuple(
        tuple(cells[header.index(column) + len(header) :: len(header)]) for column in columns
    )


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Whatever is wrong with a file as a whole names it."""
    try:
        yield
    except UnicodeDecodeError as error:
        raise InvalidStudyError(f"{path}: not a text file in UTF-8 ({error.reason})") from None
    except csv.Error as error:
        raise InvalidStudyError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise
    except OSError as error:
        raise InvalidStudyError(f"{path}: {error.strerror}") from None


def _read_header(reader: Iterator[list[str]], path: Path, columns: Sequence[str]) -> list[str]:
    header = next(reader, [])
    absent = [column for column in columns if column not in header]
    if absent:
        raise InvalidStudyError(
            f"{path}: no column {', '.join(absent)}; found {', '.join(header) or 'nothing'}"
        )
    return header


def write_table(path: Path, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file; floats at full precision, None as an empty cell, bare line feeds."""
    write_beside(path, table_text(columns, rows))


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The content of such a file."""
    lines = [",".join(columns)]
    lines.extend(",".join(_cell(value) for value in row) for row in rows)
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, (bool, np.bool_)):
        return str(int(value))
    text = repr(float(value)) if isinstance(value, (float, np.floating)) else str(value)
    if any(mark in text for mark in ',"\n\r'):
        return '"' + text.replace('"', '""') + '"'
    return text
