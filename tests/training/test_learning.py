"""Every registered method learns: on a tiny set and with a fixed seed, its loss falls by half
within seconds."""

from dataclasses import replace

import pytest

from tests.conftest import Patterns
from vssbench.core import registry
from vssbench.core.variant import Variant
from vssbench.training.augment import Augmentation
from vssbench.training.loop import Trainer
from vssbench.training.options import Options
from vssbench.weights.file import open_weights

METHODS = sorted(registry.plugins("methods"))
#: smaller than a method's own default, where it takes such a parameter
SMALL = {"width": 0.125}
#: less deep than the default
SHALLOW = {"dff": {"backbone": "resnet18"}, "icnet": {"backbone": "resnet18"}}
#: of 2 steps each; a network that sees the image at half its size has less to learn from
EPOCHS = {"dsrl": 36}


def quick(name: str) -> Variant:
    parameters = registry.parameters(registry.load("methods", name))
    return Variant(
        name,
        {
            **{key: value for key, value in SMALL.items() if key in parameters},
            **SHALLOW.get(name, {}),
        },
    )


@pytest.mark.parametrize("name", METHODS)
def test_the_task_loss_halves(name, tmp_path):
    """The task loss halves in every phase that begins with random weights.

    This is from its first epoch to its last; all phases are gone through.
    """
    options = Options(
        epochs=EPOCHS.get(name, 12),
        batch=4,
        crop=(64, 96),
        learning_rate=2e-2,
        warmup=0,
        precision="fp32",
        workers=0,
        seed=1,
        validate_every=0,
    )
    trainer = Trainer(
        quick(name),
        Variant("patterns", {}),
        Patterns(frames=4, clips=2),
        options,
        tmp_path / "w.safetensors",
    )
    unchanged = Augmentation((64, 96), (1, 1), 0, 0, 0)
    common = trainer.recipe.common.model_copy(
        update={"augmentation": unchanged, "class_weights": "none", "clip": 0.0}
    )
    recipe = trainer.recipe.model_copy(update={"common": common})
    trainer.course = replace(trainer.course, recipe=recipe)
    history = open_weights(trainer.run()[0]).training["history"]
    assert list(dict.fromkeys(entry["phase"] for entry in history)) == [
        phase.name for phase in trainer.phases
    ]
    for phase in trainer.phases:
        losses = [entry["task"] for entry in history if entry["phase"] == phase.name]
        # the others begin with what has been learnt
        if phase is trainer.phases[0] or phase.data == "flow":
            assert losses[-1] < 0.5 * losses[0]
