"""Valid studies to be damaged: one series each, in every encoding."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from fake_enhanced import enhanced
from fake_studies import CASES, axial_blocks, series, slices
from fake_syntaxes import LOSSLESS, transcode
from lumbargrade.dicom.write_mr import HeaderProfile, write_mr_series
from lumbargrade.phantom.study import StudyProfile

PHANTOM_SLICES = 6
"""Slices taken of a phantom's series, from its middle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseStudy:
    """A folder that holds one study."""

    name: str
    folder: Path

    @property
    def files(self) -> list[Path]:
        """Relative to the folder, sorted."""
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(path.relative_to(self.folder) for path in found)


def write_bases(root: Path, phantoms: dict[StudyProfile, Path]) -> list[BaseStudy]:
    """Write every base study below a folder.

    Args:
        root: an empty folder.
        phantoms: datasets of phantom studies, by their profile.
    """
    return [
        BaseStudy(name=name, folder=folder) for name, folder in _folders(root, phantoms) if folder
    ]


def _folders(root: Path, phantoms: dict[StudyProfile, Path]) -> Iterator[tuple[str, Path]]:
    hospital, rsna = root / "hospital", root / "rsna"
    write_mr_series(hospital / "study", series(), slices(count=8))
    yield "hospital, explicit", hospital
    rsna_series = replace(series(), series_description="T2", protocol_name="")
    folder = rsna / "train_images" / "7" / "70"
    write_mr_series(folder, rsna_series, slices(count=8), profile=HeaderProfile.RSNA)
    yield "RSNA, RLE", rsna
    write_mr_series(root / "axial" / "study", series("tra"), axial_blocks(count=3))
    yield "hospital, axial blocks", root / "axial"
    write_mr_series(root / "single" / "study", series(), slices(count=8))
    enhanced(root / "single" / "study")
    shutil.rmtree(root / "single" / "study")
    yield "enhanced multi-frame", root / "single"
    for syntax in LOSSLESS:
        folder = root / syntax.replace(".", "_")
        for path in write_mr_series(folder / "study", series(), slices(count=6)):
            transcode(path, syntax)
        yield f"hospital, {syntax.name}", folder
    for profile, dataset in phantoms.items():
        for images in sorted((dataset / "train_images").glob("*/*"))[:3]:
            folder = root / f"phantom_{profile}_{images.name}"
            target = folder / images.relative_to(dataset)
            target.mkdir(parents=True)
            files = sorted(images.glob("*.dcm"), key=lambda path: int(path.stem))
            first = (len(files) - PHANTOM_SLICES) // 2
            for path in files[first : first + PHANTOM_SLICES]:
                shutil.copy(path, target)
            yield f"phantom, {profile}", folder
    if CASES.is_dir():
        for name in ("enhanced_mr", "transfer_syntaxes", "bits", "pydicom"):
            shutil.copytree(CASES / name, root / "cases" / name)
            yield f"public cases, {name}", root / "cases" / name
