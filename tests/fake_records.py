"""A study built from records alone, for tests that need neither files nor trained weights.

The picture is a function of the position in mm, so that every view shows the same body: vertebrae
with discs between them along z, a bright sac behind. The axial stack does not reach L1/L2.
"""

from pathlib import Path

import numpy as np

from lumbargrade.crop_settings import CropSettings
from lumbargrade.crops import cut_crops
from lumbargrade.dicom import sop_instances_sha256
from lumbargrade.geometry import Plane, slice_affine
from lumbargrade.labels import LEVELS, TARGETS, Family, Flag, Side, Target, View
from lumbargrade.metric import reweight_for_metric
from lumbargrade.prediction import Prediction, place_landmarks
from lumbargrade.records import (
    Grades,
    Landmark,
    Series,
    SeriesReport,
    SliceImage,
    Study,
)
from lumbargrade.volumes import view_volumes

LEVEL_Z_MM = dict(zip(LEVELS, (70.0, 35.0, 0.0, -35.0, -65.0), strict=True))
SMALL_CROPS = CropSettings(slices=5, size_px=16, side_mm=48.0)
WITHOUT_IMAGES = (0.5, 0.3, 0.2)
MODELS_HASH = "c0ffee" * 10 + "abcd"


class FakePredictor:
    """Stands in for a pipeline: points at fixed places in mm, grades drawn from a fixed seed."""

    def __init__(self, models_hash: str = MODELS_HASH, crops: CropSettings = SMALL_CROPS) -> None:
        self.models_hash = models_hash
        self.crops = crops
        self.runs = 0

    def answers_without_images(self) -> np.ndarray:
        return np.tile(WITHOUT_IMAGES, (len(TARGETS), 1))

    def run(self, study: Study) -> Prediction:
        self.runs += 1
        volumes = view_volumes(study)
        landmarks, points = place_landmarks(study, [_landmark(target) for target in TARGETS])
        rng = np.random.default_rng(7)
        severity = rng.normal(size=(25, 1)) * 1.6
        logits = -np.abs(severity - np.array([-0.8, 0.6, 1.8])) * 1.7
        probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        flags = [item.flags for item in landmarks]
        flags[8] = (*flags[8], Flag.UNCERTAIN)
        grades = Grades(
            study_id=study.study_id,
            study_uid=study.study_uid,
            probabilities=probabilities,
            metric_probabilities=reweight_for_metric(probabilities),
            points=points,
            flags=tuple(flags),
            warnings=study.warnings,
            models_hash=self.models_hash,
            models_name="fake",
        )
        return Prediction(
            study=study,
            grades=grades,
            landmarks=landmarks,
            crops=tuple(cut_crops(volumes, landmarks, self.crops)),
            volumes=volumes,
            seen=volumes,
            sop_instances_sha256=sop_instances_sha256(study),
        )


def make_prediction(
    study_id: str = "100001",
    *,
    views: tuple[View, ...] = tuple(View),
    description: str = "T2 <b>sag</b> & more",
    pixels: int = 40,
    crops: CropSettings = SMALL_CROPS,
) -> Prediction:
    """A whole prediction; ``pixels`` is the number of pixels along the 240 mm of an image."""
    study = make_study(study_id, views=views, description=description, pixels=pixels)
    return FakePredictor(crops=crops).run(study)


def make_study(
    study_id: str = "100001",
    *,
    views: tuple[View, ...] = tuple(View),
    description: str = "T2",
    pixels: int = 40,
) -> Study:
    """A study with one series per view, 6 mm from slice to slice."""
    series = tuple(_series(view, index, description, pixels) for index, view in enumerate(views))
    return Study(
        study_uid="1.2.3",
        study_id=study_id,
        series=series,
        reports=(*(_report(item) for item in series), _refused()),
        warnings=("series 9077: an <i>odd</i> one",),
    )


