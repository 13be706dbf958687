"""What is what in a vision-language model: tower, projector, language model, embeddings, head, and the blocks to wrap."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from curate.errors import ConfigError

if TYPE_CHECKING:
    from transformers import PreTrainedModel

NAMES = ("vision", "projector", "language", "embeddings", "head")


@dataclass(frozen=True)
class Parts:
    """Dotted names in a model, of modules or, rarely, of single parameters. The longest name that leads to a parameter says
    its part: a projector inside the tower is the projector, embeddings inside the decoder are embeddings."""

    vision: tuple[str, ...]
    projector: tuple[str, ...]
    language: tuple[str, ...]
    embeddings: tuple[str, ...]
    head: tuple[str, ...]
    blocks: tuple[str, ...]
    """Repeated blocks of tower and language model in the order of the model, none inside another."""

    def part_of(self, parameter: str) -> str:
        """vision, projector, language, embeddings or head. Names lengthened by adapters still lead there."""
        part, longest = "projector", -1  # what is neither tower nor language model stands between them
        for candidate in NAMES:
            for name in getattr(self, candidate):
                if len(name) > longest and (parameter == name or parameter.startswith(f"{name}.")):
                    part, longest = candidate, len(name)
        return part


def parts_of(model: "PreTrainedModel") -> Parts:
    """The parts of a model of any AutoModelForImageTextToText class, as it was loaded (before adapters or wrappers).

    ConfigError naming the class when they cannot be told apart.
    """
    names = {id(module): name for name, module in reversed(list(model.named_modules()))}
    tower, decoder = model.get_encoder(modality="image"), model.get_decoder()
    tables = {"embeddings": model.get_input_embeddings(), "head": model.get_output_embeddings()}
    inner = names.get(id(tower), ""), names.get(id(decoder), "")
    if not all(inner) or tower is decoder or _overlap(*inner):
        raise ConfigError(f"{type(model).__name__} does not say which of its modules are tower and language model")
    vision, language = inner
    found = {part: (names[id(table)],) if id(table) in names else () for part, table in tables.items()}
    projector = _projector(model, vision, (language, *found["embeddings"], *found["head"]))
    if not projector:
        raise ConfigError(f"{type(model).__name__} has nothing between tower and language model that could be its projector")
    blocks = tuple(name for name in _blocks(model) if _inside(name, (vision, language)) and not _inside(name, projector))
    return Parts((vision,), projector, (language,), found["embeddings"], found["head"], blocks)


BRIDGES = ("merger", "deepstack_merger_list", "connector", "multi_modal_projector", "projector", "mm_projector")
"""What the projector is called where it lives inside the tower's module."""


def _projector(model: "PreTrainedModel", vision: str, others: tuple[str, ...]) -> tuple[str, ...]:
    """Outermost names of what lies beside tower and language model, and of bridges within the tower."""
    within = [name for name, _ in model.get_submodule(vision).named_children() if name in BRIDGES]
    found = [f"{vision}.{name}" for name in within]
    for name, _ in model.named_parameters():
        if not _inside(name, (vision, *others)):
            found.append(_outermost(name, (vision, *others)))
    return tuple(dict.fromkeys(found))


def _outermost(parameter: str, others: tuple[str, ...]) -> str:
    """The shortest name leading to the parameter that leads to none of the others."""
    steps = parameter.split(".")
    prefixes = [".".join(steps[:count]) for count in range(1, len(steps) + 1)]
    return next(prefix for prefix in prefixes if not any(_inside(other, (prefix,)) for other in others))


def _inside(name: str, places: Iterable[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


def _overlap(first: str, second: str) -> bool:
    return _inside(first, (second,)) or _inside(second, (first,))


def _blocks(model: "PreTrainedModel") -> Iterator[str]:
    """Members of outermost lists of alike modules."""
    from torch import nn

    inside: list[str] = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.ModuleList | nn.Sequential) or _inside(name, inside):
            continue
        members = [(f"{name}.{key}", member) for key, member in module.named_children()]
        alike = len({type(member) for _, member in members}) == 1
        deep = all(any(True for _ in member.children()) and any(True for _ in member.parameters()) for _, member in members)
        if members and alike and deep and (len(members) > 1 or isinstance(module, nn.ModuleList)):
            inside.append(name)
            yield from (key for key, _ in members)


def sizes(model: "PreTrainedModel") -> dict[str, int]:
    """Numbers to learn in each part, in the order of NAMES; tied weights count once, as embeddings."""
    parts = parts_of(model)
    counted = dict.fromkeys(NAMES, 0)
    for name, parameter in model.named_parameters():
        counted[parts.part_of(name)] += parameter.numel()
    return counted
