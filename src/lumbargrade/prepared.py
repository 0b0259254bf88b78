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
from lumbargrade.cache import STUDY_FILE, CachedStudy, cached_studies, load_cached
from lumbargrade.labels import MISSING_GRADE, View
from lumbargrade.prepare import Outcome, prepare_dataset

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What is worth remembering of a prepared study without its images."""

    labels: Labels
    views: frozenset[View]
    sha256: str
    """Over its SOP instances, points and grades."""


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

    Args:
        data: prepared studies, or a dataset of DICOM files.
        place: where to prepare a dataset; only what is new or changed is done.
        workers: processes.

    Raises:
        InvalidStudyError: there is no study.
    """
    if any(data.glob(f"[!.]*/{STUDY_FILE}")):
        return data
    logger.info("preparing %s", data.name)
    for study in prepare_dataset(data, place, workers=workers):
        if study.outcome is Outcome.FAILED:
            logger.warning("study %s is left out: %s", study.study_id, "; ".join(study.problems))
    return place


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
            facts[study.study_id] = _facts(study)
    return facts


def data_sha256(facts: Sequence[StudyFacts]) -> str:
    """Name a set of studies with their points and grades."""
    return hashlib.sha256("\n".join(sorted(item.sha256 for item in facts)).encode()).hexdigest()


def _facts(study: CachedStudy) -> StudyFacts:
    digest = hashlib.sha256(f"{study.study_id}\n{study.sop_instances_sha256}\n".encode())
    digest.update(study.landmarks_lps_mm.tobytes())
    digest.update(study.labels.tobytes())
    return StudyFacts(
        labels=study.labels, views=frozenset(study.volumes), sha256=digest.hexdigest()
    )
