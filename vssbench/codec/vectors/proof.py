"""A reader of motion vectors proves itself on a pan whose motion is known, once a process, before
it is believed."""

from __future__ import annotations

import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
from PIL import Image as Pillow

from vssbench.codec.decode import MotionSource, decode
from vssbench.codec.encode import EncoderSettings, encode
from vssbench.codec.motion import MotionSettings
from vssbench.codec.vectors.reader import VectorReader
from vssbench.core.errors import VssbenchError
from vssbench.core.motion import NONE
from vssbench.core.video import Image

#: pixels a frame, a quarter and a half among them: a wrong scale, order or sign cannot pass
MOTION = (2.25, -1.5)
LENGTH, HEIGHT, WIDTH, FPS = 5, 128, 192, 30.0
#: vectors this near to the truth are right; no less than this share must be, of no less than this
#: share of all cells
TOLERANCE, RIGHT, COVERED = 0.5, 0.9, 0.5
#: pixels at the border that are not looked at: what they show may lie outside the reference, where
#: no encoder finds it
BORDER = 16

#: what a failure says of the decoder, by whether the reader looks into its private memory
_FAULT = {
    True: "lays out its memory in another way",
    False: "exports vectors otherwise than expected",
}

_lock = threading.Lock()
_proofs: dict[str, Proof] = {}


class Provable(Protocol):
    """A codec that encodes and names the reader of its vectors; EncodedCodec's part in a proof."""

    name: ClassVar[str]
    title: ClassVar[str]
    reader: ClassVar[type[VectorReader]]
    motion: MotionSettings

    def __init__(self, *, gop: int = ...) -> None: ...

    def encoder(self) -> EncoderSettings: ...


@dataclass(frozen=True)
class Proof:
    """The outcome of a self-test of a codec's vectors.

    ``reason`` is empty where the vectors can be trusted. ``right`` is the share of vectors within
    half a pixel of the truth, ``covered`` the share of cells that have one, away from the border,
    over all frames that are not keyframes.
    """

    right: float
    covered: float
    reason: str


def prove(codec: Provable) -> Proof:
    """Run the self-test of a codec's reader, once a process.

    Never raises, whatever the reader does.
    """
    with _lock:
        if codec.name not in _proofs:
            _proofs[codec.name] = _prove(codec)
        return _proofs[codec.name]


def _prove(codec: Provable) -> Proof:
    try:
        codec.reader.check()
        right, covered = _measure(codec)
    except VssbenchError as error:
        return Proof(0.0, 0.0, str(error))
    except (
        Exception
    ) as error:  # a reader of a decoder's memory may fail in any way: it is then not used
        return Proof(
            0.0,
            0.0,
            f"the self-test of {codec.title}'s motion vectors failed: {type(error).__name__}: "
            f"{error}",
        )
    if right < RIGHT or covered < COVERED:
        return Proof(
            right,
            covered,
            f"the self-test of {codec.title}'s motion vectors failed: on a pan of {MOTION} pixels "
            f"a frame {covered:.0%} of the cells have a vector (expected {COVERED:.0%}) and "
            f"{right:.0%} of these are right (expected {RIGHT:.0%}): this build of the decoder "
            f"{_FAULT[codec.reader.private]}; use motion=estimated, or the versions in "
            "constraints.txt",
        )
    return Proof(right, covered, "")


def _measure(codec: Provable) -> tuple[float, float]:
    stream = io.BytesIO()
    plain = type(codec)(gop=LENGTH)
    encode(pan(LENGTH, HEIGHT, WIDTH, MOTION), stream, plain.encoder(), FPS)
    stream.seek(0)
    errors, cells = [], 0
    source = MotionSource(codec.reader, MotionSettings(codec.motion.cell))
    for frame in decode(stream, LENGTH, source, LENGTH, (HEIGHT, WIDTH)):
        if frame.motion is None or frame.motion.blocks is None:
            continue
        blocks, inside = (
            frame.motion.blocks,
            slice(BORDER // frame.motion.cell, -BORDER // frame.motion.cell),
        )
        cells += blocks.references[0, inside, inside].size
        for vectors, references in zip(
            blocks.vectors[:, inside, inside], blocks.references[:, inside, inside], strict=True
        ):
            there = references != NONE
            truth = np.multiply.outer(
                (frame.index - references[there]).astype(np.float32), np.array(MOTION, np.float32)
            )
            errors.append(np.abs(vectors[there] - truth).max(-1, initial=0.0))
    error = np.concatenate(errors) if errors else np.empty(0)
    return float(np.mean(error <= TOLERANCE)) if error.size else 0.0, min(
        1.0, error.size / max(cells, 1)
    )


def pan(
    length: int, height: int, width: int, motion: tuple[float, float], seed: int = 0
) -> Iterator[Image]:
    """Render a window that moves across a texture.

    A pixel p of frame i lies at ``p + motion`` in frame i - 1.
    """
    margin = int(max(map(abs, motion)) * length) + 8
    scene = Pillow.fromarray(texture(height + 2 * margin, width + 2 * margin, seed))
    for index in range(length):
        offset = (1, 0, margin + index * motion[0], 0, 1, margin + index * motion[1])
        yield np.asarray(
            scene.transform(
                (width, height), Pillow.Transform.AFFINE, offset, Pillow.Resampling.BICUBIC
            )
        )


def texture(height: int, width: int, seed: int) -> Image:
    """Smooth noise at several scales, RGB: motion shows everywhere in it."""
    rng = np.random.default_rng(seed)
    total = np.zeros((height, width, 3), np.float32)
    for side, weight in ((6, 0.4), (24, 0.35), (80, 0.25)):
        noise = rng.integers(0, 256, (height // side + 4, width // side + 4, 3)).astype(np.uint8)
        total += weight * np.asarray(
            Pillow.fromarray(noise).resize((width, height), Pillow.Resampling.BICUBIC), np.float32
        )
    return np.clip(total, 0, 255).astype(np.uint8)
