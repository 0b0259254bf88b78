"""Plain 2-D slices with disc points, to train the sagittal T2 detector on beside whole studies.

What must stay true: a slice teaches the disc points that it marks and nothing else; all slices of a
patient are on the same side of the folds; what is held out is neither trained on nor hashed.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lumbargrade.cache import DISC, LANDMARKS
from lumbargrade.competition import CoordinateImage, read_coordinate_images
from lumbargrade.config import ExtraSlicesSettings
from lumbargrade.detector.slices import ViewArrays
from lumbargrade.labels import View
from lumbargrade.plain_images import (
    grid_points_lps_mm,
    one_slice_volume,
    read_plain_image,
)
from lumbargrade.recipe_settings import Recipe
from lumbargrade.records import InvalidStudyError
from lumbargrade.settings import ConfigError
from lumbargrade.volumes import square_volume


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraSlices:
    """The slices of a coordinate dataset that are trained on."""

    images: tuple[CoordinateImage, ...]
    licence: str
    sha256: str
    """Over the images' files and their points, whatever their order."""

    def facts(self) -> dict[str, str | int]:
        """What the manifest says of them."""
        return {"licence": self.licence, "sha256": self.sha256, "slices": len(self.images)}

    def arrays(self, size: int) -> tuple[ViewArrays, ...]:
        """The slices as squares of ``size`` pixels, with their points in LPS mm."""
        return tuple(slice_arrays(image, size) for image in self.images)


def read_extra_slices(folder: Path, settings: ExtraSlicesSettings) -> ExtraSlices:
    """Choose the slices of a coordinate dataset that are trained on.

    Args:
        folder: as :func:`lumbargrade.competition.read_coordinate_images` takes it.
        settings: which collections, and which fold is held out.

    Raises:
        InvalidStudyError: no slice is left, or the table cannot be read.
        ConfigError: there is no such fold or collection.
    """
    if settings.held_out_fold is not None and settings.held_out_fold >= settings.folds:
        raise ConfigError(
            f"extra_slices.held_out_fold is {settings.held_out_fold}: "
            f"the folds are 0 to {settings.folds - 1}"
        )
    images = _of_sources(read_coordinate_images(folder), settings.sources)
    if settings.held_out_fold is not None:
        folds = folds_by_patient(images, settings.folds)
        held_out = settings.held_out_fold
        images = tuple(image for image, fold in zip(images, folds, strict=True) if fold != held_out)
    if not images:
        raise InvalidStudyError(f"{folder}: no slice is left to train on")
    return ExtraSlices(images=images, licence=settings.licence, sha256=_sha256(images))


def _of_sources(
    images: tuple[CoordinateImage, ...], sources: Sequence[str]
) -> tuple[CoordinateImage, ...]:
    there = sorted({image.source for image in images})
    unknown = sorted(set(sources) - set(there))
    if unknown:
        raise ConfigError(
            f"extra_slices.sources names {', '.join(unknown)}, found {', '.join(there)}"
        )
    return tuple(image for image in images if not sources or image.source in sources)


def opened_slices(folder: Path | None, recipe: Recipe) -> ExtraSlices | None:
    """The extra slices that a recipe trains on, where a folder of them is given."""
    return None if folder is None else read_extra_slices(folder, recipe.sagittal_t2.extra_slices)


def claimed_slices(extra: ExtraSlices | None) -> dict[str, str | int]:
    """What a folder remembers of the extra slices that it was trained on."""
    return {} if extra is None else {"extra_slices_sha256": extra.sha256}


def arrays_of_slices(
    extra: ExtraSlices | None, recipe: Recipe, view: View
) -> tuple[ViewArrays, ...]:
    """The extra slices as one view's detector trains on them: sagittal T2 alone does."""
    if extra is None or view is not View.SAGITTAL_T2:
        return ()
    return extra.arrays(recipe.sagittal_t2.image_size)


def folds_by_patient(images: Sequence[CoordinateImage], folds: int) -> list[int]:
    """The fold of each image; patients are dealt out in an order that follows from their names.

    A patient is a source with the part of the file's name before the first underscore.
    """
    patients = [(image.source, image.path.stem.partition("_")[0]) for image in images]
    in_order = sorted(
        set(patients), key=lambda patient: hashlib.sha256("/".join(patient).encode()).digest()
    )
    fold_of = {patient: place % folds for place, patient in enumerate(in_order)}
    return [fold_of[patient] for patient in patients]


def slice_arrays(image: CoordinateImage, size: int) -> ViewArrays:
    """One image as a study with a view of one slice.

    Raises:
        InvalidStudyError: the image cannot be read, or has no brightness difference.
    """
    pixels = read_plain_image(image.path)
    volume = one_slice_volume(pixels, name=image.path.name)
    landmarks_lps_mm = np.full((LANDMARKS, 3), np.nan)
    landmarks_lps_mm[DISC:] = grid_points_lps_mm(image.points, pixels, volume)
    square = square_volume(volume, size)
    return ViewArrays(
        study_id=f"{image.source}/{image.path.name}",
        view=volume.view,
        pixels=square.pixels,
        affines=square.affines,
        stack_ids=volume.stack_ids,
        landmarks_lps_mm=landmarks_lps_mm,
    )


def _sha256(images: Sequence[CoordinateImage]) -> str:
    lines = (
        f"{image.source}/{image.path.name} {hashlib.sha256(image.path.read_bytes()).hexdigest()} "
        f"{image.points.tolist()}"
        for image in images
    )
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
