"""A plan over samples that another plan was measured with has its lengths without measuring."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from curate.shards.plans import Plan, write_plan
from curate.storage import Folder
from tests.train.tiny_episodes import mixed_plan
from tests.train.tiny_processors import tiny_processor
from train.data import lengths
from train.data.borrowing import borrow
from train.data.lengths import Lengths, measure
from train.data.rendering import Renderer, RenderSettings


@pytest.fixture
def renderer() -> Renderer:
    return Renderer(tiny_processor("qwen"), RenderSettings(max_tokens=60))  # too few for some samples


@pytest.fixture
def pool(tmp_path: Path) -> Plan:
    return mixed_plan(Folder.of(tmp_path / "pool"))


def part_of(pool: Plan, at: Path, numbers: list[int]) -> Plan:
    """A plan over some samples, in another order and twice."""
    samples = pool.samples.take(numbers)
    order = np.array([*range(len(numbers)), *reversed(range(len(numbers)))])
    source = replace(pool.manifest.sources[0], name="other", place=str(pool.shards[0][0].local()))
    manifest = replace(pool.manifest, sources=(source,), blocks=(len(order),), files={})
    return write_plan(Folder.of(at), manifest, order, samples, pool.members)


@pytest.mark.parametrize("numbers", [[17, 3, 4, 9, 20], list(range(24))])
def test_what_is_borrowed_is_what_would_have_been_measured(
    tmp_path: Path, pool: Plan, renderer: Renderer, numbers: list[int]
) -> None:
    assert measure(pool, renderer).unusable
    borrowed, plain = part_of(pool, tmp_path / "a", numbers), part_of(pool, tmp_path / "b", numbers)
    assert borrow(borrowed, pool, renderer) is not None
    measure(plain, renderer)
    for name in (f"{lengths.stem(renderer)}.arrow", f"{lengths.stem(renderer)}.unusable.jsonl"):
        assert borrowed.folder.read(name) == plain.folder.read(name)


def test_training_finds_it_and_measures_nothing(
    tmp_path: Path, pool: Plan, renderer: Renderer, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(pool, renderer)
    plan = part_of(pool, tmp_path / "a", [5, 6])
    borrow(plan, pool, renderer)
    monkeypatch.setattr(lengths, "_measure_parts", None)  # calling it would fail
    assert measure(plan, renderer).digest


def test_nothing_is_borrowed_from_a_pool_that_lacks_a_sample_or_was_not_measured(
    tmp_path: Path, pool: Plan, renderer: Renderer
) -> None:
    plan, less = part_of(pool, tmp_path / "a", [5, 6]), part_of(pool, tmp_path / "b", [6, 7])
    assert borrow(plan, pool, renderer) is None
    measure(less, renderer)
    assert borrow(plan, less, renderer) is None
    assert Lengths.find(plan, renderer) is None
