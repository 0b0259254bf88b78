"""One synthetic study: anatomy, images and the truth about its points.

What must stay true: points are computed in patient mm from the solved anatomy and only then placed
on slices; nothing is read back from the images.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.arrays import Point
from lumbargrade.dicom.slice_header import read_headers
from lumbargrade.dicom.write_mr import (
    HeaderProfile,
    MrSeries,
    MrSlice,
    derived_uid,
    write_mr_series,
)
from lumbargrade.geometry import Location, locate
from lumbargrade.labels import LEVELS, Condition, Family, Level, Target, View
from lumbargrade.phantom.acquisition import Scanner, acquire
from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.body import build_body
from lumbargrade.phantom.labels import LabelModel, StudyLabels, label_study
from lumbargrade.phantom.measures import SIDE_SIGN
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.protocol import STREAM_OF_VIEW, SeriesProtocol, plan_study
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.streams import generator
from lumbargrade.phantom.tissue import Tissue, tissue_signals
from lumbargrade.records import InvalidStudyError

DISC_CONDITION = "disc"
"""How auxiliary disc points are called in ``phantom_truth.csv``."""

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
class TruePoint:
    """One row of ``phantom_truth.csv``."""

    target: Target | None
    """None for an auxiliary disc point."""
    level: Level
    measure: float | None
    unit: str
    severity: float | None
    position_lps_mm: Point
    series_id: str
    instance_number: int
    column: float
    row: float
    covered: bool

    @property
    def condition(self) -> str:
        """The condition's word, ``disc`` for an auxiliary point."""
        return self.target.condition if self.target is not None else DISC_CONDITION


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeStudy:
    """What making a study leaves behind besides its files."""

    labels: StudyLabels
    series: tuple[tuple[str, str], ...]
    points: tuple[TruePoint, ...]
    instances: dict[str, int]
    """Number of instances per series id."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredSeries:
    series_id: str
    number: int
    protocol: SeriesProtocol
    affines: Float64[np.ndarray, "slice 4 4"]
    """Of the stored pixels, in instance order."""
    variant: tuple[str, ...]


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
        _StoredSeries(
            series_id=f"{study_id}{number:02d}",
            number=number,
            protocol=protocol,
            affines=stored_affines(protocol),
            variant=variant,
        )
        for number, protocol in enumerate(plan_study(seed, spine), start=1)
    ]
    if not folder.exists():
        beside = folder.with_name(f".{folder.name}.partial")
        shutil.rmtree(beside, ignore_errors=True)
        _write_images(beside, study_id, seed, spine, anatomy, stored, profile)
        beside.rename(folder)
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
    stored: list[_StoredSeries],
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


def true_points(
    spine: Spine, anatomy: Anatomy, stored: list[_StoredSeries]
) -> tuple[TruePoint, ...]:
    """All 25 targets and the five disc points, each on the slice that shows it best."""
    places = []
    for level, solved in zip(LEVELS, anatomy.levels, strict=True):
        for condition in Condition:
            side = condition.side
            if side is None:
                x, d, s = 0.0, solved.sac_centre_d_mm, solved.s_mm
            elif condition.family is Family.FORAMINAL:
                foramen = solved.foramen[side]
                d, height = foramen.centroid()
                x, s = SIDE_SIGN[side] * foramen.x_mm, solved.s_mm + height / foramen.stretch
            else:
                recess = solved.recess[side]
                x, d, s = recess.narrowest_x_mm, recess.narrowest_d_mm, solved.s_mm
            places.append((Target(condition=condition, level=level), level, (x, d, s)))
    places.sort(key=lambda place: place[0].index)
    auxiliary = [
        (None, level, (0.0, solved.bulge_mm, solved.s_mm))
        for level, solved in zip(LEVELS, anatomy.levels, strict=True)
    ]
    return tuple(
        _true_point(spine, anatomy, stored, target, level, place)
        for target, level, place in [*places, *auxiliary]
    )


def _true_point(
    spine: Spine,
    anatomy: Anatomy,
    stored: list[_StoredSeries],
    target: Target | None,
    level: Level,
    place: tuple[float, float, float],
) -> TruePoint:
    view = target.condition.view if target is not None else View.SAGITTAL_T2
    position = spine.to_lps(*place)
    series = [s for s in stored if s.protocol.view is view]
    location = _locate(series, position, spine.axes_lps(place[2])[2])
    numbers = [(s.series_id, k + 1) for s in series for k in range(len(s.affines))]
    series_id, instance_number = numbers[location.slice_index]
    canal = target is not None and target.condition.family is Family.CANAL
    return TruePoint(
        target=target,
        level=level,
        measure=float(anatomy.measures[target.index]) if target is not None else None,
        unit="" if target is None else "mm2" if canal else "mm",
        severity=float(anatomy.severity[target.index]) if target is not None else None,
        position_lps_mm=position,
        series_id=series_id,
        instance_number=instance_number,
        column=location.column,
        row=location.row,
        covered=location.covered,
    )


def _locate(series: list[_StoredSeries], position: Point, normal: Point) -> Location:
    shapes = np.concatenate([np.tile(s.protocol.stored, (len(s.affines), 1)) for s in series])
    return locate(np.concatenate([s.affines for s in series]), shapes, position, normal=normal)


def _write_series(
    folder: Path,
    study_id: str,
    stored: _StoredSeries,
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
