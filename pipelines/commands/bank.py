"""`curate bank build|stat|prune`: what AIM aggregates of demonstrations, computed once and kept."""

import json
from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines.commands.predict import Demos, LabelOf, Model
from pipelines.console import answer, now_and_then, say, table
from pipelines.options import AsJson, DryRun, MaxRejected

if TYPE_CHECKING:
    from collections.abc import Callable

    from curate.labelled import LabelledSet
    from train.bank import Aggregator
    from train.bank.building import Built
    from train.bank.survey import Survey

MIB = 1 << 20


BankOut = Annotated[
    str, typer.Option("--out", "-o", metavar="BANK", help="The bank's folder; made when missing.", show_default=False)
]
BankDir = Annotated[str, typer.Argument(metavar="BANK", help="The bank's folder.", show_default=False)]


def register(app: typer.Typer) -> None:
    """Adds the group."""
    bank = typer.Typer(no_args_is_help=True, help="Demonstration banks: build, look at and prune them.")
    bank.command("build")(build)
    bank.command("stat")(stat)
    bank.command("prune")(prune)
    app.add_typer(bank, name="bank")


def build(
    model: Model,
    demos: Demos,
    out: BankOut,
    max_mb: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="MiB that the bank may take from now on.  [default: as it has; 8192]"),
    ] = None,
    batch: Annotated[int, typer.Option(min=1, help="Demonstrations that are aggregated, and written down, together.")] = 16,
    question: Annotated[
        str | None, typer.Option(help="As for `curate predict`; {options} stands for the labels.", show_default=False)
    ] = None,
    letters: Annotated[
        bool, typer.Option("--letters", help="As for `curate predict`: answers are letters of options.")
    ] = False,
    label_of: Annotated[
        LabelOf, typer.Option(help="Of a run's demonstrations: answer or most specific concept.")
    ] = LabelOf.answer,
    max_rejected: MaxRejected = 1.0,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Fill a bank with what a model aggregates of labelled pictures, as `curate predict` would show them.

    What is there already is not computed again: interrupt it, run it again, and it goes on. Several may write into one bank
    at once. When the room does not suffice, what was not used for longest goes.

    Example:

        curate bank build runs/aim --demos labelled --out bank

        curate bank build runs/aim --demos runs/mine --out bank --max-mb 2048
    """
    from curate.labelled import read_labelled
    from train.bank import Bank, Banked
    from train.bank.building import build as fill
    from train.bank.survey import survey

    labelled = read_labelled(demos, label_of.value)
    bank = Bank(out, None if max_mb is None else max_mb * MIB)
    _check_pictures(labelled, max_rejected)
    if dry_run:
        _tell_plan(labelled, question, letters, survey(bank), as_json)
        return
    built = fill(Banked(_aggregator(model), bank), labelled, question, letters, batch, _progress())
    _tell_built(built, survey(bank), out, as_json)
    _check_built(built, model, max_rejected)


def stat(bank: BankDir, as_json: AsJson = False) -> None:
    """Show what a bank holds: entries, parts and bytes of each model, and damaged files.

    A file that is no part is moved to BANK/damaged, and its entries count as missing. Only headers are read; an entry whose
    bytes changed is found when it is used.

    Example:

        curate bank stat bank
    """
    from train.bank import Bank
    from train.bank.survey import survey

    found = survey(Bank(bank, create=False))
    if as_json:
        answer(asdict(found))
        return
    rows = [(share.model[:12], f"{share.entries:,}", f"{share.parts:,}", _mib(share.bytes)) for share in found.models]
    table("Models", ("model", "entries", "parts", "MiB"), rows)
    for share in found.models:
        say(f"{share.model[:12]}: {_facts(share.facts)}")
    _tell_state(found, bank)


def prune(
    bank: BankDir,
    max_mb: Annotated[int, typer.Option(min=0, metavar="N", help="MiB that may stay.", show_default=False)],
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Remove what was not used for longest until the bank takes at most N MiB. The bank's own bound stays as it is.

    Example:

        curate bank prune bank --max-mb 500

        curate bank prune bank --max-mb 500 --dry-run
    """
    from train.bank import Bank
    from train.bank.survey import survey

    opened = Bank(bank, create=False)
    gone = opened.prune(max_mb * MIB, dry_run)
    size, left = sum(one.size for one in gone), survey(opened)
    if as_json:
        answer({"parts": len(gone), "bytes": size, "left": left.bytes - size * dry_run, "dry_run": dry_run})
        return
    say(f"{bank}: {len(gone):,} parts with {_mib(size)} MiB {'would go' if dry_run else 'are gone'}")
    _tell_state(left, bank)


