"""What AIM must hold to, on models that count positions plainly and in three directions."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from curate.shards import Sample
from tests.train.tiny_episodes import tiny_episode, tiny_record
from tests.train.tiny_models import tiny_model
from train.data.aiming import AimCollate, Pieces
from train.data.collate import Collate, CollateSettings
from train.data.records import Batch, Loaded
from train.data.rendering import Renderer, RenderSettings
from train.loss import Targets, token_losses
from train.model.aim import AimSettings, Projection
from train.model.aim.backbone import backbone_of
from train.model.aim.forward import aggregated, fused_inputs, virtual_tokens
from train.model.aim.loading import attach
from train.model.aim.projection import groups_of, pooled, unit_size
from train.model.aim.settings import ANSWER, QUESTION, TEMPLATE, Verbatim
from train.model.aim.starting import Sums, _targets, begin_with_ridge
from train.model.aim.states import states_of
from train.model.aim.teaching import taught, teacher_logits

NAMES = ["vicuna", "chatml", "qwen", "idefics"]
ALL = AimSettings(layers=(1,), verbatim="none", init="random")
LAST = RenderSettings(loss="last")


def loaded(number: int, shots: int, images: int = 1) -> Loaded:
    episode, pictures = tiny_episode(number, shots, images)
    data = json.dumps(tiny_record(episode)).encode()
    return Loaded(number, Sample(f"{number:08d}", "part-00000.tar", data, tuple(pictures), ()))


class Made:
    """A tiny model with a projection, and what makes its batches."""

    def __init__(self, name: str, processors: dict[str, Any], settings: AimSettings = ALL) -> None:
        self.processor = processors[name]
        self.model = tiny_model(name, self.processor).requires_grad_(False)
        self.plain = Collate(Renderer(self.processor, LAST))
        self.collate = AimCollate(Renderer(self.processor, LAST), settings)
        self.projection = attach(self.model, settings)

    def losses(self, batch: Batch) -> torch.Tensor:
        return token_losses(self.model, batch, Targets.of(batch))

    def virtual(self, batch: Batch) -> torch.Tensor:
        own = {name[4:]: tensor for name, tensor in batch.inputs.items() if name.startswith("aim.")}
        layers = self.projection.settings.resolved(backbone_of(self.model).depth)
        states = aggregated(self.model, backbone_of(self.model), own, layers)
        kept = own["kinds"] > 0
        words = own["input_ids"][kept], own["kinds"][kept], own["groups"]
        return virtual_tokens(backbone_of(self.model), self.projection, states, *words)


@pytest.fixture(params=NAMES)
def made(request: Any, processors: dict[str, Any]) -> Made:
    return Made(request.param, processors)


def test_without_demonstrations_the_prompt_is_the_plain_one(made: Made) -> None:
    rows = [(loaded(1, 0), loaded(2, 0)), (loaded(3, 0),)]
    batch, plain = made.collate(rows), made.plain(rows)
    asked = made.collate([(loaded(1, 3), loaded(2, 0))])
    assert set(asked.answers[asked.labels != -100].tolist()) == {3, 0}  # losses go by shots
    assert not any(name.startswith("aim.") for name in batch.inputs)
    assert torch.equal(batch.labels, plain.labels)
    found = made.losses(batch)
    del made.model.aim
    assert torch.allclose(found, made.losses(plain), atol=1e-5)


def test_words_as_virtual_tokens_are_demonstrations_without_pictures(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    """V := the embeddings of all words of the demonstrations' turns gives the loss of a prompt of text alone."""
    monkeypatch.setattr(Projection, "forward", lambda self, states: states[:, 0])
    made.projection.settings = AimSettings(layers=(0,), verbatim="none")
    one = loaded(1, 2)
    found = made.losses(made.collate([(one,)]))
    del made.model.aim
    assert torch.allclose(found, made.losses(blind(made, one)), atol=1e-5)


