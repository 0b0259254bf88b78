"""Ways to damage a DICOM file, each drawn from a seeded generator: bytes in, bytes out."""

import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Random = np.random.Generator
Mutation = Callable[[bytes, Random], bytes]

PIXEL_DATA = b"\xe0\x7f\x10\x00"
_LONG_VR = {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"UC", b"UN", b"UR", b"UT"}
_VRS = (b"AE", b"CS", b"DS", b"FD", b"FL", b"IS", b"LO", b"OB", b"OW", b"SQ", b"UI", b"UN", b"US")

GEOMETRY_TAGS = {
    "ImagePositionPatient": b"\x20\0\x32\0",
    "ImageOrientationPatient": b"\x20\0\x37\0",
    "PixelSpacing": b"\x28\0\x30\0",
    "SliceThickness": b"\x18\0\x50\0",
    "SpacingBetweenSlices": b"\x18\0\x88\0",
}
OTHER_TAGS = {
    "TransferSyntaxUID": b"\x02\0\x10\0",
    "ImageType": b"\x08\0\x08\0",
    "SOPClassUID": b"\x08\0\x16\0",
    "SOPInstanceUID": b"\x08\0\x18\0",
    "EchoTime": b"\x18\0\x81\0",
    "RepetitionTime": b"\x18\0\x80\0",
    "StudyInstanceUID": b"\x20\0\x0d\0",
    "SeriesInstanceUID": b"\x20\0\x0e\0",
    "InstanceNumber": b"\x20\0\x13\0",
    "FrameOfReferenceUID": b"\x20\0\x52\0",
    "SamplesPerPixel": b"\x28\0\x02\0",
    "PhotometricInterpretation": b"\x28\0\x04\0",
    "NumberOfFrames": b"\x28\0\x08\0",
    "Rows": b"\x28\0\x10\0",
    "Columns": b"\x28\0\x11\0",
    "BitsAllocated": b"\x28\0\0\x01",
    "BitsStored": b"\x28\0\x01\x01",
    "HighBit": b"\x28\0\x02\x01",
    "PixelRepresentation": b"\x28\0\x03\x01",
    "WindowCenter": b"\x28\0\x50\x10",
    "WindowWidth": b"\x28\0\x51\x10",
    "PixelData": PIXEL_DATA,
    "SharedFunctionalGroupsSequence": b"\0\x52\x29\x92",
    "PerFrameFunctionalGroupsSequence": b"\0\x52\x30\x92",
}
TAGS = GEOMETRY_TAGS | OTHER_TAGS

EXTREMES = (
    b"", b"0", b"-1", b"1e400", b"-1e400", b"nan", b"inf", b"1e-320", b"1e308", b"999999999999",
    b"abc", b"\\", b"\\\\\\\\\\\\\\", b"1\\2", b"0\\0", b"0\\0\\0", b"1\\0\\0\\0\\1\\0\\7", b" ",
    b"\0", b"\xff\xfe", b"0.5\\1e400", b"-0.5\\-0.5", b"1,5\\1,5", b"1" * 5000,
)  # fmt: skip
"""Text values that a number, a list or an identifier should not be."""

