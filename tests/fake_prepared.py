"""Prepared studies of tiny noise images, for tests of what trains on whole datasets."""

from pathlib import Path

import numpy as np

from lumbargrade.cache import CachedStudy, SliceReference, StudyTruth, save_cached
from lumbargrade.geometry import slice_affine
from lumbargrade.labels import LEVELS, TARGETS, View
from lumbargrade.records import ViewVolume

ORIENTATION = {
    View.SAGITTAL_T2: (0, 1, 0, 0, 0, -1),
    View.SAGITTAL_T1: (0, 1, 0, 0, 0, -1),
    View.AXIAL_T2: (1, 0, 0, 0, 1, 0),
}
SHAPE = (64, 64)
PIXEL_MM, SLICE_MM, SLICES = 4.0, 5.0, 9


def fake_volume(view: View, rng: np.random.Generator) -> ViewVolume:
    axial = view is View.AXIAL_T2
    count = 40 if axial else SLICES
    half = 32 * PIXEL_MM
    positions = [
        (-half, -half, 100.0 - k * SLICE_MM) if axial else ((k - 4) * SLICE_MM, -half, half)
        for k in range(count)
    ]
    affines = [
        slice_affine(position, ORIENTATION[view], (PIXEL_MM, PIXEL_MM), SLICE_MM)
        for position in positions
    ]
    return ViewVolume(
        view=view,
        slices=[rng.integers(0, 255, SHAPE, dtype=np.uint8) for _ in range(count)],
        affines=np.stack(affines),
        stack_ids=np.zeros(count, dtype=int),
        series_index=np.zeros(count, dtype=int),
        slice_index=np.arange(count),
    )


def fake_landmarks() -> np.ndarray:
    """25 targets and 5 disc points, levels 35 mm apart, all inside the volumes."""
    side_mm = {None: 0.0, "left": 15.0, "right": -15.0}
    rows = [
        (side_mm[target.condition.side], 10.0, 70.0 - 35.0 * LEVELS.index(target.level))
        for target in TARGETS
    ]
    rows += [(0.0, 2.0, 70.0 - 35.0 * level) for level in range(len(LEVELS))]
    return np.array(rows)


def write_prepared(cache: Path, count: int, *, without_axial: tuple[str, ...] = ()) -> Path:
    """Studies 1 … ``count``; grades are drawn so that every family has every grade."""
    for number in range(1, count + 1):
        study_id = str(number)
        rng = np.random.default_rng(number)
        views = [
            view for view in View if view is not View.AXIAL_T2 or study_id not in without_axial
        ]
        volumes = {view: fake_volume(view, rng) for view in views}
        landmarks = fake_landmarks()
        if study_id in without_axial:
            landmarks[15:25] = np.nan
        study = CachedStudy(
            study_id=study_id,
            study_uid=f"1.2.{number}",
            sop_instances_sha256=f"{number:064d}",
            source_sha256=f"{number:064d}",
            volumes=volumes,
            references={
                view: tuple(
                    SliceReference(
                        series_uid=f"1.2.{number}.{view}",
                        series_id=f"9{number}",
                        sop_instance_uid=f"1.2.{number}.{view}.{k}",
                        instance_number=k + 1,
                        frame_number=None,
                        file_name=f"{k + 1}.dcm",
                        affine=affine,
                    )
                    for k, affine in enumerate(volume.affines)
                )
                for view, volume in volumes.items()
            },
            truth=StudyTruth(landmarks_lps_mm=landmarks, labels=rng.integers(0, 3, 25)),
        )
        save_cached(study, cache / study_id)
    return cache
