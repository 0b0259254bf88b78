"""The prepared studies of a cache, opened one at a time.

What must stay true: a study is opened when it is looked at and forgotten after, because each open
one holds files; the data hash covers every image, point and grade, whatever the studies' order.
"""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from lumbargrade.arrays import Labels
from lumbargrade.atomic_files import remove_folder
from lumbargrade.cache import (
    STUDY_FILE,
    CachedStudy,
    cached_studies,
    load_cached,
)
from lumbargrade.cache_checksums import check_files, read_checksums
from lumbargrade.labels import MISSING_GRADE, View
from lumbargrade.prepare import UNFINISHED, Outcome, prepare_dataset
from lumbargrade.records import InvalidStudyError
from lumbargrade.settings import ConfigError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What is worth remembering of a prepared study without its images."""

    labels: Labels
    views: frozenset[View]
    sha256: str
    """Over its pixels, geometry, points and grades."""


class PreparedStudies(Sequence[CachedStudy]):
    """Some studies of a cache, in order of their ids; opened anew at every look."""

    def __init__(self, cache: Path, study_ids: Sequence[str]) -> None:
        self.cache = cache
        self.study_ids = tuple(sorted(study_ids))

    def __len__(self) -> int:
        return len(self.study_ids)

    @overload
    def __getitem__(self, index: int) -> CachedStudy: ...
    @overload
    def __getitem__(self, index: slice) -> "PreparedStudies": ...
    def __getitem__(self, index: int | slice) -> "CachedStudy | PreparedStudies":
        if isinstance(index, slice):
            return PreparedStudies(self.cache, self.study_ids[index])
        return load_cached(self.cache / self.study_ids[index])


def prepared_cache(data: Path, place: Path, *, workers: int = 1) -> Path:
    """The cache to train from: ``data`` itself if it holds prepared studies, else made from it.

    Either way, all that will be trained on has been compared with its checksums.

    Args:
        data: prepared studies, or a dataset of DICOM files.
        place: where to prepare a dataset; only what is new, changed or damaged is done.
        workers: processes.

    Raises:
        InvalidStudyError: there is no study, or a prepared one is damaged or of another version.
        ConfigError: ``data`` is a cache that was not prepared to its end.
    """
    if any(data.glob(f"[!.]*/{STUDY_FILE}")):
        _check_cache(data)
        return data
    logger.info("preparing %s", data.name)
    prepared = prepare_dataset(data, place, workers=workers, verify=True)
    for study in prepared:
        if study.outcome is Outcome.FAILED:
            logger.warning("study %s is left out: %s", study.study_id, "; ".join(study.problems))
    wanted = {study.study_id for study in prepared}
    for folder in cached_studies(place):
        if folder.name not in wanted:
            logger.info("study %s is no longer in %s", folder.name, data.name)
            remove_folder(folder)
    return place


def _check_cache(cache: Path) -> None:
    if (cache / UNFINISHED).exists():
        raise ConfigError(
            f"{cache} was not prepared to its end: give `prepare` the same dataset and --out again"
        )
    folders = tuple(sorted({path.parent for path in cache.glob("[!.]*/*.npy")}))
    logger.info("checking the checksums of %d prepared studies", len(folders))
    for folder in folders:
        try:
            load_cached(folder)
            check_files(folder, pixels=True)
        except (InvalidStudyError, FileNotFoundError) as error:
            raise InvalidStudyError(
                f"{error}; `lumbargrade prepare DATASET --out {cache} --verify` makes it anew"
            ) from error


def survey(cache: Path) -> dict[str, StudyFacts]:
    """Look once at every prepared study of a cache.

    Returns:
        study id → facts, for studies with at least one grade; ordered by study id.

    Raises:
        FileNotFoundError: no such cache, or no study in it.
    """
    facts = {}
    for folder in cached_studies(cache):
        study = load_cached(folder)
        if (study.labels != MISSING_GRADE).any():
            facts[study.study_id] = _facts(study, folder)
    return facts


def data_sha256(facts: Sequence[StudyFacts]) -> str:
    """Name a set of studies with their points and grades."""
    return hashlib.sha256("\n".join(sorted(item.sha256 for item in facts)).encode()).hexdigest()


def _facts(study: CachedStudy, folder: Path) -> StudyFacts:
    listed = "".join(f"{name} {sha256}\n" for name, (_, sha256) in read_checksums(folder).items())
    return StudyFacts(
        labels=study.labels,
        views=frozenset(study.volumes),
        sha256=hashlib.sha256(f"{study.study_id}\n{listed}".encode()).hexdigest(),
    )