def blind(made: Made, episode: Loaded) -> Batch:
    """The whole conversation without the features of the demonstrations' pictures."""
    full = Renderer(made.processor, LAST).render(episode.sample.record)
    pieces = Pieces(Renderer(made.processor, LAST), ALL)
    query, _ = pieces.query(episode.sample.record["query"], episode.sample.record["turns"][-1], 3, 0)
    own = int((query.input_ids == made.processor.image_token_id).sum())
    there = np.flatnonzero(full.input_ids == made.processor.image_token_id)
    keep = np.ones(len(full.input_ids), np.bool_)
    keep[there[:-own]] = False
    words = replace(full, input_ids=full.input_ids[keep], weights=full.weights[keep], answers=full.answers[keep])
    ready = replace(made.plain._ready(episode), rendered=words)
    ready = replace(ready, pictures=ready.pictures[-1:])
    pixels, _ = made.plain._pixels([ready])
    return made.plain._batch(1, list(made.plain._laid([[ready]], pixels)), pixels, ())


def test_states_are_those_of_the_demonstration_alone_and_see_its_picture(made: Made) -> None:
    one = loaded(1, 2)
    together, apart = made.virtual(made.collate([(one, loaded(5, 3))])), made.virtual(made.collate([(one,)]))
    assert torch.allclose(together[: len(apart)], apart, atol=1e-5)
    other = replace(one, sample=replace(one.sample, images=(one.sample.images[1], *one.sample.images[1:])))
    changed = made.virtual(made.collate([(other,)]))
    first = words_of(made, one)
    assert not torch.allclose(changed[:first], apart[:first], atol=1e-3)
    assert torch.allclose(changed[first:], apart[first:], atol=1e-5)  # the second demonstration knows nothing of the first


def words_of(made: Made, episode: Loaded) -> int:
    """Kept states of the first demonstration."""
    record = episode.sample.record
    _, kinds = made.collate._pieces.demonstration(record["demonstrations"][0], record["turns"][0], 3)
    return int((kinds > 0).sum())


def test_demonstrations_in_another_order_are_virtual_tokens_in_another_order(made: Made) -> None:
    one = loaded(1, 2)
    record = json.loads(one.sample.json)
    for key in ("demonstrations", "turns"):
        record[key][:2] = record[key][1::-1]
    turned = replace(one, sample=replace(one.sample, json=json.dumps(record).encode()))
    there, back = made.virtual(made.collate([(one,)])), made.virtual(made.collate([(turned,)]))
    first = words_of(made, turned)
    assert torch.allclose(torch.cat([back[first:], back[:first]]), there, atol=1e-5)


def test_the_prompt_is_as_long_as_the_words(made: Made) -> None:
    """AIM: sum of L_i + |q|; full: sum of (v_i + L_i) + |q|."""
    one = loaded(1, 3)
    render = Renderer(made.processor, LAST).render
    full, query = (
        render(one.sample.record),
        render(one.sample.record | {"demonstrations": [], "turns": one.sample.record["turns"][-1:]}),
    )
    batch = made.collate([(one,)])
    (segment,) = batch.contents
    slots = int(batch.inputs["aim.slots"].sum())
    assert segment.stop - segment.start == len(query.input_ids) + slots
    words, asked = (int((one.input_ids != made.processor.image_token_id).sum()) for one in (full, query))
    assert slots == words - asked


def test_padding_changes_nothing(made: Made) -> None:
    rows = [(loaded(1, 2), loaded(2, 1))]
    long = AimCollate(Renderer(made.processor, LAST), ALL, CollateSettings(multiple=512))(rows)
    assert torch.allclose(made.losses(long), made.losses(made.collate(rows)), atol=1e-5)


def test_packed_samples_have_the_losses_they_have_alone(made: Made) -> None:
    one, other = loaded(1, 2), loaded(2, 3)
    together = made.losses(made.collate([(one, other)]))
    alone = [made.losses(made.collate([(each,)])) for each in (one, other)]
    assert torch.allclose(together, torch.cat(alone), atol=1e-5)


