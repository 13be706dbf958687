"""Demonstrations go, whole, until an episode fits; its query never does. Records may be anything."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.tiny_episodes import tiny_episode, tiny_record
from tests.train.tiny_processors import tiny_processor
from train.data.records import BadSample
from train.data.rendering import Renderer, RenderSettings
from train.data.rendering.budget import dropping_order, fitted
from train.data.rendering.settings import Drop
from train.data.rendering.turns import Turn

QWEN = tiny_processor("qwen")
SIMILAR = [0.5, 0.1, None, 0.9]


def four_shots(similarities: list[float | None] = SIMILAR) -> dict[str, Any]:
    record = tiny_record(tiny_episode(7, len(similarities))[0])
    for shot, similarity in zip(record["demonstrations"], similarities, strict=True):
        shot["similarity"] = similarity
    return record


@pytest.mark.parametrize(("drop", "kept"), [("farthest", (0, 3)), ("nearest", (1, 2)), ("first", (2, 3)), ("last", (0, 1))])
def test_what_goes_first_is_as_set(drop: Drop, kept: tuple[int, ...]) -> None:
    rendered = Renderer(QWEN, RenderSettings(drop=drop, max_images=3)).render(four_shots())
    assert rendered.kept == kept
    assert rendered.images == (*kept, 4)
    assert sorted({int(n) for n in rendered.answers if n >= 0}) == [0, 1, 2]


def test_random_dropping_depends_on_seed_and_episode_alone() -> None:
    def kept(seed: int, episode: str) -> tuple[int, ...]:
        record = four_shots() | {"id": episode}
        return Renderer(QWEN, RenderSettings(drop="random", seed=seed, max_images=3)).render(record).kept

    assert kept(0, "a") == kept(0, "a")
    assert len({kept(seed, name) for seed in range(4) for name in "abcd"}) > 3


@given(
    seed=st.integers(0, 50),
    shots=st.integers(0, 8),
    room=st.integers(1, 500),
    mode=st.sampled_from(["turns", "single", "images_first"]),
)
@settings(max_examples=150, deadline=None)
def test_the_most_demonstrations_that_fit_stay(seed: int, shots: int, room: int, mode: Any) -> None:
    record = tiny_record(tiny_episode(seed, shots)[0])
    whole = Renderer(QWEN, RenderSettings(mode=mode))
    limited = Renderer(QWEN, RenderSettings(mode=mode, max_tokens=room))
    order = sorted(range(shots), key=lambda at: (record["demonstrations"][at]["similarity"], at))
    sizes = [len(whole.render(without(record, order[:dropped])).input_ids) for dropped in range(shots + 1)]
    expected = next((dropped for dropped, size in enumerate(sizes) if size <= room), None)
    if expected is None:
        with pytest.raises(BadSample, match="too_long"):
            limited.render(record)
        return
    rendered = limited.render(record)
    assert rendered.kept == tuple(sorted(order[expected:]))
    assert len(rendered.input_ids) == sizes[expected] <= room
    assert rendered.input_ids.tolist() == whole.render(without(record, order[:expected])).input_ids.tolist()
    assert rendered.image_tokens == int((rendered.input_ids == QWEN.image_token_id).sum())


def without(record: dict[str, Any], dropped: list[int]) -> dict[str, Any]:
    keep = [at for at in range(len(record["demonstrations"])) if at not in dropped]
    turns = [record["turns"][at] for at in (*keep, len(record["demonstrations"]))]
    return record | {"demonstrations": [record["demonstrations"][at] for at in keep], "turns": turns}


def test_a_query_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadSample, match="too_long"):
        Renderer(QWEN, RenderSettings(max_tokens=10)).render(four_shots())
    record = tiny_record(tiny_episode(7, 2, images=3)[0])
    with pytest.raises(BadSample, match="too_many_images"):
        Renderer(QWEN, RenderSettings(max_images=2)).render(record)


def test_a_text_of_megabytes_is_refused_without_tokenising_it() -> None:
    record = four_shots()
    record["query"]["question"] = "word " * 2_000_000
    with pytest.raises(BadSample, match="too_long"):
        Renderer(QWEN, RenderSettings()).render(record)


@given(st.lists(st.sampled_from([-1.0, 0.0, 0.5, float("-inf")]), max_size=6), st.integers(0, 6))
def test_few_attempts_find_what_trying_all_finds(similarities: list[float], room: int) -> None:
    turns = [Turn("", "a", (), (), similarity) for similarity in similarities]
    order = dropping_order(turns, RenderSettings(), "e")
    found = fitted(order, lambda kept: kept if len(kept) <= room else None)
    assert found == tuple(sorted(order[max(0, len(order) - room) :]))


BAD: dict[str, tuple[Any, ...]] = {
    "demonstrations": (None, "x", {}, [None], [[]], [{}]),
    "query": (None, [], "q", {}, {"images": [], "question": "q", "answer": "a"}),
    "turns": (None, [[0]], [0, 1, 2, 3, 4], [[0, 1], [], [2], [3], [4]],
              *([[0], [1], [2], [3], [bad]] for bad in (99, -1, True))),
    "images": (None, -1, "5", 1e9, True),
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in BAD.items() for value in values])
def test_a_record_of_another_shape_is_refused(key: str, value: Any) -> None:
    renderer = Renderer(QWEN)
    for record in (four_shots() | {key: value}, {k: v for k, v in four_shots().items() if k != key}):
        with pytest.raises(BadSample, match="bad_record"):
            renderer.render(record)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("answer", None, "bad_record"), ("answer", " \n", "empty_answer"), ("answer", "\ud800", "bad_record"),
        ("question", 5, "bad_record"), ("images", "abc", "bad_record"), ("images", [None], "bad_size"),
        ("images", [{"width": 3}], "bad_size"), ("images", [{"width": -3, "height": 4}], "bad_size"),
        ("images", [{"width": 10**9, "height": 10**9}], "bad_size"), ("images", [{"width": 2.5, "height": 4}], "bad_size"),
        ("images", [{"width": 3000, "height": 1}], "bad_size"),
    ],
)  # fmt: skip
def test_a_hostile_shot_is_refused(key: str, value: Any, reason: str) -> None:
    for where in ("query", 1):
        record = four_shots()
        (record["query"] if where == "query" else record["demonstrations"][where])[key] = value
        with pytest.raises(BadSample) as caught:
            Renderer(QWEN).render(record)
        assert caught.value.reason == reason


@pytest.mark.parametrize("value", [None, [], "x", 5])
def test_what_is_no_object_is_refused(value: Any) -> None:
    with pytest.raises(BadSample, match="bad_record"):
        Renderer(QWEN).render(value)


@pytest.mark.parametrize("similarity", ["near", float("nan"), True, [], pytest.param(10**400, id="huge")])
def test_a_similarity_that_is_none_counts_as_farthest(similarity: Any) -> None:
    rendered = Renderer(QWEN, RenderSettings(max_images=4)).render(four_shots([0.5, similarity, 0.0, -0.5]))
    assert rendered.kept == (0, 2, 3)
    assert np.isfinite(rendered.weights).all()
