"""The model's chat template, run once for each shape of conversation instead of once for each episode.

Templates are programs, and slow ones. What they write around the texts depends on the conversation's shape
only: how many turns, and which have pictures and a question. So a shape is rendered once with private
characters for texts, cut at them, and the pieces are kept; an episode's texts go in between. A template for
which this would be wrong is found out by further renderings of the shape and is an error.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

from curate.errors import ConfigError
from train.data.rendering.conversation import Words, conversation
from train.data.rendering.settings import Mode

if TYPE_CHECKING:
    from transformers import ProcessorMixin

MARKS = 0xF1000
"""First of the private characters that stand for texts while a template is cut."""

PADDING = ("\n ", " \n")
DATE = "26 Jul 2024"
"""For templates that write today's date: equal episodes must give equal tokens on every day."""

Shape = tuple[tuple[int, bool], ...]
"""For every turn, the number of its pictures and whether it has a question."""


Cut = tuple[list[str], list[tuple[int, bool]]]
"""Literals, and (turn, is answer) of the slots between them."""


class Slot(NamedTuple):
    """Where a turn's text goes, and on which sides the template strips it."""

    turn: int
    answer: bool
    left: bool
    right: bool


class Span(NamedTuple):
    """Characters that are an answer, the end-of-turn token behind it included."""

    turn: int
    start: int
    stop: int


@dataclass(frozen=True)
class Skeleton:
    """A shape's rendering with its texts cut out: literals[0], slot 0, literals[1], slot 1, ..."""

    literals: tuple[str, ...]
    slots: tuple[Slot, ...]
    ends: tuple[int, ...]  # characters of the end-of-turn token behind each slot; 0 for questions

    def fill(self, turns: Sequence[Words]) -> tuple[str, list[Span]]:
        """The text of a conversation of this shape, and where its answers lie."""
        parts, spans, at = [self.literals[0]], [], len(self.literals[0])
        for slot, end, literal in zip(self.slots, self.ends, self.literals[1:], strict=True):
            text = turns[slot.turn].answer if slot.answer else turns[slot.turn].question
            text = text.lstrip() if slot.left else text
            text = text.rstrip() if slot.right else text
            parts += (text, literal)
            if slot.answer:
                spans.append(Span(slot.turn, at, at + len(text) + end))
            at += len(text) + len(literal)
        return "".join(parts), spans


def shape_of(turns: Sequence[Words]) -> Shape:
    """The shape of a conversation."""
    return tuple((turn.images, bool(turn.question)) for turn in turns)


class Template:
    """A processor's chat template in one mode, by shapes."""

    def __init__(self, processor: "ProcessorMixin", mode: Mode, controls: Mapping[str, int]) -> None:
        self.source = chat_template(processor)
        self._processor, self._mode = processor, mode
        self._more = {"date_string": DATE} if "date_string" in self.source else {}
        ends = sorted(controls, key=len, reverse=True)
        self._end = re.compile(rf"\s*({'|'.join(map(re.escape, ends))})" if ends else r"(?!)")

    def render(self, turns: Sequence[Words]) -> str:
        """A conversation by the template itself; ConfigError where it cannot."""
        messages = conversation(self._mode, turns)
        try:
            return str(self._processor.apply_chat_template(messages, tokenize=False, **self._more))
        except Exception as error:  # a template may raise anything
            detail = " ".join(str(error).split())[:300]
            raise ConfigError(f"the chat template cannot render an episode in mode {self._mode}: {detail}") from None

    def skeleton(self, shape: Shape, neutral: Callable[[str], str] = str) -> Skeleton:
        """The skeleton of a shape; ConfigError when texts change what the template writes around them."""
        plain, padded = (self._cut(shape, pad) for pad in (("", ""), PADDING))
        skeleton = self._joined(plain, padded)
        probe = [Words(images, neutral(_QUESTION) if asked else "", neutral(_ANSWER)) for images, asked in shape]
        if self.render(probe) != skeleton.fill(probe)[0]:
            raise ConfigError("the chat template writes texts in a way that depends on what they say; it cannot be used")
        images = sum(images for images, _ in shape)
        if skeleton.fill(probe)[0].count(str(self._processor.image_token)) != images:
            raise ConfigError(f"the chat template does not write {self._processor.image_token} for each picture")
        return skeleton

    def _cut(self, shape: Shape, pad: tuple[str, str]) -> Cut:
        """Literals, and the (turn, is answer) of the slots between them, texts being padded marks."""
        marked = [_marked(turn, images, asked, pad) for turn, (images, asked) in enumerate(shape)]
        pieces = re.split(f"([{chr(MARKS)}-{chr(MARKS + 2 * len(shape) - 1)}])", self.render(marked))
        slots = [divmod(ord(mark) - MARKS, 2) for mark in pieces[1::2]]
        expected = 2 * len(shape) - sum(not asked for _, asked in shape)
        if len(slots) != expected or len(set(slots)) != expected:
            raise ConfigError("the chat template does not write every question and answer once; it cannot be used")
        return pieces[::2], [(turn, bool(answer)) for turn, answer in slots]

    def _joined(self, plain: Cut, padded: Cut) -> Skeleton:
        """A skeleton of plain literals, and what the padded ones tell about stripping."""
        (literals, places), (others, other_places) = plain, padded
        kept = [_kept(*pair) for pair in zip(literals, others, strict=False)]
        if places != other_places or None in kept:
            raise ConfigError("the chat template changes the blanks around texts in a way of its own; it cannot be used")
        sides = [side for side in kept if side is not None]
        slots = tuple(Slot(*place, not sides[at][1], not sides[at + 1][0]) for at, place in enumerate(places))
        return Skeleton(tuple(literals), slots, self._ends(slots, literals))

    def _ends(self, slots: Sequence[Slot], literals: Sequence[str]) -> tuple[int, ...]:
        """Characters of the end-of-turn token behind every slot. It is the control token that follows the
        conversation's last answer; what follows a demonstration may as well be the start of the next turn."""
        last = self._end.match(literals[-1])
        found = [self._end.match(literal) if last and slot.answer else None
                 for slot, literal in zip(slots, literals[1:], strict=True)]  # fmt: skip
        return tuple(end.end() if end and last and end[1] == last[1] else 0 for end in found)


_QUESTION = "Is {{ 5 }} < 6?\n\n“<b>Yes</b>” or\tno % \\n </think> 图"
_ANSWER = "{% No %}.\n<think>It's 7 > 6</think> [INST] naïve 🙂"
"""Texts with what a template might stumble over."""


def _marked(turn: int, images: int, asked: bool, pad: tuple[str, str]) -> Words:
    question, answer = (f"{pad[0]}{chr(MARKS + 2 * turn + which)}{pad[1]}" for which in (0, 1))
    return Words(images, question if asked else "", answer)


def _kept(literal: str, padded: str) -> tuple[bool, bool] | None:
    """Whether blanks behind the text before a literal, and before the text behind it, come through; None when
    something else happens to them."""
    for behind, before in product((True, False), repeat=2):
        if (PADDING[1] if behind else "") + literal + (PADDING[0] if before else "") == padded:
            return behind, before
    return None


def chat_template(processor: "ProcessorMixin") -> str:
    """The processor's chat template, or its tokenizer's; ConfigError when there is none."""
    for holder in (processor, getattr(processor, "tokenizer", None)):
        found = getattr(holder, "chat_template", None)
        found = found.get("default") if isinstance(found, dict) else found
        if isinstance(found, str) and found:
            return found
    raise ConfigError("the model's processor has no chat template; put a chat_template.jinja into its folder")