def test_the_loss_is_the_cross_entropy_of_the_answer(made: Made) -> None:
    batch = made.collate([(loaded(1, 2),)])
    inputs = fused_inputs(made.model, batch.inputs)
    logits = made.model(**inputs, attention_mask=(batch.segments > 0).long(), use_cache=False).logits
    shifted = batch.labels[:, 1:]
    expected = cross_entropy(logits[:, :-1][shifted != -100], shifted[shifted != -100], reduction="none")
    assert torch.allclose(made.losses(batch), expected, atol=1e-5)


def test_a_teacher_answers_with_whole_demonstrations(processors: dict[str, Any]) -> None:
    """Its logits are the plain model's, token by token of the queries' answers."""
    for name in NAMES:
        made = Made(name, processors, AimSettings(layers=(1,), init="random", distill=0.25))
        rows = [(loaded(1, 2), loaded(2, 1)), (loaded(3, 0),)]
        batch, plain = made.collate(rows), made.plain(rows)
        found, logits = made.losses(batch), teacher_logits(made.model, batch.inputs)
        assert logits is not None
        targets, alone = Targets.of(batch), AimCollate(Renderer(processors[name], LAST), AimSettings(layers=(1,)))(rows)
        own = made.losses(alone)
        whole = Targets.of(plain)
        assert torch.equal(whole.labels, targets.labels)
        del made.model.aim
        expected = token_losses(made.model, plain, whole)
        assert torch.allclose(cross_entropy(logits, targets.labels, reduction="none"), expected, atol=1e-5), name
        assert ((found - 0.75 * own) >= -1e-6).all()  # what is added is a divergence
        assert not torch.allclose(found, 0.75 * own, atol=1e-6)


def test_who_answers_as_the_teacher_has_nothing_to_learn_from_it() -> None:
    logits, losses = torch.randn(4, 9), torch.rand(4)
    assert torch.allclose(taught(losses, logits, logits + 3, 0.25), 0.75 * losses, atol=1e-6)
    other = torch.randn(4, 9)
    divergence = (other.softmax(-1) * (other.log_softmax(-1) - logits.log_softmax(-1))).sum(-1)
    assert torch.allclose(taught(losses, logits, other, 1.0), divergence, atol=1e-5)


def test_gradients_reach_the_projection_through_the_frozen_model_and_nothing_else(made: Made) -> None:
    made.losses(made.collate([(loaded(1, 2),)])).sum().backward()
    grown = {name for name, parameter in made.model.named_parameters() if parameter.grad is not None}
    assert grown == {"aim.linear.weight", "aim.linear.bias"}
    assert made.projection.linear.weight.grad.abs().sum() > 0


def test_a_batch_without_demonstrations_has_a_gradient_of_nothing(made: Made) -> None:
    """Other ranks wait for it."""
    made.losses(made.collate([(loaded(1, 0),)])).sum().backward()
    assert not made.projection.linear.weight.grad.any()


def test_states_behind_a_layer_are_those_the_model_tells(made: Made) -> None:
    decoder = backbone_of(made.model).decoder
    embeds = torch.randn(1, 5, backbone_of(made.model).width)
    told = decoder(inputs_embeds=embeds, output_hidden_states=True, use_cache=False)
    every = tuple(range(backbone_of(made.model).depth + 1))
    found = states_of(decoder, every, inputs_embeds=embeds)
    assert torch.allclose(found, torch.stack(told.hidden_states, 2), atol=1e-6)
    assert torch.allclose(states_of(decoder, (1,), inputs_embeds=embeds)[:, :, 0], told.hidden_states[1], atol=1e-6)


