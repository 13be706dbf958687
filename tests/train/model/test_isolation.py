"""Episodes that share a row: the model must compute for each what it computes for the episode alone.

Alone means: the class itself, with no mask, position or padding of ours. Packed means: Collate and isolating_mask.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

import train.model.segmented  # noqa: F401  makes the attention function known
from curate.errors import ConfigError
from curate.shards import Sample
from tests.train.plain_renderer import PlainRenderer
from tests.train.tiny_episodes import tiny_episode, tiny_picture, tiny_record
from tests.train.tiny_models import tiny_model
from train.data.collate import Collate, CollateSettings
from train.data.records import Batch, Loaded
from train.data.rendering import Renderer, RenderSettings
from train.data.rendering.settings import Mode
from train.model.isolation import attention_mask, implementation_of, isolating_mask

FAMILIES = ("vicuna", "qwen", "idefics")
KINDS = ("sdpa", "eager", "flex_attention", "segmented")
PAIRS = [(name, kind) for name in FAMILIES for kind in KINDS if (name, kind) != ("qwen", "flex_attention")]
"""transformers itself refuses flex_attention for Qwen2-VL."""
CLOSE = 1e-5
FAR = 1e-2


@pytest.fixture(autouse=True, scope="module")
def _one_thread_and_no_compiler() -> Iterator[None]:
    """flex_attention is compiled at its first use, half a minute on a CPU; its mask means the same without."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.compiler.set_stance("force_eager")
    yield
    torch.compiler.set_stance("default")
    torch.set_num_threads(threads)


def loaded(number: int, shots: int, images: int = 1, pictures: dict[int, bytes] | None = None) -> Loaded:
    """An episode; `pictures` replaces some by others of the same size."""
    episode, bytes_ = tiny_episode(number, shots, images)
    shown = tuple((pictures or {}).get(at, data) for at, data in enumerate(bytes_))
    return Loaded(number, Sample(f"{number:08d}", "part-00000.tar", json.dumps(tiny_record(episode)).encode(), shown, ()))


@dataclass
class Bench:
    """A model with its processor's collating."""

    model: Any
    collate: Collate

    def packed(self, rows: list[list[Loaded]], **given: Any) -> tuple[Batch, torch.Tensor]:
        """The batch and its logits [B, L, V]; `given` replaces or adds arguments of forward, None leaves one out."""
        batch = self.collate([tuple(row) for row in rows])
        asked = {**batch.inputs, "attention_mask": isolating_mask(self.model, batch.segments), **given}
        return batch, self.model(**{name: value for name, value in asked.items() if value is not None}).logits

    def alone(self, episode: Loaded) -> torch.Tensor:
        """[T, V] logits of an episode as the class computes them by itself."""
        batch = self.collate([(episode,)])
        sequences = {"input_ids", "mm_token_type_ids"} & set(batch.inputs)
        cut = {name: batch.inputs[name][:, : batch.contents[0].stop] for name in sequences}
        pixels = {name: batch.inputs[name] for name in set(batch.inputs) - sequences - {"position_ids"}}
        return self.model(**cut, **pixels).logits[0]

    def worst(self, rows: list[list[Loaded]], **given: Any) -> float:
        """The largest difference of any logit between packed and alone."""
        with torch.no_grad():
            batch, logits = self.packed(rows, **given)
            members = [episode for row in rows for episode in row]
            return max(
                float((logits[at.row, at.start : at.stop] - self.alone(episode)).abs().max())
                for at, episode in zip(batch.contents, members, strict=True)
            )


@pytest.fixture(scope="module")
def benches(processors: dict[str, Any]) -> dict[tuple[str, str], Bench]:
    return {
        (name, kind): Bench(tiny_model(name, processors[name], kind), Collate(PlainRenderer(processors[name])))
        for name, kind in PAIRS
    }


ROWS = [[loaded(1, 1), loaded(2, 0), loaded(3, 2)], [loaded(4, 0, images=2), loaded(5, 1, images=0), loaded(6, 1)]]
"""Several pictures, one or none a turn."""


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_an_episode_in_a_packed_row_has_the_logits_it_has_alone(benches: Any, name: str, kind: str) -> None:
    assert benches[name, kind].worst(ROWS) < CLOSE


