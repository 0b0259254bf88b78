"""Every setting, as strict pydantic models read from and written to YAML.

What must stay true: an unknown key fails and names the allowed ones; the resolved settings are
saved with every run; variants are YAML files, never copies of code.
"""

from pathlib import Path
from typing import Any, Literal, Self

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError


class ConfigError(ValueError):
    """A settings file or ``--set`` value that cannot be used."""


class Settings(BaseModel):
    """Base of all settings: strict, frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    @classmethod
    def from_yaml(cls, path: Path, overrides: dict[str, Any] | None = None) -> Self:
        """Read settings from a YAML file, with dotted-key overrides on top."""
        data = yaml.safe_load(path.read_text()) or {}
        return cls.from_dict(data, overrides, source=str(path))

    @classmethod
    def from_dict(
        cls,
        data: dict[str, Any],
        overrides: dict[str, Any] | None = None,
        *,
        source: str = "settings",
    ) -> Self:
        """Validate plain data; raise ``ConfigError`` naming the key and what is allowed."""
        for dotted, value in (overrides or {}).items():
            node = data
            *parents, leaf = dotted.split(".")
            for key in parents:
                node = node.setdefault(key, {})
            node[leaf] = value
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise ConfigError(_explain(cls, error, source)) from error

    def to_yaml(self, path: Path) -> None:
        """Write the resolved settings."""
        path.write_text(yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


def _explain(model: type[BaseModel], error: ValidationError, source: str) -> str:
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        line = f"{source}: {where}: {item['msg']}"
        if item["type"] == "extra_forbidden":
            owner: Any = model
            for part in item["loc"][:-1]:
                field = owner.model_fields.get(part) if hasattr(owner, "model_fields") else None
                owner = field.annotation if field is not None else None
            if hasattr(owner, "model_fields"):
                line += f"; allowed: {', '.join(owner.model_fields)}"
        lines.append(line)
    return "\n".join(lines)


def parse_overrides(items: list[str]) -> dict[str, Any]:
    """Turn ``key.sub=value`` strings into overrides; values are read as YAML."""
    overrides = {}
    for item in items:
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set wants key=value, found {item!r}")
        overrides[key.strip()] = yaml.safe_load(value)
    return overrides


class FitSettings(Settings):
    """One training run of one network."""

    epochs: int = Field(default=20, ge=1)
    batch_size: int = Field(default=2, ge=1)
    learning_rate: float = Field(default=1e-4, gt=0)
    weight_decay: float = Field(default=1e-2, ge=0)
    warmup_fraction: float = Field(default=0.1, ge=0, lt=1)
    gradient_clip: float = Field(default=1.0, gt=0)
    ema: bool = True
    max_minutes: float | None = Field(default=None, gt=0)


class DetectorSettings(Settings):
    """Stage 1: one detector configuration, used for the three views."""

    encoder: str = "regnety_002"
    encoder_depth: int = Field(default=5, ge=3, le=5)
    decoder_channels: tuple[int, ...] = (128, 64, 48)
    heatmap_stride: Literal[1, 2, 4] = 4
    image_size: int = Field(default=160, ge=64)
    max_slices: int = Field(default=64, ge=1)
    """Longer views are cut into overlapping runs; training draws a run of this length."""
    train_slices: int = Field(default=16, ge=1)
    """Slices per study in one training step."""
    lstm_hidden: int = Field(default=128, ge=8)
    label_sigma_px: float = Field(default=4.0, gt=0)
    """On the 256 grid."""
    slice_decay: float = Field(default=0.5, gt=0, lt=1)
    fit: FitSettings = FitSettings()


class CropSettings(Settings):
    """Crops in true geometry around each landmark."""

    slices: int = Field(default=5, ge=1)
    size_px: int = Field(default=64, ge=16)
    side_mm: float = Field(default=42.0, gt=0)


class ClassifierSettings(Settings):
    """Stage 2: 2.5-D classifier with a level-wise sequence model."""

    encoder: str = "regnety_002"
    lstm_hidden: int = Field(default=128, ge=8)
    dropout: float = Field(default=0.2, ge=0, lt=1)
    cutmix_probability: float = Field(default=1.0, ge=0, le=1)
    cutmix_alpha: float = Field(default=4.0, gt=0)
    point_jitter_mm: float = Field(default=1.5, ge=0)
    fit: FitSettings = FitSettings()
    weighted_fit: FitSettings | None = None
    """Step 2: new heads only, on the weighted and any-severe loss; None skips it."""


class SplitSettings(Settings):
    """How the studies of a dataset are shared between the stages, as fractions of all studies."""

    detector: float = Field(default=0.42, gt=0, lt=1)
    detector_validation: float = Field(default=0.06, gt=0, lt=1)
    classifier_validation: float = Field(default=0.12, gt=0, lt=1)


class Recipe(Settings):
    """A whole training: split, stage 1, crops, stage 2."""

    name: str
    seed: int = 0
    split: SplitSettings = SplitSettings()
    sagittal_t2: DetectorSettings = DetectorSettings()
    sagittal_t1: DetectorSettings = DetectorSettings()
    axial_t2: DetectorSettings = DetectorSettings()
    crops: CropSettings = CropSettings()
    classifier: ClassifierSettings = ClassifierSettings()
