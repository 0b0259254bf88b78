"""Steps of a run on a Ray cluster of two, against the same run without one."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import pytest
import yaml

from documented import ROOT
from fake_prepared import write_prepared
from fake_ray import FakeRay
from lumbargrade.extras import require
from lumbargrade.prepared import survey
from lumbargrade.ray_steps import ClusterSettings, do_named_step, do_on_cluster
from lumbargrade.recipe_settings import Recipe
from lumbargrade.run_plan import RunPlan
from lumbargrade.settings import ConfigError
from lumbargrade.steps import Step, StepsFailedError, states_of
from lumbargrade.training.stopping import Stop, Stopped
from lumbargrade.training.task import OnEpoch
from test_cli_train import run_cli
from test_cross_validation import files_of
from tiny_members import TINY

STUDIES = 8

SETS: dict[str, Any] = {"detectors": {}, "classifiers": {"plain": {}}}
GOOD: dict[str, Any] = {**TINY, **SETS, "ensemble": {"answers": "plain"}}
BROKEN: dict[str, Any] = {
    **GOOD,
    "classifiers": {"plain": {}, "broken": {"classifier": {"encoder": "no_such_encoder"}}},
}

PATIENCE_S = 3000
"""The machine may be busy."""

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="ray is an extra: make test-slow")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("data") / "prepared", STUDIES)


@dataclass(frozen=True)
class Machines:
    address: str
    environment: dict[str, str]


@pytest.fixture(scope="module")
def machines() -> Iterator[Machines]:
    paths = [str(ROOT / "src"), os.environ.get("PYTHONPATH", "")]
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(paths),
        "OMP_NUM_THREADS": "1",
        "RAY_USAGE_STATS_ENABLED": "0",
    }
    folder = tempfile.mkdtemp(prefix="ray")  # the system limits the length of sockets' names
    command = [sys.executable, "-W", "ignore", str(ROOT / "tests" / "ray_cluster.py")]
    cluster = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "RAY_TMPDIR": folder},
    )
    try:
        assert cluster.stdout is not None
        assert cluster.stdin is not None
        address = cluster.stdout.readline().strip()
        assert address, "Ray did not start within its own limit of 30 s a machine"
        yield Machines(address, environment)
        cluster.stdin.close()
        assert cluster.wait(timeout=PATIENCE_S) == 0
        assert not processes_naming(folder)
    finally:
        if cluster.poll() is None:
            cluster.terminate()  # it takes its machines along
            cluster.wait(timeout=PATIENCE_S)
        for pipe in (cluster.stdin, cluster.stdout):
            if pipe is not None:
                pipe.close()
        shutil.rmtree(folder, ignore_errors=True)


def processes_naming(word: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it has just ended
            continue
        if word in command:
            found.append(command)
    return found


Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start(cache: Path) -> Iterator[Start]:
    """Starts trainings; those that a failed test leaves behind are ended."""
    started: list[subprocess.Popen[str]] = []

    def begin(
        machines: Machines, recipe: dict[str, Any], out: Path, *words: str
    ) -> "subprocess.Popen[str]":
        file = out.with_suffix(".yaml")
        file.write_text(yaml.safe_dump(recipe))
        command = [sys.executable, "-W", "ignore", "-m", "lumbargrade", "train", str(file)]
        command += ["--data", str(cache), "--out", str(out), "--device", "cpu", *words]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=machines.environment,
        )  # fmt: skip
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.communicate()


def wait_until_two_steps_are_under_way(out: Path, process: "subprocess.Popen[str]") -> None:
    """Each machine has one CPU, so both work then; what an earlier run left does not count."""
    begun = time.time()
    under_way = 0
    while under_way < 2:
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
        under_way = sum(
            any(last_change(path) > begun for path in folder.rglob("*"))
            for folder in out.glob("unfinished/*")
        )


def last_change(path: Path) -> float:
    with suppress(FileNotFoundError):
        return path.stat().st_mtime
    return 0.0


@needs_ray
@pytest.mark.slow
def test_a_run_on_a_cluster_ends_in_the_bytes_of_a_run_without_one(
    machines: Machines, start: Start, tmp_path: Path
) -> None:
    """Its driver is killed, another is stopped, a step fails: what was done stays."""
    alone = start(machines, GOOD, tmp_path / "alone")
    out = tmp_path / "out"
    on_cluster = ("--ray", machines.address)
    for number, exit_code in ((signal.SIGKILL, -9), (signal.SIGTERM, 143)):
        driver = start(machines, BROKEN, out, *on_cluster)
        wait_until_two_steps_are_under_way(out, driver)
        driver.send_signal(number)
        _, shown = driver.communicate(timeout=PATIENCE_S)
        assert driver.returncode == exit_code, shown
        assert number == signal.SIGKILL or "the same command goes on" in shown

    driver = start(machines, BROKEN, out, *on_cluster)
    stdout, shown = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 1, shown
    assert stdout == ""
    for fold in (0, 1):
        assert f"members/classifier_broken/fold{fold} failed: " in shown
    assert "no_such_encoder" in shown
    assert "5 lack what failed" in shown  # the broken one's answers, and the ensemble's three steps
    assert (out / "out_of_fold" / "plain" / "fold1" / "step.json").is_file()
    assert not (out / "manifest.json").exists()

    driver = start(machines, GOOD, out, *on_cluster)
    _, shown = driver.communicate(timeout=PATIENCE_S)
    assert driver.returncode == 0, shown
    assert "ensemble is done" in shown
    assert "members/" not in shown.partition("ensemble is done")[0]  # no network was trained again
    _, shown = alone.communicate(timeout=PATIENCE_S)
    assert alone.returncode == 0, shown
    assert files_of(out) == files_of(tmp_path / "alone")
    assert len((out / "log" / "seconds.jsonl").read_text().splitlines()) >= 16


@needs_ray
@pytest.mark.slow
def test_no_cluster_at_an_address_is_said_with_what_to_do(start: Start, tmp_path: Path) -> None:
    machines = Machines("127.0.0.1:1", {**os.environ, "PYTHONPATH": str(ROOT / "src")})
    process = start(machines, GOOD, tmp_path / "out", "--ray", machines.address)
    _, shown = process.communicate(timeout=PATIENCE_S)
    assert process.returncode == 2, shown
    assert "--ray local" in shown


# Without Ray -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainPlan(RunPlan):
    """a → bad → after, and alone; of these bad fails where it is told to."""

    fails: bool

    @classmethod
    def at(cls, run: Path, *, fails: bool = False, device: str = "auto") -> Self:
        recipe = Recipe(name="chain")
        return cls(recipe=recipe, run=run, cache=run, facts={}, device=device, fails=fails)

    def steps(self, *, stop: Stop | None = None, on_epoch: OnEpoch | None = None) -> list[Step]:
        def step(name: str, *after: str, uses_device: bool = True) -> Step:
            def work(folder: Path) -> None:
                if name == "bad" and self.fails:
                    raise ValueError("planned")
                (folder / "out.txt").write_text(name)

            return Step(
                name=name, kind=name, settings={}, after=after, work=work, uses_device=uses_device
            )

        return [step("a"), step("bad", "a"), step("after", "bad"), step("alone", uses_device=False)]


def do_chain(
    todo: ChainPlan, settings: ClusterSettings, stop: Stop | None = None
) -> tuple[str, ...]:
    todo.run.mkdir(exist_ok=True)
    (todo.run / "config.yaml").write_text("name: chain\n")
    return do_on_cluster(todo, states_of(todo.run, todo.steps()), settings, stop or Stop())


def test_a_failed_step_is_named_and_the_same_call_does_the_rest(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray = FakeRay()
    monkeypatch.setitem(sys.modules, "ray", ray)
    run, settings = tmp_path / "run", ClusterSettings(address="auto")
    with pytest.raises(StepsFailedError) as failed:
        do_chain(ChainPlan.at(run, fails=True), settings)
    assert str(failed.value) == (
        "bad failed: ValueError: planned\n"
        "2 other steps are done, 1 lack what failed; the same command does the rest"
    )
    assert not ray.is_connected
    assert do_chain(ChainPlan.at(run), settings) == ("bad", "after")
    assert do_chain(ChainPlan.at(run), settings) == ()
    log = [json.loads(line) for line in (run / "log" / "seconds.jsonl").read_text().splitlines()]
    assert sorted(entry["step"] for entry in log) == ["a", "after", "alone", "bad"]


def test_a_request_to_stop_cancels_what_is_left(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    ray, stop = FakeRay(), Stop()
    monkeypatch.setitem(sys.modules, "ray", ray)
    ray.before_wait = lambda: stop.ask(15) if not stop.is_asked else None
    with pytest.raises(Stopped):
        do_chain(ChainPlan.at(tmp_path / "run"), ClusterSettings(address="auto"), stop)
    assert ray.cancelled == 3
    assert not ray.is_connected


@pytest.mark.parametrize(
    ("gpus", "there", "device", "expected"),
    [(None, 0.0, "auto", 0.0), (None, 2.0, "auto", 1.0), (None, 2.0, "cpu", 0.0),
     (0.5, 2.0, "cuda", 0.5), (0.0, 2.0, "cuda", 0.0)],
)  # fmt: skip
def test_a_step_with_a_network_asks_for_what_the_settings_say(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    gpus: float | None,
    there: float,
    device: str,
    expected: float,
) -> None:
    ray = FakeRay(gpus=there)
    monkeypatch.setitem(sys.modules, "ray", ray)
    settings = ClusterSettings(address="auto", cpus=3, gpus=gpus)
    do_chain(ChainPlan.at(tmp_path / "run", device=device), settings)
    assert ray.asked["a"] == ray.asked["after"] == (3, expected)
    assert ray.asked["alone"] == (1, 0)


def test_a_step_that_fits_on_no_machine_is_warned_about(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "ray", FakeRay())
    do_chain(ChainPlan.at(tmp_path / "run"), ClusterSettings(address="auto", cpus=4))
    assert "steps wait" not in caplog.text
    do_chain(ChainPlan.at(tmp_path / "other"), ClusterSettings(address="auto", cpus=5, gpus=1.0))
    assert "the 5 CPUs and 1 GPUs that a step asks for: steps wait" in caplog.text


def plan(cache: Path, out: Path, device: str = "cpu") -> RunPlan:
    recipe = Recipe.from_dict(GOOD)
    return RunPlan(recipe=recipe, run=out, cache=cache, facts=survey(cache), device=device)


def test_a_missing_library_is_named_with_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    todo = plan(cache, tmp_path)
    states = states_of(tmp_path, todo.steps())
    with pytest.raises(ConfigError, match=r"--ray needs ray.*pip install 'lumbargrade\[ray\]'"):
        do_on_cluster(todo, states, ClusterSettings(address="local"), Stop())


def test_what_a_library_itself_lacks_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "half_there.py").write_text("import no_such_library")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="no_such_library"):
        require("half_there", extra="half", what="this")


@pytest.mark.parametrize("device", ["cuda:1", "mps"])
def test_one_device_is_no_device_for_a_cluster(cache: Path, tmp_path: Path, device: str) -> None:
    todo = plan(cache, tmp_path, device)
    with pytest.raises(ConfigError, match="Ray says which GPU"):
        do_on_cluster(
            todo, states_of(tmp_path, todo.steps()), ClusterSettings(address="local"), Stop()
        )


def test_a_recipe_with_a_split_has_no_steps_to_spread(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    cache: Path,
    tmp_path: Path,
) -> None:
    recipe = tmp_path / "split.yaml"
    recipe.write_text("name: split")
    words = ("train", recipe, "--data", cache, "--out", tmp_path / "run", "--ray", "local")
    assert run_cli(monkeypatch, *words) == 2
    assert "recipe with folds" in capsys.readouterr().err
    assert not (tmp_path / "run" / "config.yaml").exists()


def test_a_machine_that_does_not_see_the_run_says_so(
    monkeypatch: pytest.MonkeyPatch, cache: Path, tmp_path: Path
) -> None:
    monkeypatch.setattr("lumbargrade.ray_steps.PATIENCE_S", 0.0)
    monkeypatch.setattr("lumbargrade.ray_steps._versions", dict)
    with pytest.raises(ConfigError, match="need the same file system"):
        do_named_step(plan(cache, tmp_path / "elsewhere"), "folds", 1, {})
    assert not (tmp_path / "elsewhere").exists()


def test_a_machine_with_other_libraries_says_so(cache: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"expected \{'torch': '1\.0'\}"):
        do_named_step(plan(cache, tmp_path), "folds", 1, {"torch": "1.0"})


def test_steps_that_run_a_network_are_those_that_ask_for_a_device(
    cache: Path, tmp_path: Path
) -> None:
    todo = replace(plan(cache, tmp_path), recipe=Recipe.from_dict(TINY))
    with_device = {step.kind.split()[0] for step in todo.steps() if step.uses_device}
    without = {step.kind.split()[0] for step in todo.steps() if not step.uses_device}
    assert with_device == {"detector", "points", "classifier", "answers"}
    assert without == {"folds", "mean", "ensemble", "calibration", "evaluation"}
