"""Questions as the tokens that training would have made of them, one line for each answer whose likelihood is wanted."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from train.data.positions import Ints, counting_of, mrope_positions, plain_positions
from train.data.records import BadSample
from train.data.rendering import Renderer
from train.data.rendering.neutral import control_tokens
from train.data.rendering.template import chat_template
from train.evaluate.records import Ask, Picture, Turn
from train.evaluate.trees import Bools, equal

PROBE = "A"
"""An answer that stands in where the model is to write its own."""


@dataclass(frozen=True, eq=False)
class Line:
    """A question with its demonstrations and an answer, without the end of the turn."""

    ids: Ints  # [T], pictures' tokens put in
    start: int  # where the answer begins
    pictures: tuple[Picture, ...]  # in the order of their tokens
    slots: tuple[int, ...]  # how many features each picture has in the line
    fixed: int = 0  # tokens of demonstrations, behind which other queries may stand
    shown: int = 0  # pictures among them
    fused: tuple[Turn, ...] = ()  # demonstrations that stand in the line as virtual tokens, see fused.py

    def __len__(self) -> int:
        return len(self.ids)


class Lines:
    """Renders asks as training renders episodes."""

    def __init__(self, renderer: Renderer) -> None:
        processor = renderer.processor
        told = renderer.settings.model_copy(update={"loss": "all"})  # equal tokens, and which of them are answers
        self._renderer, self._tokenizer = Renderer(processor, told), processor.tokenizer
        self._controls = frozenset(control_tokens(processor, chat_template(processor)).values())
        self._threefold = counting_of(processor) == "mrope"
        self._merge = int(getattr(processor.image_processor, "merge_size", 1))

    def of_choices(self, ask: Ask) -> list[Line]:
        """A line for every choice, all scored from the same token on. BadSample when the ask does not fit whole."""
        if not ask.choices:
            raise ValueError(f"{ask.id} has no choices whose likelihood could be told; let the model write")
        lines = [self.of(ask, choice) for choice in ask.choices]
        shared = min(equal(line.ids, lines[0].ids) for line in lines)
        start = min(shared, *(line.start for line in lines), *(len(line) - 1 for line in lines))
        return [replace(line, start=start) for line in lines]

    def prompt(self, ask: Ask) -> Line:
        """What stands before the answer, `start` being its length. BadSample when the ask does not fit whole."""
        line = self.of(ask, PROBE)
        return replace(line, ids=line.ids[: line.start])

    def of(self, ask: Ask, answer: str) -> Line:
        """The line with one answer to the query. BadSample when a demonstration would have to go."""
        rendered = self._renderer.render(_record(ask, answer))
        if len(rendered.kept) < len(ask.demonstrations):
            raise BadSample("too_long", f"{len(ask.demonstrations) - len(rendered.kept)} demonstrations do not fit")
        own = np.flatnonzero(rendered.answers == len(rendered.kept))
        start, stop = int(own[0]), self._without_end(rendered.input_ids, int(own[0]), int(own[-1]) + 1)
        pictures = tuple(picture for turn in (*ask.demonstrations, ask.query) for picture in turn.pictures)
        slots = tuple(self.slots(picture.width, picture.height) for picture in pictures)
        before = np.flatnonzero((rendered.answers >= 0) & (rendered.answers < len(rendered.kept)))
        fixed = int(before[-1]) + 1 if len(before) else 0
        return Line(rendered.input_ids[:stop], start, pictures, slots, fixed, len(pictures) - len(ask.query.pictures))

    def ends(self) -> frozenset[int]:
        """Tokens that end an answer: what the template writes behind one, and the tokenizer's end of text."""
        rendered = self._renderer.render(_record(Ask("", (), Turn((), "What?")), PROBE))
        last = int(rendered.input_ids[np.flatnonzero(rendered.answers == len(rendered.kept))[-1]])
        return frozenset({last, self._tokenizer.eos_token_id} & self._controls)

    def text(self, ids: Sequence[int]) -> str:
        """What tokens say, without blanks around it."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=True)).strip()

    def is_picture(self, line: Line) -> Bools:
        """[T] where features go."""
        found: Bools = line.ids == self._renderer.placeholder
        return found

    def positions(self, line: Line, grids: Sequence[Ints]) -> Ints:
        """[1, T] or [3, T] as the model counts them; `grids` [3] of each picture where pictures come as grids."""
        return self.counted(self.is_picture(line), grids)

    def counted(self, slots: Bools, grids: Sequence[Ints]) -> Ints:
        """[1, T] or [3, T] positions of a sequence with features at `slots` [T]."""
        if not self._threefold:
            return plain_positions(len(slots))[None]
        return mrope_positions(slots, np.array(grids, np.int64).reshape(-1, 3), self._merge)

    @property
    def placeholder(self) -> int:
        """The token in whose place features go."""
        return self._renderer.placeholder

    def slots(self, width: int, height: int) -> int:
        """How many features a picture has in a line. BadSample when the processor refuses its size."""
        tokens = self._renderer.picture((width, height))
        return int(np.count_nonzero(tokens == self._renderer.placeholder))

    def _without_end(self, ids: Ints, start: int, stop: int) -> int:
        """Where the answer's own tokens stop: before the control token that ends the turn and blanks in front of it."""
        end = stop
        while end > start + 1 and int(ids[end - 1]) in self._controls:
            end -= 1
        while start + 1 < end < stop and not self._tokenizer.decode([int(ids[end - 1])]).strip():
            end -= 1
        return end


def _record(ask: Ask, answer: str) -> dict[str, Any]:
    """The ask as an episode's record; its query is answered."""
    turns = [*ask.demonstrations, Turn(ask.query.pictures, ask.query.question, answer)]
    shots = [shot_of(turn) for turn in turns]
    edges = np.cumsum([0, *(len(turn.pictures) for turn in turns)]).tolist()
    places = [list(range(first, last)) for first, last in pairwise(edges)]
    return {"id": ask.id, "demonstrations": shots[:-1], "query": shots[-1], "turns": places, "images": edges[-1]}


def shot_of(turn: Turn) -> dict[str, Any]:
    """A turn as a record has it."""
    sizes = [{"width": picture.width, "height": picture.height} for picture in turn.pictures]
    return {"question": turn.question, "answer": turn.answer, "images": sizes}
