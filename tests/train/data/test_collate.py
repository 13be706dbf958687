"""Rows into batches: what stands where, what a bad sample leaves behind, and that it works in a worker process."""

import json
import pickle
from dataclasses import replace
from multiprocessing import get_context
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curate.errors import ConfigError
from curate.shards import Sample
from curate.shards.plans import Plan
from tests.train.plain_renderer import PlainRenderer
from tests.train.tiny_episodes import tiny_episode, tiny_picture, tiny_record
from train.data.collate import IGNORED, Collate, CollateSettings
from train.data.lengths import Lengths
from train.data.loader import Loader, LoaderSettings
from train.data.positions import counting_of, mrope_positions, plain_positions
from train.data.reading import SampleReader
from train.data.records import Batch, Fault, Loaded, Rendered, Row


def loaded(number: int, shots: int = 1, images: int = 1, **more: Any) -> Loaded:
    episode, pictures = tiny_episode(number, shots, images, **more)
    data = json.dumps(tiny_record(episode)).encode()
    return Loaded(number, Sample(f"{number:08d}", "part-00000.tar", data, tuple(pictures), ()))


def with_picture(episode: Loaded, place: int, data: bytes) -> Loaded:
    pictures = [data if at == place else old for at, old in enumerate(episode.sample.images)]
    return replace(episode, sample=replace(episode.sample, images=tuple(pictures)))


def rendered(collate: Collate, episode: Loaded) -> Rendered:
    return collate._renderer.render(episode.sample.record)


@pytest.fixture(scope="module", params=["vicuna", "chatml", "qwen", "idefics"])
def collate(request: Any, processors: dict[str, Any]) -> Collate:
    return Collate(PlainRenderer(processors[request.param]))


@pytest.fixture(scope="module")
def llava(processors: dict[str, Any]) -> Collate:
    return Collate(PlainRenderer(processors["vicuna"]))


ROWS: list[Row] = [(loaded(1), loaded(2, 0)), (loaded(3, 2),)]


def test_episodes_lie_side_by_side_as_they_were_rendered(collate: Collate) -> None:
    batch = collate(ROWS)
    assert [(at.row, at.sample) for at in batch.contents] == [(0, 1), (0, 2), (1, 3)]
    assert batch.contents[0].stop == batch.contents[1].start
    for at, episode in zip(batch.contents, [one for row in ROWS for one in row], strict=True):
        own, there = rendered(collate, episode), (at.row, slice(at.start, at.stop))  # type: ignore[arg-type]
        assert (batch.inputs["input_ids"][there].numpy() == own.input_ids).all()
        assert (batch.weights[there].numpy() == own.weights).all()
        assert (batch.answers[there].numpy() == own.answers).all()
        assert (batch.labels[there].numpy() == np.where(own.weights > 0, own.input_ids, IGNORED)).all()


def test_segments_number_the_episodes_of_a_row_and_padding_is_nothing(collate: Collate) -> None:
    batch = collate(ROWS)
    for row, members in enumerate((2, 1)):
        ends = [at.stop for at in batch.contents if at.row == row]
        expected = np.repeat([*range(1, members + 1), 0], np.diff([0, *ends, batch.labels.shape[1]]))
        assert (batch.segments[row].numpy() == expected).all()
    padding = batch.segments == 0
    assert (batch.labels[padding] == IGNORED).all()
    assert (batch.weights[padding] == 0).all()
    assert (batch.answers[padding] == -1).all()
    assert (batch.inputs["input_ids"][padding] == collate._padding).all()


def test_tensors_have_the_types_that_records_state(collate: Collate) -> None:
    batch = collate(ROWS)
    kinds = {name: getattr(batch, name).dtype for name in ("labels", "weights", "answers", "segments")}
    assert kinds == {"labels": torch.int64, "weights": torch.float32, "answers": torch.int16, "segments": torch.int32}
    assert "attention_mask" not in batch.inputs
    assert all(isinstance(tensor, torch.Tensor) for tensor in batch.inputs.values())


