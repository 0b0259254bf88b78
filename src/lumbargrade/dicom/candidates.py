"""A candidate: one series as its headers describe it, placed in patient space or refused.

What must stay true: every slice keeps its own affine; a slice that is left out is named in the
candidate's problems.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from lumbargrade.arrays import Affine, Points
from lumbargrade.dicom.slice_header import SliceHeader, short_name
from lumbargrade.geometry import Plane, spacing_of
from lumbargrade.labels import View


class SeriesRefusedError(ValueError):
    """Why a series cannot serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """Evenly spaced slices of one orientation, in reading order."""

    headers: tuple[SliceHeader, ...]
    affines: tuple[Affine, ...]
    """(slice, row, column, 1) → LPS mm, one per slice."""

    @property
    def spacing_mm(self) -> float:
        """Distance between neighbouring slices."""
        return float(spacing_of(self.affines[0])[0])


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A series (or one echo of it) that might serve a view."""

    series_uid: str
    series_id: str
    headers: tuple[SliceHeader, ...]
    """In reading order where the geometry could be read, else as found."""
    stacks: tuple[Stack, ...] = ()
    plane: Plane | None = None
    view: View | None = None
    """The view it can serve, used or not."""
    named_by_table: bool = False
    """The dataset's own table says which view it is."""
    reason: str = ""
    """How the view was recognised."""
    refusal: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def slices(self) -> int:
        """How many slices."""
        return len(self.headers)

    @property
    def affines(self) -> tuple[Affine, ...]:
        """Of all slices, in reading order."""
        return tuple(affine for stack in self.stacks for affine in stack.affines)

    @property
    def centres_lps_mm(self) -> Points:
        """(slice, 3): the middle of each slice's image."""
        return np.stack(
            [
                (affine @ [0, (header.rows - 1) / 2, (header.columns - 1) / 2, 1])[:3]
                for header, affine in zip(self.headers, self.affines, strict=True)
            ]
        )

    @property
    def slice_spacing_mm(self) -> float:
        """The median over the stacks."""
        return float(np.median([stack.spacing_mm for stack in self.stacks]))

    @property
    def field_mm(self) -> tuple[float, float]:
        """Smallest height and width of a slice's image."""
        sizes = [
            np.array([header.rows, header.columns]) * spacing_of(affine)[1:]
            for header, affine in zip(self.headers, self.affines, strict=True)
        ]
        height, width = np.min(sizes, axis=0)
        return float(height), float(width)

    def refused(self, reason: str) -> "Candidate":
        """The same candidate with a refusal."""
        return replace(self, refusal=reason)


@dataclass(slots=True)
class Problems:
    """What was left out or looks odd."""

    lines: list[str] = field(default_factory=list)

    def left_out(self, headers: Sequence[SliceHeader], why: str) -> None:
        """Note that slices were left out; nothing where there are none."""
        if headers:
            self.lines.append(f"{len(headers)} left out, {why}: {short_name(headers[0].path)}")
