"""`python -m train CONFIG.yaml`, and on several GPUs `torchrun --nproc-per-node 8 -m train CONFIG.yaml`.

The same program as `curate train`, which draws a bar and tables; this one prints plain lines. Of several ranks one answers.
"""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

from curate.errors import ShotcraftError
from curate.settings import load
from train.config import TrainConfig


def main(arguments: list[str] | None = None) -> int:
    """Trains; 0 when it is done or SIGTERM ended it, 2 or 3 for what a user can mend, 130 after Ctrl-C."""
    told = _parser().parse_args(arguments)
    try:
        config = load(TrainConfig, told.config, told.set)
        return _dry_run(config, told.json) if told.dry_run else _train(config, told.json)
    except ShotcraftError as error:
        say(f"error: {' '.join(str(error).split())}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m train", description="Train a stage that a YAML file describes.")
    parser.add_argument("config", type=Path, help="the stage's YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting, dotted")
    parser.add_argument("--dry-run", action="store_true", help="say what would be trained, write nothing")
    parser.add_argument("--json", action="store_true", help="the answer as one JSON document on standard output")
    return parser


def _train(config: TrainConfig, as_json: bool) -> int:
    from train.loop import train
    from train.metrics import Plain

    summary = train(config, Plain(say))
    if as_json and _first():
        _answer(json.dumps(asdict(summary), indent=2))
    return summary.exit_code


def _dry_run(config: TrainConfig, as_json: bool) -> int:
    if not _first():
        return 0
    from train.dryrun import dry_run

    found = dry_run(config)
    width = max(len(name) for name, _ in found.table())
    lines = [f"{name:<{width}}  {value}" for name, value in found.table()]
    _answer(json.dumps(found.as_json(), indent=2) if as_json else "\n".join(lines))
    return 0


def _first() -> bool:
    """Whether this is the first of the ranks that torchrun started, or the only one."""
    return os.environ.get("RANK", "0") == "0"


def _answer(text: str) -> None:
    """What was asked for, on standard output."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say(line: str) -> None:
    """A line on standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
