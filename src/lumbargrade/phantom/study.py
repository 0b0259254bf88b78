"""One synthetic study: anatomy → images and files, and the truth about them.

What must stay true: a study's folder appears whole or not at all, and equal UIDs mean equal images.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.atomic_files import folder_beside
from lumbargrade.dicom.slice_header import read_headers
from lumbargrade.dicom.write_mr import (
    HeaderProfile,
    MrSeries,
    MrSlice,
    derived_uid,
    write_mr_series,
)
from lumbargrade.labels import View
from lumbargrade.phantom.acquisition import Scanner, acquire
from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.body import build_body
from lumbargrade.phantom.labels import LabelModel, StudyLabels, label_study
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.protocol import STREAM_OF_VIEW, SeriesProtocol, plan_study
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.streams import generator
from lumbargrade.phantom.tissue import Tissue, tissue_signals
from lumbargrade.phantom.truth import StoredSeries, TruePoint, true_points
from lumbargrade.records import InvalidStudyError

DESCRIPTION_OF_VIEW = {
    View.SAGITTAL_T1: "Sagittal T1",
    View.SAGITTAL_T2: "Sagittal T2/STIR",
    View.AXIAL_T2: "Axial T2",
}
"""The words of ``train_series_descriptions.csv``."""

_RSNA_DESCRIPTION = {View.SAGITTAL_T1: "T1", View.SAGITTAL_T2: "T2", View.AXIAL_T2: "T2"}
_REFERENCE = {
    View.SAGITTAL_T1: Tissue.MARROW,
    View.SAGITTAL_T2: Tissue.CSF,
    View.AXIAL_T2: Tissue.CSF,
}
"""The tissue whose signal the signal-to-noise ratio speaks of."""

_FULL_SCALE_PERCENTILE = 99.7


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeStudy:
    """What making a study leaves behind besides its files."""

    labels: StudyLabels
    series: tuple[tuple[str, str], ...]
    points: tuple[TruePoint, ...]
    instances: dict[str, int]
    """Number of instances per series id."""


def make_study(
    folder: Path,
    *,
    study_id: str,
    seed: int,
    model: LabelModel,
    profile: HeaderProfile,
    variant: tuple[str, ...] = (),
) -> MadeStudy:
    """Make the study of a seed and write its series under ``folder/<series_id>/``.

    A folder that is there already is complete (it is written beside and renamed), and its images
    are left as they are.

    Args:
        folder: of the study.
        study_id: its id.
        seed: what it is drawn from.
        model: the label distribution.
        profile: what the DICOM headers say.
        variant: settings other than the usual ones; they enter the UIDs, because equal UIDs must
            mean equal images.

    Raises:
        InvalidStudyError: the folder holds the study of another variant.
    """
    spine = build_spine(seed)
    anatomy = solve_anatomy(seed, spine, model.draw_severity(seed))
    stored = [
        StoredSeries(
            series_id=f"{study_id}{number:02d}",
            number=number,
            protocol=protocol,
            affines=stored_affines(protocol),
            variant=variant,
        )
        for number, protocol in enumerate(plan_study(seed, spine), start=1)
    ]
    if not folder.exists():
        with folder_beside(folder) as beside:
            _write_images(beside, study_id, seed, spine, anatomy, stored, profile)
    else:
        _require_variant(folder, study_id, variant)
    return MadeStudy(
        labels=label_study(model, seed, anatomy.severity),
        series=tuple((s.series_id, DESCRIPTION_OF_VIEW[s.protocol.view]) for s in stored),
        points=true_points(spine, anatomy, stored),
        instances={s.series_id: len(s.affines) for s in stored},
    )


def _require_variant(folder: Path, study_id: str, variant: tuple[str, ...]) -> None:
    expected = derived_uid("study", study_id, *variant)
    found = {read_headers(path)[0].study_uid for path in sorted(folder.rglob("*.dcm"))[:1]}
    if found != {expected}:
        raise InvalidStudyError(
            f"{folder} holds images made with other settings (halo or profile): expected study "
            f"{expected}, found {', '.join(found) or 'no image'}; choose another folder"
        )


def _write_images(
    folder: Path,
    study_id: str,
    seed: int,
    spine: Spine,
    anatomy: Anatomy,
    stored: list[StoredSeries],
    profile: HeaderProfile,
) -> None:
    """Paint, scan and write every series."""
    protocols = [series.protocol for series in stored]
    sequences = list(dict.fromkeys(protocol.sequence for protocol in protocols))
    signals = np.stack([tissue_signals(seed, sequence) for sequence in sequences])
    canvas = paint_spine(seed, spine, anatomy, signals)
    body = build_body(seed, spine, signals)
    for series in stored:
        protocol = series.protocol
        contrast = sequences.index(protocol.sequence)
        rng = generator(seed, STREAM_OF_VIEW[protocol.view], part=series.number)
        scanner = Scanner(spine, canvas, body, contrast)
        reference = float(signals[contrast, _REFERENCE[protocol.view]])
        images = scan_series(rng, scanner, protocol, reference)
        _write_series(folder / series.series_id, study_id, series, images, profile)


def stored_affines(protocol: SeriesProtocol) -> Float64[np.ndarray, "slice 4 4"]:
    """Affines of the zero-filled images: the first pixel stays, the spacing shrinks."""
    affines = protocol.affines.copy()
    for axis, (acquired, stored) in enumerate(
        zip(protocol.acquired, protocol.stored, strict=True), start=1
    ):
        affines[:, :3, axis] *= acquired / stored
    return affines


def scan_series(
    rng: np.random.Generator, scanner: Scanner, protocol: SeriesProtocol, reference: float
) -> list[NDArray[np.uint16]]:
    """Scan every slice of a series; one scale for all of them, 12 bits."""
    noise = reference / protocol.faults.signal_to_noise
    images = [
        acquire(
            rng,
            scanner.sample_slice(protocol, affine),
            protocol.stored,
            noise,
            protocol.faults.ghosting,
        )
        for affine in protocol.affines
    ]
    full_scale = max(
        float(np.percentile(image[::3, ::3], _FULL_SCALE_PERCENTILE)) for image in images
    )
    gain = rng.uniform(700, 2200) / full_scale
    return [np.clip(np.rint(image * gain), 0, 4095).astype(np.uint16) for image in images]


def _write_series(
    folder: Path,
    study_id: str,
    stored: StoredSeries,
    images: list[NDArray[np.uint16]],
    profile: HeaderProfile,
) -> None:
    rsna = profile is HeaderProfile.RSNA
    protocol, series_id = stored.protocol, stored.series_id
    sequence = protocol.sequence
    series = MrSeries(
        study_uid=derived_uid("study", study_id, *stored.variant),
        series_uid=derived_uid("series", series_id, *stored.variant),
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
    slices = []
    for k, (affine, image) in enumerate(zip(stored.affines, images, strict=True), start=1):
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
                instance_number=k,
                sop_instance_uid=derived_uid("instance", series_id, k, *stored.variant),
                window=((low + high) / 2, max(high - low, 1.0)),
            )
        )
    write_mr_series(folder, series, slices, profile=profile)
