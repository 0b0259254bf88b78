"""Enhanced multi-frame files made of written single-frame ones."""

from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence


def enhanced(folder: Path) -> Path:
    """The slices below a folder as one enhanced multi-frame file, beside the folder.

    Frames follow the files' numbers; the times are each frame's own.
    """
    files = sorted(folder.rglob("*.dcm"), key=lambda path: int(path.stem))
    frames = [pydicom.dcmread(file) for file in files]
    merged = pydicom.dcmread(files[0])
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
                    "EchoTime", "RepetitionTime", "WindowCenter", "WindowWidth"):  # fmt: skip
        delattr(merged, keyword)
    merged.SOPClassUID = merged.file_meta.MediaStorageSOPClassUID = (
        pydicom.uid.EnhancedMRImageStorage
    )
    merged.NumberOfFrames = len(frames)
    merged.PixelData = b"".join(frame.PixelData for frame in frames)
    merged.SharedFunctionalGroupsSequence = DicomSequence([Dataset()])
    shared = merged.SharedFunctionalGroupsSequence[0]
    shared.PixelMeasuresSequence = [
        item(PixelSpacing=frames[0].PixelSpacing, SliceThickness="4", SpacingBetweenSlices="4.4")
    ]
    merged.PerFrameFunctionalGroupsSequence = DicomSequence(
        [
            item(
                PlanePositionSequence=[item(ImagePositionPatient=frame.ImagePositionPatient)],
                PlaneOrientationSequence=[
                    item(ImageOrientationPatient=frame.ImageOrientationPatient)
                ],
                MREchoSequence=[item(EffectiveEchoTime=float(frame.EchoTime))],
                MRTimingAndRelatedParametersSequence=[item(RepetitionTime=frame.RepetitionTime)],
                FrameVOILUTSequence=[item(WindowCenter="250", WindowWidth="500")],
                PixelValueTransformationSequence=[item(RescaleSlope="2", RescaleIntercept="0")],
            )
            for frame in frames
        ]
    )
    target = folder.parent / "enhanced" / "IM1"
    target.parent.mkdir()
    merged.save_as(target)
    return target


def item(**tags: Any) -> Dataset:
    dataset = Dataset()
    for keyword, value in tags.items():
        setattr(dataset, keyword, value)
    return dataset


def as_enhanced(study: Path, out: Path) -> dict[str, list[str]]:
    """Write every series of a study's folder as one enhanced multi-frame file.

    Returns:
        SOPInstanceUID of each new file → SOPInstanceUIDs of its frames, in their order.
    """
    groups: dict[str, list[Dataset]] = {}
    for path in sorted(study.rglob("*.dcm"), key=lambda path: (path.parent, int(path.stem))):
        dataset = pydicom.dcmread(path)
        groups.setdefault(dataset.SeriesInstanceUID, []).append(dataset)
    out.mkdir()
    frames_of = {}
    for number, frames in enumerate(groups.values()):
        merged = _merged(frames, f"{frames[0].SeriesInstanceUID}.7")
        merged.save_as(out / f"IM{number}")
        frames_of[merged.SOPInstanceUID] = [frame.SOPInstanceUID for frame in frames]
    return frames_of


def _merged(frames: list[Dataset], sop_instance_uid: str) -> Dataset:
    merged = pydicom.dcmread(frames[0].filename)
    moved = (
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
        *("SpacingBetweenSlices", "EchoTime", "RepetitionTime", "WindowCenter", "WindowWidth"),
    )
    for keyword in moved:
        delattr(merged, keyword)
    merged.SOPClassUID = pydicom.uid.EnhancedMRImageStorage
    merged.SOPInstanceUID = sop_instance_uid
    merged.file_meta.MediaStorageSOPClassUID = merged.SOPClassUID
    merged.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid
    merged.NumberOfFrames = len(frames)
    merged.PixelData = b"".join(frame.PixelData for frame in frames)
    merged.SharedFunctionalGroupsSequence = [
        item(
            MRTimingAndRelatedParametersSequence=[item(RepetitionTime=frames[0].RepetitionTime)],
            PixelMeasuresSequence=[
                item(
                    PixelSpacing=frames[0].PixelSpacing,
                    SliceThickness=frames[0].SliceThickness,
                    SpacingBetweenSlices=frames[0].SpacingBetweenSlices,
                )
            ],
        )
    ]
    merged.PerFrameFunctionalGroupsSequence = [
        item(
            PlanePositionSequence=[item(ImagePositionPatient=frame.ImagePositionPatient)],
            PlaneOrientationSequence=[item(ImageOrientationPatient=frame.ImageOrientationPatient)],
            MREchoSequence=[item(EffectiveEchoTime=float(frame.EchoTime))],
            FrameVOILUTSequence=[
                item(WindowCenter=frame.WindowCenter, WindowWidth=frame.WindowWidth)
            ],
        )
        for frame in frames
    ]
    return merged