def test_a_demonstration_is_its_prefix_and_turn_of_the_whole(processors: dict[str, Any]) -> None:
    for name in NAMES:
        pieces = Pieces(Renderer(processors[name], LAST), ALL)
        record = loaded(1, 2).sample.record
        shots, turns = record["demonstrations"], record["turns"]
        whole = Renderer(processors[name], LAST).render(record).input_ids
        parts = [pieces.demonstration(shot, places, 3)[0].input_ids for shot, places in zip(shots, turns, strict=False)]
        query, _ = pieces.query(record["query"], turns[-1], 3, 0)
        joined = np.concatenate(
            [query.input_ids[: pieces.prefix], *(part[pieces.prefix :] for part in parts), query.input_ids[pieces.prefix :]]
        )
        assert np.array_equal(joined, whole), name


@pytest.mark.parametrize("name", NAMES)
def test_a_demonstrations_words_are_the_templates_the_questions_or_the_answers(processors: dict[str, Any], name: str) -> None:
    pieces = Pieces(Renderer(processors[name], LAST), AimSettings())
    record, found = loaded(1, 2).sample.record, []
    for shot, places in zip(record["demonstrations"], record["turns"], strict=False):
        rendered, kinds = pieces.demonstration(shot, places, 3)
        words = {kind: rendered.input_ids[kinds == kind] for kind in (TEMPLATE, QUESTION, ANSWER)}
        said = {kind: processors[name].tokenizer.decode(some) for kind, some in words.items()}
        assert shot["question"].strip() in said[QUESTION], name
        assert said[ANSWER].strip().startswith(shot["answer"].strip()), name
        assert processors[name].image_token_id not in rendered.input_ids[kinds > 0]
        assert sum(map(len, words.values())) == (kinds > 0).sum()
        found.append(said[TEMPLATE])
    assert found[0] == found[1]  # whatever is asked


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        (AimSettings(), {TEMPLATE, QUESTION, ANSWER}),
        (AimSettings(verbatim="none"), {TEMPLATE, QUESTION, ANSWER}),
        (AimSettings(span="answer", verbatim="template"), {TEMPLATE, ANSWER}),
        (AimSettings(span="answer", verbatim="none"), {ANSWER}),
    ],
)
def test_span_and_verbatim_say_which_words_are_kept(processors: dict[str, Any], settings: AimSettings, kept: set[int]) -> None:
    record = loaded(1, 2).sample.record
    pieces = Pieces(Renderer(processors["chatml"], LAST), settings)
    _, kinds = pieces.demonstration(record["demonstrations"][0], record["turns"][0], 3)
    assert {*kinds[kinds > 0].tolist()} == kept


@pytest.mark.parametrize("verbatim", ["none", "template", "answer"])
def test_some_words_stand_as_they_are(processors: dict[str, Any], verbatim: Verbatim) -> None:
    settings = AimSettings(layers=(1,), init="random", verbatim=verbatim)
    for name in NAMES:
        made = Made(name, processors, settings)
        batch = made.collate([(loaded(1, 2),)])
        kinds, words = batch.inputs["aim.kinds"], batch.inputs["aim.input_ids"]
        virtual, own = made.virtual(batch), backbone_of(made.model).table(words[kinds > 0])
        same = torch.isclose(virtual, own).all(-1)
        assert same.tolist() == [kind in settings.words for kind in kinds[kinds > 0].tolist()], name


def test_the_ridge_aims_questions_at_pictures_and_answers_at_words(made: Made) -> None:
    inputs = made.collate([(loaded(1, 1),)]).inputs
    own = {name[4:]: tensor for name, tensor in inputs.items() if name.startswith("aim.")}
    backbone, ids = backbone_of(made.model), own["input_ids"]
    kinds = own["kinds"][own["kinds"] > 0]
    targets, words = _targets(backbone, own), backbone.table(ids[own["kinds"] > 0])
    seen = backbone.embedded(ids, own)[ids == backbone.image_token].mean(0)
    assert torch.allclose(targets[kinds == QUESTION], seen.expand((kinds == QUESTION).sum(), -1), atol=1e-6)
    assert torch.equal(targets[kinds != QUESTION], words[kinds != QUESTION].float())
    own["kinds"][own["kinds"] == QUESTION] = 0
    both = _targets(backbone, own)[kinds[kinds != QUESTION] == ANSWER]
    assert torch.allclose(both, words[kinds == ANSWER] + seen, atol=1e-6)


