"""The dataset card: README.md with the front matter that the Hugging Face Hub and `datasets` read.

Everything in it comes from manifests. Equal manifests give an equal card.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from curate.engine import MANIFEST, StageManifest
from curate.errors import InputError
from curate.layout import Run
from curate.shards.features import features_of
from curate.shards.index import TAR
from curate.shards.markdown import escape, table
from curate.storage import Folder

LISTED = 20
"""Rows of a table of concepts or reasons; the rest is summed up in one."""

HUB_LICENCES = {
    "cc0-1.0", "cc-by-2.0", "cc-by-3.0", "cc-by-4.0", "cc-by-sa-3.0", "cc-by-sa-4.0", "cc-by-nc-4.0", "cc-by-nc-sa-4.0",
    "apache-2.0", "mit", "bsd-3-clause", "lgpl-2.1", "lgpl-3.0", "gpl-2.0", "gpl-3.0", "gfdl", "odc-by", "pddl", "ofl-1.1",
}  # fmt: skip
"""Identifiers that the Hub's card validation knows; anything else is `other` with its name."""

MARK = "Made with Shotcraft"
"""Stands in every card, so that a README.md of somebody else is never taken for one."""

SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"), (10**7, "1M<n<10M"))


@dataclass(frozen=True)
class Facts:
    """What a card is made of."""

    title: str
    version: str
    shards: StageManifest
    stages: tuple[tuple[str, StageManifest], ...]  # (folder in the run, manifest) from the sources on
    lint: Any = None  # content of episodes/lint.json
    tallies: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Run, shards: StageManifest, title: str, version: str) -> "Facts":
        """Collects the manifests of a run; stages that are not there are left out."""
        return cls(title, version, shards, tuple(_stages(run)), _lint(run.episodes), shards.tallies)

    @property
    def episodes(self) -> int:
        """Episodes in the shards."""
        return self.shards.counts["out"]

    def provenance(self) -> dict[str, Any]:
        """Recipe and counts of every stage, for machines."""
        keys = ("stage", "version", "settings", "inputs", "counts", "dropped", "rejected")
        return {name: {key: getattr(manifest, key) for key in keys} for name, manifest in self.stages}


def _stages(run: Run) -> Iterator[tuple[str, StageManifest]]:
    folders = [*run.stages("documents"), *run.stages("demonstrations"), run.embeddings, run.index, run.episodes, run.shards]
    for folder in folders:
        if folder.exists(MANIFEST):
            name = folder.uri.removeprefix(run.root.uri).strip("/")
            try:
                yield name, StageManifest.load(folder)
            except InputError:  # the index keeps a manifest of its own kind
                continue


def _lint(episodes: Folder) -> Any:
    try:
        return json.loads(episodes.read("lint.json"))
    except (InputError, ValueError):
        return None


def card(facts: Facts, prefix: str = "") -> str:
    """The whole README.md; `prefix` leads from it to the shards, e.g. "1.0.0/"."""
    front = yaml.safe_dump(_front_matter(facts, prefix), sort_keys=False, allow_unicode=True, width=120)
    sections = [_about(facts), _loading(facts), _origin(facts), _content(facts), _making(facts), _shortcuts(facts)]
    return f"---\n{front}---\n\n" + "\n".join([*sections, _limits(facts)])


def _front_matter(facts: Facts, prefix: str) -> dict[str, Any]:
    licences = sorted(facts.tallies.get("licence", {}))
    known = licences[0].lower() if len(licences) == 1 else ""
    licence: dict[str, Any] = {"license": known} if known in HUB_LICENCES else {"license": "other"}
    if licence["license"] == "other":
        licence["license_name"] = "see-the-table-of-licences"
    tasks = ["image-text-to-text", "visual-question-answering"]
    if "caption" in facts.tallies.get("format", {}):
        tasks.append("image-to-text")
    return {
        "pretty_name": facts.title[:100],
        **licence,
        "task_categories": tasks,
        "size_categories": [next((name for limit, name in SIZES if facts.episodes < limit), "n>10M")],
        "tags": ["in-context-learning", "few-shot", "webdataset", "shotcraft"],
        "configs": [{"config_name": "default", "data_files": [{"split": "train", "path": f"{prefix}part-*{TAR}"}]}],
        "dataset_info": {"features": features_of(facts.shards)._to_yaml_list()},
    }


def _about(facts: Facts) -> str:
    tars = facts.shards.tables(TAR)
    size = sum(facts.shards.sizes.get(name, 0) for name in tars) / 1e6
    images = sum(count for suffix, count in facts.tallies.get("member", {}).items() if suffix != "json")
    return (
        f"# {escape(facts.title)} {facts.version}\n\n"
        f"{facts.episodes:,} in-context-learning episodes with {images:,} images in {len(tars):,} WebDataset shards"
        f" ({size:,.1f} MB). An episode is a row of demonstrations, each one or more images with a question and its"
        f" answer, and then a query of the same kind. {MARK}; a published version never changes.\n"
    )


