"""A model folder: which members it has, and a hash that names its answers.

What must stay true: the manifest says which member does what, never a folder's name; the hash
covers every file that can change an answer, and nothing else; a word that names a bundled set means
that set, whatever lies in the working folder.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lumbargrade.atomic_files import write_beside
from lumbargrade.ensemble_file import ENSEMBLE_FILE, Ensemble
from lumbargrade.labels import VIEWS, View
from lumbargrade.point_confidence import DetectorFit, PointConfidences
from lumbargrade.settings import ConfigError

MANIFEST = "manifest.json"
CALIBRATION = "calibration.yaml"
POINT_CONFIDENCE = "point_confidence.yaml"
MEMBERS = "members"

MEMBER_FILES = ("config.yaml", "weights.safetensors")
"""What a trained member holds, as ``training/checkpoint.py`` names it."""

DEFAULT_SET = "default"
"""The bundled set that answers where no models are named."""

_HASHED_SUFFIXES = (".safetensors", ".yaml")
"""Weights and settings; metrics and tables change no answer."""


class MemberEntry(BaseModel):
    """One trained network, as the manifest lists it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    path: str
    """Relative to the model folder, e.g. ``members/canal/fold0``; a bundled set may name a member
    of another one (``../members/canal/fold0``)."""
    stage: Literal["detector", "classifier"]
    view: View | None = None
    """Of a detector."""
    fold: int = 0
    name: str = ""
    """Of the detector set or the classifier, where there are several."""
    image_size: int | None = Field(default=None, ge=64, multiple_of=32)
    """Of a detector: rows and columns of the slices that it is shown, where these are not as many
    as those it was trained on."""


class _Manifest(BaseModel):
    """The part of ``manifest.json`` that prediction needs; other keys tell people the rest."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    name: str
    members: tuple[MemberEntry, ...] = Field(min_length=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """The members of a model folder, and their hash."""

    path: Path
    name: str
    hash: str
    """SHA-256 over weights and settings."""
    detectors: Mapping[View, tuple[Path, ...]]
    """Per view, ordered by fold and set."""
    image_sizes: Mapping[View, tuple[int | None, ...]]
    """Likewise; None for the size that a detector was trained on."""
    classifiers: tuple[Path, ...]
    """Ordered by fold and name."""
    detector_keys: tuple[tuple[int, str], ...]
    """Fold and name of each set of detectors, in their order."""
    classifier_keys: tuple[tuple[int, str], ...]
    """Fold and name of each classifier, in their order."""

    @property
    def ensemble(self) -> Ensemble | None:
        """How the members' answers become one; None for the plain mean of everything."""
        path = self.path / ENSEMBLE_FILE
        return Ensemble.from_yaml(path) if path.is_file() else None

    @property
    def calibration(self) -> Path | None:
        """The calibration's file, where there is one."""
        path = self.path / CALIBRATION
        return path if path.is_file() else None

    @property
    def point_confidences(self) -> PointConfidences:
        """What the detectors' evidence is worth; of no detector where the folder does not say."""
        path = self.path / POINT_CONFIDENCE
        if not path.is_file():
            return PointConfidences(detectors={})
        return PointConfidences.from_yaml(path)


def bundled_models(name: str = DEFAULT_SET) -> Path:
    """The folder of a set of models that comes with the package.

    Raises:
        ConfigError: no such set; names those that are there.
    """
    sets = bundled_sets()
    if name not in sets:
        raise ConfigError(f"no bundled models are called {name!r}; expected {_listed(sets)}")
    return sets[name]


def bundled_sets(weights: Path | None = None) -> dict[str, Path]:
    """Name → folder of the sets of models that come with the package, the default one first.

    Args:
        weights: the default set's folder, in which each other set has a folder of its name; None
            for the package's.
    """
    place = Path(str(files("lumbargrade"))) / "weights" if weights is None else weights
    others = {path.parent.name: path.parent for path in sorted(place.glob(f"*/{MANIFEST}"))}
    return {DEFAULT_SET: place, **others}


def named_models(text: str) -> Path:
    """The models that a command line names: a bundled set by its name, else a folder by its path.

    Raises:
        ConfigError: neither; names the bundled sets.
    """
    sets = bundled_sets()
    if text in sets:
        return sets[text]
    if not Path(text).is_dir():
        raise ConfigError(
            f"found neither a folder {text} nor bundled models of that name; expected a model "
            f"folder or {_listed(sets)}"
        )
    return Path(text)


