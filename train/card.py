"""The model card: README.md of an export, made from the run's settings, its checkpoint and the plan it read.

Equal runs give an equal card. No path of a machine stands in it: of places only their last name.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from curate.errors import ShotcraftError
from curate.shards.markdown import escape, table
from curate.shards.plans import Plan
from train.checkpoint.layout import Manifest
from train.config import TrainConfig

MARK = "Made with Shotcraft"
"""Stands in every card."""

LISTED = 20
AXES = {"source": "source", "format": "format", "shots": "demonstrations"}
STAGES = {
    "align": "alignment of the projector on captions",
    "instruct": "tuning on single-image instructions",
    "icl": "in-context-learning tuning on multi-image episodes",
}


@dataclass(frozen=True)
class Contents:
    """What a plan shows the trainer in an epoch: samples by source, licence, format and number of demonstrations."""

    digest: str
    samples: int
    tallies: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Facts:
    """What a card is made of."""

    title: str
    config: TrainConfig
    manifest: Manifest
    lora: str  # merged, apart, or "" for a run without adapters
    dtype: str
    registers: bool  # whether the model's classes are ours and must be imported
    plan: Contents | None  # None when the plan was not at hand

    @property
    def digest(self) -> str:
        """Of the plan that was read; its beginning where the plan is not at hand."""
        if self.plan is not None:
            return self.plan.digest
        loader = self.manifest.progress.get("loader")
        return str(loader.get("plan", "")) if isinstance(loader, Mapping) else ""


def contents_of(place: str, digest: str) -> Contents | None:
    """What is in the plan whose digest begins so; None when it is not at hand."""
    try:
        plan = Plan.open(place)
    except (ShotcraftError, OSError):
        return None
    if not digest or not plan.digest.startswith(digest):
        return None
    return Contents(plan.digest, len(plan), {name: _tally(plan, name) for name in (*AXES, "licence")})


def _tally(plan: Plan, column: str) -> dict[str, int]:
    times = np.bincount(plan.order, minlength=len(plan.samples))
    counts: dict[str, int] = {}
    for value, count in zip(plan.samples.column(column).to_pylist(), times.tolist(), strict=True):
        counts[str(value)] = counts.get(str(value), 0) + count
    return {value: count for value, count in counts.items() if count}


def card(facts: Facts) -> str:
    """The whole README.md."""
    front = yaml.safe_dump(_front_matter(facts), sort_keys=False, allow_unicode=True, width=120)
    sections = (_about, _loading, _data, _training, _losses, _settings, _limits)
    return f"---\n{front}---\n\n" + "\n".join(section(facts) for section in sections)


def shown(place: str) -> str:
    """A place as it may be published: hub names and relative paths as they are, of others the last name."""
    absolute = place.startswith(("/", "~", "\\")) or "://" in place or re.match(r"[A-Za-z]:[\\/]", place) or ".." in place
    return re.split(r"[\\/]", place.rstrip("\\/"))[-1] if absolute else place


def _front_matter(facts: Facts) -> dict[str, Any]:
    base = facts.config.model
    named = {"base_model": base} if re.fullmatch(r"[\w.-]+/[\w.-]+", base) and not Path(base).exists() else {}
    return {
        "library_name": "peft" if facts.lora == "apart" else "transformers",
        "pipeline_tag": "image-text-to-text",
        **named,
        "license": "other",
        "license_name": "that-of-the-base-model-and-of-the-data",
        "tags": ["vision-language", "in-context-learning", "few-shot", "shotcraft"],
    }


def _about(facts: Facts) -> str:
    manifest, progress = facts.manifest, facts.manifest.progress
    tokens = progress.get("tokens")
    learned = f", {tokens:,} supervised tokens" if isinstance(tokens, int) else ""
    return (
        f"# {escape(facts.title)}\n\n"
        f"{escape(shown(facts.config.model))} after {STAGES[facts.config.stage]}: {manifest.step:,} steps{learned}."
        f" {MARK} {escape(manifest.made_with)}.\n"
    )


def _loading(facts: Facts) -> str:
    place, ours = '"path/to/this/folder"', "import train.model.towers  # makes its vision tower known\n" * facts.registers
    base = '"path/to/this/folder/base"' if facts.lora == "apart" else place
    lines = f"model = AutoModelForImageTextToText.from_pretrained({base})\nprocessor = AutoProcessor.from_pretrained({base})\n"
    if facts.lora == "apart":
        lines = f"from peft import PeftModel\n\n{lines}model = PeftModel.from_pretrained(model, {place})\n"
    lines = f"{ours}from transformers import AutoModelForImageTextToText, AutoProcessor\n{lines}"
    return f"## Reading it\n\n```python\n{lines}```\n\nWeights are {facts.dtype}, in safetensors.\n"


def _data(facts: Facts) -> str:
    text = f"## Data\n\nPlan {escape(shown(facts.config.data.plan))}, digest `{escape(facts.digest) or 'not known'}`.\n"
    if facts.plan is None:
        return text + "It was not at hand when this card was written, so its sources and licences are not listed.\n"
    text += f"One epoch of it has {facts.plan.samples:,} samples.\n"
    for name, title in {**AXES, "licence": "licence"}.items():
        text += "\n" + table((title, "samples"), _ranked(facts.plan.tallies.get(name, {})))
    return text


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = ranked[LISTED:]
    listed = [(name or "not stated", count) for name, count in ranked[:LISTED]]
    return listed + ([(f"and {len(rest)} more", sum(count for _, count in rest))] if rest else [])


def _training(facts: Facts) -> str:
    config, manifest = facts.config, facts.manifest
    rules = ", ".join(f"{rule.match}: {rule.train}" for rule in config.rules)
    rows: list[tuple[str, object]] = [
        ("steps", manifest.step), ("ranks", manifest.world), ("rules, later ones win", rules),
        ("rows of a step", config.data.load.batch), ("positions of a row", config.data.max_tokens),
        ("computed in", config.compute.dtype), ("learning rate", f"{config.optimizer.lr:g}, {config.optimizer.schedule}"),
    ]  # fmt: skip
    if facts.lora:
        rows.append(("adapters", f"LoRA of rank {config.lora.rank}, alpha {config.lora.alpha:g}, {facts.lora}"))
    return "## Training\n\n" + table(("", "value"), rows)


def _losses(facts: Facts) -> str:
    figures = {name: value for name, value in facts.manifest.figures.items() if value is not None}
    text = "## Losses\n\nCross-entropy by supervised token, as last measured up to this step.\n\n"
    known = [(name, f"{figures[key]:.4f}") for key, name in (("loss", "training"), ("validation.loss", "held-out plan"))
             if key in figures]  # fmt: skip
    text += table(("", "loss"), known) if known else "None was measured.\n"
    prefix = "validation." if "validation.loss" in figures else ""
    for axis, title in AXES.items():
        rows = list(_by(figures, f"{prefix}losses.{axis}."))
        text += ("\n" + table((title, "loss", "tokens"), rows)) if rows else ""
    return text


def _by(figures: Mapping[str, float], prefix: str) -> Iterator[Sequence[object]]:
    for key, value in sorted(figures.items()):
        if key.startswith(prefix) and key.endswith(".loss"):
            name = key.removeprefix(prefix).removesuffix(".loss")
            yield name, f"{value:.4f}", int(figures.get(f"{prefix}{name}.tokens", 0))


def _settings(facts: Facts) -> str:
    text = yaml.safe_dump(_published(facts.config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)
    fence = "`" * (3 + max((len(run) for run in re.findall("`+", text)), default=0))
    return f"## Settings\n\nPaths are shortened to their last name.\n\n{fence}yaml\n{text}{fence}\n"


def _published(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _published(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_published(inner) for inner in value]
    return shown(value) if isinstance(value, str) else value


def _limits(facts: Facts) -> str:
    limits = [
        "What the base model and the data may and may not be used for holds for this model, too.",
        "Losses are not accuracies: measure the model on the task at hand before using it.",
        "Nobody has tested what it says for safety.",
    ]
    if "validation.loss" not in facts.manifest.figures:
        limits.append("No held-out loss was measured.")
    if facts.plan is not None and "" in facts.plan.tallies.get("licence", {}):
        limits.append("Some samples state no licence.")
    if facts.plan is None:
        limits.append("Sources and licences of its data are not listed here.")
    return "## Known limits\n\n" + "".join(f"- {limit}\n" for limit in limits)
