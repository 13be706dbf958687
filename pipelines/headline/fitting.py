"""A plan for the experiment: `curate mix`, and of just such a size that one pass over it lasts a training's steps.

A curriculum is told in parts of a plan, so a training must end where its plan does. How many steps a plan lasts depends on how
long its samples are once rendered and how they pack, hence: mix, measure, and mix again to another size until it fits.
"""

import argparse
import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from curate.errors import ConfigError, ShotcraftError
from curate.settings import load
from pipelines.console import Watch, say
from pipelines.jobs.paces import steps_of

if TYPE_CHECKING:
    from curate.shards.plans import Plan
    from train.config import TrainConfig

ROOM = 0.02
"""Share by which a plan may outlast its training."""
ROUNDS = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Builds a plan; 2 or 3 for what a user can mend."""
    parser = argparse.ArgumentParser(prog="python -m pipelines.headline.fitting", description=__doc__)
    parser.add_argument("spec", type=Path, help="the mixture's YAML file")
    parser.add_argument("--out", required=True, help="the plan's folder")
    parser.add_argument("--fit", type=Path, help="the training's YAML file, which says steps and rows")
    parser.add_argument("--size-of", help="another plan, which it shall be as long as")
    parser.add_argument("--materialise", action="store_true", help="write shards of its own too")
    told = parser.parse_args(arguments)
    try:
        _plan(told)
    except ShotcraftError as error:
        say(f"error: {' '.join(str(error).split())}")
        return error.exit_code
    return 0


def _plan(told: argparse.Namespace) -> None:
    if told.fit:
        from train.config import TrainConfig

        fitted(told.spec, told.out, load(TrainConfig, told.fit))
    elif told.size_of:
        from curate.shards.plans import Plan

        mixed(told.spec, told.out, len(Plan.open(told.size_of)))
    else:
        mixed(told.spec, told.out, None, told.materialise)


def mixed(spec: Path, out: str, size: int | None, materialise: bool = False) -> "Plan":
    """`curate mix` with a size of its own."""
    from curate.mixture.build import check_shares
    from pipelines.mixing import Job

    watch = Watch()
    try:
        plan = Job.read(spec, [f"size={size}"] if size else [], out).build(1, watch, materialise)
    finally:
        watch.close()
    check_shares(plan)
    return plan


def fitted(spec: Path, out: str, config: "TrainConfig") -> "Plan":
    """The plan whose single pass lasts `config.steps` steps and at most ROOM more; ConfigError where sizes do not settle."""
    if not config.steps:
        raise ConfigError(f"a plan can only be fitted to a training with steps; {config.out} has none")
    plan = mixed(spec, out, None)
    for _ in range(ROUNDS):
        steps = steps_of(plan, config)
        say(f"{out}: {len(plan):,} samples last {steps:,} of {config.steps:,} steps")
        if 0 <= steps - config.steps <= max(1, ROOM * config.steps):
            return plan
        plan = mixed(spec, out, ceil(len(plan) * config.steps / steps * (1 + ROOM / 2)))
    raise ConfigError(f"{spec}: no size of the plan lasts {config.steps:,} steps; give data.load.window a smaller value")


if __name__ == "__main__":
    sys.exit(main())
