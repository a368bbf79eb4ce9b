"""One video through one method: frames in, pictures out, one at a time, so that memory does not
grow with its length."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.ahead import ahead
from vssbench.core.allocator import keep_freed_memory
from vssbench.core.errors import DataError, MotionUnavailable, UsageError
from vssbench.core.outputs import check_output
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.special import is_special
from vssbench.core.variant import Variant
from vssbench.core.video import Frame, Image
from vssbench.cost.gmacs import Cost, count
from vssbench.cost.uncounted import remark
from vssbench.data.videofile import VideoFile, turned
from vssbench.fast.prepare import prepare
from vssbench.run.measuring import FRAMES_AHEAD
from vssbench.run.stream import Stream
from vssbench.segment.drawing import Painter
from vssbench.segment.frames import coded, recoded
from vssbench.segment.output import FolderWriter, VideoWriter, Writer, check_out, drafted, is_folder
from vssbench.segment.pictures import viewed
from vssbench.segment.vectors import AUTO, OWN, Choice, choose, instead
from vssbench.weights.file import WeightFile
from vssbench.weights.network import load_into

OVERLAY, LABELS, PALETTE = "overlay", "labels", "palette"
#: a file is called cut short that lasts less than this share of what its header tells, by more than
#: so many frames
CUT_SHORT, FEW = 0.9, 3
COLUMNS = (
    "frame", "seconds", "type", "keyframe", "distance", "motion", "bits", "without_vector",
    "decode_ms", "motion_ms", "model_ms", "draw_ms",
)  # fmt: skip


@dataclass(frozen=True)
class Job:
    """The task of one call of ``segment``.

    ``size`` (height, width) is that at which the network runs, None for the video's own; ``codec``
    is the one through which the video goes first, None for the stream as it is; ``motion`` is one
    of vectors.WANTED; ``max_gop`` is the largest number of frames from one keyframe to the next,
    None for the stream's own; ``stats`` a CSV to write; ``force`` lets files be replaced that are
    there.
    """

    source: VideoFile
    method: Variant
    weights: WeightFile
    out: Path
    output: str
    painter: Painter
    size: tuple[int, int] | None = None
    motion: str = AUTO
    codec: Codec | None = None
    max_gop: int | None = None
    audio: bool = False
    stats: Path | None = None
    device: str = "cpu"
    precision: str = "fp32"
    force: bool = False

    @property
    def network_size(self) -> tuple[int, int]:
        """(height, width) at which the network runs."""
        return self.size or self.source.size

    def check(self) -> Cost:
        """Return the method's cost at its size.

        Raises UsageError, before any work, for what cannot be done.
        """
        inputs = (self.source.path, *self.weights.parts)
        check_out(self.out, inputs, self.force)
        if self.output == PALETTE and not is_folder(self.out):
            raise UsageError(
                f"palette PNGs need a folder, and {self.out} is a file: leave its ending out, or "
                "take --output labels"
            )
        if is_folder(self.out) and self.audio:
            raise UsageError(f"--audio needs a video as output, and {self.out} is a folder")
        if self.stats is not None:
            if self.stats.resolve() == self.out.resolve() and not is_special(self.stats):
                raise UsageError(
                    f"--stats {self.stats} is the video that is written: give another name"
                )
            check_output(self.stats, inputs, self.force, "--stats")
        if self.codec is not None and self.max_gop is not None:
            raise UsageError(
                "--max-gop is for a stream as it is; with --reencode, put gop=N into the codec's "
                "brackets"
            )
        try:
            return count(self.method, len(self.weights.classes), *self.network_size)
        except UsageError as error:
            raise UsageError(f"{error}; give --size HxW, a size that the method takes") from error


@dataclass
class Summary:
    """The account of a finished job.

    ``seconds`` run from the first packet to the last picture written; ``gmacs`` is the mean of all
    frames.
    """

    frames: int = 0
    keyframes: int = 0
    seconds: float = 0.0
    gmacs: float = 0.0
    motion: str = ""

    def line(self, out: Path) -> str:
        """Describe the job in a line for the terminal."""
        return (
            f"{out}: {self.frames} frames in {self.seconds:.1f} s, "
            f"{self.frames / max(self.seconds, 1e-9):.3g} frames/s end to end; {self.keyframes} "
            f"keyframes ({self.keyframes / max(self.frames, 1):.1%}); {self.gmacs:.4g} GMACs a "
            f"frame; motion: {self.motion}"
        )


@dataclass
class Work:
    """A job under way. ``say`` takes messages, ``advance`` is called for each frame that is
    done. ``network`` may be that of another job with the same method, weights and device."""

    job: Job
    cost: Cost
    say: Callable[[str], object] = lambda text: None
    advance: Callable[[], object] = lambda: None
    network: Stream | None = None
    _network: Stream = field(init=False)

    def __post_init__(self) -> None:
        job = self.job
        if self.network is not None:
            self._network = self.network
            return
        keep_freed_memory()
        model: VideoSegmenter = registry.create(
            "methods", job.method, classes=len(job.weights.classes)
        )
        load_into(model, job.method, job.weights.classes, job.weights)
        prepare(model.to(job.device))
        self._network = self.network = Stream(model, job.device, job.precision)

    def run(self) -> Summary:
        """Segment the video.

        Where the stream's own vectors are refused on the way and others may be had, it begins anew
        with those.

        Raises DataError for a video that cannot be read or written, MotionUnavailable; nothing is
        then left of the output.
        """
        needs = self._network.model.needs
        if self.job.codec is not None:
            self.say(f"encoding the video with {self.job.codec.describe()} first")
            wanted = bool(needs & {"motion", "residual"})
            words = f"that of {self.job.codec.describe()}, through which the video went"
            return self._pass(
                Choice(
                    OWN if wanted else "none", words if wanted else "not needed by the method", None
                )
            )
        choice = choose(self.job.source, needs, self.job.motion)
        try:
            return self._pass(choice)
        except MotionUnavailable as reason:
            choice = instead(self.job.source, needs, self.job.motion, reason)
        self.say(f"beginning anew, with motion that is {choice.words}")
        return self._pass(choice)

    def _pass(self, choice: Choice) -> Summary:
        job, summary = self.job, Summary(motion=choice.words)
        started = time.perf_counter()
        with ExitStack() as stack:
            write_row = stack.enter_context(_table(job.stats)) if job.stats is not None else None
            writer = self._writer(stack.enter_context(drafted(job.out)))
            stack.callback(writer.abandon)
            frames = stack.enter_context(ahead(self._frames(choice), FRAMES_AHEAD))
            stamp = 0
            for frame, image, stamp in frames:
                labels, times = self._network.segment(frame, job.source.size)
                began = time.perf_counter()
                self._draw(writer, image, labels, stamp)
                if write_row is not None:
                    model_seconds, drawing = sum(times) / 1000, time.perf_counter() - began
                    write_row(self._row(frame, choice, stamp, model_seconds, drawing))
                summary.frames += 1
                summary.keyframes += frame.distance == 0
                self.advance()
            if not summary.frames:
                raise DataError(
                    f"{job.source.path} holds no frame that can be decoded; it is empty or broken"
                )
            writer.close()
        if choice.name != "none" and summary.keyframes == summary.frames:
            summary.motion = "none, every frame is a keyframe"
        summary.seconds = time.perf_counter() - started
        self._compare(float(stamp * job.source.time_base + 1 / job.source.rate))
        others = summary.frames - summary.keyframes
        summary.gmacs = (
            summary.keyframes * self.cost.gmacs_key + others * self.cost.gmacs_nonkey
        ) / summary.frames
        if self.cost.uncounted:
            self.say(remark(str(self.job.method), self.cost.uncounted))
        return summary

    def _compare(self, seconds: float) -> None:
        """Warn where the pictures end long before the time that the header tells.

        Files break off without an error.
        """
        told = self.job.source.seconds
        if seconds < CUT_SHORT * told and told - seconds > FEW / self.job.source.rate:
            self.say(
                f"{self.job.source.path} tells of {told:.4g} s of video, but its pictures end "
                f"after {seconds:.4g} s: it may be cut short"
            )

    def _frames(self, choice: Choice) -> Iterator[tuple[Frame, Image, int]]:
        """Yield each frame as the network sees it, its picture the right way up at the video's
        size, and its time.

        Raises DataError; MotionUnavailable where it may be the stream's own vectors alone that
        cannot be read.
        """
        job, needs = self.job, self._network.model.needs
        if job.codec is not None:
            frames, rotation = recoded(job.source, job.codec, needs), 0
        else:
            frames = coded(job.source, choice.source, job.max_gop)
            rotation = job.source.rotation
        try:
            for frame, stamp in frames:
                image: Image = turned(frame.image, rotation)
                yield viewed(frame, image, rotation, job.network_size), image, stamp
        except DataError as error:
            if choice.source is None or choice.name != OWN:
                raise
            # a reader of vectors may find fault with what a decoder takes
            raise MotionUnavailable(str(error)) from error

    def _writer(self, draft: Path) -> Writer:
        job = self.job
        if is_folder(job.out):
            return FolderWriter(draft, job.weights.classes, job.painter.palette)
        return VideoWriter(draft, job.source, job.audio)

    def _draw(self, writer: Writer, image: Image, labels: np.ndarray, stamp: int) -> None:
        job = self.job
        if job.output == OVERLAY:
            writer.write(job.painter.overlay(image, labels), stamp)
        elif is_folder(job.out):
            writer.write(job.painter.indexed(labels), stamp)
        else:
            writer.write(job.painter.colours(labels), stamp)

    def _row(
        self, frame: Frame, choice: Choice, stamp: int, model: float, draw: float
    ) -> list[object]:
        key = frame.distance == 0
        share = "" if key or frame.motion is None else f"{frame.motion.intra_share:.4f}"
        seconds = float(stamp * self.job.source.time_base)
        times = (1000 * each for each in (frame.decode_seconds, frame.motion_seconds, model, draw))
        return [
            frame.index, f"{seconds:.6f}", frame.picture_type, int(key), frame.distance,
            "" if key else choice.name,
            frame.bits, share, *(f"{each:.3f}" for each in times),
        ]  # fmt: skip


@contextmanager
def _table(path: Path) -> Iterator[Callable[[Sequence[object]], object]]:
    """Open a CSV with the head COLUMNS, which is there once it is whole; give the function that
    writes a row."""
    with (
        drafted(path) as draft,
        draft.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        write = csv.writer(file).writerow
        write(COLUMNS)
        yield write