def test_rows_are_padded_to_a_multiple_of_the_longest_or_to_what_is_asked_for(processors: dict[str, Any]) -> None:
    renderer = PlainRenderer(processors["vicuna"])
    longest = max(at.stop for at in Collate(renderer)(ROWS).contents)
    assert Collate(renderer, CollateSettings(multiple=1))(ROWS).labels.shape == (2, longest)
    assert Collate(renderer, CollateSettings(multiple=50))(ROWS).labels.shape == (2, -(-longest // 50) * 50)
    assert Collate(renderer, CollateSettings(pad_to=500))(ROWS).labels.shape == (2, 500)
    with pytest.raises(ValueError, match="does not fit into pad_to"):
        Collate(renderer, CollateSettings(pad_to=longest - 1))(ROWS)


def test_the_first_token_of_an_episode_is_never_a_label(processors: dict[str, Any]) -> None:
    """The position before it belongs to another episode, which would be trained to predict it."""

    class Everything(PlainRenderer):
        def render(self, record: Any) -> Rendered:
            made = super().render(record)
            return replace(made, weights=np.ones_like(made.weights))

    batch = Collate(Everything(processors["vicuna"]))(ROWS)
    for at in batch.contents:
        assert batch.labels[at.row, at.start] == IGNORED
        assert batch.weights[at.row, at.start] == 0
        assert batch.answers[at.row, at.start] == -1
        assert (batch.labels[at.row, at.start + 1 : at.stop] >= 0).all()


# Pictures


def test_the_image_processor_runs_once_and_sees_pictures_in_the_order_of_their_tokens(processors: dict[str, Any]) -> None:
    renderer = PlainRenderer(processors["qwen"])
    batch = Collate(renderer)(ROWS)
    alone = [Collate(renderer)([(episode,)]) for row in ROWS for episode in row]
    for name in ("pixel_values", "image_grid_thw"):
        assert torch.equal(batch.inputs[name], torch.cat([one.inputs[name] for one in alone]))


def test_only_pictures_of_what_remains_are_decoded(processors: dict[str, Any]) -> None:
    class Query(PlainRenderer):
        def render(self, record: Any) -> Rendered:
            return replace(super().render(record | {"demonstrations": []}), images=(2,))

    episode = loaded(1, 2)
    damaged = with_picture(episode, 0, b"not a picture")
    batch = Collate(Query(processors["vicuna"]))([(damaged,)])
    whole = Collate(PlainRenderer(processors["vicuna"]))([(episode,)])
    assert batch.faults == ()
    assert torch.equal(batch.inputs["pixel_values"][0], whole.inputs["pixel_values"][2])


def test_a_batch_without_pictures_has_no_pixel_tensors(collate: Collate) -> None:
    batch = collate([(loaded(1, images=0),), (loaded(2, images=0),)])
    assert set(batch.inputs) <= {"input_ids", "position_ids", "mm_token_type_ids"}
    assert len(batch.contents) == 2


def test_only_models_that_tell_images_by_type_get_the_types(processors: dict[str, Any]) -> None:
    batch = Collate(PlainRenderer(processors["qwen"]))(ROWS)
    types, ids = batch.inputs["mm_token_type_ids"], batch.inputs["input_ids"]
    assert torch.equal(types == 1, ids == processors["qwen"].image_token_id)
    assert "mm_token_type_ids" not in Collate(PlainRenderer(processors["vicuna"]))(ROWS).inputs


# Positions


def test_positions_begin_anew_with_every_episode(llava: Collate) -> None:
    batch = llava(ROWS)
    for at in batch.contents:
        assert batch.inputs["position_ids"][at.row, at.start : at.stop].tolist() == list(range(at.stop - at.start))


def test_positions_of_images_are_those_of_the_models_own_function(processors: dict[str, Any]) -> None:
    batch = Collate(PlainRenderer(processors["qwen"]))(ROWS)
    own = [Collate(PlainRenderer(processors["qwen"]))([(episode,)]) for row in ROWS for episode in row]
    model = _config_only("Qwen2VL")
    for at, one in zip(batch.contents, own, strict=True):
        length = at.stop - at.start
        cut = {name: one.inputs[name][:, :length] for name in ("input_ids", "mm_token_type_ids")}
        expected, _ = model.get_rope_index(**cut, image_grid_thw=one.inputs["image_grid_thw"])
        assert torch.equal(batch.inputs["position_ids"][:, at.row, at.start : at.stop], expected[:, 0])


def _config_only(family: str) -> Any:
    import transformers

    with torch.device("meta"):
        return getattr(transformers, f"{family}Model")(getattr(transformers, f"{family}Config")())


@pytest.fixture(scope="module", params=["Qwen2VL", "Qwen2_5_VL", "Qwen3VL"])
def model(request: Any) -> Any:
    return _config_only(request.param)


SIDES = st.integers(1, 4)


@given(st.lists(st.tuples(st.integers(1, 3), SIDES, SIDES), max_size=4), st.integers(0, 3))
def test_three_directions_are_counted_as_each_family_counts_them(
    model: Any, images: list[tuple[int, int, int]], behind: int
) -> None:
    parts = [part for text, height, width in images for part in ([0] * text, [1] * (height * width))] + [[0] * behind]
    types = torch.tensor([[kind for part in parts for kind in part]], dtype=torch.int64)
    grids = np.array([(1, 2 * height, 2 * width) for _, height, width in images], np.int64).reshape(-1, 3)
    ours = mrope_positions(types[0].numpy() == 1, grids, merge=2)
    if types.numel():
        theirs, _ = model.get_rope_index(types, mm_token_type_ids=types.int(), image_grid_thw=torch.from_numpy(grids))
        assert (ours == theirs[:, 0].numpy()).all()


@pytest.mark.parametrize("tokens", [[0, 1, 1, 1], [0, 1, 1, 0, 1, 1], [0, 1, 1, 1, 1, 0, 1], [0, 0]])
def test_image_tokens_that_are_not_the_images_are_refused(tokens: list[int]) -> None:
    with pytest.raises(ValueError, match="rendered"):
        mrope_positions(np.array(tokens) == 1, np.array([[1, 4, 4]]), merge=2)


def test_an_unknown_model_that_cuts_images_into_grids_is_asked_about(processors: dict[str, Any]) -> None:
    class Unheard:
        model_input_names = ("input_ids", "image_grid_thw")

    with pytest.raises(ConfigError, match="set positions to mrope"):
        counting_of(Unheard())
    assert [counting_of(processors[name]) for name in ("vicuna", "qwen", "idefics")] == ["plain", "mrope", "plain"]
    told = Collate(PlainRenderer(processors["qwen"]), CollateSettings(positions="plain"))([(loaded(1),)])
    length = told.contents[0].stop
    assert (told.inputs["position_ids"][0, :length].numpy() == plain_positions(length)).all()


# What cannot be used


NINE = loaded(9)
BROKEN = {
    "no picture": (with_picture(NINE, 1, b"not a picture"), "unknown_format"),
    "half a picture": (with_picture(NINE, 0, NINE.sample.images[0][:90]), "truncated"),
    "another size": (with_picture(NINE, 0, tiny_picture(5, size=(41, 40))), "other_size"),
    "a picture too few": (replace(NINE, sample=replace(NINE.sample, images=NINE.sample.images[:1])), "missing_image"),
    "refused by the renderer": (loaded(9, format="refused"), "too_long"),
    "no JSON": (replace(NINE, sample=replace(NINE.sample, json=b"[")), "wrong_shape"),
}  # fmt: skip


@pytest.mark.parametrize("what", BROKEN)
def test_a_bad_sample_is_a_fault_and_moves_nothing_else(llava: Collate, what: str) -> None:
    bad, reason = BROKEN[what]
    batch = llava([(loaded(1), bad, loaded(2)), (loaded(3),)])
    clean = llava([(loaded(1), loaded(2)), (loaded(3),)])
    (fault,) = batch.faults
    assert (fault.sample, fault.key, fault.shard, fault.reason) == (9, "00000009", "part-00000.tar", reason)
    assert batch.contents == clean.contents
    assert all(torch.equal(batch.inputs[name], clean.inputs[name]) for name in clean.inputs)


def test_faults_of_reading_are_not_told_twice(llava: Collate) -> None:
    known = Fault(7, "00000007", "part-00000.tar", "corrupt", "")
    batch = llava([(known, loaded(1))])
    assert batch.faults == ()
    assert [at.sample for at in batch.contents] == [1]


def test_a_row_of_faults_or_of_nothing_is_a_row_of_padding(llava: Collate) -> None:
    batch = llava([(), (BROKEN["no JSON"][0],), (loaded(1),)])
    assert batch.segments[:2].abs().sum() == 0
    assert batch.labels.shape[0] == 3
    empty = llava([(), ()])
    assert empty.labels.shape == (2, 64)
    assert "pixel_values" not in empty.inputs


def test_a_picture_that_the_processor_refuses_takes_its_episode_only(processors: dict[str, Any]) -> None:
    """Qwen2-VL's processor raises on pictures of more than 200 : 1."""
    thin = loaded(9, 0)
    image = tiny_picture(1, size=(300, 1))
    record = thin.sample.record
    record["query"]["images"][0] |= {"width": 300, "height": 1}
    thin = Loaded(9, replace(thin.sample, json=json.dumps(record).encode(), images=(image,)))

    class Blind(PlainRenderer):
        def _image(self, height: int, width: int) -> str:
            return str(self.processor.image_token) * 2 if width == 300 else super()._image(height, width)

    collate = Collate(Blind(processors["qwen"]))
    batch, clean = collate([(loaded(1), thin)]), collate([(loaded(1),)])
    assert [(fault.sample, fault.reason) for fault in batch.faults] == [(9, "image_refused")]
    assert torch.equal(batch.inputs["pixel_values"], clean.inputs["pixel_values"])
    assert torch.equal(batch.inputs["input_ids"], clean.inputs["input_ids"])


# In another process


def _equal(one: Batch, other: Batch) -> bool:
    same = all(torch.equal(one.inputs[name], other.inputs[name]) for name in {*one.inputs, *other.inputs})
    return same and torch.equal(one.labels, other.labels) and one.contents == other.contents


def test_it_pickles_and_gives_the_same_after_the_trip(collate: Collate) -> None:
    assert _equal(pickle.loads(pickle.dumps(collate))(ROWS), collate(ROWS))


def _shapes(collate: Collate, rows: list[Row]) -> dict[str, tuple[int, ...]]:
    torch.set_num_threads(1)
    return {name: tuple(tensor.shape) for name, tensor in collate(rows).inputs.items()}


def test_a_worker_process_can_run_it(llava: Collate) -> None:
    with get_context("fork").Pool(1) as pool:
        made = pool.apply(_shapes, (llava, ROWS))
    assert made == _shapes(llava, ROWS)


@pytest.mark.parametrize("workers", [0, 2])
def test_the_loader_yields_batches_of_packed_rows(
    episodes_plan: Plan, processors: dict[str, Any], workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKENIZERS_PARALLELISM", "false")
    collate = Collate(PlainRenderer(processors["qwen"]), CollateSettings(pad_to=512))
    samples = SampleReader(episodes_plan).read(range(len(episodes_plan)))
    made = [rendered(collate, sample) for sample in samples if isinstance(sample, Loaded)]
    lengths = Lengths.of({"tokens": [len(one.input_ids) for one in made], "images": [len(one.images) for one in made]})
    settings = LoaderSettings(batch=4, micro_batch=2, max_tokens=512, max_images=16, workers=workers)
    with Loader(episodes_plan, collate, settings, lengths=lengths) as loader:
        batches: list[Batch] = [batch for step in loader for batch in step]
    assert sorted(at.sample for batch in batches for at in batch.contents) == list(range(len(episodes_plan)))
    assert all(batch.labels.shape[1] == 512 for batch in batches)
    assert max(int(batch.segments.max()) for batch in batches) > 1


def test_equal_rows_give_equal_batches(collate: Collate) -> None:
    assert _equal(collate(ROWS), collate(ROWS))
