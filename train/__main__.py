"""`python -m train CONFIG.yaml`, and on several GPUs `torchrun --nproc-per-node 8 -m train CONFIG.yaml`.

The same program as `curate train`, which draws a bar besides; this one prints plain lines.
"""

import argparse
import sys
from pathlib import Path

from curate.errors import ShotcraftError
from curate.settings import load
from train.config import TrainConfig


def main(arguments: list[str] | None = None) -> int:
    """Trains; 0 when it is done or SIGTERM ended it, 2 or 3 for what a user can mend, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m train", description="Train a stage that a YAML file describes.")
    parser.add_argument("config", type=Path, help="the stage's YAML file")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="override one setting, dotted")
    told = parser.parse_args(arguments)
    try:
        config = load(TrainConfig, told.config, told.set)
        from train.loop import train
        from train.metrics import Plain

        summary = train(config, Plain(say))
    except ShotcraftError as error:
        say(f"error: {' '.join(str(error).split())}")
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    return summary.exit_code


def say(line: str) -> None:
    """A line on standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
