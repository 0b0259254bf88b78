"""A tiny patient with a bright blob at each point, seen by any view, for the detector's tests."""

import numpy as np

from lumbargrade.cache import LANDMARKS, CachedStudy, StudyTruth
from lumbargrade.detector.slices import ViewArrays
from lumbargrade.geometry import lps_to_slices, slice_affine
from lumbargrade.labels import LEVELS, TARGETS, Family, Side, View
from lumbargrade.records import ViewVolume

ORIENTATION = {
    View.SAGITTAL_T2: (0, 1, 0, 0, 0, -1),
    View.SAGITTAL_T1: (0, 1, 0, 0, 0, -1),
    View.AXIAL_T2: (1, 0, 0, 0, 1, 0),
}
SIZE = 64
PIXEL_MM = 3.0
SLICE_MM = 4.5
LEVEL_Z_MM = (62.0, 31.0, 0.0, -29.0, -56.0)
X_OF_SIDE = {Side.LEFT: 1.0, Side.RIGHT: -1.0, None: 0.0}
PLACE = {  # x to the side, y, in mm
    Family.CANAL: (0.0, 20.0),
    Family.FORAMINAL: (18.0, 14.0),
    Family.SUBARTICULAR: (9.0, 16.0),
}


def landmarks() -> np.ndarray:
    """25 targets and 5 disc points in LPS mm."""
    rows = [
        (
            X_OF_SIDE[target.condition.side] * PLACE[target.condition.family][0],
            PLACE[target.condition.family][1],
            LEVEL_Z_MM[LEVELS.index(target.level)],
        )
        for target in TARGETS
    ]
    rows += [(0.0, 8.0, z) for z in LEVEL_Z_MM]
    return np.array(rows)


def affines(view: View) -> np.ndarray:
    """Sagittal from right to left through x = 0; axial from head to foot."""
    half = (SIZE - 1) / 2 * PIXEL_MM
    if view is View.AXIAL_T2:
        places = [(-half, -half, z) for z in np.arange(72.0, -70.0, -SLICE_MM)]
    else:
        places = [(x, -half, half) for x in np.arange(-6, 7) * SLICE_MM]
    return np.stack(
        [slice_affine(place, ORIENTATION[view], (PIXEL_MM,) * 2, SLICE_MM) for place in places]
    )


def picture(affine: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Blobs of 5 mm, each of its own brightness, on dim noise."""
    rows, columns = np.mgrid[:SIZE, :SIZE]
    image = np.random.default_rng(abs(int(affine[:3, 3].sum() * 10))).uniform(0, 20, (SIZE, SIZE))
    for index, point in enumerate(points):
        across, row, column = lps_to_slices(affine[None], point)[0]
        squared = ((rows - row) ** 2 + (columns - column) ** 2) * PIXEL_MM**2 + across**2
        image = image + (90 + 5 * index) * np.exp(-squared / (2 * 5.0**2))
    return np.clip(image, 0, 255).astype(np.uint8)


def volume(view: View, shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> ViewVolume:
    grid = affines(view)
    return ViewVolume(
        view=view,
        slices=[picture(affine, landmarks() + shift_mm) for affine in grid],
        affines=grid,
        stack_ids=np.zeros(len(grid), dtype=int),
        series_index=np.zeros(len(grid), dtype=int),
        slice_index=np.arange(len(grid)),
    )


def arrays(view: View, study_id: str = "1", step: int = 1) -> ViewArrays:
    """The view in memory; with ``step`` 2, every other slice, 9 mm apart."""
    seen = volume(view)
    wide = seen.affines[::step].copy()
    wide[:, :3, 0] *= step
    return ViewArrays(
        study_id=study_id,
        view=view,
        pixels=np.stack(list(seen.slices)[::step]),
        affines=wide,
        stack_ids=np.asarray(seen.stack_ids)[::step],
        landmarks_lps_mm=landmarks(),
    )


def study(study_id: str, shift_mm: tuple[float, float, float] = (0.0, 0.0, 0.0)) -> CachedStudy:
    points = landmarks() + shift_mm
    assert points.shape == (LANDMARKS, 3)
    return CachedStudy(
        study_id=study_id,
        study_uid=f"1.2.{study_id}",
        sop_instances_sha256="0" * 64,
        source_sha256="0" * 64,
        volumes={view: volume(view, shift_mm) for view in View},
        references={},
        truth=StudyTruth(landmarks_lps_mm=points, labels=np.zeros(25, dtype=np.int64)),
    )
