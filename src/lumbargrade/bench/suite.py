"""All measurements of ``lumbargrade bench``, on one set of studies.

What must stay true: nothing is left on disk; every figure says over how many repetitions it is.
"""

import platform
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch

from lumbargrade.bench.networks import NetworkSpeeds, network_speeds
from lumbargrade.bench.reading import ReadingSpeed, reading_speed
from lumbargrade.bench.skipping import SkippingSpeed, skipping_speeds
from lumbargrade.bench.stages import StageTimes, stage_times
from lumbargrade.bench.steps import StepSpeed, step_speeds
from lumbargrade.bench.timing import OnStep
from lumbargrade.cache import load_cached, no_truth
from lumbargrade.dicom import find_studies, read_study
from lumbargrade.memory import keep_big_buffers
from lumbargrade.models import open_models
from lumbargrade.phantom.dataset import write_dataset
from lumbargrade.pipeline import Pipeline, choose_device
from lumbargrade.prepare import Outcome, prepare_study
from lumbargrade.records import InvalidStudyError
from lumbargrade.runtime import usable_cores
from lumbargrade.study_tables import StudyTables, read_tables

SCHEMA = "lumbargrade/bench/1"
PHANTOM_SEED = 2100
"""Of the first study that is made to measure on."""

LIBRARIES = ("lumbargrade", "torch", "timm", "segmentation-models-pytorch", "numpy", "pydicom")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What the figures depend on besides the code."""

    system: str
    processor: str
    python: str
    cores: int
    """That this process may use."""
    threads: int
    """Of one operation of torch."""
    device: str
    device_name: str
    big_buffers_kept: bool
    """Whether glibc was told to reuse big buffers."""
    versions: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchResult:
    """What was measured."""

    machine: Machine
    reading: ReadingSpeed
    predict: StageTimes
    skipping: dict[str, SkippingSpeed]
    """By view, for detectors whose settings allow it; empty where none do."""
    networks: NetworkSpeeds
    training: dict[str, StepSpeed]

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {"schema": SCHEMA, **asdict(self)}


def run_bench(
    data: Path | None = None,
    *,
    models: Path | None = None,
    device: str = "auto",
    studies: int = 2,
    repeats: int = 3,
    on_step: OnStep = lambda _: None,
) -> BenchResult:
    """Measure everything.

    Args:
        data: a dataset of DICOM files; None makes phantom studies.
        models: a model folder; None for the bundled one.
        device: auto, cpu, cuda, cuda:N or mps.
        studies: how many to make, or to take from the dataset.
        repeats: rounds that count.
        on_step: progress.

    Raises:
        InvalidStudyError: no study of the dataset can be used.
        ConfigError: no such device or model folder.
    """
    where = choose_device(device)
    with TemporaryDirectory(prefix="lumbargrade-bench-") as name:
        place = Path(name)
        if data is None:
            on_step("making studies")
            data = place / "studies"
            write_dataset(
                data, studies=studies, seed=PHANTOM_SEED, workers=min(studies, usable_cores())
            )
        return _measure(data, place, models, where, studies, repeats, on_step)


def _measure(
    data: Path,
    place: Path,
    models: Path | None,
    device: str,
    count: int,
    repeats: int,
    on_step: Callable[[str], None],
) -> BenchResult:
    on_step("preparing")
    cache = place / "cache"
    files = find_studies(data)[:count]
    if not files:
        raise InvalidStudyError(f"{data} holds no DICOM study")
    tables = read_tables(data)
    for item in files:
        known = tables.get(item.study_id, StudyTables(labels=no_truth().labels))
        prepared = prepare_study((item, known), out=cache)
        if prepared.outcome is Outcome.FAILED:
            raise InvalidStudyError("; ".join(prepared.problems))
    on_step("reading")
    reading = reading_speed(files, cache, repeats)
    pipeline = Pipeline.load(models, device)
    threads = torch.get_num_threads()
    on_step("stages of predict")
    predictions = [pipeline.run(read_study(item)) for item in files]
    predict = stage_times(
        pipeline, list(zip(files, predictions, strict=True)), place / "predictions", repeats
    )
    skipping = skipping_speeds(
        pipeline, [dict(item.volumes) for item in predictions], repeats, on_step=on_step
    )
    studies = [load_cached(cache / item.study_id) for item in files]
    slices = {view: len(volume.slices) for view, volume in studies[0].volumes.items()}
    networks = network_speeds(models, device, slices, threads, repeats, on_step=on_step)
    landmarks = {item.study.study_id: item.landmarks for item in predictions}
    training = step_speeds(
        open_models(models), studies, landmarks, device, repeats, on_step=on_step
    )
    return BenchResult(
        machine=_machine(device, threads),
        reading=reading,
        predict=predict,
        skipping=skipping,
        networks=networks,
        training=training,
    )


def _machine(device: str, threads: int) -> Machine:
    on_cuda = device.startswith("cuda")
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        processor=platform.machine(),
        python=platform.python_version(),
        cores=usable_cores(),
        threads=threads,
        device=device,
        device_name=torch.cuda.get_device_name(device) if on_cuda else platform.machine(),
        big_buffers_kept=keep_big_buffers(),
        versions={library: version(library) for library in LIBRARIES},
    )