def _listed(sets: Mapping[str, Path]) -> str:
    return " or ".join(sets)


def open_models(path: Path | None = None) -> ModelFolder:
    """Read what a model folder holds; no weights are loaded.

    Args:
        path: a run or bundled folder; None for the bundled models.

    Raises:
        ConfigError: it is no model folder, or lacks a member that prediction needs.
    """
    folder = bundled_models() if path is None else path
    manifest = _read_manifest(folder)
    of_view = {view: _ordered([m for m in manifest.members if m.view is view]) for view in VIEWS}
    detectors = {view: _member_paths(folder, members) for view, members in of_view.items()}
    graders = _ordered([m for m in manifest.members if m.stage == "classifier"])
    classifiers = _member_paths(folder, graders)
    absent = [f"detector for {view}" for view in VIEWS if not detectors[view]]
    if not classifiers:
        absent.append("classifier")
    if absent:
        raise ConfigError(f"{folder}: its manifest lists no {', no '.join(absent)}")
    keys = {tuple((m.fold, m.name) for m in members) for members in of_view.values()}
    if len(keys) > 1:
        counts = {str(view): len(members) for view, members in of_view.items()}
        raise ConfigError(
            f"{folder}: each view needs the same sets of detectors; its manifest lists {counts}"
        )
    return ModelFolder(
        path=folder,
        name=manifest.name,
        hash=models_hash(folder, manifest.members),
        detectors=detectors,
        image_sizes={
            view: tuple(member.image_size for member in members)
            for view, members in of_view.items()
        },
        classifiers=classifiers,
        detector_keys=keys.pop(),
        classifier_keys=tuple((m.fold, m.name) for m in graders),
    )


def _read_manifest(folder: Path) -> _Manifest:
    path = folder / MANIFEST
    if not path.is_file():
        raise ConfigError(f"{folder} is no model folder: it holds no {MANIFEST}")
    try:
        return _Manifest.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ConfigError(f"{path}: {where}: {first['msg']}") from error


def _ordered(members: Sequence[MemberEntry]) -> list[MemberEntry]:
    return sorted(members, key=lambda member: (member.fold, member.name, member.path))


def _member_paths(folder: Path, members: Sequence[MemberEntry]) -> tuple[Path, ...]:
    paths = tuple(folder / member.path for member in members)
    for path in paths:
        if not path.is_dir():
            raise ConfigError(f"{folder}: its manifest lists {path}, which is not there")
        absent = [name for name in MEMBER_FILES if not (path / name).is_file()]
        if absent:
            raise ConfigError(f"{path} is no trained member: it holds no {', no '.join(absent)}")
    return paths


def models_hash(folder: Path, members: Sequence[MemberEntry]) -> str:
    """SHA-256 over weights, settings, ensemble, calibrations and sizes, wherever they lie."""
    paths = [
        path
        for member in members
        for path in (folder / member.path).iterdir()
        if path.suffix in _HASHED_SUFFIXES
    ]
    beside = (CALIBRATION, ENSEMBLE_FILE, POINT_CONFIDENCE)
    paths += [folder / name for name in beside if (folder / name).is_file()]
    total = hashlib.sha256()
    for path in sorted(paths, key=lambda item: item.relative_to(folder).as_posix()):
        content = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()}\0{content}\n".encode())
    for member in members:
        if member.image_size is not None:
            total.update(f"{member.path}\0{member.image_size}\n".encode())
    return total.hexdigest()


def write_manifest(
    folder: Path, *, name: str, members: Sequence[MemberEntry], facts: Mapping[str, Any]
) -> None:
    """Write ``manifest.json``.

    Args:
        folder: the model folder.
        name: what people call these models.
        members: in the order in which they shall be listed.
        facts: versions, data hash, seed and licence of the training data; no clock, no path.
    """
    document = {
        "name": name,
        "members": [
            member.model_dump(
                mode="json", exclude={"image_size"} if member.image_size is None else None
            )
            for member in members
        ],
        **facts,
    }
    write_beside(folder / MANIFEST, json.dumps(document, indent=1) + "\n")


def write_confidences(folder: Path, fits: Mapping[str, DetectorFit]) -> None:
    """Write ``point_confidence.yaml``, or remove an earlier one where nothing was fitted."""
    path = folder / POINT_CONFIDENCE
    if fits:
        PointConfidences(detectors=dict(fits)).to_yaml(path)
    else:
        path.unlink(missing_ok=True)