_SHORTS = (0, 1, 2, 3, 7, 8, 11, 15, 16, 17, 31, 32, 47, 255, 4095, 32767, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Element:
    """Where one element of an explicit little-endian file lies."""

    start: int
    vr: bytes
    value: int
    """Where its value starts."""
    end: int


def find_element(raw: bytes, tag: bytes, rng: Random) -> Element | None:
    """One of the places where a tag stands, at any depth; None where there is none."""
    places = []
    at = raw.find(tag, 132)
    while at >= 0:
        if raw[at + 4 : at + 6] in _VRS or raw[at + 4 : at + 6] in _LONG_VR:
            places.append(at)
        at = raw.find(tag, at + 1)
    if not places:
        return None
    start = places[int(rng.integers(len(places)))]
    vr = raw[start + 4 : start + 6]
    long = vr in _LONG_VR
    value = start + (12 if long else 8)
    length = struct.unpack_from("<I" if long else "<H", raw, start + (8 if long else 6))[0]
    end = len(raw) if length == 0xFFFFFFFF else min(len(raw), value + length)
    return Element(start=start, vr=vr, value=value, end=end)


def encode(tag: bytes, vr: bytes, value: bytes) -> bytes:
    """One explicit little-endian element, its value padded to an even length."""
    value += (b"\0" if vr in (b"UI", b"OB") else b" ") * (len(value) % 2)
    if vr in _LONG_VR:
        return tag + vr + b"\0\0" + struct.pack("<I", len(value)) + value
    return tag + vr + struct.pack("<H", len(value) & 0xFFFF) + value


# Bytes -------------------------------------------------------------------------------------------


def flip_bytes(raw: bytes, rng: Random) -> bytes:
    """Change one to eight bytes of the header."""
    return _flip(raw, rng, 0, max(1, _header_end(raw)))


def flip_pixels(raw: bytes, rng: Random) -> bytes:
    """Change one to eight bytes at the start of the pixels or anywhere in them."""
    start = _header_end(raw)
    stop = min(len(raw), start + 200) if rng.random() < 0.5 else len(raw)
    return _flip(raw, rng, min(start, len(raw) - 1), stop)


def truncate_file(raw: bytes, rng: Random) -> bytes:
    """Cut the file anywhere."""
    limit = _header_end(raw) if rng.random() < 0.5 else len(raw)
    return raw[: int(rng.integers(0, limit))]


def insert_bytes(raw: bytes, rng: Random) -> bytes:
    """Put 1 to 64 random bytes anywhere, half the time into the header."""
    at = _somewhere(raw, rng)
    return raw[:at] + rng.bytes(int(rng.integers(1, 65))) + raw[at:]


def delete_bytes(raw: bytes, rng: Random) -> bytes:
    """Take 1 to 64 bytes away."""
    at = _somewhere(raw, rng)
    return raw[:at] + raw[at + int(rng.integers(1, 65)) :]


def repeat_bytes(raw: bytes, rng: Random) -> bytes:
    """Repeat a run of bytes."""
    at = _somewhere(raw, rng)
    return raw[: at + int(rng.integers(2, 400))] + raw[at:]


def blank_bytes(raw: bytes, rng: Random) -> bytes:
    """Overwrite a run with zeros or ones."""
    at, length = _somewhere(raw, rng), int(rng.integers(2, 400))
    return raw[:at] + (b"\0", b"\xff")[int(rng.integers(2))] * length + raw[at + length :]


# Tags --------------------------------------------------------------------------------------------


def remove_tag(raw: bytes, rng: Random) -> bytes:
    """Take an element out."""
    found = find_element(raw, _tag(rng), rng)
    return raw if found is None else raw[: found.start] + raw[found.end :]


def empty_tag(raw: bytes, rng: Random) -> bytes:
    """Leave an element without a value."""
    tag = _tag(rng)
    found = find_element(raw, tag, rng)
    return raw if found is None else _replace(raw, found, encode(tag, found.vr, b""))


def duplicate_tag(raw: bytes, rng: Random) -> bytes:
    """Write an element twice, the second time with another value half the time."""
    tag = _tag(rng)
    found = find_element(raw, tag, rng)
    if found is None:
        return raw
    again = raw[found.start : found.end]
    if rng.random() < 0.5:
        again = encode(tag, found.vr, _extreme(found.vr, rng))
    return raw[: found.end] + again + raw[found.end :]


def wrong_vr(raw: bytes, rng: Random) -> bytes:
    """Give an element another value representation, its bytes unchanged."""
    found = find_element(raw, _tag(rng), rng)
    if found is None:
        return raw
    vr = _VRS[int(rng.integers(len(_VRS)))]
    return raw[: found.start + 4] + vr + raw[found.start + 6 :]


def extreme_value(raw: bytes, rng: Random) -> bytes:
    """Give an element a value that it should not have."""
    tag = _tag(rng)
    found = find_element(raw, tag, rng)
    if found is None:
        return raw
    return _replace(raw, found, encode(tag, found.vr, _extreme(found.vr, rng)))


def other_number(raw: bytes, rng: Random) -> bytes:
    """Give a geometry tag another valid number: its first digit changes."""
    tags = list(GEOMETRY_TAGS.values())
    found = find_element(raw, tags[int(rng.integers(len(tags)))], rng)
    if found is None or found.vr != b"DS":
        return raw
    value = bytearray(raw[found.value : found.end])
    digits = [at for at, byte in enumerate(value) if 0x30 <= byte <= 0x39]
    if digits:
        value[digits[int(rng.integers(len(digits)))]] = int(rng.integers(0x30, 0x3A))
    return raw[: found.value] + bytes(value) + raw[found.end :]


def endless_length(raw: bytes, rng: Random) -> bytes:
    """Say that an element never ends, or that it is longer than the file."""
    found = find_element(raw, _tag(rng), rng)
    if found is None or found.value - found.start != 12:
        found = find_element(raw, PIXEL_DATA, rng)
    if found is None or found.value - found.start != 12:
        return raw
    length = (b"\xff\xff\xff\xff", b"\xfe\xff\xff\xff", b"\xff\xff\xff\x7f")[int(rng.integers(3))]
    return raw[: found.start + 8] + length + raw[found.start + 12 :]


def deep_sequence(raw: bytes, rng: Random) -> bytes:
    """Put sequences within sequences before the pixels, some of which never end."""
    depth = int(rng.choice([10, 300, 3000]))
    opening = b"\x09\0\x10\x10SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff"
    closing = b"\xfe\xff\x0d\xe0\0\0\0\0\xfe\xff\xdd\xe0\0\0\0\0"
    nest = opening * depth + (closing * depth if rng.random() < 0.5 else b"")
    at = raw.find(b"\x10\0\x10\0", 132)
    at = at if at > 0 else _header_end(raw)
    return raw[:at] + nest + raw[at:]


def other_syntax(raw: bytes, rng: Random) -> bytes:
    """Claim another transfer syntax than the one the file is written in."""
    found = find_element(raw, TAGS["TransferSyntaxUID"], rng)
    names = (b"", b".1", b".1.99", b".2", b".5", b".4.50", b".4.51", b".4.57", b".4.70", b".4.80",
             b".4.90", b".4.91", b".4.100", b".4.201", b".9")  # fmt: skip
    uid = b"1.2.840.10008.1.2" + names[int(rng.integers(len(names)))]
    if found is None:
        return raw
    return _replace(raw, found, encode(TAGS["TransferSyntaxUID"], b"UI", uid))


def swap_pixels(raw: bytes, rng: Random) -> bytes:
    """Put other bytes where the pixels are: noise, a stream's start alone, its end first."""
    start = _header_end(raw)
    body = raw[start:]
    kind = int(rng.integers(4))
    if kind == 0:
        body = rng.bytes(len(body))
    elif kind == 1:
        body = body[: len(body) // 2] * 2
    elif kind == 2:
        body = body[len(body) // 2 :] + body[: len(body) // 2]
    else:
        body = body + body
    return raw[:start] + body


MUTATIONS: tuple[Mutation, ...] = (
    flip_bytes, flip_pixels, truncate_file, insert_bytes, delete_bytes, repeat_bytes, blank_bytes,
    remove_tag, empty_tag, duplicate_tag, wrong_vr, extreme_value, extreme_value, other_number,
    endless_length, deep_sequence, other_syntax, swap_pixels,
)  # fmt: skip


def _tag(rng: Random) -> bytes:
    tags = list(TAGS.values())
    return tags[int(rng.integers(len(tags)))]


def _extreme(vr: bytes, rng: Random) -> bytes:
    if vr in (b"US", b"SS"):
        return struct.pack("<H", _SHORTS[int(rng.integers(len(_SHORTS)))])
    if vr in (b"FD", b"FL"):
        value = (0.0, -1.0, float("nan"), float("inf"), 1e300)[int(rng.integers(5))]
        return struct.pack("<d", value) if vr == b"FD" else struct.pack("<f", min(value, 1e38))
    return EXTREMES[int(rng.integers(len(EXTREMES)))]


def _replace(raw: bytes, found: Element, element: bytes) -> bytes:
    return raw[: found.start] + element + raw[found.end :]


def _flip(raw: bytes, rng: Random, start: int, stop: int) -> bytes:
    changed = bytearray(raw)
    for at in rng.integers(start, stop, size=int(rng.integers(1, 9))):
        changed[at] = int(rng.integers(256))
    return bytes(changed)


def _somewhere(raw: bytes, rng: Random) -> int:
    return int(rng.integers(0, _header_end(raw) if rng.random() < 0.5 else len(raw)))


def _header_end(raw: bytes) -> int:
    """Where the pixels start; the whole file where they cannot be found."""
    for tag, header in ((PIXEL_DATA, 12), (b"\x7f\xe0\0\x10", 12)):
        at = raw.rfind(tag)
        if at > 0:
            return min(len(raw), at + header)
    return len(raw)
