"""`flamingo`: sets that OpenFlamingo's harness asks few-shot: VQAv2-style questions, and COCO-style captions.

PATH is a folder with one of

    *questions*.json and *annotations*.json   {"questions": [{question_id, image_id, question}]} and
                                              {"annotations": [{question_id, answers: [{answer}]}]},
                                              as VQAv2, OK-VQA, VizWiz and TextVQA have them
    *captions*.json                           {"images": [{id, file_name}], "annotations": [{image_id, caption}]}, as COCO

A file with `train` in its name is what demonstrations are drawn from; without one they come from the other pictures of the
same set. `select: random` draws them for every query, `rices` takes the most alike pictures, the most alike last. Zero shots
are none here: that harness's zero-shot prompt holds two demonstrations without their pictures, which is our condition `text`
at two.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from curate.benches import Item, Metric
from curate.benchmarks.importing import BENCH_IMPORTERS
from curate.benchmarks.importing.desk import Desk, Entry
from curate.benchmarks.importing.reading import fields, named, read_json, rows_of, text_of
from curate.benchmarks.importing.settings import FileSettings
from curate.demonstrations.found import Unusable
from curate.errors import InputError

COCO = ("{id}", "{id}.jpg", "{id}.png", "COCO_val2014_{id12}.jpg", "COCO_train2014_{id12}.jpg", "{id12}.jpg")
"""Where a picture may lie below `images`, the first that is there."""


class FlamingoSettings(FileSettings):
    """Settings of `curate bench import flamingo`."""

    questions: str = ""
    """File of the queries' questions or captions; found by its name when empty."""
    annotations: str = ""
    """File of the queries' answers; not needed for captions."""
    support_questions: str = ""
    """File of the demonstrations' questions or captions."""
    support_annotations: str = ""
    """File of the demonstrations' answers."""
    images: str = "."
    """Folder of the pictures inside PATH."""
    image_name: str = ""
    """Their names, with {id} for the picture's number and {id12} for twelve digits; COCO's and others' are known."""
    select: Literal["random", "rices"] = "random"
    """How demonstrations are chosen; rices wants an `encoder`."""


class Flamingo:
    """Few-shot question answering and captions."""

    settings = FlamingoSettings
    title = "Few-shot visual questions or captions"

    def root(self, path: Path, settings: FlamingoSettings) -> Path:
        """The folder; pictures lie below it."""
        if not path.is_dir():
            raise InputError(f"{path.name} is no folder; give the folder with the questions and annotations")
        return path

    def metric(self, settings: FlamingoSettings, items: list[Item]) -> Metric:
        """VQA accuracy for questions, CIDEr for captions."""
        return "caption" if all(item.episode.format == "caption" for item in items) else "vqa"

    def items(self, path: Path, settings: FlamingoSettings, desk: Desk) -> Iterator[Item]:
        """Every query at every number of shots."""
        asked, shown = _files(path, settings)
        queries = _Set(path, settings, desk, *asked)
        entries = desk.queries(list(queries.entries("query")))
        support = list(_Set(path, settings, desk, *shown).entries("support")) if shown else entries
        desk.encode([*entries, *support])
        for query in entries:
            with desk.record(f"demonstrations of {query.record}"):
                yield from _asked(query, support, settings, desk)


def _asked(query: Entry, support: list[Entry], settings: FlamingoSettings, desk: Desk) -> Iterator[Item]:
    refs, most = {image.ref for image in query.images}, max(settings.shots)
    others = [entry for entry in support if refs.isdisjoint(image.ref for image in entry.images)]
    if len(others) < most:
        raise Unusable("too_few_demonstrations", f"{len(others)} of {most}")
    if settings.select == "random":
        others = desk.drawn(others, "demonstrations", query.record)
    for shots in settings.shots:
        turns = others[:shots] if settings.select == "random" else desk.nearest_last(query, others, shots)
        yield desk.item(query, turns, shots, task="question" if query.question else "caption")


def _files(path: Path, settings: FlamingoSettings) -> tuple[tuple[str, str], tuple[str, str] | None]:
    """(questions or captions, annotations) of the queries, and of the demonstrations where they have files of their own."""
    if settings.questions:
        support = (settings.support_questions, settings.support_annotations) if settings.support_questions else None
        return (settings.questions, settings.annotations), support
    found = sorted(file.name for file in path.glob("*.json"))
    asked, told = ([name for name in found if word in name.lower()] for word in ("question", "annotation"))
    if not asked:
        asked, told = [name for name in found if "caption" in name.lower()], []
    of_train, others = ([name for name in asked if ("train" in name.lower()) == train] for train in (True, False))
    if len(of_train) > 1 or len(others) > 1 or not asked:
        raise InputError(f"{path.name} holds {len(asked)} files of questions or captions; name one with --set questions=FILE")
    pairs = [(name, _partner(name, told)) for name in (*others, *of_train)]
    return pairs[0], pairs[1] if len(pairs) > 1 else None


