"""A method at work on a stream of frames: the only place where a method meets frames.

``run``, ``latency``, ``cost --memory`` and ``segment`` drive it. A frame becomes tensors on the
device, the method segments it as a keyframe or as a later frame, its logits are resized to the size
asked for, and the class of each pixel is the largest of them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from vssbench.core.errors import DataError, UsageError
from vssbench.core.parameters import either
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.video import Frame, LabelMap
from vssbench.nets.precision import AUTOCAST, PLAIN, autocast
from vssbench.nets.resize import resize
from vssbench.run.clock import Clock, WholeClock, synchronise
from vssbench.run.outputs import Outputs


@dataclass(frozen=True)
class Inputs:
    """A frame as a method takes it, on the device.

    ``image`` is float32 (1, 3, H, W) in [0, 1]; ``motion`` float32 (1, 2, H, W) in pixels and
    ``residual``, like the image, are None where the frame came without.
    """

    image: Tensor
    motion: Tensor | None = None
    residual: Tensor | None = None


class Stream:
    """A method that segments frame after frame and keeps the keyframe's reference.

    ``clock`` times each frame, without one as a whole. ``warm_up`` counts passes over the first
    frame, as a keyframe and as a later one, before it is timed. ``trained`` says that the weights
    are no random ones: then a logit that is not finite is an error. ``outputs`` says which outputs
    stand for no class, None where each is a class.
    """

    def __init__(
        self,
        model: VideoSegmenter,
        device: str = "cpu",
        precision: str = "fp32",
        clock: Clock | None = None,
        warm_up: int = 0,
        trained: bool = True,
        outputs: Outputs | None = None,
    ) -> None:
        if precision not in (PLAIN, *AUTOCAST):
            raise UsageError(
                f"unknown precision {precision!r}: expected {either((PLAIN, *AUTOCAST))}"
            )
        self.model, self.device, self.precision = model, device, precision
        self.clock, self.trained = clock or WholeClock(device), trained
        self.outputs = outputs or Outputs(model.classes, model.classes)
        self.reference: Any = None
        self.warm_up_seconds = 0.0
        #: whether all passes of the warm-up gave the same logits to the bit
        self.repeats = True
        self._warm_up_passes = warm_up

    def segment(
        self, frame: Frame, size: tuple[int, int] | None = None, name: str = ""
    ) -> tuple[LabelMap, list[float]]:
        """Return the labels of a frame, and the milliseconds that the clock read.

        The labels are at ``size`` (height, width), or at the frame's own. ``name`` names the frame
        in errors. Raises DataError for a frame without the motion that the method needs, and for
        logits that are not finite.
        """
        size = size or (frame.image.shape[0], frame.image.shape[1])
        name = name or f"frame {frame.index}"
        with self._computing():
            self._warm_up(frame, size)
            self.clock.start()
            inputs = self._inputs(frame, name)
            self.clock.mark()
            logits = self._logits(inputs, frame.distance == 0)
            self.clock.mark()
            labels = self._labels(logits, size)
            self.clock.mark()
            times = self.clock.stop()
            if self.trained:
                self._check(logits, name)
        if tuple(labels.shape) != size:
            raise DataError(
                f"{self.model.display} gives labels of {tuple(labels.shape)} for a frame of {size}"
            )
        return labels.to(torch.uint8).cpu().numpy(), times

    def _logits(self, inputs: Inputs, key: bool) -> Tensor:
        """Let the method work on a frame: float (1, classes, h, w), of whatever size it gives."""
        if key:
            self.reference = None  # let the last keyframe's feature go before the next is made
            logits, self.reference = self.model.begin(inputs.image)
            return logits
        return self.model.follow(inputs.image, inputs.motion, self.reference, inputs.residual)

    def _warm_up(self, frame: Frame, size: tuple[int, int]) -> None:
        """Run the passes that come before the first frame is timed; they leave nothing behind."""
        if not self._warm_up_passes:
            return
        started = time.perf_counter()
        image = self._pixels(frame.image)
        motion = torch.zeros(1, 2, image.shape[-2], image.shape[-1], device=self.device)
        first: list[Tensor] = []
        for _ in range(self._warm_up_passes):
            for number, inputs in enumerate((Inputs(image), Inputs(image, motion))):
                logits = self._logits(inputs, not number)
                self._labels(logits, size)
                if len(first) <= number:
                    first.append(logits.clone())
                elif not torch.equal(first[number], logits):
                    self.repeats = False
        synchronise(self.device)
        self.reference, self._warm_up_passes = None, 0
        self.warm_up_seconds = time.perf_counter() - started

    def _inputs(self, frame: Frame, name: str) -> Inputs:
        """Bring a frame to the device."""
        motion = None
        if frame.motion is not None:
            motion = torch.from_numpy(frame.motion.dense()).to(self.device).permute(2, 0, 1)[None]
        elif frame.distance and "motion" in self.model.needs:
            raise DataError(
                f"{name} came without motion to its keyframe, which {self.model.display} needs"
            )
        residual = None if frame.residual is None else self._pixels(frame.residual)
        return Inputs(self._pixels(frame.image), motion, residual)

    def _pixels(self, values: np.ndarray) -> Tensor:
        """Convert (H, W, 3) in grey levels to a tensor (1, 3, H, W) as parts of 255."""
        pixels = torch.from_numpy(np.ascontiguousarray(values)).to(self.device)
        return (
            pixels.permute(2, 0, 1)[None]
            .float()
            .div_(255)
            .contiguous(memory_format=torch.channels_last)
        )

    def _labels(self, logits: Tensor, size: tuple[int, int]) -> Tensor:
        """Return the value of each pixel, int64 (*size)."""
        return self.outputs.predicted(resize(logits, size)[0])

    def _check(self, logits: Tensor, name: str) -> None:
        """Raise DataError where a logit is not finite: the largest of such is no class."""
        if _finite(logits):
            return
        wrong = int((~torch.isfinite(logits)).sum())
        precision = "" if self.precision == PLAIN else ", or take --precision fp32"
        raise DataError(
            f"{name}: {wrong} of {logits.numel()} logits of {self.model.display} are not finite "
            "(NaN or infinite), so that no class is the largest: the weights are damaged or their "
            f"training diverged; train or import them anew{precision}"
        )

    @contextmanager
    def _computing(self) -> Iterator[None]:
        """Compute for inference, in the stream's precision."""
        with torch.inference_mode(), autocast(self.device, self.precision):
            yield


def _finite(values: Tensor) -> bool:
    """Return whether all of some values (N, C, H, W) are finite.

    What is not is the least or the greatest, or makes both NaN: one pass in the order of memory,
    where a comparison of each takes ten times as long.
    """
    if values.is_contiguous(memory_format=torch.channels_last):
        values = values.permute(0, 2, 3, 1)
    return not values.numel() or bool(torch.stack(torch.aminmax(values)).isfinite().all())
