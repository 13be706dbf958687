"""Ways to read lines with a model: by its class itself, or quicker with equal results.

plain   the class itself, one line (question and choice) at a time: right for whatever transformers holds
rows    pictures looked at once and remembered, lines of like length in a batch, scores only where they are wanted
trees   as rows, and what the choices of an ask share is computed once
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch.nn.functional import log_softmax

from train.data.records import BadSample
from train.evaluate.generation import written
from train.evaluate.language import Language, Row
from train.evaluate.lines import Line, Lines
from train.evaluate.prefixes import Prefix, Prefixes, key_of
from train.evaluate.sight import Seen, Sight, decoded
from train.evaluate.trees import Tree, tree_of

if TYPE_CHECKING:
    from transformers import PreTrainedModel, ProcessorMixin


@dataclass(frozen=True, eq=False)
class Unit:
    """Lines of one ask that are read together."""

    number: int  # the ask's
    choices: tuple[int, ...]  # which of its choices
    lines: tuple[Line, ...]
    tree: Tree

    def __len__(self) -> int:
        return len(self.tree)


class Way(Protocol):
    """A way to read."""

    def units(self, number: int, lines: Sequence[Line]) -> list[Unit]:
        """The lines of one ask as what is read together."""

    def read(self, units: Sequence[Unit]) -> "list[list[float] | BadSample]":
        """Of every unit, the log-probability of each line from its start on."""

    def write(self, prompts: Sequence[Line], most: int, ends: frozenset[int]) -> "list[list[int] | BadSample]":
        """Behind every prompt, at most so many tokens, greedily, up to one of `ends`."""


def unit_of(number: int, choices: Sequence[int], lines: Sequence[Line]) -> Unit:
    """A unit of some of an ask's lines."""
    tree = tree_of([line.ids for line in lines], [line.start for line in lines])
    return Unit(number, tuple(choices), tuple(lines), tree)


def one_by_one(number: int, lines: Sequence[Line]) -> list[Unit]:
    """A unit for each line."""
    return [unit_of(number, [choice], [line]) for choice, line in enumerate(lines)]


class Plain:
    """By the model's class itself. The measure of every quicker way, and what is left where those do not do."""

    def __init__(self, model: "PreTrainedModel", processor: "ProcessorMixin") -> None:
        self._model, self._processor = model, processor
        self._names = frozenset(processor.model_input_names)

    def units(self, number: int, lines: Sequence[Line]) -> list[Unit]:
        """See Way."""
        return one_by_one(number, lines)

    def read(self, units: Sequence[Unit]) -> "list[list[float] | BadSample]":
        """See Way."""
        return [self._scores(unit.lines) for unit in units]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def write(self, prompts: Sequence[Line], most: int, ends: frozenset[int]) -> "list[list[int] | BadSample]":
        """See Way."""
        return [self._written(prompt, most, ends) for prompt in prompts]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def _scores(self, lines: Sequence[Line]) -> "list[float] | BadSample":
        scores = []
        for line in lines:
            inputs = self._inputs(line)
            if isinstance(inputs, BadSample):
                return inputs
            logits = self._model(**inputs, use_cache=False).logits[0, line.start - 1 : -1].float()
            own = torch.from_numpy(line.ids[line.start :]).to(logits.device)
            scores.append(float(log_softmax(logits, -1).gather(1, own[:, None]).sum()))
        return scores

    def _written(self, prompt: Line, most: int, ends: frozenset[int]) -> "list[int] | BadSample":
        inputs = self._inputs(prompt)
        if isinstance(inputs, BadSample):
            return inputs
        stop = sorted(ends)
        made = self._model.generate(
            **inputs, max_new_tokens=most, do_sample=False, num_beams=1, eos_token_id=stop, pad_token_id=stop[0]
        )
        tokens: list[int] = made[0, len(prompt) :].tolist()
        return tokens[:-1] if tokens and tokens[-1] in ends else tokens

    def _inputs(self, line: Line) -> "dict[str, Any] | BadSample":
        """The class's arguments, or why a picture cannot be used."""
        ids = torch.from_numpy(line.ids)[None]
        inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
        if "mm_token_type_ids" in self._names:  # 0 text, 1 image: what the model tells its images apart by
            inputs["mm_token_type_ids"] = (ids == self._processor.image_token_id).long()
        try:
            inputs |= self._pixels(line)
        except BadSample as error:
            return error
        return {name: self._moved(tensor) for name, tensor in inputs.items()}

    def _pixels(self, line: Line) -> dict[str, Any]:
        images = [decoded(picture) for picture in line.pictures]
        if not images:
            return {}
        try:
            made = self._processor.image_processor(images=images, return_tensors="pt", input_data_format="channels_first")
        except Exception as error:  # it may raise anything on a picture that it dislikes
            raise BadSample("image_refused", f"{type(error).__name__} {' '.join(str(error).split())}"[:200]) from None
        return {name: tensor for name, tensor in made.items() if name in self._names}

    def _moved(self, tensor: torch.Tensor) -> torch.Tensor:
        there = tensor.to(self._model.device)
        return there.to(self._model.dtype) if there.is_floating_point() else there


