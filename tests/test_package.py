"""What the package says about itself, and what an installed one holds."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
import yaml

from documented import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def test_the_citation_names_the_version_licence_and_date_of_the_release() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["cff-version"] == "1.2.0"
    assert citation["title"] == PROJECT["name"]
    assert str(citation["version"]) == PROJECT["version"]
    assert citation["license"] == PROJECT["license"]
    heading = f"## {citation['version']} ({citation['date-released']})"
    assert heading in (ROOT / "CHANGELOG.md").read_text()
    for reference in citation["references"]:
        assert {"type", "title", "authors"} <= set(reference)


def test_every_dependency_has_a_lower_bound_and_a_pin_not_below_it() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = dict(line.lower().replace("_", "-").split("==") for line in lines if "==" in line)
    extras = PROJECT["optional-dependencies"]
    optional = [item for name in extras if name != "dev" for item in extras[name]]
    for requirement in [*PROJECT["dependencies"], *optional]:
        name, _, bound = requirement.lower().partition(">=")
        assert bound, requirement
        assert numbers(pins[name]) >= numbers(bound), requirement


def numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


@pytest.mark.slow
def test_a_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    """Weights, page, styles, scripts, tables: whatever git keeps below src/lumbargrade."""
    listing = ["git", "-C", str(ROOT), "ls-files", "src/lumbargrade"]
    kept = subprocess.run(listing, check=True, capture_output=True, text=True).stdout.split()
    for name in [*kept, "pyproject.toml", "README.md", "LICENSE"]:  # no build/ of another day
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / "tree" / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-cache-dir"]
    command += ["--wheel-dir", str(tmp_path), str(tmp_path / "tree")]
    subprocess.run(command, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    assert any(name.endswith(".safetensors") for name in held)
    assert any(name.endswith(".html") for name in held)
    missing = [name for name in kept if name.removeprefix("src/") not in held]
    assert not missing
