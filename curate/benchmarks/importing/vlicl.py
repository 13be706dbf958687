"""`vl-icl`: a task folder of VL-ICL Bench, `query.json` and `support.json` beside its pictures.

Which of the published tasks it is shows in the shape of its records:

    naming     a query lists `classes` and the `support` pictures of each; two classes stand against each other,
               shots count per class (open_mi)
    operator   a query names its `operator`, a support answer is a list with one result an operator, +, - and x
    pairs      a support record holds a pair that is the `same` and one that is `diff`erent; shots count pairs (matching_mi)
    plain      any K support records (textocr, clevr)

The published harness draws demonstrations anew for every query and number of shots, and the order of the two classes falls as
it may. Here the draw is seeded by query, the demonstrations of K shots are among those of 2K, and `orders: both` asks every
question with either class first. Tasks whose answers are pictures are not imported.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from curate.benches import Item, Metric
from curate.benchmarks.importing import BENCH_IMPORTERS
from curate.benchmarks.importing.desk import Desk, Entry
from curate.benchmarks.importing.reading import fields, named, names_of, read_json, rows_of, text_of
from curate.benchmarks.importing.settings import FileSettings
from curate.demonstrations.found import Unusable
from curate.errors import ConfigError, InputError

OPERATORS = ("+", "-", "x")
Shape = Literal["naming", "operator", "pairs", "plain"]


class VlIclSettings(FileSettings):
    """Settings of `curate bench import vl-icl`."""

    scoring: Literal["exact", "choice"] = "exact"
    """exact: the model writes, as published. choice: the likeliest of the two classes, or of yes and no."""
    orders: Literal["drawn", "both"] = "drawn"
    """drawn: the two classes or pairs stand in a random order, as published. both: in either, as items of one group."""


class VlIcl:
    """Tasks of VL-ICL Bench."""

    settings = VlIclSettings
    title = "A task of VL-ICL Bench"

    def root(self, path: Path, settings: VlIclSettings) -> Path:
        """The task's folder."""
        for name in ("query.json", "support.json"):
            if not (path / name).is_file():
                raise InputError(f"{path.name} holds no {name}; give the folder of one task, such as VL-ICL/open_mi")
        return path

    def metric(self, settings: VlIclSettings, items: list[Item]) -> Metric:
        """As the settings say."""
        return settings.scoring

    def items(self, path: Path, settings: VlIclSettings, desk: Desk) -> Iterator[Item]:
        """Every query at every number of shots."""
        queries = rows_of(read_json(path, "query.json", settings.max_table), "query.json")
        raw = read_json(path, "support.json", settings.max_table)
        support = raw if isinstance(raw, list) else []
        task = _Task(path.name, _shape(queries, support), settings, desk)
        if settings.scoring == "choice" and task.shape not in ("naming", "pairs"):
            raise ConfigError(f"scoring: choice wants a task with two classes; {path.name} asks for open answers")
        yield from task.items(queries, support)


def _shape(queries: list[Any], support: list[Any]) -> Shape:
    first = next((row for row in queries if isinstance(row, dict)), {})
    shown = next((row for row in support if isinstance(row, dict)), {})
    if "task_label" in first or "latent" in first or isinstance(first.get("answer"), list):
        raise InputError("this task asks for pictures; only tasks that are answered in words are imported")
    if isinstance(first.get("support"), dict):
        return "naming"
    if "operator" in first:
        return "operator"
    return "pairs" if "same" in shown and "diff" in shown else "plain"


