"""Is a series T1 or T2 weighted? Numbers decide, words where there are none.

What must stay true: proton density, fluid-suppressed, gradient-echo and diffusion images are never
taken for T1 or T2; an InversionTime of 0 means that there was no inversion.

Source of the ranges: values of 1.5 T and 3 T spine protocols. T1: TE 7 to 14, TR 446 to 746 ms; T2:
TE 80 to 124, TR 1000 to 5570; T1 FLAIR: TE 31, TR 2159, TI 785; STIR: TI 150 to 200; proton
density: TE 39, TR 2517.
"""

import re
from dataclasses import dataclass
from enum import StrEnum

from lumbargrade.dicom.slice_header import SliceHeader


class Weighting(StrEnum):
    """What makes tissue bright."""

    T1 = "T1"
    T2 = "T2"
    STIR = "STIR"
    """Counts as T2."""
    PROTON_DENSITY = "proton density"
    FLUID_SUPPRESSED = "T2 FLAIR"
    GRADIENT_ECHO = "gradient echo"
    DIFFUSION = "echo planar or diffusion"
    UNKNOWN = "unknown"


USABLE = {Weighting.T1: "T1", Weighting.T2: "T2", Weighting.STIR: "T2"}
"""Weightings that a view asks for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightingFinding:
    """A weighting and the rule that found it."""

    weighting: Weighting
    reason: str


T2_ECHO_TIME_MS = 60.0
"""Echo times from here on are T2 weighted, where the repetition is long."""
T2_REPETITION_TIME_MS = 1000.0
T1_ECHO_TIME_MS = 35.0
"""Echo times up to here are T1 weighted, where the repetition is short."""
T1_REPETITION_TIMES_MS = (200.0, 1200.0)
"""Shorter ones are fast gradient echoes, longer ones proton density."""
STIR_INVERSION_MS = (80.0, 300.0)
T1_FLAIR_INVERSION_MS = (300.0, 1300.0)

_T1 = re.compile(r"(?<![a-z0-9])t1(?![0-9*])", re.IGNORECASE)
_T2 = re.compile(r"(?<![a-z0-9])t2(?![0-9*])", re.IGNORECASE)
_T2_STAR = re.compile(
    r"(?<![a-z0-9])(?:t2\*|t2[ _-]?star|medic|merge|me2d|gre|fl[23]d|flash|[mbt]?ffe|fiesta"
    r"|ciss(?:3d)?|trufi(?:sp|3d)?|spgr|vibe|swi|dess)(?![a-z0-9])",
    re.IGNORECASE,
)
_STIR = re.compile(r"(?<![a-z])(?:stir|tirm)(?![a-z])", re.IGNORECASE)
_FLAIR = re.compile(r"flair", re.IGNORECASE)
_PROTON_DENSITY = re.compile(r"(?<![a-z])(?:pd|pdw|proton)(?![a-z])", re.IGNORECASE)
_SPECTRAL = re.compile(r"(?<![a-z])spa?ir(?![a-z])", re.IGNORECASE)
"""Fat saturations that store the delay of their preparation pulse as InversionTime."""
_CONTRAST = re.compile(
    r"(?<![a-z])(?:\+ ?c|c ?\+|post(?![ _-]?op)|km|gd|gad\w*|ce|inj\w*|[ck]ontrast\w*|enhanced)"
    r"(?![a-z])",
    re.IGNORECASE,
)
_NO_CONTRAST = re.compile(
    r"(?<![a-z])(?:pre|w/?o|without|non?|nativ\w*|vor|ohne|sans|sin|avant|before)(?![a-z])",
    re.IGNORECASE,
)
_FAT_SUPPRESSED = re.compile(
    r"(?<![a-z])(?:fs|fat[ _-]?sat|spair|spir|dixon|water|ideal)(?![a-z])", re.IGNORECASE
)


def weighting_of(header: SliceHeader) -> WeightingFinding:
    """Find the weighting of a slice from its sequence, its times or its words."""
    for rule in (_by_sequence, _by_inversion, _by_times, _by_words):
        finding = rule(header)
        if finding is not None:
            return finding
    return WeightingFinding(
        weighting=Weighting.UNKNOWN,
        reason=f"neither {_times(header) or 'times'} nor words say whether it is T1 or T2 weighted",
    )


def is_fat_suppressed(header: SliceHeader) -> bool:
    """Whether fat is dark: STIR, or a fat saturation by tag or word.

    A maker's word for STIR (TIRM) also names the T1 FLAIR, whose inversion leaves fat bright.
    """
    words = _words(header)
    inversion = header.inversion_time_ms
    short = inversion is None or inversion <= STIR_INVERSION_MS[1]
    return bool(
        (short and _STIR.search(words))
        or _FAT_SUPPRESSED.search(words)
        or {"FS", "FATSAT_GEMS", "SFS"} & set(header.scan_options)
        or {"W", "WATER"} & set(header.image_type)
    )


def is_contrast_enhanced(header: SliceHeader) -> bool:
    """Whether a contrast agent was given: by its tag, or by the series' own words.

    ProtocolName is not asked: one protocol names the series before and after the injection.
    """
    words = header.description
    said = _CONTRAST.search(words) and not _NO_CONTRAST.search(words)
    return header.contrast_agent or bool(said)


def _by_sequence(header: SliceHeader) -> WeightingFinding | None:
    sequence = set(header.scanning_sequence)
    if "EP" in sequence:
        return _found(Weighting.DIFFUSION, "ScanningSequence has EP")
    if sequence & {"GR", "GRADIENT"} and not sequence & {"SE", "SPIN", "BOTH"}:
        return _found(Weighting.GRADIENT_ECHO, "ScanningSequence is a gradient echo")
    star = _T2_STAR.search(_words(header))
    if star:
        return _found(Weighting.GRADIENT_ECHO, f"its words say {star.group()!r}")
    return None


def _by_inversion(header: SliceHeader) -> WeightingFinding | None:
    inversion, echo, repetition = _triple(header)
    if inversion is None or echo is None or repetition is None:
        return None
    if repetition < T1_REPETITION_TIMES_MS[1]:
        return None  # too short for an inversion recovery: a preparation pulse for fat
    times = _times(header)
    if STIR_INVERSION_MS[0] <= inversion <= STIR_INVERSION_MS[1]:
        spectral = _SPECTRAL.search(_words(header)) or _PROTON_DENSITY.search(_words(header))
        return None if spectral else _found(Weighting.STIR, times)
    if T1_FLAIR_INVERSION_MS[0] < inversion <= T1_FLAIR_INVERSION_MS[1]:
        if echo < T2_ECHO_TIME_MS:
            return _found(Weighting.T1, f"{times} (T1 FLAIR)")
        return None
    if inversion > T1_FLAIR_INVERSION_MS[1]:
        return _found(Weighting.FLUID_SUPPRESSED, times)
    return None


def _by_times(header: SliceHeader) -> WeightingFinding | None:
    _, echo, repetition = _triple(header)
    if echo is None or repetition is None:
        return None
    times = _times(header)
    if echo >= T2_ECHO_TIME_MS:
        if repetition < T2_REPETITION_TIME_MS:
            return None
        if _FLAIR.search(_words(header)) and not _T1.search(_words(header)):
            return _found(Weighting.FLUID_SUPPRESSED, f"{times} and the word FLAIR")
        return _found(Weighting.T2, times)
    if repetition > T1_REPETITION_TIMES_MS[1]:
        return _long_repetition(header, times)
    if echo <= T1_ECHO_TIME_MS and repetition >= T1_REPETITION_TIMES_MS[0]:
        return _found(Weighting.T1, times)
    return None


def _long_repetition(header: SliceHeader, times: str) -> WeightingFinding:
    """Short echo, long repetition: proton density, unless inverted without saying when."""
    words = _words(header)
    if _STIR.search(words):
        return _found(Weighting.STIR, f"{times} and the word STIR")
    inverted = "IR" in header.scanning_sequence or _FLAIR.search(words)
    if inverted and _T1.search(words):
        return _found(Weighting.T1, f"{times} and the words T1 and inversion")
    return _found(Weighting.PROTON_DENSITY, times)


def _by_words(header: SliceHeader) -> WeightingFinding | None:
    words = _words(header)
    t1, t2 = _T1.search(words), _T2.search(words)
    if _STIR.search(words) and not t1:
        return _found(Weighting.STIR, "its words say STIR")
    if _PROTON_DENSITY.search(words):
        return _found(Weighting.PROTON_DENSITY, "its words say proton density")
    if _FLAIR.search(words) and not t1:
        return _found(Weighting.FLUID_SUPPRESSED, "its words say FLAIR")
    if bool(t1) == bool(t2):
        return None
    word = Weighting.T1 if t1 else Weighting.T2
    return _found(word, f"its words say {word}")


def _found(weighting: Weighting, reason: str) -> WeightingFinding:
    return WeightingFinding(weighting=weighting, reason=reason)


def _words(header: SliceHeader) -> str:
    return f"{header.description} | {header.protocol}"


def _triple(header: SliceHeader) -> tuple[float | None, float | None, float | None]:
    return header.inversion_time_ms, header.echo_time_ms or None, header.repetition_time_ms or None


def _times(header: SliceHeader) -> str:
    named = zip(("TI", "TE", "TR"), _triple(header), strict=True)
    return ", ".join(f"{name} {value:g} ms" for name, value in named if value is not None)
