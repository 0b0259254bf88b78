"""A hospital's study around the usual series: more series than are wanted, one maker's headers.

What must stay true: all draws come from a stream of their own, so the patient and the usual series'
planes are those of the plain profile; times in headers are those that the contrast was made with.

Source: values of 1.5 T and 3 T spine protocols (T1 FLAIR TE 31, TR 2159, TI 785; PD TE 39, TR 2517;
STIR TI 150 to 200).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from lumbargrade.dicom.write_mr import MrSeries, TransferSyntax, derived_uid
from lumbargrade.labels import View
from lumbargrade.phantom.faults import draw_faults
from lumbargrade.phantom.localizers import planes_localizer, sagittal_localizer
from lumbargrade.phantom.protocol import SeriesProtocol
from lumbargrade.phantom.spine import Spine
from lumbargrade.phantom.streams import Stream, generator
from lumbargrade.phantom.tissue import Sequence as Timing
from lumbargrade.phantom.truth import StoredSeries
from lumbargrade.phantom.vendors import VENDORS, Kind, Vendor

SYNTAXES = (TransferSyntax.EXPLICIT, TransferSyntax.JPEG_LS, TransferSyntax.JPEG_2000)
"""One per study."""

T1_FLAIR_SHARE = 0.35
"""Studies with a T1 FLAIR in place of the plain T1."""

_SHARE = {
    Kind.SAGITTAL_LOCALIZER: 0.5,
    Kind.SAGITTAL_PD: 0.4,
    Kind.SAGITTAL_T2_FAT_SATURATED: 0.3,
    Kind.SAGITTAL_STIR: 0.2,
    Kind.SAGITTAL_T1_CONTRAST: 0.25,
    Kind.AXIAL_T1: 0.25,
    Kind.CAPTURE: 0.4,
}
"""How often a study has such a series beside the usual ones; all have a localizer."""

_SCAN_ORDER = (
    Kind.PLANES_LOCALIZER,
    Kind.SAGITTAL_LOCALIZER,
    Kind.SAGITTAL_T2,
    Kind.SAGITTAL_STIR,
    Kind.SAGITTAL_T1,
    Kind.SAGITTAL_T1_FLAIR,
    Kind.SAGITTAL_PD,
    Kind.SAGITTAL_T2_FAT_SATURATED,
    Kind.AXIAL_T2,
    Kind.AXIAL_T1,
    Kind.SAGITTAL_T1_CONTRAST,
    Kind.CAPTURE,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedSeries:
    """One series of a hospital's study."""

    kind: Kind
    usual: bool
    """One of those that the plain profile has too, and so one that must serve."""
    protocol: SeriesProtocol
    """Of a capture: of the series that it shows."""
    instance_numbers: tuple[int, ...]
    """Of the slices, neighbours in space beside each other."""
    series_number: int
    description: str
    echo_train_length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HospitalPlan:
    """All series of a study, the usual ones first and in their order."""

    vendor: Vendor
    syntax: TransferSyntax
    series: tuple[PlannedSeries, ...]

    def header(self, study_id: str, stored: StoredSeries) -> MrSeries:
        """What the files of a series say; patient and study are plainly made up."""
        planned = self.series[stored.number - 1]
        sequence = planned.protocol.sequence
        options = (self.vendor.fat_saturation,) if sequence.fat_saturated else ()
        image_types = self.vendor.image_types
        return MrSeries(
            study_uid=derived_uid("study", study_id, *stored.variant),
            series_uid=derived_uid("series", stored.series_id, *stored.variant),
            frame_of_reference_uid=derived_uid("frame", study_id, *stored.variant),
            series_number=planned.series_number,
            series_description=planned.description,
            protocol_name=self.vendor.protocol or planned.description,
            patient_id=f"SYN{study_id}",
            patient_name="SYNTHETIC^PHANTOM",
            patient_birth_date="19000101",
            patient_sex="O",
            study_date="20240101",
            study_time="120000",
            accession_number=f"SYN{study_id}",
            study_id=f"SYN{study_id}",
            referring_physician_name="SYNTHETIC^NOBODY",
            institution_name="SYNTHETIC HOSPITAL",
            manufacturer=self.vendor.manufacturer,
            manufacturer_model_name=self.vendor.model[sequence.field_t],
            slice_thickness_mm=planned.protocol.thickness_mm,
            spacing_between_slices_mm=planned.protocol.spacing_mm,
            echo_time_ms=sequence.echo_time_ms,
            repetition_time_ms=sequence.repetition_time_ms,
            inversion_time_ms=sequence.inversion_time_ms,
            echo_train_length=planned.echo_train_length,
            magnetic_field_strength_t=sequence.field_t,
            scanning_sequence="SE" if sequence.inversion_time_ms is None else "SE\\IR",
            sequence_variant="\\".join(self.vendor.sequence_variants),
            scan_options=options,
            contrast_agent="GADOLINIUM" if sequence.contrast_agent else "",
            image_type=("DERIVED", "SECONDARY", "SCREEN SAVE")
            if planned.kind is Kind.CAPTURE
            else image_types[planned.series_number % len(image_types)],
            transfer_syntax=self.syntax,
        )


