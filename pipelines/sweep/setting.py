"""What the trials of a sweep run with, and from a mix to the files of a trial.

It stands in design.json, so that a sweep can be gone on with when the files that it was made of have changed. Places are
relative to the sweep's folder.
"""

import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.errors import ConfigError, IntegrityError
from curate.mixture.settings import PLACES, MixSpec, load_spec, processor_place, resolved
from curate.settings import build, read_yaml
from curate.storage import hash_json
from pipelines.jobs.layers import Layer, laid_over
from pipelines.sweep.design import TRIALS, Trial
from pipelines.sweep.settings import SweepSpec
from pipelines.sweep.space import Point, Space

if TYPE_CHECKING:
    from train.config import TrainConfig

POOL = "pool"
ID = 12
"""Hex digits of a trial's name."""


@dataclass(frozen=True)
class Setting:
    """All that trials share."""

    mix: Layer  # a MixSpec
    train: Layer  # a TrainConfig, but for out and data.plan
    benchmarks: Mapping[str, Layer]  # as in the sweep's settings
    reader: Layer
    choices: Mapping[str, Mapping[str, Layer]]  # name -> level -> {"mix": …, "train": …}
    data: Mapping[str, Any]  # digests of sources, benchmarks, model and held-out plan

    def as_json(self) -> dict[str, Any]:
        """As design.json has it."""
        return asdict(self)

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Setting":
        """The inverse; IntegrityError where something is missing."""
        if missing := [name for name in cls.__dataclass_fields__ if name not in data]:
            raise IntegrityError(
                f"design.json does not say what trials run with ({', '.join(missing)}); design the sweep again"
            )
        return cls(**{name: data[name] for name in cls.__dataclass_fields__})

    def spec_of(self, point: Point, seed: int = 0) -> MixSpec:
        """The mix file of a mix."""
        spec = self.mix
        for name, level in point.choices.items():
            spec = laid_over(spec, self.choices[name][level]["mix"])
        for axis in sorted(point.shares, key=lambda axis: axis != "replay"):  # which says how sources are weighed
            spec = with_shares(spec, axis, point.shares[axis])
        return build(MixSpec, {**spec, "seed": self.mix["seed"] + seed}, "the mix of a trial")

    def config_of(self, trial: str, point: Point, seed: int = 0) -> Layer:
        """The train file of a trial, to be read in the sweep's folder."""
        config = self.train
        for name, level in point.choices.items():
            config = laid_over(config, self.choices[name][level]["train"])
        own = {"out": f"{TRIALS}/{trial}/run", "seed": self.train.get("seed", 0) + seed, "until": None}
        return laid_over(config, {**own, "data": {"plan": f"{TRIALS}/{trial}/plan"}})

    def trial(self, space: Space, point: Point, kinds: tuple[str, ...], seed: int) -> Trial:
        """A mix and a seed as a trial: named by the hash of mix, settings and data, so that what is done stays done."""
        key = hash_json([self._mix_facts(point, seed), self._train_facts(point, seed), self._asked(), self.data])
        mix = hash_json([space.columns, [round(value, 9) + 0.0 for value in space.row(point).tolist()]])
        return Trial(key[:ID], mix[:ID], kinds, seed, point, key)

    def _mix_facts(self, point: Point, seed: int) -> Layer:
        places = {*PLACES, "images"}
        return self.spec_of(point, seed).model_dump(
            mode="json",
            exclude={"catalogue": True, "tokens": True, "sources": {"__all__": places}},  # what they hold is among the digests
        )

    def _train_facts(self, point: Point, seed: int) -> Layer:
        from train.folder import shaping

        plain = train_config(self.config_of("-", point, seed)).plain()
        samples = (plain["validation"] or {}).get("samples")
        known = {name: value for name, value in shaping(plain).items() if name not in ("model", "data.plan")}
        return {**known, "validation.samples": samples}

    def _asked(self) -> list[Any]:
        asked = {name: {"shots": list(one["shots"]), "limit": one["limit"]} for name, one in self.benchmarks.items()}
        return [asked, self.reader]