def _loading(facts: Facts) -> str:
    place = repr(facts.title) if "/" in facts.title else '"path/to/this/folder"'
    revision = f", revision={facts.version!r}" if "/" in facts.title else ""
    return f"""## Reading it

```python
from datasets import load_dataset

episodes = load_dataset({place}{revision}, split="train")  # columns: json, 0.jpg, 0.png, 1.jpg, ...
```

A sample is `KEY.json` and its images `KEY.0.jpg`, `KEY.1.png`, … in order of appearance: demonstrations, then the query.
`json.turns` lists for every turn the numbers of its images, `json.members` the columns that hold them; the original bytes are
kept. Plain `webdataset` reads the tar files as they are. `curate pull` downloads and verifies a version.
"""


def _origin(facts: Facts) -> str:
    sources = table(("source", "episodes"), _ranked(facts.tallies.get("source", {})))
    licences = table(("licence", "episodes"), _ranked({name or "not stated": n for name, n in _tally(facts, "licence")}))
    return f"## Sources and licences\n\n{sources}\n{licences}"


def _tally(facts: Facts, kind: str) -> list[tuple[str, int]]:
    return list(facts.tallies.get(kind, {}).items())


def _content(facts: Facts) -> str:
    titles = {"format": "format", "shots": "demonstrations an episode", "task": "task", "concept": "concept"}
    tables = [table((title, "episodes"), _ranked(dict(_tally(facts, kind)))) for kind, title in titles.items()]
    return "## What is in it\n\n" + "\n".join(tables)


def _ranked(counts: Mapping[str, int], listed: int = LISTED) -> list[tuple[str, int]]:
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    rest = ranked[listed:]
    return ranked[:listed] + ([(f"and {len(rest)} more", sum(count for _, count in rest))] if rest else [])


def _making(facts: Facts) -> str:
    columns = ("in", "out", "dropped", "rejected")
    rows = [(name, *[manifest.counts.get(column, 0) for column in columns]) for name, manifest in facts.stages]
    text = "## How it was made\n\nRecords by stage; the full settings are in `provenance.json`.\n\n"
    text += table(("stage", *columns), rows)
    reasons = [
        (f"{name}: {reason}", count)
        for name, manifest in facts.stages
        for reason, count in _ranked({**manifest.dropped, **manifest.rejected})
    ]
    text += "\n" + (table(("filter or fault", "records"), reasons) if reasons else "No record was dropped or rejected.\n")
    return f"{text}\nEncoder: {escape(_encoder(facts))}.\n"


def _encoder(facts: Facts) -> str:
    named = [str(m.settings["encoder"]) for _, m in facts.stages if m.settings.get("encoder")]
    return named[0] if named else "none recorded"


def _shortcuts(facts: Facts) -> str:
    text = "## Shortcut check\n\n"
    if facts.lint is None:
        return (
            text + "The episodes of this version were not linted: whether copying a demonstration answers them is not known.\n"
        )
    text += "Accuracy of shortcut rules, such as copying the last answer: the strongest by format and shots.\n\n"
    cells = facts.lint.get("cells") if isinstance(facts.lint, dict) else None
    try:
        head = ("format", "shots", "ways", "chance", "strongest rule", "accuracy", "passed")
        text += table(head, [_cell_row(cell) for cell in cells or []]) + "\n"
        rest = {key: value for key, value in facts.lint.items() if key not in ("cells", "built")}
    except (KeyError, TypeError, AttributeError, ValueError):  # a linter of another version, or by hand
        rest = facts.lint
    rows = list(_flat(rest))
    return text + table(("check", "result"), rows[:60]) + (f"\nand {len(rows) - 60} more values\n" if len(rows) > 60 else "")


def _cell_row(cell: Mapping[str, Any]) -> tuple[object, ...]:
    scores = cell["scores"]
    judged = [score for score in scores if score.get("judged")] or scores
    worst = max(judged, key=lambda score: float(score["accuracy"]))
    interval = f"{worst['accuracy']:.3f} ({worst['low']:.3f} to {worst['high']:.3f})"
    passed = "yes" if all(score["passed"] for score in scores) else "NO"
    return cell["format"], cell["shots"], cell["ways"], f"{cell['chance']:.3f}", worst["rule"], interval, passed


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            yield from _flat(item, f"{path} {key}".strip())
    else:
        yield path, f"{value:.4g}" if isinstance(value, float) else str(value)


def _limits(facts: Facts) -> str:
    limits = [
        "Texts and images come from the sources above as they are; nobody has read all of them.",
        "Every licence in the table applies to the images and texts of its records; mixing them is your responsibility.",
    ]
    if any(not name for name in facts.tallies.get("licence", {})):
        limits.append("Some records state no licence.")
    rejected = facts.shards.counts.get("rejected", 0)
    if rejected:
        limits.append(f"{rejected:,} episodes were left out because an image was missing or damaged.")
    if facts.lint is None:
        limits.append("No shortcut check was made.")
    elif isinstance(facts.lint, dict) and facts.lint.get("passed") is False:
        limits.append("The shortcut check failed: some episodes can be answered by a shortcut, see above.")
    if "offline" in _encoder(facts):
        limits.append(
            "Neighbours were found with the embedded offline encoder, a small encoder with CLIP's interface, not CLIP."
        )
    return "## Known limits\n\n" + "".join(f"- {limit}\n" for limit in limits)