@pytest.mark.parametrize("mode", ["turns", "single", "images_first"])
@pytest.mark.parametrize("name", ["vicuna", "chatml", "qwen", "idefics"])
def test_it_holds_for_what_the_renderer_makes(processors: dict[str, Any], name: str, mode: Mode) -> None:
    renderer = Renderer(processors[name], RenderSettings(mode=mode))
    bench = Bench(tiny_model(name, processors[name]), Collate(renderer))
    assert bench.collate([tuple(row) for row in ROWS]).faults == ()
    assert bench.worst(ROWS) < CLOSE


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] != "flex_attention"])
def test_gradients_of_the_summed_loss_are_those_of_the_episodes_alone(benches: Any, name: str, kind: str) -> None:
    bench = benches[name, kind]
    batch, logits = bench.packed(ROWS)
    summed = cross_entropy(logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), reduction="sum")
    packed = torch.autograd.grad(summed, list(bench.model.parameters()), allow_unused=True)
    total = torch.zeros(())
    for episode in (episode for row in ROWS for episode in row):
        single = bench.collate([(episode,)])
        labels = single.labels[0, : single.contents[0].stop]
        total = total + cross_entropy(bench.alone(episode)[:-1], labels[1:], reduction="sum")
    alone = torch.autograd.grad(total, list(bench.model.parameters()), allow_unused=True)
    for ours, theirs in zip(packed, alone, strict=True):
        assert (ours is None) == (theirs is None)
        if ours is not None:
            assert float((ours - theirs).abs().max()) < CLOSE * max(1.0, float(theirs.abs().max()))


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_another_episodes_picture_changes_nothing(benches: Any, name: str, kind: str) -> None:
    first, last = loaded(1, 1), loaded(2, 1)
    changed = loaded(1, 1, pictures={0: tiny_picture(77, size=(40, 40))})
    with torch.no_grad():
        batch, before = benches[name, kind].packed([[first, last]])
        _, after = benches[name, kind].packed([[changed, last]])
    own, other = batch.contents
    assert float((before - after)[0, own.start : own.stop].abs().max()) > FAR
    assert float((before - after)[0, other.start : other.stop].abs().max()) < 1e-6


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_padding_changes_nothing(benches: Any, processors: Any, name: str, kind: str) -> None:
    bench = benches[name, kind]
    longer = Bench(bench.model, Collate(PlainRenderer(processors[name]), CollateSettings(pad_to=512)))
    assert longer.worst([[loaded(1, 0), loaded(2, 0)], []]) < CLOSE


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_of_padding_alone_gives_numbers(benches: Any, kind: str) -> None:
    with torch.no_grad():
        _, logits = benches["vicuna", kind].packed([[], [loaded(1, 0)]])
    assert torch.isfinite(logits).all()


# The simpler ways, each shown to be wrong. Whoever wants to take the mask out has to make these tests fail first.


@pytest.mark.parametrize(("name", "kind"), PAIRS)
def test_positions_that_restart_do_not_isolate_by_themselves(benches: Any, name: str, kind: str) -> None:
    """transformers sees episodes in them only where no cache is made, and in Qwen2-VL's only with a fourth row."""
    assert benches[name, kind].worst(ROWS, attention_mask=None) > FAR


@pytest.mark.parametrize("name", FAMILIES)
def test_a_padding_mask_does_not_isolate(benches: Any, name: str) -> None:
    bench = benches[name, "sdpa"]
    segments = bench.collate([tuple(row) for row in ROWS]).segments
    assert bench.worst(ROWS, attention_mask=(segments > 0).long()) > FAR
    assert bench.worst(ROWS, attention_mask=segments.long()) > FAR  # numbered segments are read as a padding mask


@pytest.mark.parametrize(("name", "kind"), [pair for pair in PAIRS if pair[1] in ("eager", "flex_attention")])
def test_a_boolean_mask_is_silently_wrong_but_for_sdpa(benches: Any, name: str, kind: str) -> None:
    bench = benches[name, kind]
    segments = bench.collate([tuple(row) for row in ROWS]).segments
    mask = attention_mask(segments, "sdpa", torch.float32)
    assert bench.worst(ROWS, attention_mask=mask) > FAR


def test_positions_in_one_direction_are_wrong_for_qwen(benches: Any) -> None:
    bench = benches["qwen", "sdpa"]
    batch = bench.collate([tuple(row) for row in ROWS])
    flat = torch.arange(batch.labels.shape[1]).expand(3, *batch.labels.shape)
    assert bench.worst(ROWS, position_ids=flat) > FAR


