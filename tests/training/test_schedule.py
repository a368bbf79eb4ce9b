"""Learning rates against their formulas and torch's own schedulers; optimisers and their groups."""

import math

import pytest
import torch
from torch import nn

from vssbench.core.errors import UsageError
from vssbench.training.recipe import Optimiser, Schedule
from vssbench.training.schedule import build_optimiser, rate_factor

SHORT = Schedule(warmup=1, warmup_unit="epochs", warmup_start=0.05)


def curve(schedule, iterations, steps=10):
    return [
        rate_factor(schedule, number / steps, iterations / steps, steps)
        for number in range(iterations)
    ]


def test_rate_warms_up_and_decays():
    assert rate_factor(SHORT, 0, 10, 7) == pytest.approx(0.05)
    assert rate_factor(SHORT, 1, 10, 7) == pytest.approx(1)
    assert rate_factor(SHORT, 5.5, 10, 7) == pytest.approx(0.5)
    assert rate_factor(SHORT, 10, 10, 7) == pytest.approx(0)
    assert all(math.isfinite(rate_factor(SHORT, x / 10, 1, 7)) for x in range(11))


@pytest.mark.parametrize(
    ("schedule", "scheduler"),
    [
        (Schedule(), lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 40)),
        (Schedule(kind="poly"), lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 40, 0.9)),
        (Schedule(kind="constant"), lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0)),
        (
            Schedule(kind="step", milestones=(0.5, 0.75), gamma=0.1),
            lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [20, 30]),
        ),
    ],
)
def test_schedules_are_torchs(schedule, scheduler):
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=1.0)
    stepper = scheduler(optimiser)
    expected = []
    for _ in range(40):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        stepper.step()
    assert curve(schedule, 40) == pytest.approx(expected)


def test_exponential_warm_up_and_floor():
    """CoinCheung's: 0.1^(1 - i/10) for 10 iterations, then poly over the rest; and a schedule that
    ends above 0."""
    schedule = Schedule(kind="poly", warmup=10, warmup_form="exponential", warmup_start=0.1)
    rates = curve(schedule, 40)
    assert rates[:10] == pytest.approx([0.1 ** (1 - number / 10) for number in range(10)])
    assert rates[10:] == pytest.approx([(1 - number / 30) ** 0.9 for number in range(30)])
    assert rate_factor(Schedule(kind="poly", floor=0.25), 4, 4, 10) == 0.25


def named():
    network = nn.ModuleDict(
        {
            "backbone": nn.Conv2d(3, 4, 1),
            "head": nn.Sequential(nn.Conv2d(4, 2, 1), nn.BatchNorm2d(2)),
        }
    )
    return dict(network.named_parameters())


def test_groups_of_parameters():
    parameters = named()
    settings = Optimiser(
        kind="sgd",
        learning_rate=0.1,
        weight_decay=0.5,
        decay_all=False,
        multipliers={"backbone": 1, "*": 10, "head.1": 2},
    )
    trained = set(parameters) - {"head.0.bias"}
    optimiser = build_optimiser(settings, parameters.items(), trained, 0.1)
    found = {
        name: (group["base"], group["weight_decay"])
        for group in optimiser.param_groups
        for name, parameter in parameters.items()
        if any(parameter is member for member in group["params"])
    }
    expected = {
        "backbone.weight": (0.1, 0.5), "backbone.bias": (0.1, 0.0), "head.0.weight": (1.0, 0.5),
        "head.1.weight": (0.2, 0.0), "head.1.bias": (0.2, 0.0),
    }  # fmt: skip
    assert found == {name: pytest.approx(value) for name, value in expected.items()}


def test_a_multiplier_of_nothing_is_refused():
    parameters = named()
    with pytest.raises(UsageError, match="learning rate of back, and no parameter"):
        build_optimiser(
            Optimiser(multipliers={"back": 2}), parameters.items(), set(parameters), 0.1
        )


@pytest.mark.parametrize(
    ("kind", "cls", "options"),
    [
        ("sgd", torch.optim.SGD, {"momentum": 0.8, "nesterov": True}),
        ("adam", torch.optim.Adam, {"betas": (0.8, 0.999)}),
        ("adamw", torch.optim.AdamW, {"betas": (0.8, 0.999)}),
    ],
)
def test_kinds_of_optimisers(kind, cls, options):
    parameters = named()
    settings = Optimiser(kind=kind, momentum=0.8, nesterov=kind == "sgd", weight_decay=0.25)
    optimiser = build_optimiser(settings, parameters.items(), set(parameters), 0.1)
    assert type(optimiser) is cls
    assert all(
        group[key] == value for group in optimiser.param_groups for key, value in options.items()
    )
    assert optimiser.param_groups[0]["weight_decay"] == 0.25