def _aggregator(model: str) -> "Aggregator":
    from train.evaluate.fused import load_aggregator

    aggregator: Aggregator = load_aggregator(model)
    return aggregator


def _progress() -> "Callable[[int, int], None]":
    say_sometimes = now_and_then()

    def progress(done: int, total: int) -> None:
        say_sometimes(f"bank: {done:,} of {total:,} demonstrations")

    return progress


def _check_pictures(labelled: "LabelledSet", most: float) -> None:
    from curate.errors import QualityError

    bad, all_ = len(labelled.rejected), len(labelled.rejected) + len(labelled.rows)
    if not bad:
        return
    reasons = Counter(one.reason for one in labelled.rejected).most_common()
    told = f"{bad:,} of {all_:,} labelled pictures rejected ({', '.join(f'{count:,} {reason}' for reason, count in reasons)})"
    if bad > most * all_:
        raise QualityError(f"{told}, over --max-rejected {most:g}")
    say(f"{told}; the first: {labelled.rejected[0].name}")


def _check_built(built: "Built", model: str, most: float) -> None:
    from curate.errors import QualityError

    if built.unusable == built.demonstrations:
        raise QualityError(f"{model} can use none of {built.demonstrations:,} demonstrations")
    if built.unusable > most * built.demonstrations:
        told = f"{built.unusable:,} of {built.demonstrations:,} demonstrations cannot be used"
        raise QualityError(f"{told}, over --max-rejected {most:g}")


def _tell_plan(labelled: "LabelledSet", question: str | None, letters: bool, found: "Survey", as_json: bool) -> None:
    from train.bank.building import turns_of
    from train.bank.keys import key_of

    distinct = len({key_of({}, turn) for turn in turns_of(labelled, question, letters)})
    plan = {"demonstrations": len(labelled.rows), "distinct": distinct, "labels": len(labelled.labels)}
    if as_json:
        answer(plan | {"rejected": len(labelled.rejected), "entries": found.entries, "max_bytes": found.max_bytes})
        return
    say(f"would aggregate those of {plan['demonstrations']:,} demonstrations ({distinct:,} distinct) that the bank lacks")
    say(f"the bank has {found.entries:,} entries, {_mib(found.bytes)} of {_mib(found.max_bytes)} MiB")


def _tell_built(built: "Built", found: "Survey", out: str, as_json: bool) -> None:
    if built.lost:
        say(f"{built.lost:,} of these demonstrations found no room in {_mib(found.max_bytes)} MiB; raise --max-mb")
    if as_json:
        answer({"bank": out, **asdict(built), "entries": found.entries, "parts": found.parts, "bytes": found.bytes})
        return
    done = f"{built.known:,} known, {built.aggregated:,} aggregated, {built.unusable:,} unusable"
    say(f"{built.demonstrations:,} demonstrations: {done}")
    _tell_state(found, out)


def _tell_state(found: "Survey", bank: str) -> None:
    for fault in found.faults:
        say(f"{fault.part} is set aside as {fault.reason}: {fault.detail}")
    room = f"{_mib(found.bytes)} of {_mib(found.max_bytes)} MiB"
    damaged = f"; {len(found.damaged):,} damaged files in {bank}/damaged" if found.damaged else ""
    say(f"{bank}: {found.entries:,} entries in {found.parts:,} parts, {room}{damaged}")


def _facts(facts: dict[str, object]) -> str:
    text = json.dumps(facts)[1:-1]  # whatever a part of others has in it, in plain characters
    return text if len(text) <= 1000 else text[:999] + "…"


def _mib(size: int) -> str:
    return f"{size / MIB:,.1f}"
