"""What scanners of different makers call things: words of headers, by kind of series.

What must stay true: words are typical of a maker's export, none is needed to tell a view (times and
geometry do), and every localizer that only a word gives away has one.
"""

from dataclasses import dataclass
from enum import StrEnum

from lumbargrade.labels import View


class Kind(StrEnum):
    """What a series of a hospital's study is."""

    SAGITTAL_T1 = "sagittal_t1"
    SAGITTAL_T1_FLAIR = "sagittal_t1_flair"
    SAGITTAL_T2 = "sagittal_t2"
    SAGITTAL_STIR = "sagittal_stir"
    AXIAL_T2 = "axial_t2"
    PLANES_LOCALIZER = "planes_localizer"
    """Sagittal, coronal and axial slices in one series."""
    SAGITTAL_LOCALIZER = "sagittal_localizer"
    """Large field, few slices, T2 weighted by its times; often without a word that says so."""
    SAGITTAL_PD = "sagittal_pd"
    SAGITTAL_T2_FAT_SATURATED = "sagittal_t2_fat_saturated"
    SAGITTAL_T1_CONTRAST = "sagittal_t1_contrast"
    AXIAL_T1 = "axial_t1"
    CAPTURE = "capture"
    """A colour screenshot."""


VIEW_OF_KIND = {
    Kind.SAGITTAL_T1: View.SAGITTAL_T1,
    Kind.SAGITTAL_T1_FLAIR: View.SAGITTAL_T1,
    Kind.SAGITTAL_T1_CONTRAST: View.SAGITTAL_T1,
    Kind.SAGITTAL_T2: View.SAGITTAL_T2,
    Kind.SAGITTAL_STIR: View.SAGITTAL_T2,
    Kind.SAGITTAL_T2_FAT_SATURATED: View.SAGITTAL_T2,
    Kind.AXIAL_T2: View.AXIAL_T2,
}
"""The view that a series shows; the other kinds show none that is asked for."""

REASON_OF_KIND = {
    Kind.PLANES_LOCALIZER: "localizer",
    Kind.SAGITTAL_LOCALIZER: "localizer",
    Kind.SAGITTAL_PD: "proton density",
    Kind.SAGITTAL_T2_FAT_SATURATED: "fat-suppressed",
    Kind.SAGITTAL_STIR: "fat-suppressed",
    Kind.SAGITTAL_T1_CONTRAST: "contrast agent",
    Kind.AXIAL_T1: "axial T1",
    Kind.CAPTURE: "Modality is OT",
}
"""Words of the reason why a series beside the usual ones must not serve."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How one maker's scanners fill headers."""

    manufacturer: str
    model: dict[float, str]
    """By field strength in T."""
    words: dict[Kind, tuple[str, ...]]
    """SeriesDescription, one of several per kind."""
    protocol: str | None
    """ProtocolName; None where it repeats the description."""
    image_types: tuple[tuple[str, ...], ...]
    sequence_variants: tuple[str, ...]
    fat_saturation: str
    """The value of ScanOptions that says so."""
    first_series_number: int
    series_number_step: int


