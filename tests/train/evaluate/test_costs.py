"""Costs are those of the prompts that are read: counted exactly, nothing kept when cold, nothing read again when warm."""

from pathlib import Path
from typing import Any

import pytest

from curate.benches import Bench
from curate.evaluations import Cost
from tests.train.evaluate.test_fused import reader as fused_reader
from tests.train.evaluate.tiny_benches import letter_items, tiny_bench
from tests.train.tiny_models import tiny_model
from tests.train.tiny_processors import tiny_processor
from train.bank import Banked
from train.data.rendering import Renderer, RenderSettings
from train.evaluate.aggregating import ModelAggregator
from train.evaluate.asking import Asking
from train.evaluate.cells import EvaluateSettings
from train.evaluate.costs import costs, first_token
from train.evaluate.reader import ReaderSettings, VlmReader
from train.evaluate.records import Ask

ASKED = EvaluateSettings(shots=(0, 1, 3))


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return tiny_bench(tmp_path, letter_items(6, (0, 1, 3)))


def whole(settings: ReaderSettings) -> VlmReader:
    processor = tiny_processor("vicuna")
    return VlmReader(tiny_model("vicuna", processor), Renderer(processor, RenderSettings(loss="last")), settings)


def fused(settings: ReaderSettings) -> VlmReader:
    return fused_reader("vicuna", **settings.model_dump())


def asks_of(bench: Bench, shots: int) -> list[Ask]:
    asking = Asking(bench)
    return [asking.ask(item, "full", False) for item in bench.items if item.shots == shots]


def by_line(found: list[Cost]) -> dict[tuple[int, str], Cost]:
    return {(cost.shots, cost.state): cost for cost in found}


@pytest.mark.parametrize("load", [whole, fused])
def test_prompts_are_counted_as_they_are_read(bench: Bench, load: Any) -> None:
    found = by_line(costs(load, [bench], ReaderSettings(), ASKED, 4))
    one = load(ReaderSettings())
    for (shots, _), cost in found.items():
        lengths = one.prompt_tokens(asks_of(bench, shots))
        assert cost.questions == 4
        assert min(lengths) <= cost.prompt_tokens <= max(lengths)
    assert {state for _, state in found} == {"cold", "warm"}
    assert all(cost.first_token > 0 and cost.per_second > 0 for cost in found.values())


def test_fused_demonstrations_make_shorter_prompts(bench: Bench) -> None:
    long, short = (by_line(costs(load, [bench], ReaderSettings(), ASKED, 2)) for load in (whole, fused))
    assert long[0, "cold"].prompt_tokens == short[0, "cold"].prompt_tokens
    assert short[3, "cold"].prompt_tokens < long[3, "cold"].prompt_tokens


def test_cold_reads_every_demonstration_and_warm_none_again(bench: Bench) -> None:
    readers: list[VlmReader] = []

    def load(settings: ReaderSettings) -> VlmReader:
        readers.append(fused(settings))
        return readers[-1]

    costs(load, [bench], ReaderSettings(), EvaluateSettings(shots=(3,)), 4)
    cold, warm = (one.aggregator for one in readers)
    assert isinstance(cold, ModelAggregator)
    assert isinstance(warm, Banked)
    assert cold.computed >= 2 * warm.misses  # alone, and together
    assert warm.hits >= 2 * warm.misses > 0
    assert readers[0].settings.cache_mb == 0


def test_questions_that_do_not_fit_are_left_out(bench: Bench) -> None:
    def load(settings: ReaderSettings) -> VlmReader:
        processor = tiny_processor("vicuna")
        most = max(whole(settings).prompt_tokens(asks_of(bench, 1)))
        rendering = RenderSettings(loss="last", max_tokens=most)
        return VlmReader(tiny_model("vicuna", processor), Renderer(processor, rendering), settings)

    assert {cost.shots for cost in costs(load, [bench], ReaderSettings(), ASKED, 2)} == {0, 1}


def test_memory_is_told_or_none(bench: Bench) -> None:
    seconds, mib = first_token(whole(ReaderSettings()), asks_of(bench, 1)[0])
    assert seconds > 0
    assert mib is None or mib >= 0
