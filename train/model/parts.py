"""What is what in a vision-language model: tower, projector, language model, embeddings, head, and the blocks to wrap."""

import re
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
    vision, language = _halves(model)
    embeddings, head = (_tables(model, how) for how in ("get_input_embeddings", "get_output_embeddings"))
    beside = _beside(model, (vision, language, *embeddings, *head))
    towers = (vision, *(name for name in beside if MORE_TOWERS.search(name)))
    projector = (*_bridges(model, vision), *(name for name in beside if name not in towers))
    if not projector:
        raise ConfigError(f"{type(model).__name__} has nothing between tower and language model that could be its projector")
    blocks = tuple(name for name in _blocks(model) if _inside(name, (vision, language)) and not _inside(name, projector))
    return Parts(towers, projector, (language,), embeddings, head, blocks)


BRIDGES = ("merger", "deepstack_merger_list", "connector", "multi_modal_projector", "projector", "mm_projector")
"""What the projector is called where it lives inside the tower's module."""

MORE_TOWERS = re.compile(r"(tower|encoder|vision_model|vqmodel)$")
"""Second towers, for films, sound or high resolution, stand beside the first and are no projectors."""


def _halves(model: "PreTrainedModel") -> tuple[str, str]:
    """Names of tower and language model, neither within the other."""
    names = _names(model)
    tower, decoder = (names.get(id(half), "") for half in (model.get_encoder(modality="image"), model.get_decoder()))
    if not tower or not decoder or _inside(tower, (decoder,)) or _inside(decoder, (tower,)):
        raise ConfigError(f"{type(model).__name__} does not say which of its modules are tower and language model")
    return tower, decoder


def _tables(model: "PreTrainedModel", how: str) -> tuple[str, ...]:
    """The name of what the class gives as embeddings or head; () where it has none of its own."""
    try:
        table = getattr(model, how)()
    except NotImplementedError:
        return ()
    name = _names(model).get(id(table))
    return (name,) if name else ()


def _names(model: "PreTrainedModel") -> dict[int, str]:
    """Modules by identity, with the first of their names."""
    return {id(module): name for name, module in reversed(list(model.named_modules()))}


def _bridges(model: "PreTrainedModel", vision: str) -> tuple[str, ...]:
    within = (name for name, _ in model.get_submodule(vision).named_children())
    return tuple(f"{vision}.{name}" for name in within if name in BRIDGES)


def _beside(model: "PreTrainedModel", others: tuple[str, ...]) -> tuple[str, ...]:
    """Outermost names that lead to the parameters outside all others."""
    left = (name for name, _ in model.named_parameters() if not _inside(name, others))
    return tuple(dict.fromkeys(_outermost(name, others) for name in left))


def _outermost(parameter: str, others: tuple[str, ...]) -> str:
    """The shortest name leading to the parameter that leads to none of the others."""
    steps = parameter.split(".")
    prefixes = [".".join(steps[:count]) for count in range(1, len(steps) + 1)]
    return next(prefix for prefix in prefixes if not any(_inside(other, (prefix,)) for other in others))


def _inside(name: str, places: Iterable[str]) -> bool:
    return any(name == place or name.startswith(f"{place}.") for place in places)


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


def counts(model: "PreTrainedModel", parts: Parts) -> dict[str, dict[str, int]]:
    """Parameters of each part, and how many of them learn, in the order of NAMES. Tied weights count once, as embeddings."""
    counted = {name: {"parameters": 0, "trained": 0} for name in NAMES}
    for name, parameter in model.named_parameters():
        part = counted[parts.part_of(name)]
        part["parameters"] += parameter.numel()
        part["trained"] += parameter.numel() * parameter.requires_grad
    return counted


def sizes(model: "PreTrainedModel") -> dict[str, int]:
    """Parameters of each part."""
    return {name: part["parameters"] for name, part in counts(model, parts_of(model)).items()}
