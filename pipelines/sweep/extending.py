"""More trials for a sweep that has results: mixes that may be better than the best known, and the best with fresh seeds."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from curate.errors import ConfigError
from curate.settings import build
from pipelines.sweep.cost import Pace
from pipelines.sweep.design import Design, read_design, write_design
from pipelines.sweep.settings import SweepSpec
from pipelines.sweep.space import Point

NEXT, CONFIRM = "next", "confirm"


def wanted(out: Path, next_: int, confirm: int, seeds: int) -> list[tuple[str, Point, int]]:
    """What a fit of the results proposes to add: kind, mix, seed. InputError without results."""
    from pipelines.sweep.fitted import trials_to_add  # loads scipy

    if not next_ and not confirm:
        raise ConfigError("say how many trials are to be added: --next 4, --confirm 2, or both")
    found = [(NEXT, one) for one in (trials_to_add(out, next_=next_) if next_ else [])]
    found += [(CONFIRM, one) for one in (trials_to_add(out, confirm=confirm, seeds=seeds) if confirm else [])]
    return [(kind, one.point, one.seed) for kind, one in found]


def extend(out: Path, rows: Sequence[tuple[str, Point, int]]) -> Design:
    """Adds them to design.json, and what they cost to its cost."""
    from pipelines.sweep.designing import with_trials

    before = design = read_design(out)
    for kind, point, seed in rows:
        design = with_trials(out, [point], kind, [seed])
    more = {
        name: before.cost.get(name, 0) + value
        for name, value in price(before, len(design.trials) - len(before.trials)).items()
    }
    whole = {"runs": len(design.trials), "mixes": len({trial.mix for trial in design.trials})}
    design = replace(design, cost={**design.cost, **more, **whole})
    write_design(out, design)
    return design


def price(design: Design, runs: int) -> dict[str, float]:
    """Seconds and tokens of so many trials more, at the pace of the design; {} where it measured none."""
    from pipelines.sweep.designing import price_of
    from pipelines.sweep.setting import Setting

    if not design.cost.get("pace"):
        return {}
    each = price_of(Setting.of(design.setting), Pace(**design.cost["pace"]), build(SweepSpec, design.spec, "design.json"))
    return {"seconds": round(each.seconds(runs, runs), 1), "tokens": round(each.tokens(runs, runs))}
