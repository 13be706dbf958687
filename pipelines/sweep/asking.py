"""What trials are asked: benchmarks into an evaluation folder, and how long questions take."""

import json
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from curate.settings import build
from pipelines.sweep.setting import Setting

if TYPE_CHECKING:
    from curate.benches import Bench
    from train.evaluate.cells import EvaluateSettings
    from train.evaluate.reader import ReaderSettings, VlmReader


def reading(setting: Setting) -> "ReaderSettings":
    """How models are asked: as the sweep says, else as they were trained; ConfigError for settings that nobody knows."""
    from train.evaluate.cells import EvaluateSettings
    from train.evaluate.reader import ReaderSettings

    render = (setting.train.get("data") or {}).get("render") or {}
    mode = {"mode": render["mode"]} if "mode" in render else {}
    own = {key: value for key, value in setting.reader.items() if key not in EvaluateSettings.model_fields}
    return build(ReaderSettings, {**mode, **own}, "reader")


def asked(setting: Setting, limit: int | None = None) -> "list[tuple[Bench, EvaluateSettings]]":
    """Each benchmark with what is asked of it; places begin at the working folder."""
    from curate.benches import Bench
    from train.evaluate.cells import EvaluateSettings

    shared = {key: value for key, value in setting.reader.items() if key in EvaluateSettings.model_fields}
    found = []
    for one in setting.benchmarks.values():
        own = {"shots": tuple(one["shots"]), "limit": limit or one["limit"], "conditions": _conditions(one)}
        found.append((Bench.open(str(one["place"])), build(EvaluateSettings, {**shared, **own}, "reader")))
    return found


def _conditions(one: Mapping[str, Any]) -> tuple[str, ...]:
    return ("none",) if set(one["shots"]) == {0} else ("full",)


def ask(reader: "VlmReader", setting: Setting, out: Path, limit: int | None = None) -> None:
    """Asks all benchmarks; what is answered in the folder already is not asked again."""
    from train.evaluate.evaluating import evaluate

    for bench, settings in asked(setting, limit):
        evaluate(reader, [bench], out, settings)


def main() -> int:
    """Times the model that trials begin with: loading it, and one group of each benchmark. Reads a setting, writes JSON."""
    from train.evaluate.cells import cells_of
    from train.evaluate.reader import VlmReader

    setting = Setting.of(json.load(sys.stdin))
    whole = sum(len(cell.items) for bench, settings in asked(setting) for cell in cells_of([bench], settings))
    few = sum(len(cell.items) for bench, settings in asked(setting, 1) for cell in cells_of([bench], settings))
    began = time.monotonic()
    reader = VlmReader.load(setting.train["model"], reading(setting))
    loaded = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        ask(reader, setting, Path(place) / "evaluation", 1)
    took = {"load_seconds": loaded - began, "item_seconds": (time.monotonic() - loaded) / max(1, few), "items": whole}
    sys.stdout.write(json.dumps(took) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
