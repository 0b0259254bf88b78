"""``lumbargrade phantom``: its options, as a user meets them."""

import inspect
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lumbargrade.cli.app import app
from lumbargrade.cli.phantom import phantom
from lumbargrade.phantom.dataset import write_dataset


@pytest.mark.parametrize("option", ["profile", "halo", "pitfalls", "workers"])
def test_the_command_and_the_library_have_the_same_defaults(option: str) -> None:
    command, library = (inspect.signature(f).parameters[option] for f in (phantom, write_dataset))
    assert command.default == library.default


def test_the_benchmark_is_what_the_command_makes_unasked() -> None:
    defaults = inspect.signature(phantom).parameters
    found = {name: defaults[name].default for name in ("profile", "halo", "pitfalls")}
    assert found == {"profile": "plain", "halo": 0.3, "pitfalls": "auto"}


@pytest.mark.parametrize("option", ["--profile", "--pitfalls"])
def test_an_unknown_word_is_a_usage_error_that_lists_the_known_ones(
    option: str, tmp_path: Path
) -> None:
    result = CliRunner().invoke(app, ["phantom", str(tmp_path / "out"), option, "siemens"])
    assert result.exit_code == 2
    assert "is not one of" in result.output
    assert not (tmp_path / "out").exists()
