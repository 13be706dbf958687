"""Settings as data: pydantic models read from YAML, overridable by `--set a.b=c`, checked before any work."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from curate.errors import ConfigError, InputError
from curate.registry import nearest


class Settings(BaseModel):
    """Base of all settings: frozen, an unknown key is an error, and so is a number that is not finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


S = TypeVar("S", bound=Settings)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; {} for an empty one."""
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; give the path of a YAML file") from None
    except RecursionError:
        raise ConfigError(f"{path} is not readable YAML: it is nested too deeply") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{path} is not readable YAML: {' '.join(str(error).split())}") from None
    if data is None:
        return {}
    if not isinstance(data, dict):
        raise ConfigError(f"{path} must hold a mapping of settings, not a {type(data).__name__}")
    return data


def with_overrides(data: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """`data` with `a.b=value` overrides laid over it; values are read as YAML."""
    merged = dict(data)
    for override in overrides:
        dotted, equals, value = override.partition("=")
        if not equals or not dotted:
            raise ConfigError(f"--set wants KEY=VALUE, as in --set shots=[1,2], not {override!r}")
        merged = _put(merged, dotted.split("."), _parse(override, value))
    return merged


def _parse(override: str, value: str) -> Any:
    try:
        return yaml.safe_load(value)
    except yaml.YAMLError:
        raise ConfigError(f"--set {override!r}: the value is not readable YAML") from None


def _put(data: Mapping[str, Any], keys: list[str], value: Any) -> dict[str, Any]:
    merged = dict(data)
    inner = merged.get(keys[0])
    if len(keys) > 1:
        value = _put(inner if isinstance(inner, dict) else {}, keys[1:], value)
    merged[keys[0]] = value
    return merged


def build(model: type[S], data: Mapping[str, Any], where: str = "settings") -> S:
    """`data` as checked settings; ConfigError with one line a fault, unknown keys with the nearest known."""
    try:
        return model.model_validate(dict(data))
    except ValidationError as error:
        faults = [_fault(model, dict(fault)) for fault in error.errors(include_url=False)]
        raise ConfigError(f"{where}: " + "; ".join(faults)) from None


def _fault(model: type[BaseModel], fault: dict[str, Any]) -> str:
    path = ".".join(str(step) for step in fault["loc"])
    if fault["type"] != "extra_forbidden":
        return f"{path}: {fault['msg'].removeprefix('Value error, ')}"
    known = _fields_at(model, fault["loc"][:-1])
    return f"unknown key {path!r}{nearest(str(fault['loc'][-1]), known)}"


def _fields_at(model: type[BaseModel], path: Iterable[str | int]) -> list[str]:
    """Field names of the settings model that `path` leads to inside `model`."""
    for step in path:
        field = model.model_fields.get(str(step))
        model = (_model_in(field.annotation) if field else None) or model
    return list(model.model_fields)


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings model that an annotation holds, also inside a list, a mapping or a union."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner))), None)


def load(model: type[S], path: Path | None, overrides: Iterable[str] = ()) -> S:
    """Settings from a YAML file (or defaults) with command-line overrides."""
    data = read_yaml(path) if path else {}
    return build(model, with_overrides(data, overrides), str(path) if path else "settings")
