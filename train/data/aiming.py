"""Samples for AIM: every demonstration a sequence of its own, and the query behind slots for what they become.

A conversation of a demonstration d and a query q is [prefix][turn of d][turn of q]: `Pieces` finds the prefix (a system's
words, a first token) by comparing two renderings, so that it holds for any template that writes turns one behind another.

    demonstration   [prefix][turn of d]            states are kept on the words of d
    prompt          [prefix][slot ... slot][turn of q]

A word of d is the template's, of the question (with what stands beside the pictures) or of the answer.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from curate.errors import ConfigError, IntegrityError
from curate.images import BadImage
from train.data.collate import Collate, CollateSettings, Ready, Renders, fault_of, padding_token, picture_of, sizes_of
from train.data.records import BadSample, Batch, Fault, Loaded, Rendered, Row, Segment
from train.data.rendering import Renderer
from train.model.aim.projection import groups_of
from train.model.aim.settings import ANSWER, QUESTION, TEMPLATE

if TYPE_CHECKING:
    import torch

    from train.model.aim.settings import AimSettings

Bools = npt.NDArray[np.bool_]
Kinds = npt.NDArray[np.int8]

PROBE = {"question": "Which of them", "answer": "zq7", "images": []}
OTHER = {"question": "zq7 is", "answer": "Which", "images": []}
"""Turns whose words no template has, and that share none in one place."""


class Pieces:
    """Renders demonstrations and queries apart. ConfigError for a template that does not write turns one behind another."""

    def __init__(self, renderer: Renderer, settings: "AimSettings") -> None:
        if renderer.settings.mode != "turns":
            raise ConfigError("AIM reads each demonstration as a turn of its own: set data.render.mode to turns")
        self.settings, self.renderer = settings, renderer
        self._all = Renderer(renderer.processor, renderer.settings.model_copy(update={"loss": "all"}))
        self._padding = padding_token(renderer.processor.tokenizer, int(renderer.processor.image_token_id))

    @cached_property
    def _alone(self) -> npt.NDArray[np.int64]:
        return self._all.render(_record([], PROBE, [[]])).input_ids

    @cached_property
    def _frame(self) -> tuple[int, int]:
        """Words of the template in front of a question and between it and the answer."""
        one, other = (self._all.render(_record([], probe, [[]])) for probe in (PROBE, OTHER))
        heads = [some.input_ids[self.prefix : int(np.argmax(some.answers >= 0))] for some in (one, other)]
        return _common(*heads), _common(heads[0][::-1], heads[1][::-1])

    @cached_property
    def prefix(self) -> int:
        """Tokens in front of the first turn."""
        alone, shown = self._alone, self._all.render(_record([PROBE], PROBE, [[], []])).input_ids
        shared = _common(alone[::-1], shown[::-1])
        front = len(alone) - shared
        if not np.array_equal(alone[:front], shown[:front]) or len(shown) <= len(alone):
            raise ConfigError("the chat template does not write turns one behind another; AIM cannot take them apart")
        return front

    def demonstration(self, shot: Mapping[str, Any], places: Sequence[int], images: int) -> tuple[Rendered, Kinds]:
        """[T] the prefix and the demonstration's turn, and the kinds of kept words. BadSample when it does not fit."""
        record = _record([shot], PROBE, [list(places), []], images)
        rendered = self._all.render(record)
        if not rendered.kept:
            raise BadSample("too_long", "a demonstration does not fit")
        stop = len(rendered.input_ids) - (len(self._alone) - self.prefix)
        ids, answers = rendered.input_ids[:stop], rendered.answers[:stop] == 0
        blank = np.zeros(stop, np.float32)
        bare = replace(rendered, input_ids=ids, weights=blank, answers=np.full(stop, -1, np.int16), kept=())
        return bare, self._kinds(ids, answers)

    def _kinds(self, ids: npt.NDArray[np.int64], answers: Bools) -> Kinds:
        front, between = self._frame
        begin = int(np.argmax(answers)) if answers.any() else len(ids)
        kinds = np.full(len(ids), TEMPLATE, np.int8)
        kinds[self.prefix + front : begin - between] = QUESTION
        kinds[answers] = ANSWER
        whole = self.settings.span == "text"
        left_out = {QUESTION: not whole, TEMPLATE: not (whole or self.settings.words)}
        kinds[np.isin(kinds, [kind for kind, out in left_out.items() if out]) | (ids == self.renderer.placeholder)] = 0
        kinds[: self.prefix] = 0
        return kinds

    def query(self, shot: Mapping[str, Any], places: Sequence[int], images: int, slots: int) -> tuple[Rendered, Bools]:
        """[T] the query behind so many slots, and which positions those are."""
        rendered = self.renderer.render(_record([], shot, [list(places)], images))
        ids = self.with_slots(rendered.input_ids, slots, self._padding)
        weights = self.with_slots(rendered.weights, slots, 0)
        answers = self.with_slots(rendered.answers, slots, -1)
        there = np.zeros(len(ids), np.bool_)
        there[self.prefix : self.prefix + slots] = True
        return replace(rendered, input_ids=ids, weights=weights, answers=answers), there

    def with_slots(self, array: npt.NDArray[Any], slots: int, value: float) -> npt.NDArray[Any]:
        """An array [T] over a query's tokens with `value` at so many slots."""
        return np.insert(array, self.prefix, np.full(slots, value, array.dtype))


