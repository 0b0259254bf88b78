"""docs/dicom.md says of every trap what becomes of it, and a test holds each row to it."""

import ast
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "dicom.md"
COLUMNS = ("found", "outcome", "what is said", "test")
OUTCOMES = ("handled", "warned", "refused", "ignored")
NOTHING_SAID = "–"

TRAPS = (
    "uncompressed", "lossy JPEG of 12 bits", "no preamble", "no suffix", "a DICOMDIR",
    "not DICOM", "truncated", "zero", "PixelSpacing", "ImageOrientationPatient",
    "ImagePositionPatient", "not orthonormal", "oblique, flipped", "two slices at one place",
    "one SOP instance UID at two places", "mosaics", "a missing slice", "two echoes",
    "two frames of reference", "several stacks", "MONOCHROME1", "RGB", "secondary capture",
    "signed pixels", "dirty bits", "rescale", "PixelPaddingValue", "one constant value",
    "a localizer by its words", "T2 by every number", "InversionTime 0", "proton density",
    "subtraction", "another body part", "CT", "four or six lumbar vertebrae", "`..`", "links",
    "bombs", "names and ids of the patient",
)  # fmt: skip
"""Words of the "found" column that every reader of foreign DICOM must be able to look up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One trap of the page."""

    found: str
    outcome: str
    said: str
    tests: tuple[str, ...]


@cache
def rows() -> tuple[Row, ...]:
    result = []
    inside = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        cells = tuple(cell.strip() for cell in line.strip("|").split(" | "))
        if tuple(cell.strip() for cell in cells) == COLUMNS:
            inside = True
        elif not line.startswith("|"):
            inside = False
        elif inside and not line.startswith("|---"):
            assert len(cells) == len(COLUMNS), line
            found, outcome, said, tests = cells
            names = tuple(re.findall(r"`([^`]+)`", tests))
            result.append(Row(found=found, outcome=outcome, said=said, tests=names))
    return tuple(result)


@cache
def test_sources() -> dict[str, str]:
    """Name of each test function → its source, with its parameters and the constants it uses."""
    found = {}
    for path in sorted(TESTS.glob("test_*.py")):
        source = path.read_text(encoding="utf-8")
        body = ast.parse(source).body
        constants = {
            target.id: ast.get_source_segment(source, node) or ""
            for node in body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        }
        for node in body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                used = {part.id for part in ast.walk(node) if isinstance(part, ast.Name)}
                decorators = [ast.get_source_segment(source, d) or "" for d in node.decorator_list]
                own = ast.get_source_segment(source, node) or ""
                more = [constants[name] for name in sorted(used & set(constants))]
                found[node.name] = "\n".join([*decorators, own, *more])
    return found


test_sources.__test__ = False  # type: ignore[attr-defined]


def names_of_rows() -> list[str]:
    return [row.found[:60] for row in rows()]


@pytest.mark.parametrize("row", rows(), ids=names_of_rows())
def test_a_row_has_an_outcome_a_message_and_tests_that_exist(row: Row) -> None:
    assert row.outcome.startswith(OUTCOMES), row.outcome
    assert row.said, row
    assert row.tests, row
    for name in row.tests:
        assert name in test_sources(), f"{row.found}: no test is called {name}"


@pytest.mark.parametrize("row", rows(), ids=names_of_rows())
def test_what_is_said_is_what_a_test_of_the_row_looks_for(row: Row) -> None:
    if row.said == NOTHING_SAID:
        assert row.outcome.startswith(("handled", "ignored")), f"{row.found} must say something"
        return
    source = "\n".join(test_sources()[name] for name in row.tests)
    messages = re.findall(r"`([^`]+)`", row.said)
    assert messages, row.said
    for message in messages:
        for part in message.split("…"):
            assert part in source, f"{row.found}: no test of the row looks for {part!r}"


@pytest.mark.parametrize("trap", TRAPS)
def test_every_trap_has_a_row(trap: str) -> None:
    assert any(trap in row.found for row in rows())


def test_unusual_anatomy_is_raised_for_curves_alone() -> None:
    """The page says that four or six vertebrae are not warned of; when they are, it must say so.

    ``pipeline.py`` raises it where ``curvature.py`` says so.
    """
    package = TESTS.parent / "src" / "lumbargrade"
    naming = {
        path.relative_to(package).parts[0]
        for path in package.rglob("*.py")
        if "UNUSUAL_ANATOMY" in path.read_text(encoding="utf-8")
    }
    assert naming == {"labels.py", "pipeline.py", "report"}