def test_pooling_takes_means_of_neighbours_within_a_demonstration() -> None:
    kinds = [[1, 2, 2], [1, 3, 3, 3], [3]]
    assert groups_of(kinds, 2) == [0, 1, 1, 2, 3, 3, 4, 5]
    vectors = torch.arange(8.0)[:, None].expand(-1, 2)
    assert pooled(vectors, torch.tensor(groups_of(kinds, 2)))[:, 0].tolist() == [0, 1.5, 3, 4.5, 6, 7]
    assert groups_of(kinds, 1) == list(range(8))
    assert groups_of(kinds, 2, (1, 3)) == [0, 1, 1, 2, 3, 4, 5, 6]


def test_virtual_tokens_have_the_size_of_words(made: Made) -> None:
    size = backbone_of(made.model).size()
    sizes = made.virtual(made.collate([(loaded(1, 2),)])).square().mean(-1).sqrt()
    assert torch.allclose(sizes, torch.full_like(sizes, size), rtol=1e-3)


def test_identity_gives_the_states_in_the_size_of_words(processors: dict[str, Any]) -> None:
    made = Made("vicuna", processors, AimSettings(layers=(1,), init="identity"))
    states = torch.randn(4, 1, backbone_of(made.model).width)
    assert torch.allclose(made.projection(states), unit_size(states[:, 0]) * made.projection.size, atol=1e-6)


def test_a_mix_of_layers_is_learned(processors: dict[str, Any]) -> None:
    made = Made("vicuna", processors, AimSettings(layers=(0, 1, -1)))
    made.losses(made.collate([(loaded(1, 2),)])).sum().backward()
    assert made.projection.mix is not None
    assert made.projection.mix.grad.abs().sum() > 0


def test_layers_side_by_side_each_have_their_part_of_the_projection(processors: dict[str, Any]) -> None:
    made = Made("vicuna", processors, AimSettings(layers=(0, -1), combine="concat", init="identity"))
    inputs = [made.collate([(loaded(number, 4),)]).inputs for number in range(20)]
    width = backbone_of(made.model).width
    assert made.projection.linear.weight.shape == (width, 2 * width)
    states = torch.randn(3, 2, width)
    assert torch.allclose(made.projection(states), unit_size(unit_size(states).mean(1)) * made.projection.size, atol=1e-5)
    assert begin_with_ridge(made.model, inputs, 0.01) > 100
    made.losses(made.collate([(loaded(1, 2),)])).sum().backward()
    assert made.projection.linear.weight.grad.abs().sum() > 0


def test_the_ridge_finds_a_linear_map() -> None:
    generator = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(6, 6, generator=generator), torch.randn(6, generator=generator)
    sums = Sums(6, 6, torch.device("cpu"))
    for _ in range(3):
        x = torch.randn(200, 6, generator=generator) + 1
        sums.add(x, x @ weight.T + bias)
    found = sums.solved(1e-9)
    assert torch.allclose(found[0], weight, atol=1e-4)
    assert torch.allclose(found[1], bias, atol=1e-4)


def test_the_ridge_brings_states_near_their_words_and_pictures(made: Made) -> None:
    inputs = [made.collate([(loaded(number, 4),)]).inputs for number in range(20)]
    apart = [{name[4:]: tensor for name, tensor in some.items() if name.startswith("aim.")} for some in inputs]
    backbone, layers = backbone_of(made.model), made.projection.settings.resolved(2)
    wanted = torch.cat([_targets(backbone, own) for own in apart])
    mean = (wanted - wanted.mean(0)).square().mean()
    assert begin_with_ridge(made.model, inputs, 0.01) == len(wanted) > 100
    states = torch.cat([aggregated(made.model, backbone, own, layers) for own in apart])
    found = made.projection.linear(made.projection.mixed(states)) * made.projection.size
    left = (found - wanted).square().mean()
    assert left < 0.5 * mean
