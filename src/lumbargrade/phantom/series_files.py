"""The files of one synthetic series: headers and slices.

What must stay true: equal UIDs mean equal images, so whatever changes an image enters its UIDs.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lumbargrade.dicom.write_mr import (
    HeaderProfile,
    MrSeries,
    MrSlice,
    derived_uid,
    write_mr_series,
)
from lumbargrade.dicom.write_sc import write_secondary_capture
from lumbargrade.labels import View
from lumbargrade.phantom.truth import StoredSeries

_RSNA_DESCRIPTION = {View.SAGITTAL_T1: "T1", View.SAGITTAL_T2: "T2", View.AXIAL_T2: "T2"}

_CAPTURE_FRAME = (255, 210, 0)


def usual_header(study_id: str, stored: StoredSeries, profile: HeaderProfile) -> MrSeries:
    """What headers say of one of the usual series, as far as the profile has a place for it."""
    protocol = stored.protocol
    rsna = profile is HeaderProfile.RSNA
    sequence = protocol.sequence
    return MrSeries(
        study_uid=derived_uid("study", study_id, *stored.variant),
        series_uid=derived_uid("series", stored.series_id, *stored.variant),
        frame_of_reference_uid=derived_uid("frame", study_id, *stored.variant),
        series_number=stored.number,
        series_description=_RSNA_DESCRIPTION[protocol.view] if rsna else protocol.description,
        protocol_name=f"L-SPINE {protocol.description}",
        patient_id=study_id,
        patient_name="PHANTOM^LUMBAR",
        study_date="20240101",
        slice_thickness_mm=protocol.thickness_mm,
        spacing_between_slices_mm=protocol.spacing_mm,
        echo_time_ms=sequence.echo_time_ms,
        repetition_time_ms=sequence.repetition_time_ms,
        inversion_time_ms=sequence.inversion_time_ms,
        echo_train_length=3 if protocol.view is View.SAGITTAL_T1 else 16,
        magnetic_field_strength_t=sequence.field_t,
        scanning_sequence="SE" if sequence.inversion_time_ms is None else "IR",
    )


def write_series(
    folder: Path,
    stored: StoredSeries,
    header: MrSeries,
    images: list[NDArray[np.uint16]],
    profile: HeaderProfile,
) -> None:
    """Write the slices of a series as ``folder/<instance_number>.dcm``."""
    slices = []
    for number, affine, image in zip(stored.instance_numbers, stored.affines, images, strict=True):
        spacing = np.linalg.norm(affine[:3, 1:3], axis=0)
        low, high = (float(v) for v in np.percentile(image[::3, ::3], (2, 98)))
        slices.append(
            MrSlice(
                pixels=image,
                position_lps_mm=affine[:3, 3],
                image_orientation=np.concatenate(
                    [affine[:3, 2] / spacing[1], affine[:3, 1] / spacing[0]]
                ),
                pixel_spacing_mm=spacing,
                instance_number=number,
                sop_instance_uid=instance_uid(stored, number),
                window=((low + high) / 2, max(high - low, 1.0)),
            )
        )
    write_mr_series(folder, header, slices, profile=profile)


def write_capture(
    folder: Path, stored: StoredSeries, header: MrSeries, image: NDArray[np.uint16]
) -> None:
    """Write a colour screenshot of a slice, as a workstation would save it."""
    grey = np.clip(image * (255 / max(float(np.percentile(image, 99)), 1.0)), 0, 255)
    pixels = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2)
    for edge in (pixels[:3], pixels[-3:], pixels[:, :3], pixels[:, -3:]):
        edge[:] = _CAPTURE_FRAME
    write_secondary_capture(
        folder / "1.dcm",
        header,
        pixels,
        instance_number=1,
        sop_instance_uid=instance_uid(stored, 1),
    )


def instance_uid(stored: StoredSeries, number: int) -> str:
    """SOPInstanceUID of a slice."""
    return derived_uid("instance", stored.series_id, number, *stored.variant)
