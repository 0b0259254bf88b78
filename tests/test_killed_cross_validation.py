"""A run with folds, killed at every step of its graph, ends in the same bytes."""

import multiprocessing
import signal
from pathlib import Path
from typing import Any, get_args

import pytest

import killed_run
from fake_prepared import write_prepared
from killed_run import Moment
from lumbargrade.dry_run import forecast
from lumbargrade.recipe_settings import Recipe
from test_cross_validation import files_of
from tiny_members import TINY

STUDIES = 6
RECIPE: dict[str, Any] = {
    **TINY,
    "detectors": {},
    "classifiers": {
        "plain": {},
        "cleaned": {
            "leave_out": {"judge": "plain", "below": 0.3},
            "classifier": {"weighted_fit": {"epochs": 1, "batch_size": 2}},
        },
    },
}
"""Every kind of step but the mean points of several detector sets."""


class Processes:
    """Processes forked from one that has imported everything and computed nothing."""

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(["lumbargrade.cross_validation", "killed_run"])

    def exit_code(self, work: Any, out: Path, *more: object) -> int | None:
        process = self.context.Process(target=work, args=(RECIPE, self.cache, out, *more))
        process.start()
        process.join()
        return process.exitcode


@pytest.mark.slow
def test_a_run_killed_at_every_step_ends_in_the_same_bytes(tmp_path: Path) -> None:
    cache = write_prepared(tmp_path / "prepared", STUDIES)
    processes = Processes(cache)
    assert processes.exit_code(killed_run.train, tmp_path / "whole") == 0
    out = tmp_path / "run"
    steps = forecast(Recipe.from_dict(RECIPE), cache, out, device="cpu")[1:]
    assert len(steps) == 1 + 2 * (3 + 1 + 1 + 2 + 2) + 3
    for step in steps:
        for moment in get_args(Moment):
            code = processes.exit_code(killed_run.train, out, (step.name, moment))
            assert code == -signal.SIGKILL, (step.name, moment)
            assert (out / step.name).is_dir() is (moment == "after")
            assert not (out / "manifest.json").exists()
    assert processes.exit_code(killed_run.train_to_the_manifest, out) == -signal.SIGKILL
    assert not (out / "manifest.json").exists()
    assert processes.exit_code(killed_run.train, out) == 0
    assert files_of(out) == files_of(tmp_path / "whole")
