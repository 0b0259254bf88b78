"""Strict settings, read from and written to YAML.

What must stay true: an unknown key fails and names the allowed ones.
"""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

import yaml
from pydantic import (
    BaseModel,
    ConfigDict,
    ValidationError,
    model_serializer,
)

from lumbargrade.atomic_files import write_beside


class ConfigError(ValueError):
    """A settings file or ``--set`` value that cannot be used."""


class Settings(BaseModel):
    """Base of all settings: strict, frozen, unknown keys refused."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    SILENT: ClassVar[frozenset[str]] = frozenset()
    """Fields that are not written where they have their default: options that came later, so that
    what was written before them keeps its bytes and hashes."""

    @model_serializer(mode="wrap")
    def _leave_out_the_silent(self, write: Callable[[Self], Any]) -> dict[str, Any]:
        document: dict[str, Any] = write(self)
        fields = type(self).model_fields
        silent = {name for name in self.SILENT if getattr(self, name) == fields[name].default}
        return {name: value for name, value in document.items() if name not in silent}

    @classmethod
    def from_yaml(cls, path: Path, overrides: dict[str, Any] | None = None) -> Self:
        """Read settings from a YAML file, with dotted-key overrides on top."""
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path}: not a text file in UTF-8 ({error.reason})") from error
        data = _parse_yaml(text, str(path)) or {}
        if not isinstance(data, dict):
            raise ConfigError(
                f"{path}: expected settings (key: value), found {type(data).__name__}"
            )
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
        data = _unshared(data)
        for dotted, value in (overrides or {}).items():
            _override(data, dotted, value)
        try:
            return cls.model_validate_json(
                json.dumps(cls.resolved(data))
            )  # JSON: a list may become a tuple
        except ValidationError as error:
            raise ConfigError(_explain(cls, error, source)) from error

    @classmethod
    def resolved(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Plain data in which what follows from other keys stands as well; nothing by default."""
        return data

    def to_yaml(self, path: Path) -> None:
        """Write the resolved settings."""
        write_beside(path, yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False))


def _explain(model: type[BaseModel], error: ValidationError, source: str) -> str:
    lines = []
    for item in error.errors():
        where = ".".join(str(part) for part in item["loc"])
        line = f"{source}: {where}: {item['msg']}" if where else f"{source}: {item['msg']}"
        if item["type"] == "extra_forbidden":
            allowed = _fields_at(model, item["loc"][:-1])
            line += f"; allowed: {', '.join(allowed)}"
        lines.append(line)
    return "\n".join(lines)


def _fields_at(model: type[BaseModel], location: tuple[int | str, ...]) -> tuple[str, ...]:
    """The fields of the nested settings at a location.

    Optional settings and settings by name count as the settings themselves.
    """
    for part in location:
        if part in model.model_fields:  # else it is a name in a dict of settings
            annotation = model.model_fields[str(part)].annotation
            kinds = (annotation, *get_args(annotation))
            model = next(k for k in kinds if isinstance(k, type) and issubclass(k, BaseModel))
    return tuple(model.model_fields)


def merged(base: Any, changes: Any) -> Any:
    """Plain data with changes on top, key by key.

    Args:
        base: what holds where ``changes`` says nothing.
        changes: of the same shape, or None for no changes.
    """
    if changes is None:
        return copy.deepcopy(base)
    if not isinstance(base, dict) or not isinstance(changes, dict):
        return copy.deepcopy(changes)
    return {
        key: merged(base.get(key), changes[key]) if key in changes else merged(base[key], None)
        for key in dict.fromkeys([*base, *changes])
    }


def _unshared(data: Any) -> Any:
    """A copy in which nothing is shared, as YAML aliases are: a change to one is to one alone."""
    if isinstance(data, dict):
        return {key: _unshared(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_unshared(value) for value in data]
    return copy.deepcopy(data)


def _override(data: dict[str, Any], dotted: str, value: Any) -> None:
    node = data
    *parents, leaf = dotted.split(".")
    for key in parents:
        if node.get(key) is None:
            node[key] = {}
        node = node[key]
        if not isinstance(node, dict):
            raise ConfigError(f"--set {dotted}: {key} is the value {node!r}, it has no keys")
    node[leaf] = value


def _parse_yaml(text: str, source: str) -> Any:
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{source}: not valid YAML: {error}") from error


def parse_overrides(items: list[str]) -> dict[str, Any]:
    """Turn ``key.sub=value`` strings into overrides; values are read as YAML."""
    overrides = {}
    for item in items:
        key, separator, value = item.partition("=")
        if not separator or not key:
            raise ConfigError(f"--set wants key=value, found {item!r}")
        overrides[key.strip()] = _parse_yaml(value, f"--set {item}")
    return overrides
