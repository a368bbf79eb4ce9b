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
        recipe = training.arguments[training.arguments.index("--recipe") + 1]
        load_recipe(variant, "camvid", recipe)
        network = training.name.partition("-synthetic")[0].partition("-camvid")[0]
        assert recipe == CONTENT["trainings"][network].get("recipe", CONTENT["recipe"])
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
    ("place", "change", "found"),
    [
        ("", {"mantisa_bits": 5}, "mantisa_bits: Extra inputs"),
        ("", {"width": "wide"}, "width: Input should be"),
        ("synthetic-on", {"from": "sinthetic"}, "stage synthetic-on, from: 'sinthetic' is none of"),
        ("synthetic-on", {"from": "synthetic-on"}, "'synthetic-on' is none of"),
        ("synthetic-on", {"from": "camvid-on"}, "from camvid-on: 'icnet' is none of"),
        ("camvid", {"name": "synthetic"}, "stage synthetic is there twice"),
        ("synthetic-on", {"trainings": ["icnett"]}, "trainings: 'icnett' is none of"),
        ("synthetic-on", {"trainings": ["dff-flow"]}, "trainings: 'dff-flow' is none of"),
        ("synthetic-on", {"alone": ["pspnet-hlaf"]}, "alone: 'pspnet-hlaf' is none of"),
        ("synthetic-on", {"shares": {"dff-flow": 2}}, "shares: 'dff-flow' is none of"),
        ("synthetic-on", {"shares": {"icnet": -1}}, "shares.icnet: Input should be greater"),
        ("synthetic-on", {"from_other": {"dff-tsk": "dff"}}, "from_other: 'dff-tsk' is none of"),
        ("synthetic-on", {"from_other": {"dff-task": "dfff"}}, "'dfff' is none of"),
        ("synthetic-on", {"pair-epochs": 3}, "pair-epochs: Extra inputs"),
        ("synthetic-on", {"epochs": "ten"}, "epochs: Input should be"),
        (
            "camvid-on",
            {"trainings": ["icnet", "dff-psp18-flow"]},
            "stage camvid-on: icnet needs epochs",
        ),
        ("dff-psp18", {"init": ["psp"]}, "training dff-psp18, init: 'psp' is none of"),
        ("dff-psp18", {"init": ["dff-psp18"]}, "training dff-psp18, init: 'dff-psp18' is none of"),
        ("dff-psp18", {"init": ["arseg-07"]}, "training dff-psp18, init: 'arseg-07' is none of"),
        ("dff-psp18", {"near": ["psp"]}, "training dff-psp18, near: 'psp' is none of"),
        ("dff-psp18", {"stages": ["street"]}, "training dff-psp18, stages: 'street' is none of"),
        ("dff-psp18", {"phases": {"street": []}}, "dff-psp18, phases: 'street' is none of"),
        ("dff-psp18", {"epochs": 3}, "trainings.dff-psp18.epochs: Extra inputs"),
    ],
)
def test_a_plan_that_means_nothing_is_refused(place, change, found):
    content = copy.deepcopy(CONTENT)
    parts = {each["name"]: each for each in content["stages"]} | content["trainings"]
    (parts[place] if place else content).update(change)
    with pytest.raises(ValueError, match=found):
        tool.plan(content, 0.25)


def test_a_plan_without_what_it_needs_is_refused_before_anything_is_unpacked(
    tmp_path, monkeypatch, capsys
):
    path = tmp_path / "plan.toml"
    path.write_text('recipe = "reference"\nwidth = 1.0\nmantissa_bits = 5\nstages = []\n')
    words = ["--plan", str(path), "--work", str(tmp_path / "work"), "--data-root", "none.tar"]
    monkeypatch.setattr("sys.argv", ["reference_training.py", *words])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    assert ended.value.code == 2
    assert f"{path}: trainings: Field required" in capsys.readouterr().err
    assert not (tmp_path / "work").exists()
