"""Steps that fill folders: which are done, which are to do and why, and doing them.

What must stay true: a step is done when the record beside its outputs names the same inputs (its
settings and those of all steps before it, down to the data); its folder is filled elsewhere and
renamed into place with its record, so that what is there is whole; the earlier outputs stay until
then; whatever a kill leaves is gone on with.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lumbargrade.atomic_files import make_folder, remove_folder, write_beside

RECORD = "step.json"
"""In each step's folder: its inputs, and the files it left."""

UNFINISHED = "unfinished"
"""Folder inside the run in which steps' folders are filled; several processes may do so."""

_SCHEMA = "lumbargrade/step/1"


class StepsFailedError(RuntimeError):
    """Some steps failed, and those that need their outputs were not done; the others were."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step of a run."""

    name: str
    """Its folder, relative to the run, with slashes."""
    kind: str
    """What steps are that take as long, e.g. the same member in another fold."""
    settings: Mapping[str, Any]
    """Plain data; other values, other outputs."""
    after: tuple[str, ...]
    """Names of the steps whose outputs it reads."""
    work: Callable[[Path], None]
    """Fills a folder; called again on a folder that was cut off, it goes on."""
    uses_device: bool = False
    """It runs a network."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StepState:
    """Whether a step is done."""

    step: Step
    inputs_sha256: str
    reason: str
    """Why it is to do; empty where it is done."""
    replaces: bool
    """There are outputs of other inputs, which stay until it is done."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not self.reason


def states_of(run: Path, steps: Sequence[Step]) -> list[StepState]:
    """Compare steps with what a run's folder holds; nothing is written.

    Args:
        run: the run's folder; it may not be there.
        steps: in an order in which they can be done.
    """
    states: dict[str, StepState] = {}
    for step in steps:
        upstream = {name: states[name].inputs_sha256 for name in step.after}
        inputs = _inputs(step, upstream)
        reason = _reason(run / step.name, inputs)
        states[step.name] = StepState(
            step=step,
            inputs_sha256=_sha256(inputs),
            reason=reason,
            replaces=bool(reason) and (run / step.name).is_dir(),
        )
    return list(states.values())


def do_step(run: Path, state: StepState, upstream: Mapping[str, str]) -> bool:
    """Do a step, or go on with it.

    Args:
        run: the run's folder, held by this process.
        state: of the step.
        upstream: name → inputs' hash of the steps before it.

    Returns:
        Whether it was done from its beginning by this call.
    """
    step = state.step
    beside = unfinished_folder(run, state)
    _sweep_other_inputs(beside)
    is_new = not beside.is_dir()
    make_folder(beside)
    if not (beside / RECORD).is_file():
        step.work(beside)
        outputs = {
            path.relative_to(beside).as_posix(): path.stat().st_size
            for path in sorted(beside.rglob("*"))
            if path.is_file()
        }
        record = {
            "schema": _SCHEMA,
            "inputs_sha256": state.inputs_sha256,
            **_inputs(step, upstream),
            "outputs": outputs,
        }
        write_beside(beside / RECORD, json.dumps(record, indent=1) + "\n", synced=True)
    place = run / step.name
    make_folder(place.parent)
    remove_folder(place)
    beside.replace(place)
    return is_new


def unfinished_folder(run: Path, state: StepState) -> Path:
    """Where a step's folder is filled."""
    return run / UNFINISHED / f"{_flat(state.step.name)}-{state.inputs_sha256[:16]}"


def _flat(name: str) -> str:
    return name.replace("/", "+")


def _sweep_other_inputs(beside: Path) -> None:
    """Remove what was begun of the same step with other inputs."""
    prefix = beside.name.rpartition("-")[0]
    if beside.parent.is_dir():
        for other in sorted(beside.parent.iterdir()):
            if other != beside and other.name.rpartition("-")[0] == prefix:
                remove_folder(other)


def _inputs(step: Step, upstream: Mapping[str, str]) -> dict[str, Any]:
    return {"step": step.name, "settings": dict(step.settings), "after": dict(upstream)}


def _sha256(document: Mapping[str, Any]) -> str:
    text = json.dumps({"schema": _SCHEMA, **document}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _reason(folder: Path, inputs: Mapping[str, Any]) -> str:
    """Why a step is to do; empty where it is done."""
    record = read_record(folder)
    if record is None:
        return f"{RECORD} is missing" if folder.is_dir() else "not done yet"
    if record["settings"] != inputs["settings"]:
        names = differing(record["settings"], dict(inputs["settings"]))
        return f"other settings: {', '.join(names)}"
    if set(record["after"]) != set(inputs["after"]):
        return "other steps before it"
    if record["after"] != inputs["after"]:
        changed = [name for name, sha in inputs["after"].items() if record["after"][name] != sha]
        return f"after {changed[0]}" + (f" and {len(changed) - 1} more" if changed[1:] else "")
    for name, size in record["outputs"].items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != size:
            return f"{name} is missing or cut off"
    return ""


def read_record(folder: Path) -> dict[str, Any] | None:
    """The record of the step that filled a folder; None where there is none of this schema."""
    path = folder / RECORD
    if not path.is_file():
        return None
    record: dict[str, Any] = json.loads(path.read_text())
    return record if record.get("schema") == _SCHEMA else None


def differing(begun: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> list[str]:
    """The dotted names of the settings that differ."""
    names = []
    for name in dict.fromkeys([*begun, *now]):
        old, new = begun.get(name), now.get(name)
        if isinstance(old, dict) and isinstance(new, dict):
            names += differing(old, new, f"{prefix}{name}.")
        elif old != new:
            names.append(prefix + name)
    return names
