"""The plan of the reference trainings: what is started when, what is kept of an unfinished one."""

import copy
import tomllib

import pytest
import torch

from tools import reference_training as tool
from vssbench.core import registry
from vssbench.core.variant import parse_variant
from vssbench.training.recipe import load_recipe

CONTENT = tomllib.loads(tool.PLAN.read_text(encoding="utf-8"))
PLAN = tool.plan(CONTENT, CONTENT["width"])


def test_every_training_is_one_that_the_command_takes():
    assert {parse_variant(training.arguments[0]).name for training in PLAN} == {
        "arseg", "bisenet", "dff", "dsrl", "icnet", "pspnet",
    }  # fmt: skip
    for training in PLAN:
        variant = parse_variant(training.arguments[0])
        registry.resolved("methods", variant)
        load_recipe(variant, "camvid", CONTENT["recipe"])
        with torch.device("meta"):
            model = registry.create("methods", variant, classes=11)
        asked = [
            value
            for key, value in zip(training.arguments, training.arguments[1:], strict=False)
            if key == "--phase"
        ]
        assert set(asked) <= {phase.name for phase in model.phases()}


def test_a_training_is_started_when_all_that_it_starts_from_is_done(tmp_path):
    names = {training.name for training in PLAN}
    done: set[str] = set()
    while len(done) < len(PLAN):
        ready = tool.next_trainings(PLAN, tmp_path, set())
        assert ready, f"nothing can be started after {sorted(done)}"
        for training in ready:
            assert set(training.needs) <= done & names
            (tmp_path / training.weights).touch()
            done.add(training.name)
    assert tool.next_trainings(PLAN, tmp_path, set()) == []


def test_a_packed_checkpoint_comes_back_in_its_types(tmp_path):
    content = {
        "epoch": 3, "best": None, "history": [{"loss": 0.5}], "model": {"w": torch.randn(40, 40)},
        "optimiser": {"state": {0: {"step": torch.tensor(7.0)}}, "groups": [{"b": (0.9, 0.99)}]},
    }  # fmt: skip
    torch.save(content, tmp_path / "a.checkpoint")
    tool.pack(tmp_path / "a.checkpoint", tmp_path / "a.packed")
    tool.unpack(tmp_path / "a.packed", tmp_path / "b.checkpoint")
    back = torch.load(tmp_path / "b.checkpoint", weights_only=True)
    weight = back["model"].pop("w")
    assert weight.dtype == torch.float32
    assert torch.equal(weight, content["model"].pop("w").bfloat16().float())
    assert back == content
    assert (tmp_path / "a.packed").stat().st_size < 0.7 * (tmp_path / "a.checkpoint").stat().st_size


@pytest.mark.parametrize("stage", CONTENT["stages"], ids=lambda stage: stage["name"])
def test_every_network_has_the_same_options(stage):
    members = [training for training in PLAN if training.name.endswith(f"-{stage['name']}")]
    there = [
        name
        for name, own in CONTENT["trainings"].items()
        if name in stage.get("trainings", [name])
        and stage["name"] in own.get("stages", [stage["name"]])
    ]
    assert [training.name for training in members] == [f"{name}-{stage['name']}" for name in there]
    for training in members:
        own_name = training.name.removesuffix(f"-{stage['name']}")
        own = CONTENT["trainings"][own_name]
        paired = own.get("pairs", False)
        share = stage.get("shares", {}).get(own_name, own.get("share", 1))
        expected = stage["pair_epochs"] if paired else round(stage["epochs"] * share)
        epochs = training.arguments[training.arguments.index("--epochs") + 1]
        assert int(epochs) == expected
        assert ("--batch" in training.arguments) == paired


def test_a_stage_goes_on_from_another():
    needs = {training.name: training.needs for training in PLAN}
    assert needs["pspnet-half-synthetic-on"] == ("pspnet-half-synthetic",)  # alone
    assert needs["dff-task-synthetic-on"] == ("dff-codec-synthetic",)  # from another's
    assert needs["dff-psp18-synthetic-on"] == ("dff-psp18-synthetic", "pspnet-synthetic-on")


@pytest.mark.parametrize(
    ("stage", "training", "found"),
    [
        ({"from": "sinthetic"}, {}, "stage synthetic-on, from: 'sinthetic' is none of"),
        ({"trainings": ["icnett"]}, {}, "stage synthetic-on, trainings: 'icnett' is none of"),
        ({"alone": ["pspnet-hlaf"]}, {}, "stage synthetic-on, alone: 'pspnet-hlaf' is none of"),
        ({"shares": {"arseg-07": 2}}, {}, "stage synthetic-on, shares: 'arseg-07' is none of"),
        ({"from_other": {"dff-tsk": "dff"}}, {}, "from_other: 'dff-tsk' is none of"),
        ({"from_other": {"dff-task": "dfff"}}, {}, "from_other: 'dfff' is none of"),
        ({"pair-epochs": 3}, {}, "stage synthetic-on: 'pair-epochs' is none of"),
        ({}, {"init": ["psp"]}, "training dff-psp18, init: 'psp' is none of"),
        ({}, {"near": ["psp"]}, "training dff-psp18, near: 'psp' is none of"),
        ({}, {"stages": ["street"]}, "training dff-psp18, stages: 'street' is none of"),
        ({}, {"epochs": 3}, "training dff-psp18: 'epochs' is none of"),
    ],
)
def test_a_plan_that_names_what_is_not_there_is_refused(stage, training, found):
    content = copy.deepcopy(CONTENT)
    (on,) = (each for each in content["stages"] if each["name"] == "synthetic-on")
    on |= stage
    content["trainings"]["dff-psp18"] |= training
    with pytest.raises(ValueError, match=found):
        tool.plan(content, 0.25)
