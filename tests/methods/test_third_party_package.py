"""A package of somebody else, with networks like ESPNet and CGNet, goes through every command.

It is installed as pip installs it (metadata with entry points on the path), written after
docs/adding-a-method.md and docs/weights.md alone: 12 outputs of which the last is Void, means of
BGR in grey levels, logits at stride 8, dilated layers of 7 channels and depthwise ones.
"""

import json
import os
import sys

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from click.testing import CliRunner
from PIL import Image

from vssbench.cli import bench
from vssbench.core import registry
from vssbench.weights.file import open_weights
from vssbench.weights.network import build

#: the authors' code of both
NETWORKS = '''
"""Light networks for segmentation."""

import torch
from torch import nn


class Esp(nn.Module):
    """Parallel dilated convolutions, summed from the narrowest to the widest."""

    def __init__(self, inputs, width, stride=1):
        super().__init__()
        kernel, padding = (3, 1) if stride > 1 else (1, 0)
        self.reduce = nn.Conv2d(inputs, width, kernel, stride, padding, bias=False)
        self.branches = nn.ModuleList(
            nn.Conv2d(width, width, 3, padding=d, dilation=d, bias=False) for d in (1, 2, 4)
        )
        self.bn = nn.BatchNorm2d(3 * width, eps=1e-3)
        self.act = nn.PReLU(3 * width)

    def forward(self, x):
        x = self.reduce(x)
        total, parts = 0, []
        for branch in self.branches:
            total = total + branch(x)
            parts.append(total)
        return self.act(self.bn(torch.cat(parts, 1)))


class ESPNetC(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.level1 = nn.Sequential(
            nn.Conv2d(3, 7, 3, 2, 1, bias=False), nn.BatchNorm2d(7), nn.PReLU(7)
        )
        self.level2, self.level3 = Esp(7, 7, 2), Esp(21, 7, 2)
        self.deep = Esp(21, 7)
        self.classifier = nn.Conv2d(42, outputs, 1, bias=False)

    def forward(self, x):
        x = self.level3(self.level2(self.level1(x)))
        return self.classifier(torch.cat([x, self.deep(x)], 1))


class Guided(nn.Module):
    """Local and surrounding context, each depthwise, weighted by the whole image."""

    def __init__(self, channels, dilation):
        super().__init__()
        half = channels // 2
        self.reduce = nn.Sequential(
            nn.Conv2d(channels, half, 1, bias=False), nn.BatchNorm2d(half), nn.PReLU(half)
        )
        self.local = nn.Conv2d(half, half, 3, padding=1, groups=half, bias=False)
        self.around = nn.Conv2d(
            half, half, 3, padding=dilation, dilation=dilation, groups=half, bias=False
        )
        self.bn = nn.Sequential(nn.BatchNorm2d(2 * half), nn.PReLU(2 * half))
        self.glo = nn.Sequential(
            nn.Linear(2 * half, 3), nn.ReLU(inplace=True), nn.Linear(3, channels), nn.Sigmoid()
        )

    def forward(self, x):
        y = self.reduce(x)
        y = self.bn(torch.cat([self.local(y), self.around(y)], 1))
        return x + y * self.glo(y.mean((2, 3)))[..., None, None]


class ContextGuided(nn.Module):
    def __init__(self, outputs):
        super().__init__()
        self.stem = nn.Sequential(
            *(
                nn.Sequential(nn.Conv2d(a, b, 3, 2, 1, bias=False), nn.BatchNorm2d(b), nn.PReLU(b))
                for a, b in ((3, 12), (12, 20), (20, 28))
            )
        )
        self.blocks = nn.Sequential(Guided(28, 2), Guided(28, 4))
        self.head = nn.Conv2d(28, outputs, 1)

    def forward(self, x):
        return self.head(self.blocks(self.stem(x)))
'''
METHODS = '''
"""{title} as its authors publish it (Somebody et al., 2018)."""

from torch import Tensor
from light.networks import {network}

from vssbench.core.segmenter import VideoSegmenter


class {name}(VideoSegmenter):
    """The authors' network; `weights convert` reads their checkpoint."""

    void = -1
    multiple_of = 8

    def __init__(self, classes: int) -> None:
        super().__init__(classes)
        self.net = {network}(classes + 1)

    def keyframe(self, image: Tensor) -> tuple[Tensor, None]:
        return self.net(self.normalise(image).flip(1)), None
'''
BGR_MEANS, BGR_STDS = (72.39, 82.91, 73.16), (45.32, 46.15, 44.91)
CLASSES = ("road", "sky", "car", "tree", "sign", "pole", "fence", "walk", "bike", "wall", "bus")


