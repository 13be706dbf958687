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
"""Rows of a table of sources or licences; the rest is summed up in one."""

POINTS = 10
"""Stretches that the table of the training loss is cut into."""

AXES = {"source": "source", "format": "format", "shots": "demonstrations"}
STAGES = {
    "align": "alignment of the projector on captions",
    "instruct": "tuning on single-image instructions",
    "icl": "in-context-learning tuning on multi-image episodes",
    "aim": "a projection that fuses demonstrations (AIM), beside a model left as it was",
}


Row = Mapping[str, Any]
"""A line of metrics.jsonl, see train.metrics.logbook."""


@dataclass(frozen=True)
class Contents:
    """What a plan shows the trainer in an epoch: samples by source, licence, format and number of demonstrations."""

    digest: str
    samples: int
    tallies: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True)
class Stage:
    """One run on the way to the model."""

    config: TrainConfig
    manifest: Manifest
    plan: Contents | None  # None when the plan was not at hand

    @property
    def digest(self) -> str:
        """Of the plan that was read; its beginning where the plan is not at hand."""
        return self.plan.digest if self.plan else plan_of(self.manifest)

    @property
    def tokens(self) -> str:
        """Supervised tokens learned from, in words for a table."""
        tokens = self.manifest.progress.get("tokens")
        return f"{tokens:,}" if isinstance(tokens, int) else "not known"


@dataclass(frozen=True)
class Facts:
    """What a card is made of."""

    title: str
    base: str  # the model that the first stage began with
    stages: tuple[Stage, ...]  # oldest first; the last is the run that is exported
    rows: Sequence[Row]  # readable ones of the run's log, up to the exported step
    lora: str  # merged, apart, or "" for a run without adapters
    dtype: str
    registers: bool  # whether the model's classes are ours and must be imported

    @property
    def own(self) -> Stage:
        """The run that is exported."""
        return self.stages[-1]

    def last(self, kind: str) -> Row | None:
        """The last row of training or of validation."""
        return next((row for row in reversed(self.rows) if row["kind"] == kind), None)


def plan_of(manifest: Manifest) -> str:
    """The beginning of the digest of the plan that a run read."""
    loader = manifest.progress.get("loader")
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


def readable(row: Row) -> bool:
    """Whether a line of the log has the shape that a card reads; it may come from somebody else."""
    parts = list(_parts_of(row.get("losses", {})))
    sound = all(
        isinstance(part, Mapping) and _number(part.get("loss")) and isinstance(part.get("tokens"), int) for part in parts
    )
    return row.get("kind") in ("train", "validation") and _number(row.get("loss")) and sound


def _parts_of(axes: Any) -> Iterator[Any]:
    """The innermost of losses by axis and value; something else wherever there is no mapping."""
    for axis in axes.values() if isinstance(axes, Mapping) else [None]:
        yield from axis.values() if isinstance(axis, Mapping) else [None]


def _number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool))


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
    hub = re.fullmatch(r"[\w.-]+/[\w.-]+", facts.base) and not Path(facts.base).exists()
    return {
        "library_name": "peft" if facts.lora == "apart" else "transformers",
        "pipeline_tag": "image-text-to-text",
        **({"base_model": facts.base} if hub else {}),
        "license": "other",
        "license_name": "that-of-the-base-model-and-of-the-data",
        "tags": ["vision-language", "in-context-learning", "few-shot", "shotcraft"],
    }


def _about(facts: Facts) -> str:
    text = f"# {escape(facts.title)}\n\nBase model: {escape(shown(facts.base))}. Trained in {len(facts.stages)} stage(s):\n\n"
    rows = [
        (STAGES[stage.config.stage], shown(stage.config.out), stage.manifest.step, stage.tokens, stage.manifest.made_with)
        for stage in facts.stages
    ]
    text += table(("stage", "run", "steps", "supervised tokens", "code version"), rows)
    return f"{text}\n{MARK}.\n"


def _loading(facts: Facts) -> str:
    place, ours = '"path/to/this/folder"', "import train.model.towers  # makes its vision tower known\n" * facts.registers
    base = '"path/to/this/folder/base"' if facts.lora == "apart" else place
    lines = f"model = AutoModelForImageTextToText.from_pretrained({base})\nprocessor = AutoProcessor.from_pretrained({base})\n"
    if facts.lora == "apart":
        lines = f"from peft import PeftModel\n\n{lines}model = PeftModel.from_pretrained(model, {place})\n"
    lines = f"{ours}from transformers import AutoModelForImageTextToText, AutoProcessor\n{lines}"
    return f"## Reading it\n\n```python\n{lines}```\n\nWeights are {facts.dtype}, in safetensors.\n"


def _data(facts: Facts) -> str:
    return "## Data\n\n" + "\n".join(map(_plan, facts.stages))


def _plan(stage: Stage) -> str:
    text = f"Plan {escape(shown(stage.config.data.plan))} of {escape(shown(stage.config.out))}, digest"
    text += f" `{escape(stage.digest) or 'not known'}`.\n"
    if stage.plan is None:
        return text + "It was not at hand when this card was written, so its sources and licences are not listed.\n"
    text += f"One epoch of it has {stage.plan.samples:,} samples.\n"
    for name, title in {**AXES, "licence": "licence"}.items():
        text += "\n" + table((title, "samples"), _ranked(stage.plan.tallies.get(name, {})))
    return text


def _ranked(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = ranked[LISTED:]
    listed = [(name or "not stated", count) for name, count in ranked[:LISTED]]
    return listed + ([(f"and {len(rest)} more", sum(count for _, count in rest))] if rest else [])


def _training(facts: Facts) -> str:
    config, manifest = facts.own.config, facts.own.manifest
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
    text = "## Losses\n\nCross-entropy by supervised token, as last measured up to this step.\n"
    for kind, title in (("train", "Training"), ("validation", "Held-out plan")):
        row = facts.last(kind)
        loss = row.get("loss") if row else None
        if row is None or loss is None:
            continue
        text += f"\n**{title}: {loss:.4f}** at step {row['step']:,}\n"
        if kind == "validation" or not facts.last("validation"):
            text += "".join(_parts(row))
    return text + _curve(facts)


def _parts(row: Row) -> Iterator[str]:
    for axis, title in AXES.items():
        found = row.get("losses", {}).get(axis, {})
        rows = [(name, f"{part['loss']:.4f}", part["tokens"]) for name, part in sorted(found.items()) if part.get("loss")]
        if rows:
            yield "\n" + table((title, "loss", "tokens"), rows)


def _curve(facts: Facts) -> str:
    """A dozen of points of the loss."""
    known = [row for row in facts.rows if row["kind"] == "train" and row.get("loss") is not None]
    picked = sorted({round(at * (len(known) - 1) / POINTS) for at in range(POINTS + 1)}) if known else []
    rows = [(f"{known[at]['step']:,}", f"{known[at]['loss']:.4f}") for at in picked]
    return "\n" + table(("step", "training loss"), rows) if len(rows) > 1 else ""


def _settings(facts: Facts) -> str:
    text = yaml.safe_dump(_published(facts.own.config.model_dump(mode="json")), sort_keys=False, allow_unicode=True)
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
    if facts.last("validation") is None:
        limits.append("No held-out loss was measured.")
    if any(stage.plan and "" in stage.plan.tallies.get("licence", {}) for stage in facts.stages):
        limits.append("Some samples state no licence.")
    if any(stage.plan is None for stage in facts.stages):
        limits.append("Sources and licences of some of its data are not listed here.")
    return "## Known limits\n\n" + "".join(f"- {limit}\n" for limit in limits)
