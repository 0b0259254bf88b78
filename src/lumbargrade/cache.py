"""Prepared studies on disk: memory-mapped volumes with their geometry, points and grades.

What must stay true: a study's folder appears whole or not at all; what is loaded equals what was
saved, bit for bit, or is refused; pixels stay on disk until they are looked at.

A folder holds ``study.json``, ``truth.json``, per view one ``<view>.npy`` (all its slices, one
after the other, as a flat array of bytes), and ``checksums.json`` over the others.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64

from lumbargrade.arrays import Affine, Labels, Points
from lumbargrade.atomic_files import folder_beside, write_beside
from lumbargrade.cache_checksums import check_files, write_checksums
from lumbargrade.labels import LEVELS, TARGETS, View
from lumbargrade.records import InvalidStudyError, Study, ViewVolume

SCHEMA = "lumbargrade/prepared/2"
"""To be raised whenever the same files would be prepared differently."""

STUDY_FILE = "study.json"
TRUTH_FILE = "truth.json"

_SCHEMA_IN_FILE = re.compile(rb'\s*{\s*"schema":\s*"([!-~]*)"')
"""The schema comes first: it is read before any checksum, which other versions may lack."""

DISC = len(TARGETS)
"""Index of the first of the five auxiliary disc points, which follow the 25 targets."""

LANDMARKS = DISC + len(LEVELS)
"""25 targets and 5 disc points."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceReference:
    """Which stored slice a slice of a volume came from."""

    series_uid: str
    series_id: str
    sop_instance_uid: str
    instance_number: int | None
    frame_number: int | None
    file_name: str
    affine: Affine
    """(slice, row, column, 1) → LPS mm of the stored pixels."""

    @property
    def table_number(self) -> int | None:
        """How tables name it: by its file, as in ``<instance>.dcm``, else by InstanceNumber."""
        stem = Path(self.file_name).stem
        return int(stem) if stem.isdecimal() else self.instance_number


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyTruth:
    """What is known about a study beside its images."""

    landmarks_lps_mm: Float64[np.ndarray, "30 3"]
    """The 25 targets, then the five disc points; NaN where unlabelled."""
    labels: Labels


@dataclass(frozen=True, slots=True, kw_only=True)
class CachedStudy:
    """A prepared study."""

    study_id: str
    study_uid: str
    sop_instances_sha256: str
    """Of all SOP instance UIDs among the study's files, used or not."""
    source_sha256: str
    """Of the files' names and sizes, and of what a table says about their views."""
    volumes: Mapping[View, ViewVolume]
    """Backed by files; a missing view has no entry."""
    references: Mapping[View, tuple[SliceReference, ...]]
    """One per slice of the volume."""
    truth: StudyTruth

    @property
    def landmarks_lps_mm(self) -> Float64[np.ndarray, "30 3"]:
        """The 25 targets, then the five disc points; NaN where unlabelled."""
        return self.truth.landmarks_lps_mm

    @property
    def labels(self) -> Labels:
        """Grades in target order."""
        return self.truth.labels


def no_truth() -> StudyTruth:
    """The truth of a study about which nothing is known."""
    return StudyTruth(
        landmarks_lps_mm=np.full((LANDMARKS, 3), np.nan),
        labels=np.full(len(TARGETS), -1, dtype=np.int64),
    )


def sop_instances_sha256(uids: Iterable[str]) -> str:
    """Name a set of SOP instance UIDs, whatever their order and number of frames."""
    return hashlib.sha256("\n".join(sorted(set(uids))).encode()).hexdigest()


def references_of(study: Study, volume: ViewVolume) -> tuple[SliceReference, ...]:
    """Where each slice of a volume was stored."""
    all_series = study.series_of(volume.view)
    references = []
    for series_index, slice_index in zip(volume.series_index, volume.slice_index, strict=True):
        series = all_series[series_index]
        item = series.slices[slice_index]
        references.append(
            SliceReference(
                series_uid=series.series_uid,
                series_id=series.series_id,
                sop_instance_uid=item.sop_instance_uid,
                instance_number=item.instance_number,
                frame_number=item.frame_number,
                file_name=item.path.name,
                affine=item.affine,
            )
        )
    return tuple(references)


def save_cached(study: CachedStudy, folder: Path) -> None:
    """Write a study beside its place and rename it, replacing what was there.

    Args:
        study: to be written; its volumes may be in memory.
        folder: ``CACHE/<study_id>``.
    """
    document = {
        "schema": SCHEMA,
        "study_id": study.study_id,
        "study_uid": study.study_uid,
        "sop_instances_sha256": study.sop_instances_sha256,
        "source_sha256": study.source_sha256,
        "views": {
            view.value: _view_document(volume, study.references[view])
            for view, volume in study.volumes.items()
        },
    }
    with folder_beside(folder) as beside:
        for view, volume in study.volumes.items():
            flat = np.concatenate([np.asarray(pixels).ravel() for pixels in volume.slices])
            content = BytesIO()
            np.save(content, flat)
            write_beside(_pixel_file(beside, view), content.getvalue())
        write_beside(beside / STUDY_FILE, json.dumps(document) + "\n")
        write_truth(study.truth, beside)


