"""Which images can serve at all: rules that need no geometry.

What must stay true: every refusal says which rule spoke and what was found; words decide only
where they stand alone, never inside another word.
"""

import re

from lumbargrade.dicom.slice_header import SliceHeader

MR_SOP_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.4": "MR Image Storage",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR Image Storage",
    "1.2.840.10008.5.1.4.1.1.4.4": "Legacy Converted Enhanced MR Image Storage",
}

MAX_MATRIX = 4096
"""Rows or columns beyond this are no MR slice (the largest one seen has 1024)."""

_IMAGE_TYPES = {
    "MOSAIC": "a mosaic: many slices in one image",
    "LOCALIZER": "a localizer",
    "SUBTRACT": "a subtraction",
    "SUBTRACTION": "a subtraction",
    "SUB": "a subtraction",
    "MIP": "a projection",
    "MAX_IP": "a projection",
    "MIN_IP": "a projection",
    "PROJECTION IMAGE": "a projection",
    "MPR": "a reformatted image",
    "RESAMPLED": "a resampled image",
    "ADC": "a diffusion map",
    "FA": "a diffusion map",
    "TRACEW": "a diffusion map",
    "T1 MAP": "a parameter map",
    "T2 MAP": "a parameter map",
    "T2_STAR MAP": "a parameter map",
    "T2STAR MAP": "a parameter map",
    "P": "a phase image",
    "PHASE": "a phase image",
    "PHASE MAP": "a phase image",
    "REAL": "a part of a complex image",
    "IMAGINARY": "a part of a complex image",
    "FAT": "a fat image",
    "F": "a fat image",
    "OP": "an opposed-phase image",
    "OPP_PHASE": "an opposed-phase image",
    "OUT_PHASE": "an opposed-phase image",
    "FAT_FRACTION": "a parameter map",
}
"""Values of ImageType that rule an image out, and what they mean."""


def _words(*alternatives: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![a-z])(?:{'|'.join(alternatives)})(?![a-z])", re.IGNORECASE)


_KINDS_BY_WORD = (
    (
        _words(
            "loc", r"locali[sz]ers?", "lokali[sz]er", "locator", r"scouts?", "aascout", "survey",
            "topogra[mp]h?", r"(?:3|three)[ _-]*(?:pl|planes?)", "plan", "planning",
            r"calibration", "smartbrain", "pilot", r"scano\w*", "centrage", "centratura", "planung",
            r"lo[ck]ali[sz]z?a(?:tor\w*|teur|dor)", r"rep.{1,3}rage", r"(?:u|ue)?bersicht\w*",
            "suchlauf",
        ),
        "a localizer",
    ),
    (_words("sub", r"subtract\w*"), "a subtraction"),
    (_words("mip", "mpr", r"reformat\w*"), "a reformatted or projected image"),
    (_words("adc", "dwi", "dti", r"diff(?:usion)?"), "diffusion"),
    (_words("myelo", r"myelogra\w*"), "a myelogram"),
    (_words("(?:fat|out-?phase):", r"dixon\w*_(?:f|fat|opp)"), "a fat or opposed-phase image"),
    (_words(r"t[12]\s*map", r"t[12]map", r"map(?:it|ping)"), "a parameter map"),
)  # fmt: skip
"""Words of SeriesDescription or ProtocolName that rule a series out."""

_LUMBAR = _words(
    r"\w*l[uo]mb\w*", r"l[ _-]?s?[ _-]?spine", "ls?ws", "lwk", r"t[ _-]?l[ _-]?spine", "lsp"
)
_OTHER_PART_BY_WORD = _words(
    r"cerv\w*", r"c[ _-]?spine", "hws", "hwk", "neck", "hals", "brain", "head", "skull", "kopf",
    "pituitary", r"thor\w*", r"t[ _-]?spine", "bws", "bwk", "chest", "breast", "cardiac", "heart",
    r"(?:rachis|colum?na|colonna)[ _-]*dors\w*", r"dorsal[ _-]spine", "sacrum", "coccyx",
    r"sacro[ _-]?iliac\w*", "isg", "sij", "liver", "mrcp", "abdomen", "pelvis", "becken",
    "prostate", r"hips?", "hanche", "cadera", r"knees?", "knie", "genou", "rodilla",
    r"shoulders?", "schulter", "hombro", "elbow", "wrist", "hand", "ankle", "foot",
    r"s[ _-]?i[ _-]?joints?",
)  # fmt: skip

