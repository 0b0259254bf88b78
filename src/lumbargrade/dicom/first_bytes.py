"""What a file is, told by its first bytes and never by its name.

Source: DICOM PS3.10 7.1 (preamble and prefix), APPNOTE.TXT 4.3 (zip), POSIX ustar, RFC 1952 (gzip).
"""

from enum import StrEnum

START = 512
"""So many bytes tell every kind apart."""


class ArchiveKind(StrEnum):
    """What can be looked into, or must not hide inside."""

    ZIP = "zip"
    TAR = "tar"
    GZIP = "gzip"
    OTHER = "7z, rar, xz, bzip2 or zstd"


_MAGIC = {
    b"PK\x03\x04": ArchiveKind.ZIP,
    b"PK\x05\x06": ArchiveKind.ZIP,
    b"\x1f\x8b": ArchiveKind.GZIP,
    b"7z\xbc\xaf\x27\x1c": ArchiveKind.OTHER,
    b"Rar!\x1a\x07": ArchiveKind.OTHER,
    b"\xfd7zXZ\0": ArchiveKind.OTHER,
    b"\x28\xb5\x2f\xfd": ArchiveKind.OTHER,
}


def starts_like_dicom(start: bytes) -> bool:
    """Whether a file starts like DICOM: with its prefix, or bare with group 0002 or 0008.

    Args:
        start: its first 132 bytes or more, or all of a shorter file.
    """
    if start[128:132] == b"DICM":
        return True
    little, big = start[:2] in (b"\x02\0", b"\x08\0"), start[:2] in (b"\0\x02", b"\0\x08")
    if not (little or big) or len(start) < 16:
        return False
    if start[4:6].isalpha() and start[4:6].isupper():
        return True
    element, length = int.from_bytes(start[2:4], "little"), int.from_bytes(start[4:8], "little")
    return little and element < 0x2000 and 0 < length <= 1024 and length % 2 == 0


def archive_kind(start: bytes) -> ArchiveKind | None:
    """Which archive a file is, None where it is none (or starts like DICOM).

    Args:
        start: its first ``START`` bytes, or all of a shorter file.
    """
    if starts_like_dicom(start):
        return None
    if start[257:262] == b"ustar":
        return ArchiveKind.TAR
    if start[:3] == b"BZh" and start[4:10] == b"1AY&SY":
        return ArchiveKind.OTHER
    return next((kind for magic, kind in _MAGIC.items() if start.startswith(magic)), None)
