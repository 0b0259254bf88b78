"""Archives made of folders, and archives that break a rule."""

import io
import stat
import struct
import tarfile
import warnings
import zipfile
from pathlib import Path

ZIP, TAR, TGZ = ".zip", ".tar", ".tar.gz"
SUFFIXES = (ZIP, TAR, TGZ)


def packed(folder: Path, suffix: str, archive: Path | None = None) -> Path:
    """Pack a folder's files, by their paths below it, as ``<folder><suffix>``."""
    archive = archive or folder.with_name(folder.name + suffix)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    contents = {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
    return pack(archive, contents)


def pack(archive: Path, contents: dict[str, bytes]) -> Path:
    """Write an archive of the kind that its suffix says."""
    if archive.name.endswith(ZIP):
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, content in contents.items():
                zipped.writestr(name, content)
        return archive
    with tarfile.open(archive, "w:gz" if archive.name.endswith(TGZ) else "w:") as tarred:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tarred.addfile(info, io.BytesIO(content))
    return archive


def add_entry(archive: Path, name: str, content: bytes = b"x") -> None:
    """Add one entry under a name that is not looked at."""
    if archive.name.endswith(ZIP):
        info = zipfile.ZipInfo("placeholder")
        info.filename = name
        info.compress_type = zipfile.ZIP_DEFLATED
        with zipfile.ZipFile(archive, "a") as zipped, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a name that is there already
            zipped.writestr(info, content)
        return
    add_tar_entry(archive, tarfile.TarInfo(name), content)


def add_tar_entry(archive: Path, info: tarfile.TarInfo, content: bytes = b"") -> None:
    """Add one entry of any type to a tar archive, gzipped or not."""
    gzipped = archive.name.endswith(TGZ)
    contents: list[tuple[tarfile.TarInfo, bytes]] = []
    with tarfile.open(archive) as old:
        for member in old:
            file = old.extractfile(member)
            contents.append((member, b"" if file is None else file.read()))
    info.size = len(content)
    with tarfile.open(archive, "w:gz" if gzipped else "w:") as new:
        for member, data in [*contents, (info, content)]:
            new.addfile(member, io.BytesIO(data))


def add_zip_link(archive: Path, name: str, target: str, kind: int = stat.S_IFLNK) -> None:
    """Add a symbolic link, or an entry of another kind, to a zip archive."""
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.writestr(info, target)


def set_zip_flags(archive: Path, name: str, flags: int) -> None:
    """Set bits of an entry's flags, in both of its headers."""
    raw = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as zipped:
        local = zipped.getinfo(name).header_offset
    central = raw.index(b"PK\x01\x02", raw.rindex(name.encode()) - 46)
    for place in (local + 6, central + 8):
        (old,) = struct.unpack_from("<H", raw, place)
        struct.pack_into("<H", raw, place, old | flags)
    archive.write_bytes(bytes(raw))
