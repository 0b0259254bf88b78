"""Small synthetic series written as real DICOM files, for the tests of the reader."""

import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from lumbargrade.dicom import read_study
from lumbargrade.dicom.write_mr import (
    HeaderProfile,
    MrSeries,
    MrSlice,
    derived_uid,
    write_mr_series,
)
from lumbargrade.records import InvalidStudyError, Series, Study

Array = NDArray[np.float64]

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
"""Real images beside the repository; tests that need them skip where they are absent."""

CASES = SHARED_DATA / "dicom_cases"
needs_cases = pytest.mark.skipif(
    not CASES.is_dir(), reason="the public DICOM cases are not beside the repository"
)

SAGITTAL = np.array([0.0, 1, 0, 0, 0, -1])
AXIAL = np.array([1.0, 0, 0, 0, 1, 0])
CORONAL = np.array([1.0, 0, 0, 0, 0, -1])
T2_TIMES = {"echo_time_ms": 100.0, "repetition_time_ms": 3500.0}
T1_TIMES = {"echo_time_ms": 10.0, "repetition_time_ms": 600.0}


def series(name: str = "t2_tse_sag", **changes: Any) -> MrSeries:
    """Header of a T2 series; the UID follows from the name."""
    fields: dict[str, Any] = {
        "study_uid": derived_uid("study"),
        "series_uid": derived_uid("series", name),
        "frame_of_reference_uid": derived_uid("frame"),
        "series_number": 3,
        "series_description": name,
        "protocol_name": name,
        "patient_id": "ID-7731",
        "patient_name": "Secret^Name",
        "study_date": "20240102",
        "slice_thickness_mm": 4.0,
        "spacing_between_slices_mm": 4.4,
        **T2_TIMES,
    }
    return MrSeries(**(fields | changes))


def slices(
    orientation: Array = SAGITTAL,
    *,
    count: int = 12,
    spacing_mm: float = 4.4,
    pixel_mm: float = 5.0,
    shape: tuple[int, int] = (48, 40),
    centre_lps_mm: Iterable[float] = (0.0, 0.0, 0.0),
    first_number: int = 1,
    name: str = "t2_tse_sag",
) -> list[MrSlice]:
    """Parallel slices around a centre, numbered along their normal, each with its own pixels."""
    along_columns, along_rows = orientation.reshape(2, 3)
    normal = np.cross(along_columns, along_rows)
    rows, columns = shape
    corner = (
        np.array(list(centre_lps_mm))
        - along_rows * pixel_mm * (rows - 1) / 2
        - along_columns * pixel_mm * (columns - 1) / 2
    )
    ramp = np.add.outer(np.arange(rows) * 7, np.arange(columns) * 3)
    return [
        MrSlice(
            pixels=(ramp + 11 * index).astype(np.uint16),
            position_lps_mm=corner + normal * spacing_mm * (index - (count - 1) / 2),
            image_orientation=orientation,
            pixel_spacing_mm=np.array([pixel_mm, pixel_mm]),
            instance_number=first_number + index,
            sop_instance_uid=derived_uid("image", name, first_number + index),
            window=(200.0, 400.0),
        )
        for index in range(count)
    ]


def tilted_axial(degrees: float) -> Array:
    """Orientation of an axial slice that leans by so many degrees about the left-right axis."""
    angle = np.deg2rad(degrees)
    return np.array([1.0, 0, 0, 0, np.cos(angle), np.sin(angle)])


def axial_blocks(
    tilts: Sequence[float] = (7.0, 4.0, -4.0, -12.0, -28.0),
    *,
    count: int = 5,
    pitch_mm: float = 35.0,
    top_mm: float = 70.0,
    name: str = "t2_tse_tra",
    pixel_mm: float = 4.0,
) -> list[MrSlice]:
    """One block per disc, head to foot, each tilted to it."""
    blocks: list[MrSlice] = []
    for index, tilt in enumerate(tilts):
        blocks += slices(
            tilted_axial(tilt),
            count=count,
            spacing_mm=4.0,
            pixel_mm=pixel_mm,
            shape=(40, 40),
            centre_lps_mm=(0, 0, top_mm - pitch_mm * index),
            first_number=1 + index * count,
            name=name,
        )
    return blocks


def write_study(folder: Path, profile: HeaderProfile = HeaderProfile.HOSPITAL) -> None:
    """A complete lumbar study: sagittal T2 and T1, axial T2 in five blocks."""
    rsna = profile is HeaderProfile.RSNA
    for name, word, times, images in (
        ("t2_tse_sag", "T2", T2_TIMES, slices()),
        ("t1_tse_sag", "T1", T1_TIMES, slices(name="t1_tse_sag")),
        ("t2_tse_tra", "T2", T2_TIMES, axial_blocks()),
    ):
        header = series(name, **times)
        if rsna:
            header = replace(header, series_description=word, protocol_name="")
        write_mr_series(folder / name, header, images, profile=profile)


def edit(path: Path, **tags: Any) -> None:
    """Change tags of a written file in place; None deletes a tag."""
    dataset = pydicom.dcmread(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # some tests write what the standard forbids
        for keyword, value in tags.items():
            if value is None:
                delattr(dataset, keyword)
            else:
                setattr(dataset, keyword, value)
        dataset.save_as(path)


def edit_all(folder: Path, **tags: Any) -> None:
    """Change tags of every file below a folder."""
    for path in sorted(folder.rglob("*.dcm")):
        edit(path, **tags)


def set_pixels(path: Path, change: Callable[[Dataset, np.ndarray], np.ndarray]) -> None:
    dataset = pydicom.dcmread(path)
    array = np.frombuffer(dataset.PixelData, "<u2").reshape(dataset.Rows, dataset.Columns)
    dataset.PixelData = change(dataset, array).astype("<u2").tobytes()
    dataset.save_as(path)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


def only_series(study: Study) -> Series:
    (found,) = study.series
    return found


def positions(found: Series) -> np.ndarray:
    return np.stack([image.affine[:3, 3] for image in found.slices])


def refusal(folder: Path) -> str:
    with pytest.raises(InvalidStudyError) as caught:
        read_study(folder)
    return str(caught.value)
