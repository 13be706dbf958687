"""What lmms-eval calls for a benchmark of Shotcraft. Exported as utils.py beside the task's YAML; it needs Pillow alone.

Chat models get the demonstrations as turns, each with its pictures: user, assistant, user, ... Models of lmms-eval's older,
simple kind get all pictures in order and one text with a mark where each belongs. Answers are scored as `curate evaluate`
scores them; `invariant` is the share of questions that are right in every arrangement of their demonstrations.
"""

import re
import string
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from PIL.Image import Image

IMAGES = Path(__file__).parent / "images"
MARK = "<image>"

Doc = dict[str, Any]
"""A line of items-K.jsonl: id, group, metric, turns [{images, question, answer}], choices, answers."""


def picture(ref: str) -> "Image":
    """A stored picture as a person sees it: upright, on white, RGB."""
    from PIL import Image, ImageOps

    with Image.open(IMAGES / ref) as stored:
        upright = ImageOps.exif_transpose(stored)
        if upright.has_transparency_data:
            over = upright.convert("RGBA")
            upright = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
        return upright.convert("RGB")


def doc_to_messages(doc: Doc, lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """A turn of the user and one of the assistant for each demonstration, then the query."""
    messages: list[dict[str, Any]] = []
    for turn in doc["turns"]:
        shown: list[dict[str, Any]] = [{"type": "image", "url": picture(ref)} for ref in turn["images"]]
        asked = [{"type": "text", "text": turn["question"]}] if turn["question"] or not shown else []
        messages.append({"role": "user", "content": shown + asked})
        messages.append({"role": "assistant", "content": [{"type": "text", "text": turn["answer"]}]})
    return messages[:-1]


def doc_to_visual(doc: Doc) -> "list[Image]":
    """All pictures, the demonstrations' first."""
    return [picture(ref) for turn in doc["turns"] for ref in turn["images"]]


def doc_to_text(doc: Doc, lmms_eval_specific_kwargs: dict[str, Any] | None = None) -> str:
    """Demonstrations and question as one text, a mark (`image_mark`) where each picture belongs."""
    mark = (lmms_eval_specific_kwargs or {}).get("image_mark", MARK)
    parts = ["\n".join([mark] * len(turn["images"]) + [turn["question"]] * bool(turn["question"])) for turn in doc["turns"]]
    told = [f"{part}\n{turn['answer']}\n\n" for part, turn in zip(parts, doc["turns"][:-1], strict=False)]
    return "".join(told) + parts[-1]


def doc_to_target(doc: Doc) -> str:
    """The answer."""
    return str(doc["answers"][0])


def process_results(doc: Doc, results: Sequence[str]) -> dict[str, Any]:
    """How right an answer is, and what groups of arrangements are made of."""
    said = results[0] if results else ""
    if doc["metric"] == "caption":
        return {"cider": {"group": doc["group"], "said": said, "answers": list(doc["answers"])}}
    score = right(doc["metric"], said, doc["choices"], doc["answers"])
    return {"score": score, "invariant": {"group": doc["group"], "score": score}}


def mean(scores: Sequence[float]) -> float:
    """Of all items."""
    return sum(scores) / max(1, len(scores))


def invariant(rows: Sequence[dict[str, Any]]) -> float:
    """Share of questions that are right in every arrangement."""
    worst: dict[str, float] = {}
    for row in rows:
        worst[row["group"]] = min(worst.get(row["group"], 1.0), row["score"])
    return sum(score == 1 for score in worst.values()) / max(1, len(worst))


def cider(rows: Sequence[dict[str, Any]]) -> float:
    """CIDEr-D by pycocoevalcap, 0 to 10; arrangements of a question are scored in turn."""
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    references = {row["group"]: [_words(answer) for answer in row["answers"]] for row in rows}
    turns: list[dict[str, str]] = []
    for row in rows:
        free = next((turn for turn in turns if row["group"] not in turn), None)
        if free is None:
            turns.append(free := {})
        free[row["group"]] = _words(row["said"])
    found: list[float] = []
    for turn in turns:
        scorer = CiderScorer()
        for group, known in references.items():
            scorer += (turn.get(group, ""), known)
        scores = scorer.compute_score()[1]
        found += [float(score) for group, score in zip(references, scores, strict=True) if group in turn]
    return mean(found)


def right(metric: str, said: str, choices: Sequence[str], answers: Sequence[str]) -> float:
    """0 to 1, as train.evaluate.metrics has it."""
    accepted = {normal(answer) for answer in answers}
    if metric == "choice":
        choice = named_choice(said, choices)
        return float(choice is not None and normal(choice) in accepted)
    if metric == "vqa":
        return _vqa(said, answers)
    if metric == "soft":
        return float(any(f" {answer} " in f" {normal(said)} " for answer in accepted if answer))
    return float(normal(said) in accepted)


def normal(text: str) -> str:
    """NFKC, case folded, no punctuation at the edges of words, no articles, single spaces."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    words = [word for word in (word.strip(_EDGES) for word in folded.split()) if word]
    return " ".join(word for word in words if word not in _ARTICLES) or " ".join(words) or folded.strip()


def named_choice(said: str, choices: Sequence[str]) -> str | None:
    """The one choice that a text begins with, as in "B) a cat"; the longest where several do, None where none does."""
    for fold in (str, str.casefold):
        text = _signs(fold(said))
        known = [(len(signs), choice) for choice in choices if (signs := _signs(fold(choice))) and signs == text[: len(signs)]]
        longest = [choice for length, choice in known if length == max(known)[0]]
        if len(longest) == 1:
            return longest[0]
    return None


def _vqa(said: str, answers: Sequence[str]) -> float:
    """VQA accuracy: for each annotator min(1, others who agree / 3), and the mean of that."""
    known, mine = [_plain(answer) for answer in answers], _plain(said)
    if len(known) < 2:
        return float(known == [mine])
    enough, agreeing = min(3, len(known) - 1), known.count(mine)
    return sum(min(1.0, (agreeing - (answer == mine)) / enough) for answer in known) / len(known)


def _plain(answer: str) -> str:
    text = re.sub(r"['’`]", "", answer.lower())
    text = re.sub(r"\.(?!\d)", " ", re.sub(r"(?<=\d),(?=\d{3})", "", text))
    words = re.sub(r"[^\w\s.$%:]", " ", text).replace("_", " ").split()
    return " ".join(_NUMBERS.get(word, word) for word in words if word not in _ARTICLES)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+(?:['’]\w+)?", text.lower()))


def _signs(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text.strip(" \t\r\n.,:;!?()[]\"'*"))


_EDGES = string.punctuation.replace("-", "").replace("+", "") + "“”‘’«»…¿¡。"
_ARTICLES = frozenset(("a", "an", "the"))
_TEN = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_NUMBERS = {"none": "0"} | {word: str(number) for number, word in enumerate(_TEN)}