def with_shares(spec: Layer, axis: str, shares: Mapping[str, float]) -> Layer:
    """A mix file with other shares on an axis."""
    if axis == "source":
        apart = spec["replay"] is not None
        kept = {one["name"]: one["weight"] for one in spec["sources"] if one["replay"] and apart}
        sources = [{**one, "weight": {**kept, **shares}.get(one["name"], 0.0)} for one in spec["sources"]]
        return {**spec, "sources": sources}
    if axis == "replay":
        return {**spec, "replay": shares["yes"]}
    before = next((quota for quota in spec["quotas"] if quota["axis"] == axis), {"axis": axis, "within": {}, "shares": {}})
    nested = before["shares"] if isinstance(before["shares"], dict) else {}
    fresh = {name: {"share": share, "then": nested.get(name, {}).get("then", ())} for name, share in shares.items()}
    others = [quota for quota in spec["quotas"] if quota["axis"] != axis]
    return {**spec, "quotas": [*others, {**before, "shares": fresh}]}


def train_config(layer: Layer) -> "TrainConfig":
    """A train file, checked."""
    from train.config import TrainConfig

    return build(TrainConfig, layer, "the train file")


def setting_of(spec: SweepSpec, base: Path, out: Path) -> Setting:
    """What a sweep's files say, but for the digests of the data; ConfigError for what no trial could run with."""
    mix_file, train_file = base / spec.mix, base / spec.train
    mix, train = _mix(mix_file, out), _train(spec, train_file, base, out)
    benches = {
        name: {**one.model_dump(mode="json"), "place": _seen(base, one.place, out)} for name, one in spec.benchmarks.items()
    }
    choices = {
        name: {level: one.model_dump(mode="json") for level, one in levels.items()} for name, levels in spec.choices.items()
    }
    if not benches and not train.get("validation"):
        raise ConfigError("nothing is measured: give benchmarks, or the train file a held-out plan under validation")
    return Setting(mix, train, benches, dict(spec.reader), choices, {})


def _mix(file: Path, out: Path) -> Layer:
    """The mix file with its preset's quotas, places seen from the sweep's folder."""
    spec = load_spec(file)
    if spec.wanted_size is None:
        raise ConfigError(f"{file}: a sweep compares plans of one size; give `size` a number")
    processor = processor_place(file.parent, spec)
    whole = spec.with_preset().model_dump(mode="json")

    def seen(place: str) -> str:
        return _seen(file.parent, place, out) if place else ""

    sources = [{**one, **{kind: seen(one[kind]) for kind in (*PLACES, "images")}} for one in whole["sources"]]
    tokens = _relative(processor, out) if os.path.isdir(processor) else spec.tokens
    catalogue = seen(spec.catalogue) or f"{POOL}/catalogue"
    return {**whole, "preset": "", "sources": sources, "tokens": tokens, "catalogue": catalogue}


def _train(spec: SweepSpec, file: Path, base: Path, out: Path) -> Layer:
    """The train file; its own places begin at the working folder, as they do for `curate train`."""
    layer = read_yaml(file)
    model = resolved(base, spec.model) if spec.model and os.path.isdir(resolved(base, spec.model)) else spec.model
    model = model or str(layer.get("model") or "")
    if not model:
        raise ConfigError(f"{file} names no model; give it one, or the sweep")
    layer = laid_over(layer, {"model": _relative(model, out) if os.path.isdir(model) else model})
    if isinstance(held := layer.get("validation"), Mapping) and "plan" in held:
        layer = laid_over(layer, {"validation": {"plan": _seen(Path(), str(held["plan"]), out)}})
    checked = train_config(laid_over(layer, {"out": "-", "data": {"plan": "-"}}))
    if checked.steps is None:
        raise ConfigError(f"{file}: trials are compared at equal length; give `steps`")
    if any(rung >= checked.steps for rung in (spec.halving.rungs if spec.halving else ())):
        raise ConfigError(f"halving: a rung must be below the {checked.steps} steps of {file}")
    return layer


def _seen(base: Path, place: str, out: Path) -> str:
    """A place as seen from the sweep's folder."""
    found = resolved(base, place)
    return found if "://" in found else _relative(found, out)


def _relative(place: str, out: Path) -> str:
    return os.path.relpath(os.path.abspath(place), os.path.abspath(out))