_K = Kind
VENDORS = (
    Vendor(
        manufacturer="SIEMENS",
        model={1.5: "MAGNETOM Aera", 3.0: "MAGNETOM Skyra"},
        words={
            _K.SAGITTAL_T1: ("t1_tse_sag", "T1 TSE SAG 4mm", "t1_tse_sag_LWS"),
            _K.SAGITTAL_T1_FLAIR: ("t1_tirm_sag_dark-fluid", "t1_tir_sag"),
            _K.SAGITTAL_T2: ("t2_tse_sag", "T2 TSE SAG 4mm", "t2_tse_sag_384"),
            _K.SAGITTAL_STIR: ("t2_tirm_sag", "t2_stir_sag"),
            _K.AXIAL_T2: ("t2_tse_tra", "T2 TSE AX L1-S1", "t2_tse_tra_msma"),
            _K.PLANES_LOCALIZER: ("localizer", "AAHead_Scout_LWS", "localizer_haste"),
            _K.SAGITTAL_LOCALIZER: ("t2_haste_sag", "t2_haste_sag_loc"),
            _K.SAGITTAL_PD: ("pd_tse_sag",),
            _K.SAGITTAL_T2_FAT_SATURATED: ("t2_tse_sag_fs", "t2_tse_fs_sag"),
            _K.SAGITTAL_T1_CONTRAST: ("t1_tse_sag_km", "t1_tse_sag_CE"),
            _K.AXIAL_T1: ("t1_tse_tra",),
            _K.CAPTURE: ("Screen Save", "PhoenixZIPReport"),
        },
        protocol=None,
        image_types=(
            ("ORIGINAL", "PRIMARY", "M", "ND"),
            ("ORIGINAL", "PRIMARY", "M", "NORM", "DIS2D"),
            ("ORIGINAL", "PRIMARY", "M", "ND", "NORM"),
        ),
        sequence_variants=("SK", "SP", "OSP"),
        fat_saturation="FS",
        first_series_number=1,
        series_number_step=1,
    ),
    Vendor(
        manufacturer="GE MEDICAL SYSTEMS",
        model={1.5: "SIGNA HDxt", 3.0: "DISCOVERY MR750w"},
        words={
            _K.SAGITTAL_T1: ("SAG T1 FSE", "SAG T1"),
            _K.SAGITTAL_T1_FLAIR: ("SAG T1 FLAIR", "Sag T1 FLAIR L-SPINE"),
            _K.SAGITTAL_T2: ("SAG T2 FRFSE", "SAG T2 FSE", "Sag T2 PROPELLER"),
            _K.SAGITTAL_STIR: ("SAG STIR", "SAG FSE-IR"),
            _K.AXIAL_T2: ("AX T2 FSE", "AXIAL T2 OBL", "Ax T2 FRFSE"),
            _K.PLANES_LOCALIZER: ("3-PLANE LOC", "3-pl T2* FGRE loc", "LOC"),
            _K.SAGITTAL_LOCALIZER: ("SAG SSFSE", "SAG COUNT"),
            _K.SAGITTAL_PD: ("SAG PD FSE", "SAG PD"),
            _K.SAGITTAL_T2_FAT_SATURATED: ("SAG T2 FRFSE FS", "SAG T2 FATSAT"),
            _K.SAGITTAL_T1_CONTRAST: ("SAG T1 FSE +C", "SAG T1 POST GAD"),
            _K.AXIAL_T1: ("AX T1 FSE",),
            _K.CAPTURE: ("Screen Save",),
        },
        protocol="LUMBAR SPINE ROUTINE",
        image_types=(("ORIGINAL", "PRIMARY", "OTHER"),),
        sequence_variants=("SK",),
        fat_saturation="FATSAT_GEMS",
        first_series_number=1,
        series_number_step=1,
    ),
    Vendor(
        manufacturer="Philips Medical Systems",
        model={1.5: "Ingenia", 3.0: "Achieva"},
        words={
            _K.SAGITTAL_T1: ("T1W_TSE SAG", "sT1W_TSE"),
            _K.SAGITTAL_T1_FLAIR: ("T1W_IR_TSE SAG", "T1 FLAIR SAG"),
            _K.SAGITTAL_T2: ("T2W_TSE SAG", "sT2W_TSE", "SAG T2 RACHIS LOMBAIRE"),
            _K.SAGITTAL_STIR: ("STIR_longTE SAG", "STIR_TSE"),
            _K.AXIAL_T2: ("T2W_TSE TRA", "T2W_TSE_AX MultiStack"),
            _K.PLANES_LOCALIZER: ("Survey", "SURVEY MST"),
            _K.SAGITTAL_LOCALIZER: ("T2W_SSh SAG", "Survey_Spine_SAG"),
            _K.SAGITTAL_PD: ("PDW_TSE SAG",),
            _K.SAGITTAL_T2_FAT_SATURATED: ("T2W_SPAIR SAG", "T2W_TSE_SPIR"),
            _K.SAGITTAL_T1_CONTRAST: ("T1W_TSE SAG GD", "T1W_TSE SAG +C"),
            _K.AXIAL_T1: ("T1W_TSE TRA",),
            _K.CAPTURE: ("Secondary Capture",),
        },
        protocol=None,
        image_types=(("ORIGINAL", "PRIMARY", "M_SE", "M", "SE"),),
        sequence_variants=("SK",),
        fat_saturation="FS",
        first_series_number=101,
        series_number_step=100,
    ),
    Vendor(
        manufacturer="CANON_MEC",
        model={1.5: "Vantage Orian", 3.0: "Vantage Galan 3T"},
        words={
            _K.SAGITTAL_T1: ("Sag T1W", "SG T1 FSE"),
            _K.SAGITTAL_T1_FLAIR: ("Sag T1 FLAIR",),
            _K.SAGITTAL_T2: ("Sag T2W", "SG T2 FSE"),
            _K.SAGITTAL_STIR: ("Sag STIR",),
            _K.AXIAL_T2: ("Ax T2W", "AX T2 FSE oblique"),
            _K.PLANES_LOCALIZER: ("Locator", "3Ax Locator"),
            _K.SAGITTAL_LOCALIZER: ("Sag FASE", "Sag Locator"),
            _K.SAGITTAL_PD: ("Sag PD",),
            _K.SAGITTAL_T2_FAT_SATURATED: ("Sag T2W FatSat", "SG T2 FS"),
            _K.SAGITTAL_T1_CONTRAST: ("Sag T1W Gd",),
            _K.AXIAL_T1: ("Ax T1W",),
            _K.CAPTURE: ("Capture",),
        },
        protocol="L-Spine",
        image_types=(("ORIGINAL", "PRIMARY"), ("ORIGINAL", "PRIMARY", "OTHER")),
        sequence_variants=("SK",),
        fat_saturation="FS",
        first_series_number=1000,
        series_number_step=1000,
    ),
)