def _record(demonstrations: list[Any], query: Any, turns: list[list[int]], images: int = 0) -> dict[str, Any]:
    return {"id": "", "demonstrations": demonstrations, "query": query, "turns": turns, "images": images}


def _common(one: npt.NDArray[np.int64], other: npt.NDArray[np.int64]) -> int:
    """How many first elements are equal."""
    length = min(len(one), len(other))
    differ = one[:length] != other[:length]
    return int(np.argmax(differ)) if differ.any() else length


@dataclass(frozen=True, slots=True, eq=False)
class Aimed:
    """A sample taken apart. Equal to nothing but itself."""

    query: Ready
    slots: Bools  # [T] of the query
    demonstrations: tuple[tuple[Ready, Kinds], ...]  # with the kinds of words that are kept


class AimCollate(Collate):
    """Makes a Batch of queries behind slots; under `aim.` its inputs hold their demonstrations.

    aim.input_ids, aim.position_ids, aim.segments, aim.kinds [R, M] and the pictures' tensors of the demonstrations, in the
    order of the slots; aim.slots [B, L]; aim.groups [n] which slot the state on each kept word goes into. With aim.distill,
    aim.teacher.* are the inputs, segments and labels [R, T] of the conversations as they are.
    """

    def __init__(self, renderer: Renders, aim: "AimSettings", settings: CollateSettings | None = None) -> None:
        super().__init__(renderer, settings)
        assert isinstance(renderer, Renderer), "AIM renders the parts of a sample by itself"
        self._aim, self._pieces = aim, Pieces(renderer, aim)
        last = Renderer(renderer.processor, renderer.settings.model_copy(update={"loss": "last"}))
        self._teacher = Collate(last) if aim.distill else None

    def __call__(self, rows: Sequence[Row]) -> Batch:
        """See Collate."""
        made = [[self._apart(episode) for episode in row if isinstance(episode, Loaded)] for row in rows]
        usable, faults, pixels, shown = self._seen(made)
        queries = self._batch(
            len(rows), list(self._laid([[one.query for one in row] for row in usable], pixels)), pixels, faults
        )
        inputs = queries.inputs | {f"aim.{name}": tensor for name, tensor in self._others(usable, queries, shown).items()}
        return replace(queries, inputs=inputs | self._whole(usable))

    def _groups(self, kinds: Sequence[Kinds]) -> list[int]:
        return groups_of([some[some > 0].tolist() for some in kinds], self._aim.pool, self._aim.words)

    def _whole(self, usable: Sequence[Sequence[Aimed]]) -> "dict[str, torch.Tensor]":
        """The conversations as they are, for a teacher; nothing where one of them cannot be had."""
        if self._teacher is None:
            return {}
        batch = self._teacher([tuple(one.query.loaded for one in row) for row in usable])
        if not batch.contents or len(batch.contents) < sum(map(len, usable)):
            return {}
        whole = {**batch.inputs, "segments": batch.segments, "labels": batch.labels}
        return {f"aim.teacher.{name}": tensor for name, tensor in whole.items()}

    def _apart(self, loaded: Loaded) -> Aimed | Fault:
        record = loaded.sample.record
        try:
            self._renderer.render(record)  # what is no record, or too long as a whole, is told as elsewhere
            sizes = sizes_of(record)
            shots, turns, images = record["demonstrations"], record["turns"], int(record["images"])
            shown = []
            for shot, places in zip(shots, turns, strict=False):
                rendered, kinds = self._pieces.demonstration(shot, places, images)
                shown.append((_ready(loaded, rendered, sizes), kinds))
            count = len(set(self._groups([kinds for _, kinds in shown])))
            rendered, slots = self._pieces.query(record["query"], turns[-1], images, count)
            rendered = replace(rendered, answers=_behind(rendered.answers, len(shots)))
            return Aimed(_ready(loaded, rendered, sizes), slots, tuple(shown))
        except (BadSample, BadImage) as error:
            return fault_of(loaded, error.reason, error.detail)
        except IntegrityError as error:
            return fault_of(loaded, "wrong_shape", str(error))

    def _seen(
        self, made: Sequence[Sequence[Aimed | Fault]]
    ) -> "tuple[list[list[Aimed]], tuple[Fault, ...], dict[str, torch.Tensor], dict[str, torch.Tensor]]":
        """Samples all of whose pictures the processor takes, what is wrong with the others, and the pictures."""
        aimed = [one for row in made for one in row if isinstance(one, Aimed)]
        pixels, refused = self._pixels([one.query for one in aimed])
        shown, too = self._pixels([ready for one in aimed for ready, _ in one.demonstrations])
        why = {one: fault for one in aimed for ready in _readies(one) if (fault := (refused | too).get(ready))}
        faults = [one if isinstance(one, Fault) else why.get(one) for row in made for one in row]
        usable = [[one for one in row if isinstance(one, Aimed) and one not in why] for row in made]
        if why:
            left = [one for row in usable for one in row]
            pixels, _ = self._pixels([one.query for one in left])
            shown, _ = self._pixels([ready for one in left for ready, _ in one.demonstrations])
        return usable, tuple(fault for fault in faults if fault), pixels, shown

    def _others(
        self, usable: Sequence[Sequence[Aimed]], queries: Batch, pixels: "Mapping[str, torch.Tensor]"
    ) -> "dict[str, torch.Tensor]":
        import torch

        rows = [[pair for one in row for pair in one.demonstrations] for row in usable]
        if not any(rows):
            return {}
        readies = [[ready for ready, _ in row] for row in rows]
        laid = self._batch(len(rows), list(self._laid(readies, pixels)), pixels, ())
        kinds = [some for row in rows for _, some in row]
        groups = self._groups(kinds)
        slots = _planes(queries.segments.shape, queries.contents, [one.slots for row in usable for one in row])
        own = {
            "segments": laid.segments, "kinds": _planes(laid.segments.shape, laid.contents, kinds), "slots": slots,
            "groups": torch.tensor(groups),
        }  # fmt: skip
        return laid.inputs | own


def _behind(answers: npt.NDArray[np.int16], shots: int) -> npt.NDArray[np.int16]:
    """Answers of a query rendered alone, counted on behind its demonstrations'."""
    return np.where(answers >= 0, answers + np.int16(shots), answers)


def _ready(loaded: Loaded, rendered: Rendered, sizes: Mapping[int, tuple[int, int]]) -> Ready:
    return Ready(loaded, rendered, tuple(picture_of(loaded.sample, place, sizes) for place in rendered.images))


def _readies(one: Aimed) -> Iterator[Ready]:
    yield one.query
    yield from (ready for ready, _ in one.demonstrations)


def _planes(shape: Sequence[int], contents: Sequence[Segment], parts: Sequence[Bools] | Sequence[Kinds]) -> "torch.Tensor":
    """[R, M] of what stands over segments; 0 elsewhere."""
    import torch

    plane = np.zeros(tuple(shape), parts[0].dtype)
    for segment, part in zip(contents, parts, strict=True):
        plane[segment.row, segment.start : segment.stop] = part
    return torch.from_numpy(plane)
