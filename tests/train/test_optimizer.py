import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from train.config import OptimizerSettings
from train.optimizer import Schedule, adamw

SCHEDULES = st.sampled_from(["cosine", "linear", "constant"])


@given(SCHEDULES, st.integers(1, 500), st.floats(0, 0.9), st.floats(0, 1))
def test_every_step_is_taken_with_some_learning_rate_and_none_with_more_than_the_peak(kind, steps, warmup, final):
    schedule = Schedule(OptimizerSettings(schedule=kind, warmup=warmup, final=final), steps)
    assert all(0 < schedule.factor(step) <= 1 for step in range(steps))


@given(SCHEDULES, st.integers(20, 500), st.floats(0, 0.5))
def test_the_learning_rate_rises_then_falls(kind, steps, warmup):
    factors = [Schedule(OptimizerSettings(schedule=kind, warmup=warmup), steps).factor(step) for step in range(steps)]
    top = factors.index(max(factors))
    assert factors[:top] == sorted(factors[:top])
    assert factors[top:] == sorted(factors[top:], reverse=True)


def test_warmup_is_a_share_or_a_number_of_steps():
    share, number = (Schedule(OptimizerSettings(warmup=warmup), 100) for warmup in (0.1, 10))
    assert [share.factor(step) for step in range(100)] == [number.factor(step) for step in range(100)]
    assert share.factor(10) == 1


def test_each_group_keeps_its_own_peak():
    weights = [torch.nn.Parameter(torch.ones(2)) for _ in range(2)]
    groups = [{"params": [weight], "lr": lr, "weight_decay": 0.0} for weight, lr in zip(weights, (1e-3, 1e-5), strict=True)]
    optimizer, schedule = adamw(groups, OptimizerSettings(warmup=0)), Schedule(OptimizerSettings(warmup=0), 10)
    schedule.apply(optimizer, 5)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.5e-3, 0.5e-5])