@pytest.fixture
def package(tmp_path, monkeypatch):
    """The package is installed; returns the folder of its checkpoints."""
    site, folder = tmp_path / "site", tmp_path / "work"
    (site / "light").mkdir(parents=True)
    folder.mkdir()
    (site / "light/__init__.py").write_text("")
    (site / "light/networks.py").write_text(NETWORKS)
    for module, network, name, title in (
        ("espnet", "ESPNetC", "ESPNet", "ESPNet"),
        ("cgnet", "ContextGuided", "CGNet", "CGNet"),
    ):
        text = METHODS.format(network=network, name=name, title=title)
        (site / f"light/{module}.py").write_text(text)
    info = site / "light_networks-0.3.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: light-networks\nVersion: 0.3\n")
    (info / "entry_points.txt").write_text(
        "[vssbench.methods]\nespnet = light.espnet:ESPNet\ncgnet = light.cgnet:CGNet\n"
    )
    monkeypatch.syspath_prepend(site)
    # fresh processes, of latency, find it as they find an installed one
    paths = [str(site), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(paths))
    caches = (registry.plugins, registry.load, registry.settled)
    for cache in caches:
        cache.cache_clear()
    yield folder
    monkeypatch.undo()
    for cache in caches:
        cache.cache_clear()
    for name in [name for name in sys.modules if name.partition(".")[0] == "light"]:
        sys.modules.pop(name)


def checkpoint(name, folder):
    """The authors' network with weights, and the file that they give away."""
    from light import networks

    torch.manual_seed(len(name))
    network = {"espnet": networks.ESPNetC, "cgnet": networks.ContextGuided}[name](12)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    if name == "cgnet":
        network.head.bias.data.zero_()  # so that no class wins everywhere
    state = {f"module.{key}": value for key, value in network.state_dict().items()}
    torch.save({"epoch": 300, "state_dict": state}, folder / f"{name}.pth")
    return network.eval()


