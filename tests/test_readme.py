"""What the documents promise about the command line is true, and the README's blocks run."""

import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from documented import (
    README,
    ROOT,
    Command,
    commands_in,
    documented_commands,
    documented_options,
    fenced_blocks,
    program,
)
from lumbargrade.cli import app

COMMANDS = documented_commands()


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return str(result.stdout)


def test_the_documents_name_commands() -> None:
    assert {"demo", "predict", "inspect", "phantom", "evaluate"} <= set(program())
    named = {command.words[0] for command in COMMANDS}
    assert len(COMMANDS) >= 20
    assert {"predict", "inspect", "phantom", "evaluate", "train"} <= named


@pytest.mark.parametrize("command", COMMANDS, ids=lambda c: f"{c.document}: {' '.join(c.words)}")
def test_a_documented_command_exists_with_its_options(command: Command) -> None:
    name, *words = command.words
    if name in ("--help", "COMMAND"):
        return
    assert name in program(), f"{command.document} names a command that is not there"
    for word in words:
        if word.startswith("-"):
            assert word.partition("=")[0] in program()[name], f"{name} has no option {word}"


@pytest.mark.parametrize(("document", "option"), documented_options())
def test_an_option_named_alone_belongs_to_some_command(document: str, option: str) -> None:
    assert option in set().union(*program().values()), f"{document} names {option}"


@pytest.mark.parametrize("name", sorted(program()))
def test_help_shows_every_option(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    shown = re.sub(r"\x1b\[[0-9;]*m", "", run(name, "--help"))
    assert not {option for option in program()[name] if option not in shown}


def test_every_command_has_a_line_in_the_howto_or_the_data_page() -> None:
    text = "".join(
        (ROOT / path).read_text() for path in ("README.md", "docs/howto.md", "docs/data.md")
    )
    assert not {name for name in program() if not re.search(rf"\b{name}\b", text)}


def test_make_has_the_targets_that_the_readme_names() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:^|`)make ([a-z-]+)", README.read_text(), re.MULTILINE))
    assert {"demo", "test"} <= named <= targets


def test_the_readmes_index_lists_every_document_once() -> None:
    index = fenced_blocks(README)[-1]
    for path in sorted((ROOT / "docs").glob("*.md")):
        assert index.count(f"docs/{path.name}") == 1, path.name


def test_links_between_documents_lead_somewhere() -> None:
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for link in re.findall(r"\]\(([^)#\s]+)[^)]*\)", document.read_text()):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name} links to {link}"


def test_the_readmes_commands_run(phantom_dataset: Path, tmp_path: Path) -> None:
    """In their order; names of places become places, a hundred studies become one."""
    places = {
        "PATH": str(phantom_dataset),
        "PATH...": str(phantom_dataset),
        "DIR": str(tmp_path / "results"),
        "OUT": str(tmp_path / "phantom"),
        "100": "1",
        "train.csv": str(phantom_dataset / "train.csv"),
        "DIR/predictions.csv": str(tmp_path / "results" / "predictions.csv"),
    }
    ran = {}
    for block in fenced_blocks(README):
        for command in commands_in(block, README.name):
            ran[command.words[0]] = run(*(places.get(word, word) for word in command.words))
    assert {"inspect", "predict", "phantom", "evaluate"} <= set(ran)
    assert "102000" in ran["inspect"]
    reports = [Path(line) for line in ran["predict"].splitlines()]
    assert len(reports) == 2
    for report in reports:
        assert {"grades.json", "grades.csv", "report.html"} <= {
            p.name for p in report.parent.iterdir()
        }
    assert (tmp_path / "phantom" / "phantom_truth.csv").is_file()
    assert "score" in ran["evaluate"].lower()


def test_the_demo_leaves_a_report_that_it_names(tmp_path: Path) -> None:
    report = Path(run("demo", "--out", tmp_path / "demo").strip())
    assert report.name == "report.html"
    assert "not a medical device" in report.read_text().lower()
    assert (tmp_path / "demo" / "study").is_dir()


def test_the_readmes_python_runs(phantom_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (snippet,) = fenced_blocks(README, "python")
    names: dict[str, Any] = {"path": phantom_dataset / "train_images" / "102001"}
    exec(compile(snippet, str(README), "exec"), names)
    assert capsys.readouterr().out == "102001 (25, 3)\n"
