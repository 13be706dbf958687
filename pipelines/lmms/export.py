"""A frozen benchmark as a folder of tasks that lmms-eval takes with --include_path.

DIR/BENCH/shotcraft_BENCH_Kshot.yaml   a task for each number of shots; all carry the tag shotcraft_BENCH
DIR/BENCH/items-K.jsonl                its items in full: demonstrations, query, choices, answers
DIR/BENCH/images/                      the pictures, original bytes
DIR/BENCH/utils.py                     what the YAML refers to (pipelines/lmms/task.py, word for word)
"""

import json
import re
from importlib import resources
from typing import Any

from curate.benches import Bench, Item
from curate.errors import IntegrityError
from curate.storage import Folder

TASK = "utils.py"
REF = re.compile(r"[0-9a-f]{64}\.[a-z]{3,4}")
MOST_TOKENS = {"choice": 16, "exact": 32, "soft": 64, "vqa": 32, "caption": 64}
"""Longest answer by metric."""


def export_lmms(bench: Bench, out: Folder) -> list[str]:
    """Writes OUT/BENCH and returns the tasks' names, fewest shots first. Equal benchmarks, equal bytes."""
    here = out / bench.name
    refs = sorted({image.ref for item in bench.items for turn in _turns(item) for image in turn.images})
    for ref in refs:
        if not REF.fullmatch(ref):
            raise IntegrityError(f"{bench.folder.uri} names a picture {ref[:80]!r}, which no store of ours would")
        here.write(f"images/{ref}", bench.picture(ref), durable=False)
    here.write(TASK, resources.files("pipelines.lmms").joinpath("task.py").read_bytes())
    names = []
    for shots in bench.shots:
        lines = [
            json.dumps(_row(item, bench.manifest.metric), ensure_ascii=False) for item in bench.items if item.shots == shots
        ]
        here.write(f"items-{shots}.jsonl", "".join(f"{line}\n" for line in lines).encode())
        names.append(f"shotcraft_{bench.name}_{shots}shot")
        here.write(f"{names[-1]}.yaml", _yaml(bench, shots, names[-1]).encode())
    return names


def _turns(item: Item) -> list[Any]:
    return [*item.episode.demonstrations, item.episode.query]


def _row(item: Item, metric: str) -> dict[str, Any]:
    turns = [
        {"images": [image.ref for image in turn.images], "question": turn.question, "answer": turn.answer}
        for turn in _turns(item)
    ]
    known = {"id": item.id, "group": item.group, "metric": metric, "shots": item.shots, "ways": item.ways}
    return {**known, "turns": turns, "choices": list(item.choices), "answers": list(item.answers)}


def _yaml(bench: Bench, shots: int, name: str) -> str:
    """The task's settings; written by hand, for !function is no YAML that a library writes."""
    metrics = ["cider"] if bench.manifest.metric == "caption" else ["score", "invariant"]
    ways = {"score": "mean", "invariant": "invariant", "cider": "cider"}
    lines = [
        f"# {json.dumps(bench.manifest.title)}, {bench.manifest.counts[str(shots)]['items']} items",
        f"task: {name}",
        f"tag: shotcraft_{bench.name}",
        "dataset_path: json",
        f"dataset_kwargs: {{data_files: {{test: items-{shots}.jsonl}}}}",
        "test_split: test",
        "output_type: generate_until",
        *(f"{hook}: !function utils.{hook}" for hook in ("doc_to_messages", "doc_to_visual", "doc_to_text", "doc_to_target")),
        "process_results: !function utils.process_results",
        f"generation_kwargs: {{max_new_tokens: {MOST_TOKENS[bench.manifest.metric]}, temperature: 0, do_sample: false}}",
        "lmms_eval_specific_kwargs: {default: {image_mark: <image>}}",
        "metric_list:",
        *(f"  - {{metric: {one}, aggregation: !function utils.{ways[one]}, higher_is_better: true}}" for one in metrics),
        f"metadata: {{version: {json.dumps(bench.manifest.version)}, digest: {bench.digest}}}",
    ]
    return "\n".join(lines) + "\n"
