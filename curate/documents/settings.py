"""Settings of `curate mine`: how pages are read, and which filters run with which thresholds."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from curate.documents.filters import FILTERS
from curate.errors import ConfigError
from curate.images import MAX_PIXELS
from curate.registry import nearest
from curate.settings import Settings, build, read_yaml, with_overrides
from curate.sources.archives import Limits

PRESETS = Path(__file__).with_name("presets")
MIB = 1 << 20


class PageSettings(Settings):
    """How pages are read."""

    boilerplate: bool = False
    """Keep navigation, menus, footers, notices and icon links."""
    max_page_bytes: int = Field(default=16 * MIB, ge=1)
    max_image_bytes: int = Field(default=64 * MIB, ge=1)
    max_data_uri_bytes: int = Field(default=4 * MIB, ge=0)
    """Longer `data:` addresses are left out; 0 leaves all of them out."""
    max_pixels: int = Field(default=MAX_PIXELS, ge=1)
    max_images_per_page: int = Field(default=2000, ge=0)
    """References beyond this number are left out: a page cannot make a worker decode for ever."""


class MineSettings(Settings):
    """Everything that shapes the Documents of a source. Filters that are not named do not run."""

    licence: str = ""
    pages: PageSettings = PageSettings()
    archives: Limits = Limits()
    filters: dict[str, dict[str, Any]] = Field(default_factory=dict)
    """Filter name -> its thresholds; see `curate mine --preset`."""
    detect_language: bool = True
    pages_per_part: int = Field(default=64, ge=1)

    @field_validator("filters", mode="before")
    @classmethod
    def _checked(cls, filters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
        """Every filter's thresholds checked and spelled out; a filter set to null is off."""
        if not isinstance(filters, Mapping):
            raise ValueError("filters must map filter names to thresholds")
        for name in filters:
            if name not in FILTERS:
                raise ConfigError(f"no filter is called {name!r}{nearest(name, FILTERS)}; known: {', '.join(FILTERS)}")
        chosen = {name: filters[name] for name in FILTERS if filters.get(name) is not None}
        return {
            name: build(FILTERS.get(name).Thresholds, thresholds, f"filters.{name}").model_dump(mode="json")
            for name, thresholds in chosen.items()
        }


def presets() -> list[str]:
    """Names of the presets, sorted."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def settings_of(
    preset: str = "obelics", config: Mapping[str, Any] | None = None, overrides: Iterable[str] = (), licence: str = ""
) -> MineSettings:
    """A preset, with a configuration laid over it filter by filter, then `key=value` overrides.

    Raises ConfigError for an unknown preset, filter, key or a value out of range.
    """
    if preset not in presets():
        raise ConfigError(f"no preset is called {preset!r}{nearest(preset, presets())}; known: {', '.join(presets())}")
    data = with_overrides(_overlay(read_yaml(PRESETS / f"{preset}.yaml"), config or {}), overrides)
    if licence:
        data["licence"] = licence
    return build(MineSettings, data, "mine")


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(below)
    for key, value in above.items():
        inner = merged.get(key)
        merged[key] = _overlay(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
    return merged