def _series(view: View, index: int, description: str, pixels: int) -> Series:
    uid = f"1.2.3.{index + 1}"
    slices = tuple(
        SliceImage(
            pixels=_picture(affine, pixels),
            affine=affine,
            stack=0,
            sop_instance_uid=f"{uid}.{number}",
            instance_number=number,
            frame_number=None,
            path=Path(f"{number}.dcm"),
        )
        for number, affine in enumerate(_affines(view, pixels), start=1)
    )
    return Series(
        series_uid=uid,
        series_id=str(9000 + index),
        description=description,
        view=view,
        reason=f"plane and description of {view}",
        slices=slices,
    )


def _affines(view: View, pixels: int) -> list[np.ndarray]:
    spacing = (240.0 / pixels,) * 2
    if view is View.AXIAL_T2:
        return [
            slice_affine((-120.0, -120.0, z), (1, 0, 0, 0, 1, 0), spacing, 6.0)
            for z in np.arange(46.0, -83.0, -6.0)
        ]
    return [
        slice_affine((x, -120.0, 120.0), (0, 1, 0, 0, 0, -1), spacing, 6.0)
        for x in np.arange(-27.0, 28.0, 6.0)
    ]


def _picture(affine: np.ndarray, pixels: int) -> np.ndarray:
    rows, columns = np.mgrid[:pixels, :pixels]
    index = np.stack([np.zeros_like(rows), rows, columns, np.ones_like(rows)]).reshape(4, -1)
    x, y, z = (affine @ index)[:3].reshape(3, pixels, pixels)
    body = np.hypot(x / 110, (y - 5) / 85) < 1
    spine = np.hypot(x / 24, y / 17) < 1
    disc = np.min([np.abs(z - level) for level in LEVEL_Z_MM.values()], axis=0) < 5
    sac = np.hypot(x / 9, (y - 26) / 7) < 1
    image = 90.0 * body + 60.0 * spine - 80.0 * (spine & disc) + 130.0 * sac
    noise = np.random.default_rng(int(1000 + affine[0, 3] + 7 * affine[2, 3])).normal(
        0, 6, image.shape
    )
    picture: np.ndarray = np.clip(image + noise + 8, 0, 255).astype(np.float32)
    return picture


def _landmark(target: Target) -> Landmark:
    z = LEVEL_Z_MM[target.level]
    sign = {Side.LEFT: 1.0, Side.RIGHT: -1.0, None: 0.0}[target.condition.side]
    x, y = {
        Family.CANAL: (0.0, 26.0),
        Family.FORAMINAL: (18.0, 20.0),
        Family.SUBARTICULAR: (9.0, 21.0),
    }[target.condition.family]
    return Landmark(target=target, position_lps_mm=np.array([sign * x + 0.5, y, z]), score=0.9)


def _report(series: Series) -> SeriesReport:
    first = series.slices[0]
    plane = Plane.AXIAL if series.view is View.AXIAL_T2 else Plane.SAGITTAL
    rows, columns = first.pixels.shape
    return SeriesReport(
        series_uid=series.series_uid,
        series_id=series.series_id,
        description=series.description,
        modality="MR",
        plane=plane,
        view=series.view,
        used=True,
        reason=series.reason,
        slices=len(series.slices),
        stacks=1,
        rows=rows,
        columns=columns,
        pixel_spacing_mm=(240.0 / rows, 240.0 / columns),
        slice_spacing_mm=6.0,
        tilts_deg=(0.0,),
    )


def _refused() -> SeriesReport:
    return SeriesReport(
        series_uid="1.2.3.77",
        series_id="9077",
        description="<script>alert(1)</script>",
        modality="MR",
        plane=None,
        view=None,
        used=False,
        reason="its field of view is 60 mm, below 80 mm",
        slices=3,
        stacks=1,
        rows=128,
        columns=128,
        pixel_spacing_mm=None,
        slice_spacing_mm=None,
        tilts_deg=(),
        problems=("no PixelSpacing",),
    )
