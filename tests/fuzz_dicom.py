"""Damages valid DICOM files at random and sees what the reader makes of each.

Run: ``python tests/fuzz_dicom.py --count 5000 --seed 1``. Every trial damages one file of a valid
study and reads the study in a process of its own kind, under limits of time and memory. A trial is
a function of the seed and its number: ``--only N`` repeats one.
"""

import argparse
import multiprocessing
import os
import resource
import shutil
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np

from fuzz_bases import BaseStudy, write_bases
from fuzz_judge import FAULT, HARMLESS, Truth, judge, truth_of
from fuzz_mutations import MUTATIONS, Mutation, Random
from lumbargrade.phantom.dataset import write_dataset
from lumbargrade.phantom.study import StudyProfile

MAX_SECONDS = 10.0
MAX_MIB = 2048
START_SECONDS = 60.0
"""A worker process may take this long to import and to read its base studies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of one trial."""

    trial: int
    base: str
    mutation: str
    outcome: str
    detail: str
    seconds: float
    peak_mib: int

    @property
    def fault(self) -> str | None:
        """What is wrong, or None."""
        if self.outcome not in HARMLESS:
            return f"{self.outcome}: {self.detail}"
        if self.seconds > MAX_SECONDS:
            return f"took {self.seconds:.1f} s"
        return f"took {self.peak_mib} MiB" if self.peak_mib > MAX_MIB else None


def run(bases: list[BaseStudy], trials: list[int], seed: int, workers: int) -> list[Verdict]:
    """Run trials in worker processes; a process that dies or hangs is a verdict, and replaced."""
    waiting = iter(trials)
    lock = threading.Lock()
    verdicts: list[Verdict] = []

    def serve() -> None:
        worker = Worker(bases, seed)
        for trial in _shared(waiting, lock):
            verdict = worker.ask(trial)
            verdicts.append(verdict)
            if verdict.fault or len(verdicts) % 250 == 0:
                sys.stderr.write(
                    f"{len(verdicts)} done, trial {trial}: {verdict.fault or 'fine'}\n"
                )
        worker.stop()

    threads = [threading.Thread(target=serve) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sorted(verdicts, key=lambda verdict: verdict.trial)


def _shared(waiting: Iterator[int], lock: threading.Lock) -> Iterator[int]:
    while True:
        with lock:
            trial = next(waiting, None)
        if trial is None:
            return
        yield trial


class Worker:
    """A process that runs one trial after another."""

    def __init__(self, bases: list[BaseStudy], seed: int) -> None:
        self._bases, self._seed = bases, seed
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self.process = context.Process(
            target=_work, args=(theirs, self._bases, self._seed), daemon=True
        )
        self.process.start()
        theirs.close()
        if not self._pipe.poll(START_SECONDS):
            raise RuntimeError("a worker did not start")
        self._pipe.recv()

    def ask(self, trial: int) -> Verdict:
        started = time.perf_counter()
        try:
            self._pipe.send(trial)
            if self._pipe.poll(2 * MAX_SECONDS):
                verdict: Verdict = self._pipe.recv()
                return verdict
            outcome = "HANG"
            self.process.kill()
        except (EOFError, ConnectionError):
            outcome = "DIED"
        self.process.join()
        code = self.process.exitcode
        self._start()
        base, mutation = plan(self._bases, self._seed, trial)[:2]
        return Verdict(
            trial=trial,
            base=base.name,
            mutation=mutation.__name__,
            outcome=outcome,
            detail=f"the process ended with {code}",
            seconds=time.perf_counter() - started,
            peak_mib=0,
        )

    def stop(self) -> None:
        self._pipe.send(None)
        self.process.join()


def plan(bases: list[BaseStudy], seed: int, trial: int) -> tuple[BaseStudy, Mutation, Path, Random]:
    """Base, mutation, file to damage, and the generator for the damage itself."""
    rng = np.random.default_rng([seed, trial])
    base = bases[trial % len(bases)]
    mutation = MUTATIONS[int(rng.integers(len(MUTATIONS)))]
    files = [path for path in base.files if path.name not in ("README.md", "LICENSE")]
    return base, mutation, files[int(rng.integers(len(files)))], rng


def _work(pipe: Connection, bases: list[BaseStudy], seed: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # native decoders complain there
    truths: dict[str, Truth] = {}
    pipe.send("ready")
    while (trial := pipe.recv()) is not None:
        pipe.send(one_trial(bases, seed, trial, truths))


def one_trial(bases: list[BaseStudy], seed: int, trial: int, truths: dict[str, Truth]) -> Verdict:
    """Damage a file of a copy of its study and judge what is read."""
    base, mutation, damaged, rng = plan(bases, seed, trial)
    if str(base.folder) not in truths:
        truths[str(base.folder)] = truth_of(base.folder)
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch, "study")
        shutil.copytree(base.folder, folder, copy_function=os.link)
        raw = (folder / damaged).read_bytes()
        (folder / damaged).unlink()
        (folder / damaged).write_bytes(mutation(raw, rng))
        started = time.perf_counter()
        try:
            outcome, detail = judge(folder, damaged, truths[str(base.folder)])
        except BaseException:  # noqa: BLE001 - whatever it is, it is the finding
            outcome, detail = FAULT, traceback.format_exc(limit=-6)
    return Verdict(
        trial=trial,
        base=base.name,
        mutation=mutation.__name__,
        outcome=outcome,
        detail=detail,
        seconds=time.perf_counter() - started,
        peak_mib=peak_mib(),
    )


def summary(verdicts: list[Verdict]) -> str:
    """The counts of each outcome, the slowest trial and the largest memory."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    lines = [f"{counts[outcome]:6d}  {outcome}" for outcome in HARMLESS]
    faults = [verdict for verdict in verdicts if verdict.fault]
    lines.append(f"{len(faults):6d}  faults")
    lines.append(
        f"slowest {max(verdict.seconds for verdict in verdicts):.2f} s, "
        f"most memory {max(verdict.peak_mib for verdict in verdicts)} MiB"
    )
    lines += [f"trial {v.trial} ({v.base}, {v.mutation}): {v.fault}" for v in faults]
    return "\n".join(lines)


def write_phantoms(root: Path) -> dict[StudyProfile, Path]:
    """One phantom study per profile."""
    for profile in StudyProfile:
        write_dataset(root / profile, studies=1, seed=2000, workers=1, profile=profile)
    return {profile: root / profile for profile in StudyProfile}


def main() -> int:
    """Run trials and print what became of them; 1 where one is a fault."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--first", type=int, default=0, help="number of the first trial")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", type=int, help="repeat one trial")
    parser.add_argument("--no-phantoms", action="store_true", help="small synthetic studies alone")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        phantoms = {} if options.no_phantoms else write_phantoms(Path(scratch, "phantoms"))
        bases = write_bases(Path(scratch, "bases"), phantoms)
        first, count = (options.first, options.count) if options.only is None else (options.only, 1)
        trials = list(range(first, first + count))
        verdicts = run(bases, trials, options.seed, options.workers)
    sys.stdout.write(summary(verdicts) + "\n")
    return int(any(verdict.fault for verdict in verdicts))


def peak_mib() -> int:
    """Most memory that this process took; getrusage counts what its parent had at the fork, too."""
    status = Path("/proc/self/status")
    if not status.is_file():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) // 1024


if __name__ == "__main__":
    sys.exit(main())