class Quick:
    """Rows or trees."""

    def __init__(self, language: Language, sight: Sight, lines: Lines, shared: bool, prefixes: int = 0) -> None:
        """`shared`: trees. `prefixes`: how many lists of demonstrations are kept; a sliding window wants them anew."""
        self._language, self._sight, self._lines, self._shared = language, sight, lines, shared
        self.prefixes = Prefixes(language, 0 if language.window else prefixes)

    def units(self, number: int, lines: Sequence[Line]) -> list[Unit]:
        """See Way. A tree longer than a sliding window is none: its mask would switch the window off."""
        if not self._shared:
            return one_by_one(number, lines)
        whole, window = unit_of(number, range(len(lines)), lines), self._language.window
        fits = whole.tree.chain or window is None or len(whole) <= window
        return [whole] if fits else one_by_one(number, lines)

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def read(self, units: Sequence[Unit]) -> "list[list[float] | BadSample]":
        """See Way."""
        rows = self._rows([unit.lines for unit in units], [unit.tree for unit in units])
        usable = [(unit, row) for unit, row in zip(units, rows, strict=True) if isinstance(row, Row)]
        found: list[list[float]] = [[] for _ in usable]
        for prefix, numbers, tails in self._behind([(unit.lines[0], row) for unit, row in usable]):
            scores = self._scores([usable[number][0] for number in numbers], tails, prefix)
            for number, own in zip(numbers, scores, strict=True):
                found[number] = own
        each = iter(found)
        return [next(each) if isinstance(row, Row) else row for row in rows]

    @torch.no_grad()  # type: ignore[untyped-decorator]
    def write(self, prompts: Sequence[Line], most: int, ends: frozenset[int]) -> "list[list[int] | BadSample]":
        """See Way."""
        rows = self._rows([(prompt,) for prompt in prompts])
        usable = [(prompt, row) for prompt, row in zip(prompts, rows, strict=True) if isinstance(row, Row)]
        found: list[list[int]] = [[] for _ in usable]
        for prefix, numbers, tails in self._behind(usable):
            for number, own in zip(numbers, written(self._language, tails, most, ends, prefix), strict=True):
                found[number] = own
        each = iter(found)
        return [next(each) if isinstance(row, Row) else row for row in rows]

    def _behind(self, lines: Sequence[tuple[Line, Row]]) -> "Iterator[tuple[Prefix | None, list[int], list[Row]]]":
        """Rows by the demonstrations they begin with, where those are kept: the prefix, which rows, and their rest."""
        if not self.prefixes.most and lines:
            yield None, list(range(len(lines))), [row for _, row in lines]
            return
        groups: dict[Hashable, list[int]] = {}
        for number, (line, _) in enumerate(lines):
            groups.setdefault(key_of(line) if line.fixed else None, []).append(number)
        for key, numbers in groups.items():
            parts = [lines[number][1].split(lines[number][0].fixed) for number in numbers]
            prefix = None if key is None else self.prefixes.of(key, parts[0][0])
            yield prefix, numbers, [tail for _, tail in parts]

    def _scores(self, units: Sequence[Unit], rows: Sequence[Row], prefix: "Prefix | None") -> list[list[float]]:
        hidden = self._language.hidden(rows, prefix)
        trees, before = [unit.tree for unit in units], prefix.length if prefix else 0
        at = np.repeat(np.arange(len(trees)), [len(tree.node) for tree in trees])
        nodes, tokens = (torch.from_numpy(np.concatenate(each)) for each in
                         ([tree.node for tree in trees], [tree.token for tree in trees]))  # fmt: skip
        device = self._language.device
        wanted = hidden[torch.from_numpy(at).to(device), (nodes - before).to(device)]
        found = self._language.likelihoods(wanted, tokens.to(device)).double().cpu().numpy()
        edges = np.cumsum([len(tree.node) for tree in trees])[:-1]
        parts = zip(trees, units, np.split(found, edges), strict=True)
        return [np.bincount(tree.line, some, len(unit.lines)).tolist() for tree, unit, some in parts]

    def _rows(self, groups: Sequence[Sequence[Line]], trees: Sequence[Tree] | None = None) -> "list[Row | BadSample]":
        """A row of every group of lines that show the same pictures, or why it cannot be read."""
        seen = self._sight.of(picture for group in groups for picture in group[0].pictures)
        known: Sequence[Tree | None] = trees or [None] * len(groups)
        return [self._row(group, tree, seen) for group, tree in zip(groups, known, strict=True)]

    def _row(self, lines: Sequence[Line], tree: Tree | None, seen: "dict[str, Seen | BadSample]") -> "Row | BadSample":
        looked = [seen[picture.ref] for picture in lines[0].pictures]
        for one, slots in zip(looked, lines[0].slots, strict=True):
            if isinstance(one, BadSample):
                return one
            if len(one.features) != slots:
                return BadSample("wrong_shape", f"a picture was rendered as {slots} tokens and has {len(one.features)}")
        there = [one for one in looked if isinstance(one, Seen)]
        features = tuple(one.features for one in there)
        positions = [self._lines.positions(line, [one.grid for one in there]) for line in lines]
        slots_ = [self._lines.is_picture(line) for line in lines]
        if tree is None:
            return Row(lines[0].ids, positions[0], slots_[0], features)
        ids = tree.gathered([line.ids for line in lines])
        return Row(ids, tree.gathered(positions), tree.gathered(slots_), features, None if tree.chain else tree.seen)


def alike(lengths: Mapping[int, int], room: int) -> list[list[int]]:
    """Numbers of sequences of like length, the longest first, together at most `room` positions with their padding; one
    that is longer stands alone."""
    groups: list[list[int]] = []
    for number in sorted(lengths, key=lambda number: -lengths[number]):
        if groups and lengths[groups[-1][0]] * (len(groups[-1]) + 1) <= room:
            groups[-1].append(number)
        else:
            groups.append([number])
    return groups


def batches(units: Sequence[Unit], tokens: int) -> Iterator[list[Unit]]:
    """Units of like length, together at most so many positions with their padding; trees apart from plain rows, which
    need no mask. Long ones first, so that what does not fit into memory fails at once."""
    batch: list[Unit] = []
    for unit in sorted(units, key=lambda unit: (unit.tree.chain, -len(unit))):
        mixed = batch and unit.tree.chain != batch[0].tree.chain
        if mixed or (batch and len(batch[0]) * (len(batch) + 1) > tokens):
            yield batch
            batch = []
        batch.append(unit)
    if batch:
        yield batch
