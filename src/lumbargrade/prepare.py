"""A dataset of DICOM files → prepared studies, which training reads in milliseconds.

What must stay true: a study is prepared again when its files changed or what was prepared is
damaged, else kept; a study that fails stops no other, and nothing of it stays in the cache; a
labelled point is where its own slice's geometry puts it.
"""

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from lumbargrade.atomic_files import WriteError, remove_folder, write_beside
from lumbargrade.cache import (
    CachedStudy,
    load_cached,
    no_truth,
    prepared_source,
    references_of,
    save_cached,
    sop_instances_sha256,
    write_truth,
)
from lumbargrade.cache_checksums import check_files
from lumbargrade.dicom import StudyFiles, read_headers, read_study
from lumbargrade.dicom.files import find
from lumbargrade.dicom.slice_header import SliceHeader, UnreadableFileError
from lumbargrade.folder_lock import held_folder
from lumbargrade.records import InvalidStudyError
from lumbargrade.study_tables import StudyTables, place_truth, read_tables
from lumbargrade.volumes import view_volumes
from lumbargrade.worker_pool import each

UNFINISHED = ".unfinished"
"""File in a cache while a dataset is being prepared; a kill leaves it there."""

_log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What became of a study."""

    PREPARED = "prepared"
    KEPT = "kept"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """The outcome of one study."""

    study_id: str
    outcome: Outcome
    problems: tuple[str, ...] = ()
    """Why it failed, or what was left out."""


def prepare_dataset(
    dataset: Path,
    out: Path,
    *,
    workers: int = 1,
    verify: bool = False,
    on_start: Callable[[int], None] | None = None,
    on_study: Callable[[Prepared], None] | None = None,
) -> tuple[Prepared, ...]:
    """Prepare every study of a dataset that is not prepared yet.

    Args:
        dataset: folder with studies; its training tables are used where present.
        out: the cache, one folder per study.
        workers: processes.
        verify: compare the checksums of all pixels that are kept, not their sizes alone.
        on_start: told the number of studies.
        on_study: told each outcome as it comes: refused archives, then studies in order of ids.

    Raises:
        InvalidStudyError: the dataset holds no study, or a table cannot be read.
        ConfigError: another process works in the cache.
        WriteError: the disk is full, say.
    """
    found = find(dataset)
    if not found.studies:
        faults = (f"\n  {fault}" for fault in (*found.problems, *found.refused_archives))
        raise InvalidStudyError(f"{dataset} holds no DICOM study{''.join(faults)}")
    for problem in found.problems:
        _log.warning("%s", problem)
    if dataset.is_file():
        _log.warning("%s is a file: training tables are read from folders only", dataset.name)
    tables = read_tables(dataset)
    known = no_truth().labels
    jobs = [
        (files, tables.get(files.study_id, StudyTables(labels=known))) for files in found.studies
    ]
    refused = [
        Prepared(study_id="archive", outcome=Outcome.FAILED, problems=(refusal,))
        for refusal in found.refused_archives
    ]
    twins = _twins(found.studies)
    if on_start is not None:
        on_start(len(refused) + len(jobs))
    outcomes = []
    with held_folder(out):
        write_beside(out / UNFINISHED, "")
        single = [job for job in jobs if job[0].study_id not in twins]
        work = partial(prepare_study, out=out, verify=verify)
        for outcome in chain(refused, twins.values(), each(work, single, workers=workers)):
            outcomes.append(outcome)
            if on_study is not None:
                on_study(outcome)
        (out / UNFINISHED).unlink()
    return tuple(outcomes)


def _twins(found: Sequence[StudyFiles]) -> dict[str, Prepared]:
    """Studies found in two places: neither is prepared, for which of them would it be?"""
    places: dict[str, list[str]] = {}
    for files in found:
        places.setdefault(files.study_id, []).append(f"{files.paths[0].parent}")
    return {
        study_id: Prepared(
            study_id=study_id,
            outcome=Outcome.FAILED,
            problems=(f"found in two places: {' and '.join(several)}",),
        )
        for study_id, several in places.items()
        if len(several) > 1
    }


def prepare_study(
    job: tuple[StudyFiles, StudyTables], *, out: Path, verify: bool = False
) -> Prepared:
    """Prepare one study, or note that it is prepared, or why it cannot be.

    Args:
        job: the study's files, and what the tables say about it.
        out: the cache.
        verify: compare the checksums of pixels that are kept, not their sizes alone.
    """
    files, tables = job
    folder = out / files.study_id
    try:
        files, instances = _with_headers(files)
        source = source_sha256(files)
        damage = None
        try:
            if prepared_source(folder) == (instances, source):
                check_files(folder, pixels=verify)
                return _refresh_truth(folder, tables)
        except (InvalidStudyError, FileNotFoundError) as error:
            damage = f"prepared anew, for {error}"
        return _prepare_anew(files, tables, (instances, source), folder, damage)
    except WriteError:  # nothing wrong with the study
        raise
    except (ValueError, OSError) as error:  # whatever is wrong with the data of one study
        remove_folder(folder)  # it is not what the files hold now
        return Prepared(study_id=files.study_id, outcome=Outcome.FAILED, problems=(f"{error}",))


def source_sha256(files: StudyFiles) -> str:
    """Name the files of a study by place and size, and what a table says of their views.

    A file in an archive counts with the archive's size.
    """
    top = os.path.commonpath([path.parent for path in files.paths])
    lines = [
        f"{path.relative_to(top).as_posix()} {files.holder_of(path).stat().st_size}"
        for path in files.paths
    ]
    lines += [f"{known.series_id} is {known.view}" for known in files.known_views]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def _with_headers(files: StudyFiles) -> tuple[StudyFiles, str]:
    """Read the headers, unless finding the study took reading them, and name the instances."""
    if files.headers is not None:
        found = [header.sop_instance_uid for header in files.headers]
        return files, sop_instances_sha256([*found, *files.unreadable])
    headers: list[SliceHeader] = []
    unreadable: list[str] = []
    for path in files.paths:
        try:
            headers += read_headers(path)
        except UnreadableFileError:  # reading the study will say so; the file still counts here
            unreadable.append(f"unreadable {path.name}")
    uids = sop_instances_sha256([*(header.sop_instance_uid for header in headers), *unreadable])
    return (files if unreadable else replace(files, headers=tuple(headers))), uids


def _refresh_truth(folder: Path, tables: StudyTables) -> Prepared:
    """Points and grades follow the tables, which may have changed since."""
    cached = load_cached(folder)
    truth, problems = place_truth(tables, cached.references, cached.volumes)
    if not (
        np.array_equal(truth.landmarks_lps_mm, cached.landmarks_lps_mm, equal_nan=True)
        and np.array_equal(truth.labels, cached.labels)
    ):
        write_truth(truth, folder)
    return Prepared(study_id=cached.study_id, outcome=Outcome.KEPT, problems=problems)


def _prepare_anew(
    files: StudyFiles,
    tables: StudyTables,
    source: tuple[str, str],
    folder: Path,
    damage: str | None,
) -> Prepared:
    study = read_study(files)
    volumes = view_volumes(study)
    if not volumes:
        raise InvalidStudyError(f"study {study.study_id}: no usable view")
    references = {view: references_of(study, volume) for view, volume in volumes.items()}
    truth, problems = place_truth(tables, references, volumes)
    save_cached(
        CachedStudy(
            study_id=study.study_id,
            study_uid=study.study_uid,
            sop_instances_sha256=source[0],
            source_sha256=source[1],
            volumes=volumes,
            references=references,
            truth=truth,
        ),
        folder,
    )
    return Prepared(
        study_id=study.study_id,
        outcome=Outcome.PREPARED,
        problems=(*([] if damage is None else [damage]), *study.warnings, *problems),
    )
