"""Settings in layers: one mapping laid over another, and back to YAML."""

from collections.abc import Mapping
from typing import Any

import yaml

Layer = dict[str, Any]
"""Settings to lay over others, key by key."""


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> Layer:
    """`above` over `below`, mapping by mapping; a list or a plain value replaces what was there."""
    laid = dict(below)
    for key, value in above.items():
        under = laid.get(key)
        laid[key] = laid_over(under, value) if isinstance(under, Mapping) and isinstance(value, Mapping) else value
    return laid


def dumped(spec: Layer) -> str:
    """Settings as YAML, in their own order."""
    return yaml.safe_dump(spec, sort_keys=False, allow_unicode=True)