# The masks themselves.

SEGMENTS = st.lists(st.integers(1, 6), max_size=5).flatmap(
    lambda sizes: st.integers(0, 4).map(
        lambda padding: [number for number, size in enumerate(sizes, 1) for _ in range(size)] + [0] * max(padding, not sizes)
    )
)


def seen(row: list[int]) -> np.ndarray:
    """[L, L] who sees whom, spelled out."""
    return np.array([[key <= query and row[key] == row[query] for key in range(len(row))] for query in range(len(row))])


@given(SEGMENTS)
def test_a_position_sees_those_of_its_episode_up_to_itself(row: list[int]) -> None:
    segments = torch.tensor([row, row[::-1]], dtype=torch.int32)
    boolean = attention_mask(segments, "sdpa", torch.float32)
    assert boolean.dtype == torch.bool
    assert boolean.shape == (2, 1, len(row), len(row))
    assert (boolean[0, 0].numpy() == seen(row)).all()
    assert (boolean[1, 0].numpy() == seen(row[::-1])).all()


@given(SEGMENTS, st.sampled_from([torch.float32, torch.bfloat16, torch.float16]))
def test_eager_adds_nothing_where_a_position_sees_and_the_least_number_elsewhere(row: list[int], dtype: torch.dtype) -> None:
    added = attention_mask(torch.tensor([row]), "eager", dtype)
    assert added.dtype == dtype
    assert ((added[0, 0] == 0).numpy() == seen(row)).all()
    assert set(added.unique().tolist()) <= {0.0, torch.finfo(dtype).min}


def test_the_block_mask_sees_what_the_boolean_one_sees() -> None:
    row = [1] * 5 + [2] * 140 + [3] * 100 + [0] * 20
    blocks = attention_mask(torch.tensor([row]), "flex_attention", torch.float32)
    places = torch.arange(len(row))
    looked = blocks.mask_mod(torch.tensor(0), torch.tensor(0), places[:, None], places[None, :])
    assert (looked.numpy() == seen(row)).all()
    assert blocks.shape == (1, 1, len(row), len(row))


# What cannot be isolated is refused.


def test_the_attention_of_the_language_part_counts(processors: Any) -> None:
    model = tiny_model("vicuna", processors["vicuna"], "eager")
    model.model.vision_tower.set_attn_implementation("sdpa")
    assert implementation_of(model) == "eager"


@pytest.mark.parametrize("kind", ["flash_attention_2", "paged|sdpa", "mine"])
def test_attention_without_a_mask_of_ours_is_refused(processors: Any, kind: str) -> None:
    model = tiny_model("vicuna", processors["vicuna"])
    model.config.text_config._attn_implementation_internal = kind
    with pytest.raises(ConfigError, match="use one of sdpa, eager, flex_attention"):
        implementation_of(model)
    with pytest.raises(ConfigError, match="keeps packed episodes apart"):
        attention_mask(torch.tensor([[1]]), kind, torch.float32)  # type: ignore[arg-type]


def test_eager_wants_a_dtype_that_can_be_added() -> None:
    with pytest.raises(ConfigError, match="floating-point"):
        attention_mask(torch.tensor([[1]]), "eager", torch.bool)


def test_a_sliding_window_shorter_than_the_row_is_refused(processors: Any) -> None:
    model = tiny_model("vicuna", processors["vicuna"])
    model.config.text_config.sliding_window = 8
    isolating_mask(model, torch.ones(1, 8, dtype=torch.int32))
    with pytest.raises(ConfigError, match="at most 8"):
        isolating_mask(model, torch.ones(1, 9, dtype=torch.int32))


def test_layers_that_carry_a_state_are_refused(processors: Any) -> None:
    model = tiny_model("qwen", processors["qwen"])
    model.config.text_config.layer_types = ["linear_attention", "full_attention"]
    with pytest.raises(ConfigError, match="linear_attention"):
        implementation_of(model)


def test_models_whose_images_see_ahead_are_refused() -> None:
    from transformers import Gemma3Config, Gemma3ForConditionalGeneration

    with torch.device("meta"):
        model = Gemma3ForConditionalGeneration(Gemma3Config())
    with pytest.raises(ConfigError, match="see those after them"):
        implementation_of(model)
