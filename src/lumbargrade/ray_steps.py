"""The steps of a run as tasks of a Ray cluster.

What must stay true: Ray alone decides what runs where and when; a step is begun when those before
it are finished. All machines see the run and the prepared studies at the same paths and have the
same libraries, or a step says so. This process alone writes the log and describes the run. What a
step does here it does like any other process: it is filled beside its place and goes on where it
was cut off, so a machine or this process may die.
"""

import logging
import platform
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from types import FrameType, ModuleType
from typing import Any

from pydantic import Field

from lumbargrade.extras import require
from lumbargrade.recipe import LIBRARIES
from lumbargrade.run_plan import RunPlan
from lumbargrade.runtime import prepare_for_networks
from lumbargrade.settings import ConfigError, Settings
from lumbargrade.step_seconds import note_seconds
from lumbargrade.steps import Step, StepsFailedError, StepState, do_step, states_of
from lumbargrade.training.checkpoint import CONFIG
from lumbargrade.training.stopping import Stop, Stopped

logger = logging.getLogger(__name__)

PATIENCE_S = 60.0
"""How long a machine waits until a shared file system shows it what another has finished."""

CONNECT_S = 30.0
"""How long a cluster's address may take to answer."""

POLL_S = 1.0
"""How often a request to stop is looked for while steps are under way."""

GRACE_S = 120.0
"""How long a request to stop waits for the steps under way to save where they are."""


class ClusterSettings(Settings):
    """Which cluster, and what one step of a run takes of it."""

    address: str
    """``auto`` for the cluster that this machine is part of, HOST:PORT, or ``local``: none but
    this machine, for this run alone."""
    cpus: int = Field(default=1, ge=1)
    """Of a step that runs a network, which uses as many threads; others take one."""
    gpus: float | None = Field(default=None, ge=0)
    """Of a step that runs a network; below 1, several share one. None: one, where the cluster has
    GPUs and the device is not the CPU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepDone:
    """What a task answers."""

    node: str
    seconds: float
    whole: bool
    """It was done from its beginning by this task."""


def do_on_cluster(
    plan: RunPlan, states: Sequence[StepState], settings: ClusterSettings, stop: Stop
) -> tuple[str, ...]:
    """Do what is left of a run's steps.

    Args:
        plan: its run's folder is held by this process.
        states: of all its steps.
        settings: of the cluster.
        stop: asks this process to stop, and thereby the steps.

    Returns:
        The names of the steps that were done.

    Raises:
        ConfigError: Ray is not installed, or there is no such cluster.
        StepsFailedError: some step failed; all that do not depend on it are done.
        Stopped: the run was asked to stop; the same call goes on.
    """
    if ":" in plan.device or plan.device == "mps":
        raise ConfigError(
            f"--device {plan.device}: on a cluster Ray says which GPU; give auto, cuda or cpu"
        )
    left = [state.step for state in states if not state.done]
    ray = require("ray", extra="ray", what="--ray")
    with stop.held(), _connected(ray, settings.address):
        gpus = _gpus_of_a_step(ray, plan, settings)
        _check_machines(ray, settings.cpus, gpus)
        sent, versions = ray.put(plan), _versions()
        task_of: dict[str, Any] = {}
        for step in left:
            cpus = settings.cpus if step.uses_device else 1
            task = ray.remote(do_named_step).options(
                name=step.name, num_cpus=cpus, num_gpus=gpus if step.uses_device else 0
            )
            before = [task_of[name] for name in step.after if name in task_of]
            task_of[step.name] = task.remote(sent, step.name, cpus, versions, *before)
        failed = _collect(ray, plan, left, task_of, stop)
    if failed:
        raise StepsFailedError(_explain(left, failed))
    return tuple(step.name for step in left)


def do_named_step(
    plan: RunPlan, name: str, threads: int, versions: Mapping[str, str], *before: StepDone
) -> StepDone:
    """Do one step on the machine where this is called.

    Args:
        plan: of the run.
        name: of the step.
        threads: for networks.
        versions: that the libraries must have.
        before: what the tasks before it answered; they are waited for, nothing else.

    Raises:
        ConfigError: other libraries, or a file system that others do not share.
    """
    if versions != _versions():
        raise ConfigError(
            f"{platform.node()} has other versions than the machine that gives the command: "
            f"found {_versions()}, expected {dict(versions)}"
        )
    prepare_for_networks(threads)
    begun = time.monotonic()
    with _cancelled_kindly() as stop:
        states = _states_with_inputs(plan, name, stop)
        hashes = {key: state.inputs_sha256 for key, state in states.items()}
        state = states[name]
        upstream = {key: hashes[key] for key in state.step.after}
        whole = not state.done and do_step(plan.run, state, upstream)
    return StepDone(node=platform.node(), seconds=time.monotonic() - begun, whole=whole)


def _states_with_inputs(plan: RunPlan, name: str, stop: Stop) -> dict[str, StepState]:
    """All states, once the inputs of a step are there."""
    steps = plan.steps(stop=stop)
    end = time.monotonic() + PATIENCE_S
    while True:
        states = {state.step.name: state for state in states_of(plan.run, steps)}
        absent = [key for key in states[name].step.after if not states[key].done]
        if not absent and (plan.run / CONFIG).is_file():
            return states
        if time.monotonic() > end:
            raise ConfigError(
                f"{platform.node()} does not see {plan.run / (absent or [CONFIG])[0]}, which is "
                "finished: all machines of the cluster need the same file system at the same path"
            )
        time.sleep(0.5)


@contextmanager
def _cancelled_kindly() -> Iterator[Stop]:
    """Let Ray's cancelling, which looks like Ctrl-C, end a training after the step under way."""
    stop = Stop()

    def ask(number: int, _: FrameType | None) -> None:
        stop.ask(number)

    handler = signal.signal(signal.SIGINT, ask)
    try:
        yield stop
    except Stopped:
        raise KeyboardInterrupt from None  # as Ray expects it
    finally:
        signal.signal(signal.SIGINT, handler)


