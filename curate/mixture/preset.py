"""Presets: named quotas that a spec lays its own over. A preset is one YAML file in `presets/`."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from curate.errors import ConfigError
from curate.mixture.quotas import Quota, Share
from curate.registry import nearest
from curate.settings import Settings, build, read_yaml

FOLDER = Path(__file__).parent / "presets"


class Preset(Settings):
    """A mix that somebody reported."""

    about: str
    """Where the figures come from."""
    verified: bool
    """Whether they were checked against that source."""
    replay: float | Literal["full"] | None = None
    quotas: tuple[Quota, ...] = ()


def preset_names() -> list[str]:
    """Names of all presets."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def load_preset(name: str) -> Preset:
    """The preset called `name`; ConfigError naming the nearest known one otherwise."""
    names = preset_names()
    if name not in names:
        raise ConfigError(f"there is no preset {name!r}{nearest(name, names)}; known: {', '.join(names)}")
    return build(Preset, read_yaml(FOLDER / f"{name}.yaml"), f"preset {name}")


def with_preset(preset: Sequence[Quota], own: Sequence[Quota]) -> list[Quota]:
    """The preset's quotas under the spec's own: a quota of the spec on an axis replaces all of the preset's on it."""
    replaced = frozenset(quota.axis for quota in own)
    return [*_without(preset, replaced), *own]


def _without(quotas: Sequence[Quota], axes: frozenset[str]) -> list[Quota]:
    return [_pruned(quota, axes) for quota in quotas if quota.axis not in axes]


def _pruned(quota: Quota, axes: frozenset[str]) -> Quota:
    """The quota without nested quotas on `axes`."""
    if not isinstance(quota.shares, dict):
        return quota
    shares = {value: Share(share=s.share, then=tuple(_without(s.then, axes))) for value, s in quota.shares.items()}
    return quota.model_copy(update={"shares": shares})