def _partner(questions: str, annotations: list[str]) -> str:
    """The annotations that go with a file of questions: of the same split; '' where there are none."""
    split = "train" in questions.lower()
    found = [name for name in annotations if ("train" in name.lower()) == split]
    if len(found) > 1 or (annotations and not found):
        raise InputError(f"{len(found)} files of annotations go with {questions}; name one with --set annotations=FILE")
    return found[0] if found else ""


class _Set:
    """One file of questions with its answers, or one of captions."""

    def __init__(self, path: Path, settings: FlamingoSettings, desk: Desk, questions: str, annotations: str) -> None:
        self.desk, self.settings = desk, settings
        self.asked = _table(read_json(path, questions, settings.max_table), questions)
        self.told = _table(read_json(path, annotations, settings.max_table), annotations) if annotations else {}
        self.names = {
            str(row["id"]): row["file_name"]
            for row in self.asked.get("images") or ()
            if isinstance(row, dict) and isinstance(row.get("id"), str | int) and isinstance(row.get("file_name"), str)
        }
        self.file = questions

    def entries(self, side: str) -> Iterator[Entry]:
        """Questions with all their answers, or pictures with all their captions. Bad ones go to the desk."""
        if "questions" in self.asked and not self.told:
            raise InputError(f"{self.file} holds questions without answers; name the annotations with --set annotations=FILE")
        yield from self._questions(side) if "questions" in self.asked else self._captions(side)

    def _questions(self, side: str) -> Iterator[Entry]:
        answers = {str(row.get("question_id")): row for row in _rows(self.told, "annotations") if isinstance(row, dict)}
        for name, row in named(_rows(self.asked, "questions"), "question_id"):
            with self.desk.record(f"{side} {name}"):
                known = answers.get(str(fields(row).get("question_id")))
                if known is None:
                    raise Unusable("no_answer", "no annotation has this question_id")
                yield self.desk.entry(f"{side}-{name}", [self._picture(row)], row.get("question") or "", _answers(known))

    def _captions(self, side: str) -> Iterator[Entry]:
        by_picture: dict[str, list[Any]] = {}
        for name, row in named(_rows(self.asked, "annotations"), "id"):
            with self.desk.record(f"{side} caption {name}"):
                by_picture.setdefault(text_of(fields(row).get("image_id"), "image_id"), []).append(row)
        for picture, rows in by_picture.items():
            with self.desk.record(f"{side} {picture}"):
                captions = [text_of(row.get("caption"), "caption") for row in rows]
                yield self.desk.entry(f"{side}-{picture}", [self._picture(rows[0])], "", captions)

    def _picture(self, row: dict[str, Any]) -> str:
        if isinstance(row.get("image"), str):  # TextVQA and others name the file
            return self._placed([row["image"]])
        known = text_of(row.get("image_id"), "image_id")
        if known in self.names:
            return self._placed([self.names[known]])
        patterns = (self.settings.image_name,) if self.settings.image_name else COCO
        return self._placed([one.replace("{id12}", known.zfill(12)).replace("{id}", known) for one in patterns])

    def _placed(self, names: list[str]) -> str:
        """The first of the names that is a file below `images`, else the first, whose reading tells what is wrong."""
        placed = [f"{self.settings.images}/{name}" if self.settings.images != "." else name for name in names]
        return next((name for name in placed if self.desk.has(name)), placed[0])


def _table(value: Any, name: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not ({"questions", "annotations"} & set(value)):
        raise InputError(f"{name} must hold an object with `questions` or `annotations`")
    return value


def _rows(table: dict[str, Any], key: str) -> list[Any]:
    return rows_of(table.get(key), key)


def _answers(row: dict[str, Any]) -> list[str]:
    """All annotators' answers, the commonest (or the one the file prefers) first; the others as often as they were given."""
    given = row.get("answers")
    if not isinstance(given, list):
        raise Unusable("wrong_type", "answers")
    said = [text_of(entry.get("answer") if isinstance(entry, dict) else entry, "answer") for entry in given]
    if not said:
        raise Unusable("no_answer")
    preferred = row.get("multiple_choice_answer")
    first = preferred if preferred in said else Counter(said).most_common(1)[0][0]
    said.remove(first)
    return [first, *said]


BENCH_IMPORTERS.register("flamingo")(Flamingo())