def plan_hospital(seed: int, spine: Spine, usual: Sequence[SeriesProtocol]) -> HospitalPlan:
    """Plan a hospital's study of a seed.

    Args:
        seed: of the study.
        spine: to aim the localizers at.
        usual: the series of the plain profile; a T1 FLAIR may take the T1's place.
    """
    rng = generator(seed, Stream.HOSPITAL)
    vendor = VENDORS[int(rng.integers(len(VENDORS)))]
    syntax = SYNTAXES[int(rng.integers(len(SYNTAXES)))]
    flair = rng.random() < T1_FLAIR_SHARE
    chosen = [(*_usual(rng, protocol, flair=flair), True) for protocol in usual]
    chosen += [
        (*extra, False) for extra in _extras(rng, spine, [kind for kind, *_ in chosen], usual)
    ]
    order = sorted(range(len(chosen)), key=lambda k: _SCAN_ORDER.index(chosen[k][0]))
    return HospitalPlan(
        vendor=vendor,
        syntax=syntax,
        series=tuple(
            PlannedSeries(
                kind=kind,
                usual=is_usual,
                protocol=protocol,
                instance_numbers=_instance_numbers(
                    rng, 1 if kind is Kind.CAPTURE else len(protocol.affines)
                ),
                series_number=vendor.first_series_number
                + vendor.series_number_step * order.index(index),
                description=str(rng.choice(vendor.words[kind])),
                echo_train_length=3
                if protocol.view is View.SAGITTAL_T1
                else int(rng.integers(8, 24)),
            )
            for index, (kind, protocol, is_usual) in enumerate(chosen)
        ),
    )


def _usual(
    rng: np.random.Generator, protocol: SeriesProtocol, *, flair: bool
) -> tuple[Kind, SeriesProtocol]:
    sequence = protocol.sequence
    if protocol.view is View.SAGITTAL_T1 and flair:
        timing = _timing(
            rng, sequence.field_t, echo=(28, 33), repetition=(2000, 2300), inversion=(740, 820)
        )
        return Kind.SAGITTAL_T1_FLAIR, replace(protocol, sequence=timing)
    if protocol.view is View.SAGITTAL_T2 and sequence.inversion_time_ms is not None:
        return Kind.SAGITTAL_STIR, protocol
    return Kind(protocol.view.value), protocol


def _extras(
    rng: np.random.Generator, spine: Spine, present: Sequence[Kind], usual: Sequence[SeriesProtocol]
) -> list[tuple[Kind, SeriesProtocol]]:
    """The series beside the usual ones; a fat-suppressed T2 only where the usual one is plain."""
    by_view = {protocol.view: protocol for protocol in reversed(usual)}
    t1, t2, axial = (by_view[view] for view in (View.SAGITTAL_T1, View.SAGITTAL_T2, View.AXIAL_T2))
    field = t2.sequence.field_t
    wanted = {kind: rng.random() < share for kind, share in _SHARE.items()}
    if Kind.SAGITTAL_STIR in present or wanted[Kind.SAGITTAL_T2_FAT_SATURATED]:
        wanted[Kind.SAGITTAL_STIR] = False
    if Kind.SAGITTAL_STIR in present:
        wanted[Kind.SAGITTAL_T2_FAT_SATURATED] = False
    scout = _timing(rng, field, echo=(80, 100), repetition=(1000, 1500))
    timings = {
        Kind.SAGITTAL_PD: _timing(rng, field, echo=(30, 45), repetition=(2000, 3000)),
        Kind.SAGITTAL_T2_FAT_SATURATED: replace(
            _timing(rng, field, echo=(80, 105), repetition=(2800, 4800)), fat_saturated=True
        ),
        Kind.SAGITTAL_STIR: _timing(
            rng, field, echo=(40, 65), repetition=(3000, 5000), inversion=(150, 200)
        ),
        Kind.SAGITTAL_T1_CONTRAST: replace(
            _timing(rng, field, echo=(7, 14), repetition=(446, 746)), contrast_agent=True
        ),
        Kind.AXIAL_T1: _timing(rng, field, echo=(7, 14), repetition=(446, 746)),
    }
    like = {
        Kind.SAGITTAL_PD: t2,
        Kind.SAGITTAL_T2_FAT_SATURATED: t2,
        Kind.SAGITTAL_STIR: t2,
        Kind.SAGITTAL_T1_CONTRAST: t1,
        Kind.AXIAL_T1: axial,
    }
    extras = [(Kind.PLANES_LOCALIZER, planes_localizer(rng, spine, t2, scout))]
    if wanted[Kind.SAGITTAL_LOCALIZER]:
        extras.append((Kind.SAGITTAL_LOCALIZER, sagittal_localizer(rng, spine, t2, scout)))
    for kind, protocol in like.items():
        if wanted[kind]:
            faults = draw_faults(rng, protocol.view)
            extras.append((kind, replace(protocol, sequence=timings[kind], faults=faults)))
    if wanted[Kind.CAPTURE]:
        extras.append((Kind.CAPTURE, t2))
    return extras


def _timing(
    rng: np.random.Generator,
    field: float,
    *,
    echo: tuple[float, float],
    repetition: tuple[float, float],
    inversion: tuple[float, float] | None = None,
) -> Timing:
    return Timing(
        echo_time_ms=float(rng.uniform(*echo)),
        repetition_time_ms=float(rng.uniform(*repetition)),
        inversion_time_ms=None if inversion is None else float(rng.uniform(*inversion)),
        field_t=field,
    )


def _instance_numbers(rng: np.random.Generator, count: int) -> tuple[int, ...]:
    """In order, interleaved as scanned, or as a transfer left them."""
    order = np.arange(count)
    chance = rng.random()
    if chance < 0.3:
        order = np.concatenate([order[::2], order[1::2]])
    elif chance < 0.6:
        order = rng.permutation(count)
    return tuple(int(k) + 1 for k in np.argsort(order))
