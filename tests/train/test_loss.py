import itertools

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional

from curate.shards.plans import Plan
from tests.train.tiny_models import tiny_model
from train.data.collate import Collate, CollateSettings
from train.data.reading import SampleReader
from train.data.records import Batch, Row
from train.data.rendering import Renderer, RenderSettings
from train.loss import Targets, token_losses


def rows_of(plan: Plan, packs: list[tuple[int, ...]]) -> list[Row]:
    reader = SampleReader(plan)
    return [tuple(reader.read(pack)) for pack in packs]


def batch_of(plan, processor, packs, **settings) -> Batch:
    return Collate(Renderer(processor, RenderSettings(**settings)), CollateSettings())(rows_of(plan, packs))


def whole_loss(model, batches: list[Batch], packed: bool) -> float:
    targets = [Targets.of(batch) for batch in batches]
    whole = sum(float(own.weights.sum()) for own in targets)
    losses = [token_losses(model, b, own, packed) for b, own in zip(batches, targets, strict=True)]
    return sum(float((found * own.weights).sum()) for found, own in zip(losses, targets, strict=True)) / whole


def test_a_loss_is_the_cross_entropy_of_the_models_own_logits(processors, episodes_plan):
    for name in ("vicuna", "qwen", "idefics"):
        model, batch = tiny_model(name, processors[name]), batch_of(episodes_plan, processors[name], [(2,), (4,)])
        targets = Targets.of(batch)
        with torch.no_grad():
            ours = token_losses(model, batch, targets, packed=False)
            mask = (batch.segments > 0).long()
            logits = model(attention_mask=mask, **batch.inputs).logits
        theirs = functional.cross_entropy(logits[:, :-1].flatten(0, 1), batch.labels[:, 1:].flatten(), reduction="none")
        assert torch.allclose(ours, theirs[batch.labels[:, 1:].flatten() != -100], atol=1e-5)
        assert len(targets) == int((batch.labels != -100).sum())


def test_only_positions_that_predict_something_supervised_get_logits(processors, episodes_plan):
    batch = batch_of(episodes_plan, processors["chatml"], [(4,)], loss="last")
    targets = Targets.of(batch)
    assert len(targets.keep) == len(targets) < batch.labels.shape[1] / 10


def test_packed_rows_have_the_loss_of_rows_alone(processors, episodes_plan):
    for name in ("vicuna", "qwen"):
        model = tiny_model(name, processors[name])
        alone = [batch_of(episodes_plan, processors[name], [(sample,)]) for sample in range(6)]
        packed = [batch_of(episodes_plan, processors[name], [(0, 3, 1), (5, 2, 4)])]
        with torch.no_grad():
            one, other = whole_loss(model, alone, False), whole_loss(model, packed, True)
        assert abs(one - other) < 1e-5 * one


@settings(max_examples=15)
@given(st.permutations(range(6)), st.lists(st.integers(1, 5), max_size=4, unique=True))
def test_a_loss_does_not_depend_on_how_rows_are_cut_into_micro_batches(processors, episodes_plan, order, cuts):
    model = tiny_model("vicuna", processors["vicuna"])
    edges = [0, *sorted(cuts), 6]
    groups = [order[low:high] for low, high in itertools.pairwise(edges)]
    weighted = {"loss": "weighted", "demonstration_weight": 0.25}
    batches = [batch_of(episodes_plan, processors["vicuna"], [(n,) for n in group], **weighted) for group in groups]
    with torch.no_grad():
        whole = whole_loss(model, [batch_of(episodes_plan, processors["vicuna"], [(n,) for n in range(6)], **weighted)], False)
        assert abs(whole_loss(model, batches, False) - whole) < 1e-5 * whole


def test_a_micro_batch_without_anything_supervised_gives_no_gradient_but_one_that_flows(processors, episodes_plan):
    model, batch = tiny_model("vicuna", processors["vicuna"]), batch_of(episodes_plan, processors["vicuna"], [(2,)])
    nothing = Batch(batch.inputs, torch.full_like(batch.labels, -100), batch.weights, batch.answers, batch.segments)
    targets = Targets.of(nothing)
    losses = token_losses(model, nothing, targets)
    (losses * targets.weights).sum().backward()
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    assert len(losses) == 0
    assert gradients
    assert all(not gradient.any() for gradient in gradients)


def test_targets_know_their_samples_and_turns(processors, episodes_plan):
    batch = batch_of(episodes_plan, processors["vicuna"], [(3, 2)])
    targets = Targets.of(batch)
    shots = {2: 2, 3: 4}
    for sample, turns in shots.items():
        assert set(targets.turns[targets.samples == sample].tolist()) == set(range(turns + 1))