class _Task:
    """One task's records on their way to items."""

    def __init__(self, folder: str, shape: Shape, settings: VlIclSettings, desk: Desk) -> None:
        self.folder, self.shape, self.settings, self.desk = folder, shape, settings, desk

    def items(self, queries: list[Any], support: list[Any]) -> Iterator[Item]:
        """Support records first, so that a bad one is rejected once and not with every query."""
        shown = [row for row in named(support, "id") if self._sound(*row)] if self.shape != "naming" else []
        asked: list[tuple[Entry, dict[str, Any]]] = []
        for name, row in named(queries, "id"):
            with self.desk.record(f"query {name}"):
                asked.append((self._query(name, fields(row)), row))
        wanted = {entry.record for entry in self.desk.queries([entry for entry, _ in asked])}
        chosen = [(entry, row) for entry, row in asked if entry.record in wanted]
        for query, row in chosen:
            with self.desk.record(f"demonstrations of {query.record}"):
                yield from self._asked(query, row, shown)

    def _sound(self, name: str, row: Any) -> bool:
        bad = len(self.desk.rejected)
        with self.desk.record(f"support {name}"):
            if self.shape == "pairs":
                self._pair(name, row)
            else:
                self._plain(name, row, OPERATORS[0])
        return len(self.desk.rejected) == bad

    def _query(self, name: str, row: dict[str, Any]) -> Entry:
        question = row.get("question") or ("This is a" if self.shape == "naming" else "")
        return self.desk.entry(name, self._pictures(row.get("image")), question, [text_of(row.get("answer"), "answer")])

    def _pictures(self, value: Any) -> list[str]:
        """Names below the task's folder; the published ones begin with that folder's own name."""
        return [name.removeprefix(f"{self.folder}/") for name in names_of(value)]

    def _asked(self, query: Entry, row: dict[str, Any], shown: list[tuple[str, Any]]) -> Iterator[Item]:
        rounds = self._rounds(query, row, shown)
        self.desk.encode([query, *(entry for one in rounds for entry in one)])
        orders = (
            (("", 1), ("reversed", -1))
            if self.settings.orders == "both" and len(rounds[0] if rounds else ()) > 1
            else (("", 1),)
        )
        for shots in self.settings.shots:
            for arrangement, step in orders if shots else orders[:1]:
                turns = [entry for one in rounds[:shots] for entry in one[::step]]
                choices = self._choices(query, row, rounds)
                yield self.desk.item(
                    query, turns, shots, choices=choices, arrangement=arrangement, classes=len(choices) > 0, task=self.folder
                )

    def _choices(self, query: Entry, row: dict[str, Any], rounds: list[list[Entry]]) -> tuple[str, ...]:
        if self.shape not in ("naming", "pairs") or self.settings.scoring == "exact":
            return ()
        return tuple(sorted({query.answers[0], *(entry.answers[0] for one in rounds[:1] for entry in one)}))

    def _rounds(self, query: Entry, row: dict[str, Any], shown: list[tuple[str, Any]]) -> list[list[Entry]]:
        """Demonstrations round by round; those of K shots are the first K rounds."""
        most = max(self.settings.shots)
        if self.shape == "naming":
            return self._by_class(query, row, most)
        order = self.desk.drawn(shown, "demonstrations", query.record)
        if len(order) < most:
            raise Unusable("too_few_demonstrations", f"{len(order)} of {most}")
        if self.shape == "pairs":
            return [list(self._pair(name, found)) for name, found in order[:most]]
        operator = text_of(row.get("operator"), "operator") if self.shape == "operator" else ""
        return [[self._plain(name, found, operator)] for name, found in order[:most]]

    def _plain(self, name: str, row: Any, operator: str) -> Entry:
        row = fields(row, "support record")
        answer = row.get("answer")
        if self.shape == "operator":
            if operator not in OPERATORS or not isinstance(answer, list) or len(answer) != len(OPERATORS):
                raise Unusable("bad_operator", f"{operator[:20]!r} and {type(answer).__name__}")
            answer = answer[OPERATORS.index(operator)]
        return self.desk.entry(
            f"support {name}", self._pictures(row.get("image")), row.get("question") or "", [text_of(answer, "answer")]
        )

    def _pair(self, name: str, row: Any) -> tuple[Entry, Entry]:
        row = fields(row, "support record")
        same, diff = (self._plain(f"{name}/{side}", row.get(side), "") for side in ("same", "diff"))
        swap = self.desk.drawn([same, diff], "pair", name)
        return (swap[0], swap[1]) if self.settings.orders == "both" else (same, diff)

    def _by_class(self, query: Entry, row: dict[str, Any], most: int) -> list[list[Entry]]:
        """The query's class and another, in an order drawn once, a picture of each a round."""
        listed, support = row.get("classes"), fields(row.get("support"), "support")
        classes = [text_of(name, "classes") for name in listed] if isinstance(listed, list) else []
        own = query.answers[0]
        others = [name for name in classes if name != own]
        if own not in classes or not others:
            raise Unusable("bad_classes", "the answer and another class must be among the classes")
        pair = [own, self.desk.drawn(others, "other class", query.record)[0]]
        pair = self.desk.drawn(pair, "class order", query.record)
        pictures = {name: self._pictures(fields(support.get(name), name).get("images")) for name in pair}
        if min(map(len, pictures.values())) < most:
            raise Unusable("too_few_demonstrations", f"{min(map(len, pictures.values()))} of {most} of each class")
        return [[self._example(query, name, pictures[name][at]) for name in pair] for at in range(most)]

    def _example(self, query: Entry, name: str, picture: str) -> Entry:
        return self.desk.entry(f"{query.record}/{name}/{picture}", [picture], query.question, [name])


BENCH_IMPORTERS.register("vl-icl")(VlIcl())
