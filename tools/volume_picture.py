"""Grade a real sagittal T2 volume and draw the canal points on one of its slices.

    python tools/volume_picture.py VOLUME.nii.gz --out PICTURE.jpg [--thickness 4] [--models DIR]

The volume is cut into sagittal slices, written as DICOM and read back: the way of any study.

What must stay true: points are drawn where ``grades.json`` has them, on the slice nearest to most
of them, with the score and the flags that they have there.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813

from lumbargrade import Pipeline, read_study
from lumbargrade.dicom.volume import sagittal_slices
from lumbargrade.dicom.write_mr import HeaderProfile, MrSeries, derived_uid, write_mr_series
from lumbargrade.geometry import lps_to_slices
from lumbargrade.labels import TARGETS, Family, View
from lumbargrade.prediction import Prediction
from lumbargrade.report.overlay import Picture, draw_slice, draw_text, with_point

PICTURE_PX = 640
NOTE = "research software, not a medical device"


def write_volume(volume: Path, folder: Path, *, thickness_mm: float) -> Path:
    """Write a volume as one sagittal T2 series of slices without gaps."""
    image = sitk.ReadImage(str(volume))
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    slices = sagittal_slices(
        sitk.GetArrayFromImage(image).transpose(),
        affine,
        thickness_mm=thickness_mm,
        spacing_mm=thickness_mm,
        sop_instance_uid=lambda number: derived_uid("volume", number),
    )
    header = MrSeries(
        study_uid=derived_uid("volume study"),
        series_uid=derived_uid("volume series"),
        frame_of_reference_uid=derived_uid("volume frame"),
        series_number=1,
        series_description="T2",
        protocol_name="",
        patient_id="VOLUME",
        patient_name="",
        study_date="",
        slice_thickness_mm=thickness_mm,
        spacing_between_slices_mm=thickness_mm,
        echo_time_ms=0.0,  # unknown, like the repetition time: the profile stores neither
        repetition_time_ms=0.0,
    )
    write_mr_series(folder, header, slices, profile=HeaderProfile.RSNA)
    return folder


def draw_canal(prediction: Prediction) -> Picture:
    """The slice nearest to most canal points, with all of them projected onto it."""
    volume = prediction.volumes[View.SAGITTAL_T2]
    canal = [target for target in TARGETS if target.condition.family is Family.CANAL]
    points = {t: prediction.grades.points[t.index] for t in canal}
    found = {target: point for target, point in points.items() if point is not None}
    if not found:
        raise ValueError("no canal point was found: there is nothing to draw")
    places = np.stack([lps_to_slices(volume.affines, p.position_lps_mm) for p in found.values()])
    nearest = np.abs(places[:, :, 0]).argmin(axis=1)
    index = int(np.bincount(nearest).argmax())
    canvas = draw_slice(volume.slices[index], volume.affines[index], size=PICTURE_PX)
    for (target, point), place in zip(found.items(), places[:, index], strict=True):
        flags = " ".join(flag.value for flag in prediction.grades.flags[target.index])
        label = f"{target.level.spelling} {point.score:.2f} {flags}"
        canvas = with_point(canvas, float(place[1]), float(place[2]), label=label)
    lost = [target.level.spelling for target, point in points.items() if point is None]
    for line, text in enumerate([NOTE, *(f"{name}: no point" for name in lost)]):
        draw_text(canvas.picture, text, (6, 6 + 16 * line), size=11)
    return canvas.picture


def document(prediction: Prediction) -> list[dict[str, object]]:
    """The canal rows: place, score, flags."""
    grades = prediction.grades
    return [
        {
            "level": target.level.value,
            "position_lps_mm": None if point is None else point.position_lps_mm.tolist(),
            "score": None if point is None else point.score,
            "flags": [flag.value for flag in grades.flags[target.index]],
            "p": grades.probabilities[target.index].tolist(),
        }
        for target in TARGETS
        if target.condition.family is Family.CANAL
        for point in [grades.points[target.index]]
    ]


def main() -> None:
    """Write the picture; the rows of the canal as JSON on standard output."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("volume", type=Path, help="NIfTI")
    parser.add_argument("--out", type=Path, required=True, help="picture (JPEG)")
    parser.add_argument("--thickness", type=float, default=4.0, help="of the slices, in mm")
    parser.add_argument("--models", type=Path, help="as in predict; default: the bundled ones")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        study = write_volume(
            arguments.volume, Path(folder) / "study", thickness_mm=arguments.thickness
        )
        prediction = Pipeline.load(arguments.models).run(read_study(study))
    draw_canal(prediction).save(arguments.out, quality=85, optimize=True)
    sys.stdout.write(json.dumps(document(prediction), indent=1) + "\n")


if __name__ == "__main__":
    main()
