"""How long steps took: kept in the run's log, from which an estimate is made.

What must stay true: clocks appear in the log alone; an estimate is a mean of what was measured
here on steps of the same kind and device, and there is none where nothing was measured.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lumbargrade.atomic_files import append_line, make_folder
from lumbargrade.steps import Step

LOG = "log"
"""Folder of what may differ between equal runs."""

SECONDS = "seconds.jsonl"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepClock:
    """Measures one step."""

    run: Path
    step: Step
    device: str
    begun: float

    @classmethod
    def start(cls, run: Path, step: Step, device: str) -> Self:
        """Begin to measure."""
        return cls(run=run, step=step, device=device, begun=time.monotonic())

    def stop(self, *, whole: bool) -> None:
        """Note the seconds; a step that was begun earlier counts for no estimate."""
        note_seconds(self.run, self.step, self.device, time.monotonic() - self.begun, whole=whole)


def note_seconds(run: Path, step: Step, device: str, seconds: float, *, whole: bool) -> None:
    """Note the seconds that a step took on a device; ``whole`` as for :meth:`StepClock.stop`."""
    make_folder(run / LOG)
    entry = {
        "step": step.name,
        "kind": step.kind,
        "device": device,
        "seconds": round(seconds, 3),
        "whole": whole,
    }
    append_line(run / LOG / SECONDS, json.dumps(entry))


def mean_seconds(run: Path, device: str) -> dict[str, float]:
    """Kind → mean seconds of the whole steps that a run's log holds for a device."""
    found: dict[str, list[float]] = {}
    for entry in _entries(run):
        if entry["whole"] and entry["device"] == device:
            found.setdefault(entry["kind"], []).append(entry["seconds"])
    return {kind: sum(seconds) / len(seconds) for kind, seconds in found.items()}


def seconds_by_step(run: Path) -> dict[str, tuple[float, bool]]:
    """Step → seconds of the call that finished it last, and whether that call began it."""
    return {entry["step"]: (entry["seconds"], entry["whole"]) for entry in _entries(run)}


def _entries(run: Path) -> list[dict[str, Any]]:
    """The lines of the log; one that was cut off by a kill is left out."""
    path = run / LOG / SECONDS
    if not path.is_file():
        return []
    lines = path.read_text().splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]
