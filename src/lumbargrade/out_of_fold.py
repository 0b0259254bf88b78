"""Points and answers of studies that the networks never saw: how a run keeps them.

What must stay true: landmarks are kept exactly, so that a resumed run cuts the same crops; a table
names a slice as the competition's own tables do.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lumbargrade.atomic_files import append_line, write_beside
from lumbargrade.cache import CachedStudy
from lumbargrade.competition import write_table
from lumbargrade.competition.answers import POINT_COLUMNS
from lumbargrade.geometry import locate
from lumbargrade.labels import TARGETS, Flag
from lumbargrade.records import Evidence, Landmark, Track, ViewVolume

LANDMARKS = "landmarks.jsonl"
POINTS = "points_out_of_fold.csv"
ANSWERS = "out_of_fold.csv"
"""Answers q of the classifier's validation studies, in submission format, before calibration."""

Landmarks = tuple[Landmark, ...]
"""25, in target order."""


def marked_landmarks(study: CachedStudy) -> Landmarks:
    """The points that people (or the phantom) marked, as landmarks."""
    landmarks = []
    for target, position in zip(TARGETS, study.landmarks_lps_mm, strict=False):
        marked = bool(np.isfinite(position).all())
        absent = (
            Flag.LEVEL_NOT_COVERED if target.condition.view in study.volumes else Flag.VIEW_MISSING
        )
        landmarks.append(
            Landmark(
                target=target,
                position_lps_mm=position if marked else None,
                score=float(marked),
                flags=() if marked else (absent,),
            )
        )
    return tuple(landmarks)


def append_landmarks(path: Path, study_id: str, landmarks: Landmarks) -> None:
    """Add one study's line to ``landmarks.jsonl``."""
    append_line(path, _line(study_id, landmarks))


def _line(study_id: str, landmarks: Landmarks) -> str:
    entry: dict[str, Any] = {
        "study_id": study_id,
        "positions_lps_mm": [
            None if item.position_lps_mm is None else item.position_lps_mm.tolist()
            for item in landmarks
        ],
        "scores": [item.score for item in landmarks],
        "flags": [[flag.value for flag in item.flags] for item in landmarks],
        "evidence": [
            None if item.evidence is None else asdict(item.evidence) for item in landmarks
        ],
    }
    if any(item.track is not None for item in landmarks):
        entry["tracks"] = [_track_entry(item.track) for item in landmarks]
    return json.dumps(entry)


def _track_entry(track: Track | None) -> dict[str, Any] | None:
    if track is None:
        return None
    offsets = track.offsets_lps_mm
    return {
        "offsets_lps_mm": [row.tolist() if np.isfinite(row).all() else None for row in offsets],
        "heights": track.heights.tolist(),
    }


def _track(entry: Mapping[str, Any] | None) -> Track | None:
    if entry is None:
        return None
    rows = [[np.nan] * 3 if row is None else row for row in entry["offsets_lps_mm"]]
    return Track(
        offsets_lps_mm=np.array(rows, dtype=np.float64),
        heights=np.array(entry["heights"], dtype=np.float64),
    )


def read_landmarks(path: Path) -> dict[str, Landmarks]:
    """Read ``landmarks.jsonl``; a last line that was cut off by a kill is left out.

    Returns:
        study id → landmarks, in file order; nothing where there is no file.
    """
    if not path.is_file():
        return {}
    complete = [line for line in path.read_bytes().splitlines(keepends=True) if line[-1:] == b"\n"]
    return {entry["study_id"]: _landmarks(entry) for entry in map(json.loads, complete)}


def repair_landmarks(path: Path) -> dict[str, Landmarks]:
    """Read ``landmarks.jsonl`` to go on with it: a line that was cut off is removed."""
    known = read_landmarks(path)
    lines = [_line(study_id, landmarks) + "\n" for study_id, landmarks in known.items()]
    write_beside(path, "".join(lines))
    return known


def _landmarks(entry: Mapping[str, Any]) -> Landmarks:
    return tuple(
        Landmark(
            target=target,
            position_lps_mm=None if position is None else np.array(position, dtype=np.float64),
            score=score,
            flags=tuple(Flag(flag) for flag in flags),
            evidence=None if evidence is None else Evidence(**evidence),
            track=_track(track),
        )
        for target, position, score, flags, evidence, track in zip(
            TARGETS,
            entry["positions_lps_mm"],
            entry["scores"],
            entry["flags"],
            entry.get("evidence", [None] * len(TARGETS)),  # earlier runs kept none
            entry.get("tracks", [None] * len(TARGETS)),
            strict=True,
        )
    )


def write_points_table(
    path: Path, studies: Iterable[CachedStudy], landmarks: Mapping[str, Landmarks]
) -> None:
    """Write landmarks as ``points.csv`` does, each on the stored slice that shows it best.

    Args:
        path: the table, replaced as a whole.
        studies: say which stored slice a volume's slice came from.
        landmarks: study id → 25 landmarks; those without a position have no line.
    """
    write_table(
        path,
        POINT_COLUMNS,
        (
            row
            for study in studies
            for item in landmarks[study.study_id]
            for row in _point_rows(study, item)
        ),
    )


def _point_rows(study: CachedStudy, landmark: Landmark) -> Sequence[tuple[object, ...]]:
    position = landmark.position_lps_mm
    if position is None:
        return []
    view = landmark.target.condition.view
    volume = study.volumes[view]
    place = locate(volume.affines, _shapes(volume), position)
    if not place.covered:
        return []
    reference = study.references[view][place.slice_index]
    _, row, column, _ = np.linalg.solve(reference.affine, np.append(position, 1.0))
    return [
        (
            study.study_id,
            reference.series_id,
            reference.table_number,
            landmark.target.condition.spelling,
            landmark.target.level.spelling,
            float(column),
            float(row),
            float(landmark.score),
        )
    ]


def _shapes(volume: ViewVolume) -> np.ndarray:
    return np.array([np.shape(pixels) for pixels in volume.slices])
