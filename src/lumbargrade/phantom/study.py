"""One synthetic study: anatomy → images and files, and the truth about them.

What must stay true: a study's folder appears whole or not at all, and equal UIDs mean equal images.
"""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from numpy.typing import NDArray

from lumbargrade.atomic_files import folder_beside
from lumbargrade.dicom.slice_header import read_headers
from lumbargrade.dicom.write_mr import HeaderProfile, derived_uid
from lumbargrade.labels import View
from lumbargrade.phantom.acquisition import Scanner, acquire
from lumbargrade.phantom.anatomy import Anatomy, solve_anatomy
from lumbargrade.phantom.body import build_body
from lumbargrade.phantom.hospital import HospitalPlan, plan_hospital
from lumbargrade.phantom.labels import LabelModel, StudyLabels, label_study
from lumbargrade.phantom.paint import paint_spine
from lumbargrade.phantom.protocol import STREAM_OF_VIEW, SeriesProtocol, plan_study
from lumbargrade.phantom.series_files import usual_header, write_capture, write_series
from lumbargrade.phantom.slip import with_slip
from lumbargrade.phantom.spine import Spine, build_spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Tissue, tissue_signals
from lumbargrade.phantom.truth import StoredSeries, TruePoint, true_points
from lumbargrade.phantom.vendors import REASON_OF_KIND, VIEW_OF_KIND, Kind
from lumbargrade.settings import ConfigError

DESCRIPTION_OF_VIEW = {
    View.SAGITTAL_T1: "Sagittal T1",
    View.SAGITTAL_T2: "Sagittal T2/STIR",
    View.AXIAL_T2: "Axial T2",
}
"""The words of ``train_series_descriptions.csv``."""

_REFERENCE = {
    View.SAGITTAL_T1: Tissue.MARROW,
    View.SAGITTAL_T2: Tissue.CSF,
    View.AXIAL_T2: Tissue.CSF,
}
"""The tissue whose signal the signal-to-noise ratio speaks of."""

_FULL_SCALE_PERCENTILE = 99.7


class StudyProfile(StrEnum):
    """Which series a study has, and what their headers say."""

    PLAIN = "plain"
    """The usual series, with everything an MR Image has in its header; uncompressed."""
    RSNA = "rsna"
    """The usual series, with the competition's bare headers; RLE Lossless."""
    HOSPITAL = "hospital"
    """Localizers, other contrasts and screenshots beside them, in one maker's words."""

    @property
    def headers(self) -> HeaderProfile:
        """How much the headers say."""
        return HeaderProfile.RSNA if self is StudyProfile.RSNA else HeaderProfile.HOSPITAL


@dataclass(frozen=True, slots=True, kw_only=True)
class ExpectedSeries:
    """One row of ``phantom_series.csv``: what a reader of the files should make of a series."""

    series_id: str
    kind: Kind
    view: View | None
    """The view that it shows, used or not."""
    used: bool
    reason: str
    """Words of the reason why it must not serve; empty where it must."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeStudy:
    """What making a study leaves behind besides its files."""

    labels: StudyLabels
    series: tuple[tuple[str, str], ...]
    """(series_id, description) of those that serve."""
    points: tuple[TruePoint, ...]
    instances: dict[str, tuple[int, ...]]
    """Instance numbers per series id, neighbours in space beside each other."""
    expected: tuple[ExpectedSeries, ...]
    """Of the hospital's profile: every series."""


def make_study(
    folder: Path,
    *,
    study_id: str,
    seed: int,
    model: LabelModel,
    profile: StudyProfile,
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
        profile: which series there are, and what their headers say.
        variant: settings other than the usual ones; they enter the UIDs, because equal UIDs must
            mean equal images.

    Raises:
        ConfigError: the folder holds the study of another variant.
    """
    severity = model.draw_severity(seed)
    spine = with_slip(seed, build_spine(seed), severity)
    anatomy = solve_anatomy(seed, spine, severity)
    usual = plan_study(seed, spine)
    plan = plan_hospital(seed, spine, usual) if profile is StudyProfile.HOSPITAL else None
    protocols = usual if plan is None else [planned.protocol for planned in plan.series]
    stored = [
        StoredSeries(
            series_id=f"{study_id}{number:02d}",
            number=number,
            protocol=protocol,
            affines=stored_affines(protocol),
            instance_numbers=tuple(range(1, len(protocol.affines) + 1))
            if plan is None
            else plan.series[number - 1].instance_numbers,
            variant=variant,
        )
        for number, protocol in enumerate(protocols, start=1)
    ]
    if not folder.exists():
        with folder_beside(folder) as beside:
            _write_images(beside, study_id, seed, spine, anatomy, stored, plan, profile.headers)
    else:
        _require_variant(folder, study_id, variant)
    serving = stored[: len(usual)]
    return MadeStudy(
        labels=label_study(model, seed, anatomy.severity),
        series=tuple((s.series_id, DESCRIPTION_OF_VIEW[s.protocol.view]) for s in serving),
        points=true_points(spine, anatomy, serving),
        instances={s.series_id: s.instance_numbers for s in serving},
        expected=() if plan is None else _expected(stored, plan),
    )


def _expected(stored: list[StoredSeries], plan: HospitalPlan) -> tuple[ExpectedSeries, ...]:
    return tuple(
        ExpectedSeries(
            series_id=series.series_id,
            kind=planned.kind,
            view=VIEW_OF_KIND.get(planned.kind),
            used=planned.usual,
            reason="" if planned.usual else REASON_OF_KIND[planned.kind],
        )
        for series, planned in zip(stored, plan.series, strict=True)
    )


def _require_variant(folder: Path, study_id: str, variant: tuple[str, ...]) -> None:
    expected = derived_uid("study", study_id, *variant)
    found = {read_headers(path)[0].study_uid for path in sorted(folder.rglob("*.dcm"))[:1]}
    if found != {expected}:
        raise ConfigError(
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
    plan: HospitalPlan | None,
    profile: HeaderProfile,
) -> None:
    """Paint, scan and write every series."""
    protocols = [series.protocol for series in stored]
    sequences = list(dict.fromkeys(protocol.sequence for protocol in protocols))
    signals = np.stack([tissue_signals(seed, sequence) for sequence in sequences])
    canvas = paint_spine(seed, spine, anatomy, signals)
    body = build_body(seed, spine, signals)
    scanner: Scanner | None = None
    scanned: list[tuple[SeriesProtocol, list[NDArray[np.uint16]]]] = []
    for series in stored:
        protocol, target = series.protocol, folder / series.series_id
        planned = None if plan is None else plan.series[series.number - 1]
        header = (
            usual_header(study_id, series, profile)
            if plan is None
            else plan.header(study_id, series)
        )
        if planned is not None and planned.kind is Kind.CAPTURE:
            images = next(images for done, images in scanned if done is protocol)
            write_capture(target, series, header, images[len(images) // 2])
            continue
        usual = planned is None or planned.usual
        stream = STREAM_OF_VIEW[protocol.view] if usual else Stream.HOSPITAL
        contrast = sequences.index(protocol.sequence)
        if scanner is None or scanner.contrast != contrast:
            scanner = None  # its volume goes before the next one comes
            scanner = Scanner(spine, canvas, body, contrast)
        images = scan_series(
            generator(seed, stream, part=series.number),
            scanner,
            protocol,
            float(signals[contrast, _REFERENCE[protocol.view]]),
        )
        scanned.append((protocol, images))
        write_series(target, series, header, images, profile)


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
