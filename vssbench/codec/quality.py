"""Record of each frame in the encoder: its type, and how near it comes to its source."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from fractions import Fraction

import av
from av.filter import Graph
from av.video.format import VideoFormat

from vssbench.core.errors import DataError

_PICTURE_TYPES = {1: "I", 2: "P", 3: "B"}
#: FFmpeg's first choice for AV1 decodes on GPUs alone
_DECODERS = {"av1": "libdav1d"}


@dataclass(frozen=True)
class CodedFrame:
    """A frame of a bitstream: picture type, and PSNR (dB, infinite if equal) and SSIM of its luma
    against what the encoder was given, both as FFmpeg's filters of these names compute them."""

    picture_type: str
    psnr_db: float
    ssim: float


class Checker:
    """Decodes a stream as it is made: asserts its GOP and compares each picture with its source.

    Sources wait only until the encoder has given their packets.
    """

    def __init__(self, encoder: av.VideoCodecContext, gop: int, fps: Fraction) -> None:
        name = encoder.codec.canonical_name
        decoder = av.CodecContext.create(_DECODERS.get(name, name), "r")
        assert isinstance(decoder, av.VideoCodecContext)
        self._decoder, self._encoder, self._gop = decoder, encoder, gop
        self._time_base = 1 / fps
        self._sources: deque[av.VideoFrame] = deque()
        self._frames: list[CodedFrame] = []
        self._meter: _Meter | None = None

    def source(self, frame: av.VideoFrame) -> None:
        """Take a frame that the encoder is about to get, in display order."""
        self._sources.append(frame)

    def packet(self, packet: av.Packet) -> None:
        """Take a packet that the encoder gave, in coded order.

        Raises DataError where a picture is of the wrong type.
        """
        if self._meter is None:  # the first: now the encoder's headers are known
            self._decoder.extradata = self._encoder.extradata
            self._meter = _Meter(self._encoder, self._time_base)
        for picture in self._decoder.decode(packet):
            self._compare(picture)

    def finish(self) -> list[CodedFrame]:
        """Return the record of every frame, in display order.

        Raises DataError where some never came out.
        """
        for picture in self._decoder.decode(None):
            self._compare(picture)
        if self._sources:
            raise DataError(
                f"{self._encoder.name} gave {len(self._frames)} frames and lost "
                f"{len(self._sources)}"
            )
        return self._frames

    def _compare(self, picture: av.VideoFrame) -> None:
        index, letter = len(self._frames), _PICTURE_TYPES.get(int(picture.pict_type), "?")
        if (letter == "I") != (index % self._gop == 0):
            raise DataError(
                f"{self._encoder.name} made frame {index} of type {letter}, expected keyframes "
                f"every {self._gop} frames and nowhere else: it does not keep to the GOP with "
                "these parameters; choose others"
            )
        assert self._meter is not None
        psnr, ssim = self._meter.compare(picture, self._sources.popleft())
        self._frames.append(CodedFrame(letter, psnr, ssim))


class _Meter:
    """FFmpeg's filters psnr and ssim over two inputs: the picture and its source."""

    def __init__(self, encoder: av.VideoCodecContext, time_base: Fraction) -> None:
        self._time_base, self._count = time_base, 0
        self._graph = Graph()
        width, height, planes = encoder.width, encoder.height, VideoFormat(str(encoder.pix_fmt))
        inputs = [
            self._graph.add_buffer(
                width=width, height=height, format=planes, time_base=time_base, name=name
            )
            for name in ("picture", "source")
        ]
        self._picture, self._source = inputs
        twice, psnr, ssim = (
            self._graph.add("split", "2"),
            self._graph.add("psnr"),
            self._graph.add("ssim"),
        )
        self._sink = self._graph.add("buffersink")
        self._picture.link_to(psnr, 0, 0)
        self._source.link_to(twice)
        twice.link_to(psnr, 0, 1)
        psnr.link_to(ssim, 0, 0)
        twice.link_to(ssim, 1, 1)
        ssim.link_to(self._sink)
        self._graph.configure()

    def compare(self, picture: av.VideoFrame, source: av.VideoFrame) -> tuple[float, float]:
        """Return PSNR in dB and SSIM of luma."""
        for frame, place in ((picture, self._picture), (source, self._source)):
            frame.pts, frame.time_base = self._count, self._time_base
            place.push(frame)
        self._count += 1
        values = self._sink.pull().metadata
        return float(values["lavfi.psnr.psnr.y"]), float(values["lavfi.ssim.Y"])
