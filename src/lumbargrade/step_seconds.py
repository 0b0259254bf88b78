"""How long steps took: kept in the run's log, from which an estimate is made.

What must stay true: clocks appear in the log alone; an estimate is a mean of what was measured
here on steps of the same kind and device, and there is none where nothing was measured.
"""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

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
        make_folder(self.run / LOG)
        entry = {
            "step": self.step.name,
            "kind": self.step.kind,
            "device": self.device,
            "seconds": round(time.monotonic() - self.begun, 3),
            "whole": whole,
        }
        append_line(self.run / LOG / SECONDS, json.dumps(entry))


def mean_seconds(run: Path, device: str) -> dict[str, float]:
    """Kind → mean seconds of the whole steps that a run's log holds for a device."""
    path = run / LOG / SECONDS
    if not path.is_file():
        return {}
    found: dict[str, list[float]] = {}
    for entry in map(json.loads, path.read_text().splitlines()):
        if entry["whole"] and entry["device"] == device:
            found.setdefault(entry["kind"], []).append(entry["seconds"])
    return {kind: sum(seconds) / len(seconds) for kind, seconds in found.items()}
