"""Which rule of a config holds for which parameter, and which linear layers get adapters."""

from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from curate.errors import ConfigError
from curate.registry import nearest
from train.model.parts import NAMES, Parts

if TYPE_CHECKING:
    from torch import nn

    from train.config import LoraSettings, PartRule

WIDE = {"language": frozenset({"language", "embeddings", "head"})}
"""Whoever says language means the whole language model; a later rule on embeddings or head narrows it."""


def original(name: str) -> str:
    """A parameter's name before adapters came in; an adapter's is that of the weight that it changes."""
    module, lora, _ = name.partition(".lora_")
    return f"{module}.weight" if lora else name.replace(".base_layer.", ".")


def rules_of(model: "nn.Module", parts: Parts, rules: "Iterable[PartRule]") -> "dict[str, PartRule]":
    """The last matching rule by original name, for every parameter once, tied ones under their first name.

    A tied weight is matched by any of its names. ConfigError for a rule that matches nothing.
    """
    names: dict[str, list[str]] = {}
    first: dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        known = first.setdefault(id(parameter), original(name))
        names.setdefault(known, []).append(original(name))
    chosen: dict[str, PartRule] = {}
    for rule in rules:
        matched = [known for known, aliases in names.items() if any(matches(rule.match, name, parts) for name in aliases)]
        if not matched:
            raise ConfigError(f"parts: {rule.match!r} matches no parameter of the model{_near(rule.match, names)}")
        chosen.update(dict.fromkeys(matched, rule))
    lost = [name for name in names if name not in chosen]
    assert not lost, f"no rule for {lost[:3]}: the stage's own begin with all"
    return chosen


def matches(pattern: str, name: str, parts: Parts) -> bool:
    """Whether a rule's pattern means a parameter: a part, all, or a glob over its name or the name of a module above it."""
    if pattern == "all":
        return True
    if pattern in NAMES:
        return parts.part_of(name) in WIDE.get(pattern, {pattern})
    return fnmatchcase(name, pattern) or fnmatchcase(name, f"{pattern}.*")


def _near(pattern: str, names: Iterable[str]) -> str:
    modules = {name.rsplit(".", 1)[0] for name in names}
    return nearest(pattern, [*NAMES, "all"]) or nearest(pattern, [*modules, *names], 0.4)


def adapted(model: "nn.Module", parts: Parts, rules: "Mapping[str, PartRule]", lora: "LoraSettings") -> list[str]:
    """Names of the linear layers that get adapters. The head gets one only by a rule that names it.

    ConfigError for a target or a LoRA rule that no linear layer answers to, and for a head that is tied to the embeddings.
    """
    from torch import nn

    linear = {name: module for name, module in model.named_modules() if type(module) is nn.Linear}
    meant = {name: rules[f"{name}.weight"] for name in linear if _is_lora(rules.get(f"{name}.weight"))}
    broad = ("all", *WIDE)
    meant = {name: rule for name, rule in meant.items() if name not in parts.head or rule.match not in broad}
    _check_head(model, parts, rules)
    _check_targets(lora.targets, meant)
    chosen = [name for name in meant if not lora.targets or name.rsplit(".", 1)[-1] in lora.targets]
    for rule in {id(rule): rule for rule in rules.values() if _is_lora(rule)}.values():
        if not any(meant[name] is rule for name in chosen):
            raise ConfigError(f"parts: {rule.match!r} has no linear layer that could be adapted; use train: full or frozen")
    return chosen


def _is_lora(rule: "PartRule | None") -> bool:
    return rule is not None and rule.train == "lora"


def _check_head(model: "nn.Module", parts: Parts, rules: "Mapping[str, PartRule]") -> None:
    tied = [name for name in parts.head if f"{name}.weight" not in rules]
    named = any(_is_lora(rule) and rule.match in (*parts.head, "head") for rule in rules.values())
    if tied and named:
        raise ConfigError("parts: the head is tied to the embeddings, which adapters would untie; use train: full or frozen")


def _check_targets(targets: Iterable[str], meant: Iterable[str]) -> None:
    last = {name.rsplit(".", 1)[-1] for name in meant}
    for target in targets:
        if last and target not in last:
            raise ConfigError(f"lora.targets: no linear layer under LoRA is called {target!r}{nearest(target, last)}")
