"""Learning rates and optimisers are those that their names promise."""

import math

import pytest
import torch
from torch import nn

from vitprobe.training.optimize import Schedule, new_average, new_optimizer
from vitprobe.training.resolve import resolve


def rates(steps_per_epoch=10, **options):
    settings = resolve("scratch", {"dataset": "cifar10", "model": "resnet18", **options})
    optimizer = new_optimizer(nn.Linear(2, 2), settings)
    schedule = Schedule(optimizer, settings, steps_per_epoch)
    return [schedule.set(step) for step in range(settings.epochs * steps_per_epoch)]


def test_cosine_ends_at_one_percent():
    found = rates(recipe="adamw-augmented", epochs=4)
    expected = [1e-5 + 0.5 * (1e-3 - 1e-5) * (1 + math.cos(math.pi * t / 40)) for t in range(40)]
    assert found == pytest.approx(expected, rel=1e-12)


def test_warm_up_rises_in_a_line_then_the_cosine_falls():
    found = rates(recipe="digits", epochs=10, lr=1.0)  # 15 of 100 steps
    assert found[:16] == pytest.approx([0.01 + 0.99 * t / 15 for t in range(16)], rel=1e-9)
    assert found[15] == max(found)
    expected = 0.01 + 0.5 * 0.99 * (1 + math.cos(math.pi * 40 / 85))
    assert found[55] == pytest.approx(expected, rel=1e-9)


def test_the_other_schedules():
    assert rates(recipe="adam-plain", epochs=2) == [1e-4] * 20
    falling = rates(recipe="sgd-cosine", scheduler="poly", epochs=3)
    assert falling == sorted(falling, reverse=True) and falling[-1] < 0.8 * falling[0]
    steps = rates(recipe="sgd-cosine", scheduler="step", epochs=3)
    assert steps == pytest.approx([0.1] * 10 + [0.01] * 10 + [0.001] * 10)


def test_a_schedule_is_a_function_of_the_step():
    settings = resolve("scratch", {"epochs": 2})
    one, other = (new_optimizer(nn.Linear(2, 2), settings) for _ in range(2))
    first = [Schedule(one, settings, 5).set(step) for step in range(10)]
    again = Schedule(other, settings, 5)
    assert [again.set(step) for step in (7, 8, 9)] == first[7:]


@pytest.mark.parametrize(
    "name, kind, options",
    [
        ("adam", torch.optim.Adam, {"betas": (0.9, 0.999)}),
        ("adamw", torch.optim.AdamW, {"betas": (0.9, 0.999)}),
        ("sgd", torch.optim.SGD, {"momentum": 0.9, "nesterov": False}),
        ("nesterov", torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    ],
)
def test_the_optimisers(name, kind, options):
    settings = resolve("scratch", {"optimizer": name, "weight_decay": 0.25})
    optimizer = new_optimizer(nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2)), settings)
    assert type(optimizer) is kind
    for key, value in options.items():
        assert optimizer.defaults[key] == value
    decays = {
        tuple(p.shape): group["weight_decay"]
        for group in optimizer.param_groups
        for p in group["params"]
    }
    assert decays == {(2, 2): 0.25, (2,): 0.0}


def test_averaged_weights_only_where_asked_for():
    model = nn.Linear(2, 2)
    assert new_average(model, resolve("scratch", {})) is None
    average = new_average(model, resolve("scratch", {"recipe": "deit"}))
    assert torch.equal(average.module.weight, model.weight)
