"""The process that times one method: builds it, warms it up, then does a round whenever it is told
to.

It talks to the process that started it through a pipe, one message at a time: (what, content).
``ready`` comes with the warm-up, the number of threads and what counts the energy, ``round`` with
a round's frames, ``failed`` with the reason in words. It ends when the pipe does.
"""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from statistics import median

import torch

from vssbench.core import registry
from vssbench.core.allocator import keep_freed_memory
from vssbench.core.energy import counter, in_words
from vssbench.core.errors import VssbenchError
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.variant import parse_variant
from vssbench.core.video import Frame
from vssbench.fast.prepare import prepare
from vssbench.latency import load, warmup
from vssbench.latency.footage import open_clip, open_codec
from vssbench.latency.fresh import Fresh
from vssbench.latency.settings import Settings, Subject
from vssbench.run.clock import step_clock
from vssbench.run.stream import Stream
from vssbench.weights.file import open_weights
from vssbench.weights.network import load_into


@dataclass(frozen=True)
class Round:
    """The result of a round: its frames' times, and the load of the machine meanwhile.

    Of each timed frame it holds the GOP of the round, its index in the stream, its distance, and
    the milliseconds of the five parts; ``joules`` is the energy of each, NaN where nothing counts
    it. ``again`` is the time of the last GOP shown once more, as a share of what the round's
    keyframes and others took when they were fresh, by their medians: a frame that was held up is no
    sign that a method keeps results.
    """

    frames: list[tuple[int, int, int, float, float, float, float, float]]
    load: load.Load
    again: float
    joules: list[float]


def serve(connection: Connection, settings: Settings, subject: Subject) -> None:
    """Run the worker process from its first message to its end."""
    try:
        bench = Bench(settings, subject)
        ready = bench.warm_up(), torch.get_num_threads(), in_words(bench.counter)
        connection.send(("ready", ready))
        while connection.recv() == "round":
            connection.send(("round", bench.round(settings.seconds_a_round)))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        return  # nobody is there to hear any more
    except VssbenchError as error:
        connection.send(("failed", str(error)))
    except (
        Exception
    ) as error:  # a method from elsewhere may do anything; the others are timed all the same
        connection.send(("failed", f"{type(error).__name__}: {error}"))


class Bench:
    """A method with the frames that it is timed on, decoded."""

    def __init__(self, settings: Settings, subject: Subject) -> None:
        self.settings = settings
        keep_freed_memory()
        if settings.threads is not None:
            torch.set_num_threads(settings.threads)
        model = _build(settings, subject)
        self.stream = Stream(
            model,
            settings.device,
            settings.precision,
            step_clock(settings.device),
            trained=subject.weights is not None,
        )
        self.counter = counter(settings.device)
        self.clip, self.codec = open_clip(settings), open_codec(settings)
        self.frames, _ = self.decode()
        self.fresh = Fresh(self.clip.height, self.clip.width, settings.seed)
        self.gops = [
            self.frames[at : at + settings.gop] for at in range(0, len(self.frames), settings.gop)
        ]

    def decode(self) -> tuple[list[Frame], list[tuple[float, float]]]:
        """Return a pass over the stream: its frames, and the milliseconds of decoding and of motion
        (with the residual) of each."""
        needs = self.stream.model.needs
        asked = {
            "motion": "motion" in needs or "residual" in needs,
            "residual": "residual" in needs,
        }
        frames = list(self.codec.frames(self.clip, self.settings.cache, **asked))
        return frames, [
            (1000 * frame.decode_seconds, 1000 * frame.motion_seconds) for frame in frames
        ]

    def warm_up(self) -> warmup.WarmUp:
        """Run windows until their medians agree."""
        started = time.perf_counter()
        windows: list[tuple[float, float]] = []
        frames = self.gops[0][: 1 + warmup.OTHERS]
        while True:
            times = [sum(self.segment(frame)[1:]) for frame in self.fresh(frames)]
            windows.append((times[0], median(times[1:] or [0.0])))
            seconds = time.perf_counter() - started
            if warmup.settled(windows) or warmup.given_up(len(windows), seconds):
                count = len(windows)
                return warmup.WarmUp(
                    seconds,
                    count * len(frames),
                    count,
                    warmup.settled(windows),
                    windows[0],
                    windows[-1],
                )

    def round(self, seconds: float) -> Round:
        """Decode the stream once, then segment whole GOPs for that long, at least one.

        The first frames are not counted, since other methods have had the machine in between. Every
        frame is fresh; the last GOP is shown once more at the end, uncounted.
        """
        before = load.read()
        _, decoding = self.decode()
        for frame in self.fresh(self.gops[0][:2]):
            self.segment(frame)
        timed: list[tuple[int, int, int, float, float, float, float, float]] = []
        joules: list[float] = []
        started, number = time.perf_counter(), 0
        while not number or time.perf_counter() - started < seconds:
            gop = self.fresh(self.gops[number % len(self.gops)])
            for frame in gop:
                times, used = self._metered(frame)
                joules.append(used)
                decode, motion = decoding[frame.index]
                timed.append((number, frame.index, frame.distance, decode, motion, *times))
            number += 1
        usual = {
            is_key: median(sum(entry[-2:]) for entry in timed if (entry[2] == 0) == is_key)
            for is_key in {frame.distance == 0 for frame in gop}
        }
        again = sum(sum(self.segment(frame)[1:]) for frame in gop)
        fresh = sum(usual[frame.distance == 0] for frame in gop)
        return Round(timed, load.between(before, load.read()), again / fresh, joules)

    def _metered(self, frame: Frame) -> tuple[tuple[float, float, float], float]:
        """Segment a frame; returns its times and its joules, NaN where nothing counts them."""
        if isinstance(self.counter, str):
            return self.segment(frame), math.nan
        before = self.counter.read()
        times = self.segment(frame)
        return times, self.counter.joules(before, self.counter.read())

    def segment(self, frame: Frame) -> tuple[float, float, float]:
        """Return milliseconds of a frame's conversion to the network's input, of the network, and
        of resize and argmax."""
        _, (converting, network, post) = self.stream.segment(frame)
        return converting, network, post


def _build(settings: Settings, subject: Subject) -> VideoSegmenter:
    """Return the method in its fast form, as ``run`` measures it."""
    torch.manual_seed(settings.seed)
    variant = parse_variant(subject.method)
    model: VideoSegmenter = registry.create("methods", variant, classes=settings.classes)
    if subject.weights is not None:
        file = open_weights(subject.weights)
        load_into(model, variant, file.classes, file)
    prepare(model.to(settings.device))
    return model
