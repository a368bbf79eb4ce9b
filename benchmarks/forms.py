"""The forms of a method that are timed against each other: as written, and as the harness runs
it."""

from __future__ import annotations

import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import parse_variant
from vssbench.fast.prepare import prepare
from vssbench.methods.icnet.network import ICNet
from vssbench.nets.network import SegmentationNetwork
from vssbench.nets.perframe import PerFrameSegmenter

CLASSES = 12


def create(text: str) -> VideoSegmenter:
    """Return a method with random weights, in evaluation mode."""
    torch.manual_seed(0)
    model: VideoSegmenter = registry.create("methods", parse_variant(text), classes=CLASSES)
    return model.eval()


def fast(text: str) -> VideoSegmenter:
    """Return the method as the harness runs it."""
    model = create(text)
    prepare(model)
    return model


@dataclass
class Frames:
    """Inputs of one size, as they come from the decoder: image (1, 3, H, W); motion (1, 2, H, W)
    constant in 16x16 blocks."""

    image: Tensor
    motion: Tensor

    @classmethod
    def of(cls, height: int, width: int) -> Frames:
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(1, 3, height, width, generator=generator)
        blocks = (
            torch.randn(1, 2, -(-height // 16), -(-width // 16), generator=generator) * 16
        ).round() / 4
        motion = F.interpolate(blocks, scale_factor=16, mode="nearest")[
            ..., :height, :width
        ].contiguous()
        return cls(image, motion)

    def channels_last(self) -> Frames:
        return Frames(self.image.contiguous(memory_format=torch.channels_last), self.motion)


class PlainForm(nn.Module):
    """A per-frame network as written, for inference: NCHW, batch norm by itself, and the layers
    that its authors' code runs at evaluation and discards.

    Heads that serve training alone are left out, as in the evaluation of BiSeNet (aux_mode
    ``eval``) and of semseg's PSPNet; AR-Seg's own evaluation runs them, of which ours would have
    the advantage.
    """

    def __init__(self, text: str, size: tuple[int, int]) -> None:
        super().__init__()
        model = create(text)
        if not isinstance(model, PerFrameSegmenter):
            raise UsageError(
                f"{text} is no per-frame network with one backbone: expected pspnet, bisenet or "
                "icnet"
            )
        self.model: PerFrameSegmenter = model
        discarded = model.net.discarded(size) if isinstance(model.net, ICNet) else ()
        self.discarded = [(module, torch.rand(shape)) for module, shape in discarded]

    def forward(self, image: Tensor) -> tuple[Tensor, list[Tensor]]:
        net: SegmentationNetwork = self.model.net
        feature, _ = net.features(self.model.normalise(image))
        logits = net.classify(feature, (image.shape[-2], image.shape[-1]))
        return logits, [module(x) for module, x in self.discarded]


def peak_of(text: str, part: str, size: tuple[int, int]) -> int:
    """Return bytes of memory that this process had at most, in a fresh process: after a ``key`` or
    ``nonkey`` frame, a ``gop``, a frame of the ``plain`` form, or ``nothing``."""
    frames = Frames.of(*size)
    with torch.inference_mode():
        if part == "plain":
            PlainForm(text, size).eval()(frames.image)[0][0].argmax(0)
            return _peak()
        model, frames = fast(text), frames.channels_last()
        if part == "nonkey":
            network = model.get_submodule("high")
            assert isinstance(network, SegmentationNetwork)
            reference = torch.rand(1, network.feature_channels, *size).contiguous(
                memory_format=torch.channels_last
            )
            model.nonkeyframe(frames.image, frames.motion, reference)[0].argmax(0)
        for _ in range({"key": 1, "gop": 2}.get(part, 0)):
            logits, reference = model.keyframe(frames.image)
            logits[0].argmax(0)
            del logits
            for _ in range(2 if part == "gop" else 0):
                model.nonkeyframe(frames.image, frames.motion, reference)[0].argmax(0)
            # that of the last keyframe is let go before the next, as the harness does
            del reference
    return _peak()


def _peak() -> int:
    # Linux hands a parent's ru_maxrss down to the processes that it starts, VmHWM is a process's
    # own
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    except OSError:
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