def command(*words):
    """Run a command as typed; its stdout, and all that it printed with one space between words."""
    result = CliRunner().invoke(bench, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout, " ".join(result.output.split())


def clips(root):
    """Three clips of the user's own, of four frames with masks of all classes."""
    root.mkdir()
    (root / "classes.txt").write_text("\n".join(CLASSES) + "\n")
    (root / "train.txt").write_text("a\nb\nc\n")
    chance = np.random.default_rng(1)
    for clip in ("a", "b", "c"):
        for kind in ("frames", "labels"):
            (root / clip / kind).mkdir(parents=True)
        for number in range(4):
            picture = chance.integers(0, 255, (60, 92, 3), dtype=np.uint8)
            mask = np.repeat(np.repeat(chance.integers(0, 11, (15, 23)), 4, 0), 4, 1)
            Image.fromarray(picture).save(root / clip / f"frames/{number}.png")
            Image.fromarray(mask.astype(np.uint8)).save(root / clip / f"labels/{number}.png")
    return ["-d", "folder", "--data-root", root]


def video(path):
    chance = np.random.default_rng(0)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(4):
            picture = chance.integers(0, 255, (64, 96, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
        container.mux(stream.encode())


@torch.no_grad()
def assert_labels_are_the_authors(network, weights):
    """Their own steps on BGR grey levels, logits of 11 classes, enlarged."""
    image = F.interpolate(torch.rand(1, 3, 8, 12), (64, 96))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (BGR_MEANS, BGR_STDS))
    logits = network((image.flip(1) * 255 - mean) / std)
    assert logits.shape == (1, 12, 8, 12)
    theirs = F.interpolate(logits[:, :11], (64, 96), mode="bilinear", align_corners=True)
    ours, _ = build(open_weights(weights)).begin(image)
    ours = F.interpolate(ours, (64, 96), mode="bilinear", align_corners=True)
    assert torch.equal(ours.argmax(1), theirs.argmax(1))
    assert theirs.argmax(1).unique().numel() > 1


@pytest.mark.parametrize("name", ["espnet", "cgnet"])
def test_it_goes_through_every_command(package, name, tmp_path):
    network, weights = checkpoint(name, package), package / f"{name}.safetensors"
    runs, title = package / "runs", {"espnet": "ESPNet", "cgnet": "CGNet"}[name]

    listed, _ = command("list")
    assert f"{title} as its authors publish it" in " ".join(listed.split())
    assert "light-networks" in command("info", name)[1]

    statistics = [",".join(map(str, values)) for values in (BGR_MEANS, BGR_STDS)]
    command(
        "weights", "convert", name, package / f"{name}.pth", "--classes",
        ",".join(CLASSES), "--bgr",
        "--mean", statistics[0], "--std", statistics[1], "-o", weights,
    )  # fmt: skip
    assert_labels_are_the_authors(network, weights)
    assert name in command("weights", "info", weights)[1]

    data = clips(package / "clips")
    run = ["run", "-m", name, "--weights", weights, *data, "-c", "raw"]
    command(*run, "--runs", runs)
    rows = json.loads(command("table", "--runs", runs, "--format", "json")[0])
    assert [(row["display"], row["status"]) for row in rows] == [(title, "done")]
    assert all(row["miou"] is not None for row in rows)
    assert title in command("table", "--runs", runs)[1]
    environments = [json.loads(p.read_text()) for p in runs.rglob("environment.json")]
    assert all("light-networks" in json.dumps(found) for found in environments)

    size = ["--size", "60x92", "--classes", "11"]
    (row,) = json.loads(command("cost", "-m", name, *size, "--cross-check", "--json")[0])
    assert row["uncounted"] == []
    assert row["gmacs_key"] == pytest.approx(row["cross_check"]["torch"]["key"]["products"])
    for tally in row["cross_check"].values():
        assert tally["key"]["completed"] == pytest.approx(row["gmacs_key"], rel=1e-6)
        assert not tally["key"]["unknown"]
    # the padding to 64x96 is counted
    (whole,) = json.loads(command("cost", "-m", name, "--size", "64x96", "--json")[0])
    assert whole["gmacs_key"] == row["gmacs_key"]

    timed = ["latency", "-m", name, "--weights", weights, *size, "--processes", "1"]
    timed += [
        "--rounds",
        "1",
        "--seconds",
        "0.05",
        "--gop",
        "3",
        "--threads",
        "1",
        "--runs",
        package / "latency",
    ]
    assert name in command(*timed)[1]

    video(package / "drive.mp4")
    segmented = ["segment", package / "drive.mp4", "--weights", weights, "-o"]
    command(*segmented, package / "overlay.mp4")
    with av.open(str(package / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == 4

    trained = package / "trained.safetensors"
    train = ["train", name, *data, "--init", weights, "--iterations", "3", "--batch", "2"]
    train += ["--crop", "48x64", "--precision", "bf16", "--validate-every", "0", "--workers", "0"]
    command(*train, "--out", trained)
    before, after = (open_weights(path).tensors() for path in (weights, trained))
    assert before.keys() == after.keys()
    assert all(torch.isfinite(value).all() for value in after.values())
    changed = [key for key, value in after.items() if not torch.equal(value, before[key])]
    assert len(changed) > 0.9 * len(after)
    mean = json.loads(open_weights(trained).metadata["mean"])
    assert mean == pytest.approx([value / 255 for value in BGR_MEANS[::-1]], abs=1e-6)
    command("run", "-m", name, "--weights", trained, *data, "-c", "raw", "--runs", runs)