_LUMBAR_PARTS = ("LSPINE", "LSSPINE", "LUMB", "TLSPINE", "WHOLESPINE", "LWS")
_OTHER_PARTS = (
    "CSPINE", "TSPINE", "CERVI", "THORA", "CHEST", "BREAST", "HEART", "BRAIN", "HEAD", "SKULL",
    "NECK", "ORBIT", "PITUITAR", "FACE", "JAW", "ABDOMEN", "LIVER", "KIDNEY", "PANCREAS",
    "PELVIS", "PROSTATE", "UTERUS", "BLADDER", "RECTUM", "HIP", "THIGH", "FEMUR", "KNEE", "CALF",
    "LEG", "ANKLE", "FOOT", "TOE", "SHOULDER", "HUMERUS", "ARM", "ELBOW", "WRIST", "HAND",
    "FINGER", "CLAVICLE", "STERNUM", "SIJOINT", "COCCYX", "EXTREMITY",
)  # fmt: skip
"""Parts of BodyPartExamined (letters alone) that rule a series out."""


def image_refusal(header: SliceHeader) -> str | None:
    """Why one image cannot serve, whatever its series; None where it can."""
    for rule in (_object_refusal, _pixel_refusal, _image_type_refusal):
        reason = rule(header)
        if reason is not None:
            return reason
    return None


def series_refusal(header: SliceHeader) -> str | None:
    """Why a series cannot serve by its words and its body part; None where it can."""
    words = f"{header.description} | {header.protocol}"
    for pattern, kind in _KINDS_BY_WORD:
        found = pattern.search(words)
        if found:
            return f"{kind}: SeriesDescription or ProtocolName says {found.group()!r}"
    return _body_part_refusal(header, words)


def _object_refusal(header: SliceHeader) -> str | None:
    if header.modality and header.modality != "MR":
        return f"Modality is {header.modality}, not MR"
    if header.sop_class_uid and header.sop_class_uid not in MR_SOP_CLASSES:
        return f"SOPClassUID {header.sop_class_uid} is not an MR image"
    if not (header.rows > 0 and header.columns > 0):
        return "holds no image: Rows or Columns is missing"
    return None


def _pixel_refusal(header: SliceHeader) -> str | None:
    if header.photometric not in ("MONOCHROME1", "MONOCHROME2") or header.samples_per_pixel != 1:
        return (
            f"colour or unknown pixels: PhotometricInterpretation {header.photometric or 'missing'}"
            f", SamplesPerPixel {header.samples_per_pixel or 'missing'}"
        )
    if header.burned_in_annotation:
        return "text is burned into its pixels, which may name the patient: BurnedInAnnotation YES"
    if max(header.rows, header.columns) > MAX_MATRIX:
        return f"matrix {header.rows} x {header.columns} is larger than {MAX_MATRIX}"
    if header.frames > 1 and header.frame_number is None:
        return f"{header.frames} frames without functional groups: their places are unknown"
    return None


def _image_type_refusal(header: SliceHeader) -> str | None:
    listed = "\\".join(header.image_type)
    for value in header.image_type:
        if value in _IMAGE_TYPES:
            return f"{_IMAGE_TYPES[value]}: ImageType is {listed}"
    if header.image_type[1:2] == ("SECONDARY",):
        return f"a derived or captured image: ImageType is {listed}"
    return None


def _body_part_refusal(header: SliceHeader, words: str) -> str | None:
    part = re.sub(r"[^A-Z]", "", header.body_part.upper())
    lumbar = _LUMBAR.search(words)
    found = _OTHER_PART_BY_WORD.search(words)
    if any(name in part for name in _LUMBAR_PARTS) or (lumbar and not found):
        part = ""  # words are chosen per series, the tag is often left at a scanner's default
    if any(name in part for name in _OTHER_PARTS):
        return f"another body part: BodyPartExamined is {header.body_part}"
    if found and not lumbar:
        return f"another body part: SeriesDescription or ProtocolName says {found.group()!r}"
    return None
