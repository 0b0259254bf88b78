"""What the documents say about the command line: fenced blocks and the commands in them."""

import re
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import typer

from lumbargrade.cli import app

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
DOCUMENTS = (
    README,
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").glob("*.md")),
)

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`\n]+)`")
REMARK = re.compile(r"\s{2,}.*|\s+#.*")
"""What a command is for stands two spaces behind it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One documented call of the program."""

    words: tuple[str, ...]
    """Behind ``lumbargrade``."""
    document: str


def fenced_blocks(document: Path, language: str = "") -> list[str]:
    return [body for found, body in FENCE.findall(document.read_text()) if found == language]


def commands_in(text: str, document: str) -> list[Command]:
    """The calls in the lines of a block or in one piece of inline code."""
    lines = [line for line in text.splitlines() if line.startswith("lumbargrade ")]
    return [
        Command(words=tuple(shlex.split(REMARK.sub("", line))[1:]), document=document)
        for line in lines
    ]


def documented_commands() -> list[Command]:
    """Every call in a fenced block or in inline code of any document."""
    found: list[Command] = []
    for document in DOCUMENTS:
        inline = INLINE.findall(FENCE.sub("", document.read_text()))
        for text in [*fenced_blocks(document), *inline]:
            found += commands_in(text, document.name)
    return found


def documented_options() -> list[tuple[str, str]]:
    """Document and option, for inline code that is an option without its command."""
    return [
        (document.name, text.split()[0])
        for document in DOCUMENTS
        for text in INLINE.findall(FENCE.sub("", document.read_text()))
        if text.startswith("--")
    ]


@cache
def program() -> dict[str, frozenset[str]]:
    """Every command of the program with the options that its ``--help`` shows."""
    group = typer.main.get_command(app)
    commands = getattr(group, "commands", {})
    return {
        name: frozenset(
            option
            for parameter in command.params
            if not getattr(parameter, "hidden", False)
            for option in parameter.opts
            if option.startswith("-")
        )
        | {"--help"}
        for name, command in commands.items()
    }
