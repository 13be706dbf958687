"""Who learns: parts frozen, trained whole or through adapters; in which numbers; at which learning rates."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TypedDict

from curate.errors import ConfigError
from curate.seeding import seed_of
from train.model.parts import Parts
from train.model.rules import adapted, original, rules_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedModel

    from train.config import LoraSettings, PartRule, TrainConfig

ADAPTER = "default"
"""peft's name of the one set of adapters."""


class Group(TypedDict):
    """A parameter group of AdamW."""

    params: "list[nn.Parameter]"
    names: list[str]
    lr: float
    weight_decay: float
    part: str


def prepare(model: "PreTrainedModel", parts: Parts, config: "TrainConfig") -> "PreTrainedModel":
    """The model itself, made ready in place: frozen where config.rules say so, with adapters on the linear layers of
    parts under LoRA (NAME.weight becomes NAME.base_layer.weight beside NAME.lora_A.default.weight and .lora_B.), what is
    trained in float32 and the rest in compute.dtype. Frozen modules and batch norms stay in evaluation mode whatever
    model.train() is told. Works on the meta device. ConfigError for a rule that matches nothing.
    """
    rules = rules_of(model, parts, config.rules)
    layers = adapted(model, parts, rules, config.lora)
    if layers:
        _add_adapters(model, layers, config.lora, config.seed)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(_is_trained(name, rules))
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError("parts: everything is frozen; train at least the projector")
    _cast(model, config.compute.dtype)
    for module in _settled(model):
        _keep_in_eval(module)
    return model.train()


def _is_trained(name: str, rules: "dict[str, PartRule]") -> bool:
    """Under LoRA the adapters alone."""
    train = rules[original(name)].train
    return ".lora_" in name if train == "lora" else train == "full"


def _add_adapters(model: "PreTrainedModel", layers: list[str], lora: "LoraSettings", seed: int) -> None:
    """A is drawn anew for each layer from its own name, so that equal seeds give equal adapters, however many there are."""
    import torch
    from peft import LoraConfig, inject_adapter_in_model

    alpha: Any = lora.alpha  # peft says int and only divides it
    settings = LoraConfig(r=lora.rank, lora_alpha=alpha, lora_dropout=lora.dropout, target_modules=layers)
    with torch.random.fork_rng(devices=[]):
        inject_adapter_in_model(settings, model, ADAPTER)
    for name in layers:
        layer = model.get_submodule(name)
        layer.cast_input_dtype_enabled = False  # autocast or sharding casts already; twice costs a tenth of a step
        down = layer.lora_A[ADAPTER].weight
        if not down.is_meta:
            generator = torch.Generator().manual_seed(seed_of(seed, "lora", name) % 2**63)
            bound = down.shape[1] ** -0.5  # as peft and nn.Linear begin
            with torch.no_grad():
                down.copy_(torch.empty(down.shape).uniform_(-bound, bound, generator=generator))


def _cast(model: "PreTrainedModel", dtype: str) -> None:
    """Trained parameters are float32 masters. Batch norms stay in float32 too: their statistics do not mix with less."""
    import torch

    whole = {id(parameter) for norm in _batch_norms(model) for parameter in norm.parameters()}
    for parameter in model.parameters():
        if parameter.is_floating_point():
            full = parameter.requires_grad or id(parameter) in whole
            parameter.data = parameter.data.to(torch.float32 if full else getattr(torch, dtype))


def _batch_norms(model: "nn.Module") -> "list[nn.Module]":
    from torch.nn.modules.batchnorm import _BatchNorm

    return [module for module in model.modules() if isinstance(module, _BatchNorm)]


def _settled(model: "nn.Module") -> "Iterator[nn.Module]":
    """The outermost modules whose parameters are all frozen, and the batch norms of the others: an episode's loss must not
    depend on whose pictures are beside it."""
    parameters = list(model.parameters())
    if parameters and not any(parameter.requires_grad for parameter in parameters):
        yield model
        return
    if model in _batch_norms(model):
        yield model
    for child in model.children():
        yield from _settled(child)


def _keep_in_eval(module: "nn.Module") -> None:
    """model.train() reaches the module and changes nothing. Batch norms in it are ready for weights of other numbers."""
    module.eval()
    module.train = _Stay(module)
    for norm in _batch_norms(module):
        norm.register_forward_pre_hook(_lend_statistics)
        norm.register_forward_hook(_take_statistics_back, always_call=True)


class _Stay:
    """A `train` that leaves its module in evaluation mode; copies and pickles along with it."""

    def __init__(self, module: "nn.Module") -> None:
        self.module = module

    def __call__(self, mode: bool = True) -> "nn.Module":
        return self.module


STATISTICS = ("running_mean", "running_var")


def _lend_statistics(norm: "nn.Module", _inputs: Any) -> None:
    """Sharding casts a norm's weights for the computation and knows nothing of buffers; torch wants them alike."""
    if norm.weight is None or norm.running_mean is None or norm.weight.dtype == norm.running_mean.dtype:
        return
    norm._lent = [norm._buffers[name] for name in STATISTICS]
    for name, buffer in zip(STATISTICS, norm._lent, strict=True):
        norm._buffers[name] = buffer.to(norm.weight.dtype)


def _take_statistics_back(norm: "nn.Module", _inputs: Any, _output: Any) -> None:
    lent = norm.__dict__.pop("_lent", None)
    if lent is not None:
        norm._buffers.update(zip(STATISTICS, lent, strict=True))


def groups(model: "PreTrainedModel", parts: Parts, config: "TrainConfig") -> list[Group]:
    """AdamW's groups of the trained parameters of a prepared model, by part, learning rate and decay, in the model's order.
    Vectors have no decay; weights that are tied stand once, under their first name. Call it before or after sharding.
    """
    rules, own = rules_of(model, parts, config.rules), config.optimizer
    found: dict[tuple[str, float, float], Group] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        rule, part = rules[original(name)], parts.part_of(original(name))
        decay = own.weight_decay if rule.weight_decay is None else rule.weight_decay
        key = (part, rule.lr or own.lr, decay if parameter.ndim > 1 else 0.0)
        group = found.setdefault(key, Group(params=[], names=[], lr=key[1], weight_decay=key[2], part=part))
        group["params"].append(parameter)
        group["names"].append(name)
    return list(found.values())


def merge_adapters(model: "PreTrainedModel") -> "PreTrainedModel":
    """The model itself with adapters added into their weights and taken off: names and classes as before `prepare`."""
    from peft.tuners.tuners_utils import BaseTunerLayer

    layers = [(name, module) for name, module in model.named_modules() if isinstance(module, BaseTunerLayer)]
    for name, layer in layers:
        layer.merge()
        parent, _, last = name.rpartition(".")
        setattr(model.get_submodule(parent), last, layer.get_base_layer())
    return model
