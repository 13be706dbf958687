"""A reader of fused demonstrations: the numbers of training, whatever is asked beside them, and banks that spare the model."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from curate.shards import Sample
from tests.train.evaluate.reader_asks import NAMES, ask, asks, shot
from tests.train.tiny_models import tiny_model
from tests.train.tiny_processors import tiny_processor
from train.bank import Banked
from train.data.aiming import AimCollate
from train.data.records import Loaded
from train.data.rendering import Renderer, RenderSettings
from train.evaluate.aggregating import ModelAggregator
from train.evaluate.fused import FusedQuick
from train.evaluate.lines import _record
from train.evaluate.reader import ReaderSettings, VlmReader
from train.evaluate.records import Ask
from train.evaluate.ways import Quick
from train.loss import Targets, token_losses
from train.model.aim import AimSettings
from train.model.aim.loading import attach

FAMILIES = ("vicuna", "qwen", "idefics")
SETTINGS = AimSettings(layers=(1,), span="text", pool=2, init="random")
LAST = RenderSettings(loss="last")


def reader(name: str, aim: AimSettings = SETTINGS, **settings: Any) -> VlmReader:
    processor = tiny_processor(name)
    model = tiny_model(name, processor)
    attach(model, aim)
    return VlmReader(model, Renderer(processor, LAST), ReaderSettings(**settings))


@pytest.mark.parametrize("name", FAMILIES)
def test_likelihoods_are_the_losses_that_training_would_see(name: str) -> None:
    one, question = reader(name), ask(2, 2, NAMES)
    pictures = tuple(picture.data for turn in (*question.demonstrations, question.query) for picture in turn.pictures)
    samples = [Sample("x", "s", json.dumps(_record(question, choice)).encode(), pictures, ()) for choice in NAMES]
    batch = AimCollate(Renderer(tiny_processor(name), LAST), SETTINGS)(
        [(Loaded(at, sample),) for at, sample in enumerate(samples)]
    )
    targets = Targets.of(batch)
    with torch.no_grad():
        losses = token_losses(one._model, batch, targets)
    own = [len(line) - line.start for line in one._lines.of_choices(question)]
    seen = [-float(losses[targets.rows == row][:count].sum()) for row, count in enumerate(own)]
    assert one.way == "fused"
    assert one.likelihoods([question]) == [pytest.approx(seen, abs=1e-4)]


@pytest.mark.parametrize("name", FAMILIES)
def test_without_demonstrations_it_is_the_plain_reader(name: str) -> None:
    processor = tiny_processor(name)
    plain = VlmReader(tiny_model(name, processor), Renderer(processor, LAST))
    question = ask(3, 0, NAMES)
    assert reader(name).likelihoods([question])[0] == pytest.approx(plain.likelihoods([question])[0], abs=1e-5)
    assert reader(name).generate([question], 4) == plain.generate([question], 4)


@pytest.mark.parametrize("name", FAMILIES)
def test_answers_do_not_depend_on_the_batch(name: str) -> None:
    one = reader(name)
    alone = [one.likelihoods([question])[0] for question in asks()]
    for found, expected in zip(one.likelihoods(asks()), alone, strict=True):
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", FAMILIES)
def test_a_cache_writes_what_every_token_anew_would(name: str) -> None:
    """Greedy text with keys and values kept is that of whole forward passes."""
    one, question = reader(name), ask(4, 2)
    way = one._way
    assert isinstance(way, FusedQuick)
    (row,) = way._rows([(one._lines.prompt(question),)])
    said = way.write([one._lines.prompt(question)], 5, frozenset())[0]
    assert said == by_whole_passes(way, row, 5)


def by_whole_passes(way: FusedQuick, row: Any, count: int) -> list[int]:
    embeds = way._language.embedded([row], len(row))
    positions, said = torch.from_numpy(row.positions), list[int]()
    for _ in range(count):
        there = positions[0][None] if len(positions) == 1 else positions[:, None]
        with torch.no_grad():
            hidden = way._language._decoder(inputs_embeds=embeds, position_ids=there, use_cache=False).last_hidden_state
            said.append(int(way._language.words(hidden[:, -1])[0]))
            embeds = torch.cat([embeds, way._language.table(torch.tensor([said[-1:]]))], 1)
        positions = torch.cat([positions, positions.max() + torch.ones(len(positions), 1, dtype=torch.int64)], 1)
    return said


def test_a_warm_bank_runs_no_picture_and_no_demonstration_through_the_model(tmp_path: Path) -> None:
    question = ask(5, 2, NAMES)
    cold = reader("vicuna", bank=str(tmp_path / "bank"))
    first = cold.likelihoods([question])
    assert isinstance(cold.aggregator, Banked)
    assert cold.aggregator.misses == 2
    warm = reader("vicuna", bank=str(tmp_path / "bank"))
    assert warm.likelihoods([question]) == first
    assert isinstance(warm.aggregator, Banked)
    assert (warm.aggregator.hits, warm.aggregator.misses) == (2, 0)
    assert isinstance(warm.aggregator._inner, ModelAggregator)
    assert warm.aggregator._inner.computed == 0
    way = warm._way
    assert isinstance(way, FusedQuick)
    assert way._sight.computed == 1  # the query's own


@pytest.mark.parametrize("fused", [True, False])
@pytest.mark.parametrize("name", FAMILIES)
def test_kept_keys_and_values_of_demonstrations_change_no_answer(name: str, fused: bool) -> None:
    """Also beside asks with other demonstrations or none, and with pictures in three directions."""
    first, other = ask(2, 3, NAMES), ask(7, 1, NAMES)
    shared = [replace(one, demonstrations=first.demonstrations) for one in (ask(4, 1, NAMES), ask(5, 2, NAMES))]
    asked = [first, other, *shared, ask(6, 0, NAMES)]
    anew, kept = (made(name, fused, prefixes=some) for some in (0, 2))
    for found, expected in zip(kept.likelihoods(asked), anew.likelihoods(asked), strict=True):
        assert found == pytest.approx(expected, abs=1e-5)
    way = kept._way
    assert isinstance(way, Quick)
    assert way.prefixes.computed == 2
    assert kept.generate(asked, 5) == anew.generate(asked, 5)
    assert way.prefixes.computed == 2


def made(name: str, fused: bool, **settings: Any) -> VlmReader:
    if fused:
        return reader(name, **settings)
    processor = tiny_processor(name)
    return VlmReader(tiny_model(name, processor), Renderer(processor, LAST), ReaderSettings(**settings))


def test_of_many_lists_of_demonstrations_the_last_are_kept() -> None:
    one = made("vicuna", False, prefixes=2)
    lists = [replace(ask(4, 1, NAMES), demonstrations=ask(seed, 2).demonstrations) for seed in (1, 2, 3, 3, 2, 1)]
    way = one._way
    assert isinstance(way, Quick)
    counts = [(one.likelihoods([asked]), way.prefixes.computed)[1] for asked in lists]
    assert counts == [1, 2, 3, 3, 3, 4]


def test_another_layer_or_model_has_other_facts_and_another_projection_the_same() -> None:
    one = reader("vicuna").aggregator
    assert one is not None
    other = reader("vicuna", SETTINGS.model_copy(update={"layers": (0,)})).aggregator
    assert other is not None
    assert one.facts() != other.facts()
    retrained = reader("vicuna")
    with torch.no_grad():
        retrained._model.aim.linear.weight.add_(1)
    made = VlmReader(retrained._model, Renderer(tiny_processor("vicuna"), LAST))
    assert made.aggregator is not None
    assert made.aggregator.facts() == one.facts()
    assert made.facts()["weights"] != reader("vicuna").facts()["weights"]


def test_swapped_pictures_change_the_answer() -> None:
    question = ask(6, 1, NAMES)
    other = shot(99)
    (shown,) = question.demonstrations
    swapped = Ask("swapped", (type(shown)(other.pictures, shown.question, shown.answer),), question.query, question.choices)
    one = reader("vicuna")
    assert one.likelihoods([question])[0] != pytest.approx(one.likelihoods([swapped])[0], abs=1e-4)
