"""A package of somebody else's: what its method brings is found, and the suite runs over it."""

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.methods import test_conformance as suite

ROOT = Path(__file__).resolve().parents[2]

THIRD_PARTY = '''
"""A method of somebody else's: the mean colour decides, for this test."""
import torch
from torch import nn

from vssbench.core.segmenter import FastForm, VideoSegmenter
from vssbench.cost.conventions import Convention
from vssbench.cost.gmacs import Cost
from vssbench.weights.original import Original, image_logits


class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, x):
        return sum(x * self.gain / 4 for _ in range(4))


class Fast(nn.Module):
    def __init__(self, slow):
        super().__init__()
        self.gain = slow.gain

    def forward(self, x):
        return x * self.gain


class Colour(VideoSegmenter):
    recipe = "colour.toml"
    minimum_classes = 6
    multiple_of = 4
    void = 0
    originals = (
        Original(
            name="Colour of its authors", source="example.org/colour", method="third_party_colour",
            marks=("head.kernel",), classifier="head.kernel", rules=((r"kernel$", "weight"),),
            outputs=image_logits, unused=((r"^extra", "of training alone"),),
            mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0),
        ),
    )
    fast_forms = (FastForm(Slow, lambda module: {module: Fast(module)}),)
    conventions = {
        "colour": Convention(lambda variant, classes, height, width: Cost(1, 42.0, 21.0), "by eye")
    }

    def __init__(self, classes: int, *, width: float = 1.0):
        super().__init__(classes)
        self.slow = Slow()
        self.head = nn.Conv2d(3, classes + 1, 3, padding=1, stride=2)

    def keyframe(self, image):
        return self.head(self.slow(self.normalise(image))), None
'''

BROKEN = "raise RuntimeError('torn in two')"

#: what the package's user does, in a process of its own, and what comes of it as JSON
USER = """
import json, pathlib, sys, torch
from click.testing import CliRunner
from vssbench.cli import bench
from vssbench.core import registry
from vssbench.core.variant import Variant
from vssbench.fast.prepare import prepare
from vssbench.weights.file import open_weights
from vssbench.weights.network import build

folder = pathlib.Path(sys.argv[1])

def call(*words):
    result = CliRunner().invoke(bench, [*map(str, words)], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout

cls = registry.load("methods", "third_party_colour")
state = {key.replace("head.weight", "head.kernel"): value
         for key, value in cls(6).state_dict().items()}
torch.save({**state, "extra.bias": torch.zeros(3)}, folder / "authors.pth")
call("weights", "import", "third_party_colour", folder / "authors.pth", "-o", folder / "w.st",
     "--classes", "a,b,c,d,e,f")
model = build(open_weights(folder / "w.st"))
image = torch.rand(1, 3, 30, 42)
before = model.begin(image)[0]
fast = prepare(model)
print(json.dumps({
    "listed": "third_party_colour" in call("list", "methods"),
    "cost": json.loads(call("cost", "-m", "third_party_colour", "--size", "30x42", "--classes",
                            "6", "--convention", "colour", "--json"))[0],
    "every": [row["method"] for row in json.loads(
        call("cost", "--size", "64x96", "--json"))],
    "info": call("info", "third_party_colour"),
    "mean": fast.mean.flatten().tolist(),
    "kinds": [type(module).__name__ for module in fast.modules()],
    "same": bool(torch.allclose(fast.begin(image)[0], before, atol=1e-5)),
    "learning_rate": "learning_rate = 0.125" in call("train", "third_party_colour", "-d",
                                                     "synthetic", "--show", "--recipe", "short"),
    "display": [registry.create("methods", Variant("third_party_colour", params), classes=6).display
                for params in ({}, {"width": 0.5}, {"width": 1})],
}))
"""


def install(folder: Path) -> dict[str, str]:
    """Install the package, and beside it one that is broken; returns the environment of a process
    that sees both."""
    (folder / "colour_method.py").write_text(THIRD_PARTY)
    (folder / "colour.toml").write_text("[short.optimiser]\nlearning_rate = 0.125\n")
    (folder / "torn_method.py").write_text(BROKEN)
    for package, point in (
        ("colour", "third_party_colour = colour_method:Colour"),
        ("torn", "third_party_torn = torn_method:Torn"),
    ):
        info = folder / f"{package}_method-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {package}-method\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text(f"[vssbench.methods]\n{point}\n")
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]),
    }


def test_a_third_party_plug_in_passes_the_suite(tmp_path):
    """An installed package's entry point is found, and this whole suite runs over it."""
    environment = install(tmp_path)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "-k",
        "third_party_colour",
        suite.__file__,
    ]
    result = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert result.returncode == 0, textwrap.shorten(result.stdout[-3000:], 3000)
    passed = re.search(r"(\d+) passed", result.stdout)
    assert passed
    assert int(passed[1]) >= sum(name.startswith("test_") for name in vars(suite.TestMethod))


def test_an_installed_package_brings_everything(tmp_path):
    """Network, checkpoint of its authors, recipe, fast form and counting convention, with nothing
    of this project edited; a broken package beside it is left out with one line."""
    environment = install(tmp_path)
    result = subprocess.run(
        [sys.executable, "-c", USER, str(tmp_path)],
        cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads(result.stdout)
    assert found["listed"]
    assert found["cost"]["gmacs_key"] == 42
    assert found["cost"]["convention"] == "colour"
    assert {"third_party_colour", "pspnet", "arseg"} <= set(found["every"])
    assert "third_party_torn" not in found["every"]
    assert "colour: by eye" in found["info"]
    assert found["mean"] == pytest.approx([0.1, 0.2, 0.3])
    assert "Fast" in found["kinds"]
    assert "Slow" not in found["kinds"]
    assert found["same"]
    assert found["learning_rate"]
    assert found["display"] == ["Colour", "Colour (width 0.5)", "Colour"]