@contextmanager
def _connected(ray: ModuleType, address: str) -> Iterator[None]:
    """Be the driver of a job; SIGTERM stays with the command line, Ray would take it."""
    alone = {"include_dashboard": False} if address == "local" else {}
    _check_address(address)
    handler = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.WARNING, **alone)
    except ConnectionError as error:
        raise _no_cluster(address, error) from error
    finally:
        signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Say at once where nobody listens: Ray would try for a quarter of an hour."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or "/" in host:  # auto, local, ray://HOST:PORT
        return
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_S).close()
    except (OSError, OverflowError) as error:
        raise _no_cluster(address, error) from error


def _no_cluster(address: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"--ray {address}: {error}; `ray start --head` starts a cluster, `--ray local` uses this "
        "machine alone"
    )


def _gpus_of_a_step(ray: ModuleType, plan: RunPlan, settings: ClusterSettings) -> float:
    if settings.gpus is not None:
        return settings.gpus
    return float(plan.device != "cpu" and ray.cluster_resources().get("GPU", 0) > 0)


def _check_machines(ray: ModuleType, cpus: int, gpus: float) -> None:
    """Say so where a step fits on no machine; one may join yet."""
    has = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    if not any(of.get("CPU", 0) >= cpus and of.get("GPU", 0) >= gpus for of in has):
        logger.warning(
            "no machine of the cluster has the %d CPUs and %g GPUs that a step asks for: "
            "steps wait until one joins",
            cpus, gpus,
        )  # fmt: skip


def _collect(
    ray: ModuleType, plan: RunPlan, left: Sequence[Step], task_of: Mapping[str, Any], stop: Stop
) -> dict[str, BaseException]:
    """Wait for all tasks, or until asked to stop; returns the errors of those that failed.

    A request must not be heard inside Ray's own waiting, which makes another error of it.
    """
    step_of = {task_of[step.name]: step for step in left}
    waiting, failed = list(step_of), {}
    while waiting and not stop.is_asked:
        ready, waiting = ray.wait(waiting, num_returns=1, timeout=POLL_S)
        for task in ready:
            step = step_of[task]
            try:
                done: StepDone = ray.get(task)
            except ray.exceptions.RayError as error:
                failed[step.name] = error
                continue
            note_seconds(plan.run, step, plan.device, done.seconds, whole=done.whole)
            logger.info(
                "%s is done (%s, %.0f s); %d of %d steps left",
                step.name, done.node, done.seconds, len(waiting), len(left),
            )  # fmt: skip
    for task in reversed(waiting):
        ray.cancel(task)
    end = time.monotonic() + GRACE_S
    while waiting and time.monotonic() < end:
        _, waiting = ray.wait(waiting, num_returns=1, timeout=POLL_S)
    return failed


def _explain(left: Sequence[Step], failed: Mapping[str, BaseException]) -> str:
    """Name the steps that failed by themselves, and count those that lacked their outputs."""
    lines = []
    lacking = 0
    for step in left:
        if step.name not in failed:
            continue
        if any(name in failed for name in step.after):
            lacking += 1
            continue
        error = failed[step.name]
        cause = getattr(error, "cause", None) or error
        logger.error("%s", error)
        lines.append(f"{step.name} failed: {type(cause).__name__}: {cause}")
    finished = len(left) - len(failed)
    return "\n".join(
        [*lines, f"{finished} other steps are done, {lacking} lack what failed; the same command "
         "does the rest"]
    )  # fmt: skip


def _versions() -> dict[str, str]:
    return {library: version(library) for library in LIBRARIES}
