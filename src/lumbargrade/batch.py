"""Many studies → one output folder: what ``predict``, ``demo`` and ``submit`` have in common.

What must stay true: bad data of one study stops no other; a finished study is not predicted again
unless it is asked for; the tables over all studies cover what this call found finished or made.
"""

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from lumbargrade.dicom import StudyFiles, read_study, sop_instances_sha256
from lumbargrade.dicom.files import find
from lumbargrade.dicom.slice_header import short_name
from lumbargrade.outputs import (
    finished_grades,
    has_summary,
    study_folder,
    write_prediction,
    write_summary,
)
from lumbargrade.prediction import Prediction
from lumbargrade.records import Grades, InvalidStudyError, Study
from lumbargrade.report.html import render_report
from lumbargrade.worker_pool import each


@runtime_checkable
class Predictor(Protocol):
    """What turns a study into a prediction; a pipeline, or a stand-in for one."""

    def run(self, study: Study) -> Prediction:
        """Predict one study."""


LoadPredictor = Callable[[], Predictor]
"""Loads the models when the first study needs them: networks take seconds to import and load. For
several processes: picklable, and equal where it loads the same."""


class Outcome(StrEnum):
    """What became of a study."""

    DONE = "done"
    SKIPPED = "skipped"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """One study of a batch."""

    study_id: str
    outcome: Outcome
    grades: Grades | None
    """None where it failed."""
    error: str = ""
    """Why it failed: the file or series, and the rule."""


_log = logging.getLogger(__name__)

OnResult = Callable[[StudyResult], None]

Faults = tuple[type[Exception], ...]
"""Kinds of exceptions."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundStudies:
    """What several paths hold."""

    studies: tuple[StudyFiles, ...]
    refused_archives: tuple[str, ...]
    """Why archives were refused that may hold studies."""


def find_all_studies(paths: Iterable[Path]) -> list[StudyFiles]:
    """Like :func:`find_all`, the studies alone; refused archives are warnings.

    Raises:
        FileNotFoundError: a path does not exist.
    """
    found = find_all(paths)
    for refusal in found.refused_archives:
        _log.warning("%s", refusal)
    return list(found.studies)


def find_all(paths: Iterable[Path]) -> FoundStudies:
    """The studies below several paths, each once, in the order of the paths.

    Two findings of one id stay two, unless one holds all the files of the other.

    Raises:
        FileNotFoundError: a path does not exist.
    """
    found: list[StudyFiles] = []
    refused: list[str] = []
    for path in paths:
        findings = find(path)
        for problem in findings.problems:
            _log.warning("%s", problem)
        refused += [item for item in findings.refused_archives if item not in refused]
        for study in findings.studies:
            files = _resolved(study)
            twins = [item for item in found if item.study_id == study.study_id]
            if any(files <= _resolved(twin) for twin in twins):
                continue
            found = [item for item in found if item not in twins or not _resolved(item) <= files]
            found.append(study)
    return FoundStudies(studies=tuple(found), refused_archives=tuple(refused))


def _resolved(study: StudyFiles) -> frozenset[Path]:
    return frozenset(path.resolve() for path in study.paths)


def predict_batch(
    load: LoadPredictor,
    studies: Sequence[StudyFiles],
    out: Path,
    *,
    models_hash: str,
    force: bool = False,
    workers: int = 1,
    on_result: OnResult | None = None,
) -> list[StudyResult]:
    """Predict studies and write their files.

    Args:
        load: gives the pipeline; not called where every study is finished.
        studies: what to predict.
        out: gets a folder per study, and the tables over all.
        models_hash: of the models that ``load`` gives.
        force: predict finished studies again.
        workers: processes, each with models of its own.
        on_result: called after each study, in order.

    Returns:
        One result per study, in order.
    """
    loaded = cache(load) if workers == 1 else partial(_loaded, load)
    work = partial(_predict, load=loaded, out=out, models_hash=models_hash, force=force)
    results = _each(studies, work, on_result, workers=workers)
    grades = [result.grades for result in results if result.grades is not None]
    if grades or has_summary(out):
        write_summary(out, grades)
    return results


def _predict(
    files: StudyFiles, *, load: LoadPredictor, out: Path, models_hash: str, force: bool
) -> StudyResult:
    study_folder(out, files.study_id)  # an id that cannot name a folder fails before any work
    study = _read(files)
    finished = None if force else _finished(out, study, models_hash)
    if finished is not None:
        return StudyResult(study_id=study.study_id, outcome=Outcome.SKIPPED, grades=finished)
    prediction = load().run(study)
    write_prediction(out, prediction, render_report(prediction))
    return _done(prediction)


@lru_cache(maxsize=1)
def _loaded(load: LoadPredictor) -> Predictor:
    """A worker's predictor, which stays from study to study."""
    return load()


def grade_batch(
    load: LoadPredictor,
    studies: Sequence[StudyFiles],
    *,
    on_result: OnResult | None = None,
    faults: Faults = (),
) -> list[StudyResult]:
    """Like :func:`predict_batch`, without any file.

    Args:
        load: gives the pipeline.
        studies: what to grade.
        on_result: called after each study.
        faults: what fails a study, as bad data do, instead of ending the call; logged with its
            traceback.
    """
    predictor = cache(load)

    def grade(files: StudyFiles) -> StudyResult:
        return _done(predictor().run(_read(files)))

    return _each(studies, grade, on_result, faults)


def _each(
    studies: Sequence[StudyFiles],
    work: Callable[[StudyFiles], StudyResult],
    on_result: OnResult | None,
    faults: Faults = (),
    *,
    workers: int = 1,
) -> list[StudyResult]:
    ids = [files.study_id for files in studies]
    jobs = [(files, files.study_id in ids[:place]) for place, files in enumerate(studies)]
    results: list[StudyResult] = []
    for result in each(partial(_attempt, work=work, faults=faults), jobs, workers=workers):
        results.append(result)
        if on_result is not None:
            on_result(result)
    return results


def _attempt(
    job: tuple[StudyFiles, bool], *, work: Callable[[StudyFiles], StudyResult], faults: Faults
) -> StudyResult:
    """Work on a study, unless its id came before."""
    files, taken = job
    try:
        if taken:
            raise InvalidStudyError(
                f"study {files.study_id} was found in two places, the second at "
                f"{files.paths[0].parent}: predict them into different folders"
            )
        return work(files)
    except InvalidStudyError as error:
        return StudyResult(
            study_id=files.study_id, outcome=Outcome.FAILED, grades=None, error=str(error)
        )
    except faults as fault:
        _log.exception("study %s: a fault, not the study's", files.study_id)
        return StudyResult(
            study_id=files.study_id,
            outcome=Outcome.FAILED,
            grades=None,
            error=f"study {files.study_id}: {type(fault).__name__}: {fault}",
        )


def _finished(out: Path, study: Study, models_hash: str) -> Grades | None:
    instances = sop_instances_sha256(study)
    return finished_grades(out, study, models_hash=models_hash, sop_instances_sha256=instances)


def _done(prediction: Prediction) -> StudyResult:
    grades = prediction.grades
    return StudyResult(study_id=grades.study_id, outcome=Outcome.DONE, grades=grades)


def _read(files: StudyFiles) -> Study:
    """Read a study; a file that the system refuses to read is bad data, a full disk is not."""
    try:
        return read_study(files)
    except OSError as error:
        name = short_name(Path(error.filename or files.study_id))
        raise InvalidStudyError(
            f"study {files.study_id}: {name} cannot be read ({error.strerror})"
        ) from error