def write_truth(truth: StudyTruth, folder: Path) -> None:
    """Write or replace the points and grades of a study's folder, then its checksums.

    A kill between the two leaves a study that is refused, and prepared again.
    """
    points = [
        None if np.isnan(point).any() else [float(value) for value in point]
        for point in truth.landmarks_lps_mm
    ]
    document = {"landmarks_lps_mm": points, "labels": [int(label) for label in truth.labels]}
    write_beside(folder / TRUTH_FILE, json.dumps(document) + "\n")
    write_checksums(folder)


def load_cached(folder: Path) -> CachedStudy:
    """Open a prepared study; pixels are mapped, not read.

    Raises:
        FileNotFoundError: the folder holds no prepared study.
        InvalidStudyError: it was prepared by another version, or a file is damaged (of pixels,
            only the size is looked at; see :func:`lumbargrade.cache_checksums.check_files`).
    """
    document = _read_document(folder)
    views = {View(name): entry for name, entry in document["views"].items()}
    return CachedStudy(
        study_id=document["study_id"],
        study_uid=document["study_uid"],
        sop_instances_sha256=document["sop_instances_sha256"],
        source_sha256=document["source_sha256"],
        volumes={view: _load_volume(folder, view, entry) for view, entry in views.items()},
        references={
            view: tuple(
                SliceReference(**{**item, "affine": np.array(item["affine"])})
                for item in entry["references"]
            )
            for view, entry in views.items()
        },
        truth=_load_truth(folder),
    )


def cached_studies(cache: Path) -> tuple[Path, ...]:
    """The folders of all prepared studies, ordered by study id.

    Raises:
        FileNotFoundError: no such cache, or no study in it.
    """
    folders = tuple(sorted(path.parent for path in cache.glob(f"[!.]*/{STUDY_FILE}")))
    if not folders:
        raise FileNotFoundError(f"{cache} holds no prepared study")
    return folders


def prepared_source(folder: Path) -> tuple[str, str] | None:
    """``sop_instances_sha256`` and ``source_sha256`` of a prepared study, None where there is none.

    Raises:
        InvalidStudyError: it was prepared by another version, or a file is damaged.
    """
    if not folder.is_dir():
        return None
    document = _read_document(folder)
    return str(document["sop_instances_sha256"]), str(document["source_sha256"])


def _read_document(folder: Path) -> dict[str, Any]:
    content = (folder / STUDY_FILE).read_bytes()
    schema = _SCHEMA_IN_FILE.match(content)
    if schema is None or schema[1].decode() != SCHEMA:
        found = "no version" if schema is None else schema[1].decode()
        raise InvalidStudyError(f"{folder}: expected {SCHEMA}, found {found}")
    check_files(folder, pixels=False)
    document: dict[str, Any] = json.loads(content)
    return document


def _pixel_file(folder: Path, view: View) -> Path:
    return folder / f"{view.value}.npy"


def _view_document(volume: ViewVolume, references: tuple[SliceReference, ...]) -> dict[str, Any]:
    return {
        "shapes": [list(np.shape(pixels)) for pixels in volume.slices],
        "affines": volume.affines.tolist(),
        "stack_ids": volume.stack_ids.tolist(),
        "series_index": volume.series_index.tolist(),
        "slice_index": volume.slice_index.tolist(),
        "references": [
            {name: getattr(item, name) for name in item.__slots__ if name != "affine"}
            | {"affine": item.affine.tolist()}
            for item in references
        ],
    }


def _load_volume(folder: Path, view: View, entry: dict[str, Any]) -> ViewVolume:
    flat = np.load(_pixel_file(folder, view), mmap_mode="r")
    ends = np.cumsum([rows * columns for rows, columns in entry["shapes"]])
    slices = tuple(
        flat[end - rows * columns : end].reshape(rows, columns)
        for end, (rows, columns) in zip(ends, entry["shapes"], strict=True)
    )
    return ViewVolume(
        view=view,
        slices=slices,
        affines=np.array(entry["affines"]),
        stack_ids=np.array(entry["stack_ids"]),
        series_index=np.array(entry["series_index"]),
        slice_index=np.array(entry["slice_index"]),
    )


def _load_truth(folder: Path) -> StudyTruth:
    document = json.loads((folder / TRUTH_FILE).read_text())
    points: Points = np.array(
        [[np.nan] * 3 if point is None else point for point in document["landmarks_lps_mm"]],
        dtype=np.float64,
    )
    return StudyTruth(landmarks_lps_mm=points, labels=np.array(document["labels"], dtype=np.int64))
