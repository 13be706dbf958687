"""`curate sweep fit`: what the trials say, and the mix to take."""

from typing import TYPE_CHECKING

import typer

from pipelines.commands.sweep import SweepDir, sweep
from pipelines.console import answer, say, table
from pipelines.options import AsJson, Overrides

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from pipelines.sweep.fitting import Fit, Response
    from pipelines.sweep.proposing import Gain


def register(app: typer.Typer) -> None:
    """Adds the command to the group `sweep`."""
    sweep.command("fit")(fit)


def fit(
    out: SweepDir,
    set_: Overrides = [],  # noqa: B006  typer reads the default and never changes it
    as_json: AsJson = False,
) -> None:
    """Fit the trials that are done, and propose a mix, with what is known of its gain; OUT/fit.json has all of it.

    Models are weighted by how well they predict mixes that they have not seen. Where no mix beats the prior by more than seeds
    and looking for the best would explain, it says "no significant difference". Trials that failed, were stopped early or lack
    a target are counted.

    Example:

        curate sweep fit sweeps/first
        curate sweep fit sweeps/first --set within=0.3 --set caution=1 --json
    """
    from pipelines.sweep.fitted import fit_folder
    from pipelines.sweep.report.wording import strayed

    found, told = fit_folder(out, set_, say)
    if as_json:
        answer(told)
        return
    _tell(found)
    _tell_confirmed(found, told["confirmed"])
    trials = ", ".join(f"{count} {state.replace('_', ' ')}" for state, count in told["trials"].items())
    say(f"trials: {trials}, {len(found.seen)} of them with results; wrote {out}/fit.json")
    if told["strayed"]["trials"]:
        say(strayed(**told["strayed"]))
    for name, why in told["models_left_out"].items():
        say(f"left out: {name}, which {why}")
    for name, mixes in found.too_few.items():
        say(f"left out: {name}, which {mixes} mixes have")
    say(told["verdict"])


def _tell(found: "Fit") -> None:
    fitted = (found.objective, *found.targets)
    head = ("target", "model", "ranks", "R²", "error", "noise")
    table("held-out mixes: Spearman's ranks, R², error beside the seeds' noise", head, [_row(one) for one in fitted])
    for one in fitted:
        if one.missing:
            say(f"{one.name}: {one.missing} trials lack it")
    mixes = {"proposal": found.proposal.row, **{gain.baseline: gain.row for gain in found.proposal.gains}}
    columns = found.seen.space.columns
    rows = [(name, *(f"{row[at]:.3f}" for row in mixes.values())) for at, name in enumerate(columns)]
    table("mixes", ("share", *mixes), rows)
    level = f"{found.settings.level:.0%} interval"
    gains = [_gain(gain) for gain in found.proposal.gains]
    table("the proposal's gain", ("over", "objective", level, "probability", "p", "significant"), gains)


def _tell_confirmed(found: "Fit", confirmed: "Sequence[Mapping[str, Any]]") -> None:
    from pipelines.sweep.report.wording import between, mix, p_value, within

    for one in confirmed:
        sure = f"{found.settings.level:.0%} interval {between(one['low'], one['high'])}, {p_value(one['p'])}"
        say(f"fresh seeds alone, {one['runs']} beside {one['prior_runs']} of the prior, {mix(found.seen.space, one)}:")
        say(f"  {within(one['gain'], one['low'], one['high'])} over the prior, {sure}")


def _gain(gain: "Gain") -> tuple[str, ...]:
    from pipelines.sweep.report.wording import between, within

    told = (gain.baseline, within(gain.gain, gain.low, gain.high), between(gain.low, gain.high), f"{gain.probability:.0%}")
    return (*told, f"{gain.p:.3f}", "yes" if gain.significant else "no")


def _row(one: "Response") -> tuple[str, ...]:
    noise = f"{one.noise.sd:.3g}" if one.noise.is_known else "unknown"
    if one.skill is None:
        return (one.name, one.belief.name, "-", "-", "-", noise)
    ranks = "-" if one.skill.spearman is None else f"{one.skill.spearman:.2f}"
    return (one.name, one.belief.name, ranks, f"{one.skill.r2:.2f}", f"{one.skill.rmse:.3g}", noise)
