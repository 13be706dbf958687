"""Micro-batches without pictures get a blank one, and nothing that is trained or measured notices."""

import json
import pickle
from typing import Any

import pytest
import torch

from curate.errors import ConfigError
from curate.shards import Sample
from tests.train.plain_renderer import PlainRenderer
from tests.train.tiny_episodes import tiny_episode, tiny_record
from tests.train.tiny_models import tiny_model
from train.data.blank import Blank
from train.data.collate import Collate, CollateSettings
from train.data.records import Batch, Fault, Loaded, Row
from train.model.isolation import isolating_mask

FAMILIES = ("vicuna", "qwen", "idefics")


def episode(number: int, shots: int = 1, images: int = 0) -> Loaded:
    made, pictures = tiny_episode(number, shots, images)
    data = json.dumps(tiny_record(made)).encode()
    return Loaded(number, Sample(f"{number:08d}", "part-00000.tar", data, tuple(pictures), ()))


PACKED: list[Row] = [(episode(1), episode(2, 0)), (episode(3, 2),)]
SINGLE: list[Row] = [(episode(3, 2),), (episode(1),)]


@pytest.fixture(scope="module", params=FAMILIES)
def family(request: Any) -> str:
    return str(request.param)


def both(processor: Any, rows: list[Row], **settings: Any) -> tuple[Batch, Batch]:
    """The batch without and with the blank."""
    return tuple(Collate(PlainRenderer(processor), CollateSettings(blank=on, **settings))(rows) for on in (False, True))  # type: ignore[return-value]


def forward(model: Any, batch: Batch, packed: bool = True) -> torch.Tensor:
    mask = isolating_mask(model, batch.segments) if packed else (batch.segments > 0).long()
    logits: torch.Tensor = model(**batch.inputs, attention_mask=mask, use_cache=False).logits
    return logits


def loss_of(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    shifted = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), batch.labels[:, 1:].flatten(), reduction="none", ignore_index=-100
    )
    return (shifted * batch.weights[:, 1:].flatten()).sum()


@pytest.mark.parametrize("rows", [PACKED, SINGLE], ids=["packed", "single"])
def test_what_is_real_comes_out_the_same(processors: dict[str, Any], family: str, rows: list[Row]) -> None:
    plain, blank = both(processors[family], rows)
    model = tiny_model(family, processors[family])
    with torch.no_grad():
        expected, made = (forward(model, batch, packed=rows is PACKED) for batch in (plain, blank))
    for at in plain.contents:
        torch.testing.assert_close(
            made[at.row, at.start : at.stop], expected[at.row, at.start : at.stop], rtol=1e-6, atol=1e-6
        )
    torch.testing.assert_close(loss_of(made, blank), loss_of(expected, plain), rtol=1e-6, atol=0)


def test_gradients_are_the_same_and_those_of_the_tower_nothing(processors: dict[str, Any], family: str) -> None:
    model = tiny_model(family, processors[family])
    gradients = []
    for batch in both(processors[family], PACKED):
        model.zero_grad()
        loss_of(forward(model, batch), batch).backward()
        gradients.append({name: None if p.grad is None else p.grad.clone() for name, p in model.named_parameters()})
    plain, blank = gradients
    reached = 0
    for name, gradient in blank.items():
        before = plain[name]
        if before is not None:
            assert gradient is not None
            torch.testing.assert_close(gradient, before, rtol=1e-5, atol=1e-6 * float(before.abs().max()))
        elif gradient is not None:
            assert not gradient.any(), name
            reached += 1
    assert reached > 20  # the tower's and the projector's


def test_nothing_of_it_is_told_or_measured(processors: dict[str, Any], family: str) -> None:
    plain, blank = both(processors[family], PACKED)
    assert blank.contents == plain.contents
    assert blank.faults == plain.faults
    for name in ("weights", "answers", "labels"):
        one, other = getattr(plain, name), getattr(blank, name)
        assert torch.equal(one, other[:, : one.shape[1]])
    real = torch.zeros_like(blank.segments, dtype=torch.bool)
    for at in plain.contents:
        real[at.row, at.start : at.stop] = True
    assert not blank.weights[~real].any()
    assert (blank.labels[~real] == -100).all()
    assert (blank.answers[~real] == -1).all()


def test_it_is_an_episode_of_its_own_behind_the_shortest_row(processors: dict[str, Any]) -> None:
    _, blank = both(processors["vicuna"], SINGLE)
    longest, shortest = sorted(blank.contents, key=lambda at: -at.stop)
    assert blank.segments[shortest.row, shortest.stop : shortest.stop + 16].tolist() == [2] * 16
    assert blank.inputs["position_ids"][shortest.row, shortest.stop : shortest.stop + 16].tolist() == list(range(16))
    assert blank.segments[longest.row].max() == 1
    assert (blank.inputs["input_ids"] == processors["vicuna"].image_token_id).sum() == 16


def test_batches_with_a_picture_are_as_they_were(processors: dict[str, Any], family: str) -> None:
    plain, blank = both(processors[family], [(episode(1), episode(2, 1, images=1)), (episode(3),)])
    assert plain.inputs.keys() == blank.inputs.keys()
    assert all(torch.equal(plain.inputs[name], blank.inputs[name]) for name in plain.inputs)


@pytest.mark.parametrize("rows", [[()], [(Fault(1, "k", "s", "corrupt", ""),), ()]], ids=["no row", "faults"])
def test_rows_of_nothing_get_one_too(processors: dict[str, Any], family: str, rows: list[Row]) -> None:
    _, batch = both(processors[family], rows)
    assert batch.inputs["pixel_values"].numel()
    assert batch.contents == ()
    assert torch.isfinite(forward(tiny_model(family, processors[family]), batch)).all()


def test_rows_grow_only_when_there_is_no_room(processors: dict[str, Any]) -> None:
    processor = processors["vicuna"]
    end = both(processor, SINGLE, multiple=1)[0].contents[1].stop
    longest = both(processor, SINGLE, multiple=1)[0].contents[0].stop
    wide = max(longest, end + 16)
    assert both(processor, SINGLE, pad_to=wide + 3)[1].labels.shape[1] == wide + 3
    assert both(processor, SINGLE, pad_to=wide, multiple=50)[1].labels.shape[1] == wide
    assert both(processor, [SINGLE[0]], pad_to=longest, multiple=50)[1].labels.shape[1] == -(-(longest + 16) // 50) * 50


def test_the_cheapest_picture_is_taken(processors: dict[str, Any]) -> None:
    tokens = {name: len(Blank.cheapest(processors[name]).rendered.input_ids) for name in FAMILIES}
    assert tokens == {"vicuna": 16, "qwen": 4, "idefics": 7}  # idefics: 34 in tiles


def test_a_processor_that_takes_no_picture_is_told_at_once(processors: dict[str, Any]) -> None:
    class Blind:
        image_processor, image_token, image_token_id, model_input_names = object(), "<image>", 5, ()

    with pytest.raises(ConfigError, match="takes no blank picture"):
        Blank.cheapest(Blind())


def test_it_pickles(processors: dict[str, Any]) -> None:
    collate = Collate(PlainRenderer(processors["qwen"]), CollateSettings(blank=True))
    again = pickle.loads(pickle.dumps(collate))
    assert all(torch.equal(tensor, again(PACKED).inputs[name]) for name, tensor in collate(PACKED).inputs.items())
