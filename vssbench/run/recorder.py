"""Record of a run, frame by frame: confusion matrices, times, and the codec's results."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np

from vssbench.codec.prediction import statistics
from vssbench.core.energy import EnergyCounter, in_words
from vssbench.core.errors import DataError
from vssbench.core.video import Frame, Image, LabelMap
from vssbench.metrics.confusion import confusion_matrix
from vssbench.run.records import ConfusionRecord, LatencyRecord, StreamRecord

NAN = float("nan")
T = TypeVar("T")


@dataclass
class Recorder:
    """Collects what each frame yields."""

    classes: int
    #: the number of each clip's group, by the clip's number
    groups: Sequence[int]
    #: the first clip that shows the same labelled frame, by the clip's number; None where none does
    views: Sequence[int] | None = None
    matrices: list[np.ndarray] = field(default_factory=list)
    scored: list[tuple[int, int, int]] = field(default_factory=list)  # clip, frame, distance
    # distance; decode, motion, model in ms
    times: list[tuple[int, float, float, float]] = field(default_factory=list)
    #: frames of each clip that the network ran on
    ran: Counter[int] = field(default_factory=Counter)
    stream: list[tuple[float, ...]] = field(default_factory=list)  # as StreamRecord's fields
    #: seconds of each clip that is a video, by its number; a still has no rate
    seconds_of_video: dict[int, float] = field(default_factory=dict)
    #: seconds that the run spent until its first frame, waiting for frames from the codec, and in
    #: the network (resize, argmax and warm-up included)
    setup_seconds: float = 0.0
    codec_seconds: float = 0.0
    network_seconds: float = 0.0
    #: what counts the energy, or why it is not measured
    counter: EnergyCounter | str = ""
    #: joules of each frame that the network ran on, of keyframes and of others
    joules: dict[bool, list[float]] = field(default_factory=lambda: {True: [], False: []})
    _seen: set[tuple[int, int, int]] = field(default_factory=set)

    def frame(
        self, clip: int, index: int, frame: Frame, keyframe: Image, fps: float | None
    ) -> None:
        """Note what the codec made of a frame, the ``index``-th of that clip. A still has no
        ``fps``."""
        its = statistics(frame.motion, frame.image, keyframe) if frame.motion is not None else None
        field_numbers = (
            (NAN,) * 4
            if its is None
            else (its.intra_share, its.mean_vector, its.p95_vector, its.warp_error)
        )
        kind = float(ord(frame.picture_type))
        self.stream.append(
            (clip, index, kind, frame.bits, frame.psnr_db, frame.ssim, *field_numbers)
        )
        if fps is not None:
            self.seconds_of_video[clip] = self.seconds_of_video.get(clip, 0.0) + 1 / fps

    def waiting(self, frames: Iterator[T]) -> Iterator[T]:
        """Yield the frames as they come; how long they are waited for is noted."""
        while True:
            started = time.perf_counter()
            try:
                frame = next(frames)
            except StopIteration:
                return
            finally:
                self.codec_seconds += time.perf_counter() - started
            yield frame

    def spent(self, seconds: float) -> dict[str, float]:
        """Return where the ``seconds`` of the run went.

        ``setup``: building the network, its weights, counting operations, once a run; ``codec``:
        reading source frames, encoding, decoding and motion, as far as the network waited for them;
        ``network``; ``harness``: all else, input tensors, labels, scoring, writing.
        """
        spent = {
            "setup": self.setup_seconds,
            "codec": self.codec_seconds,
            "network": self.network_seconds,
        }
        return {**spent, "harness": seconds - sum(spent.values())}

    def time(self, clip: int, frame: Frame, model_seconds: float) -> None:
        """Note how long a frame of that clip took."""
        self.ran[clip] += 1
        self.network_seconds += model_seconds
        decode, motion, model = (
            1000 * s for s in (frame.decode_seconds, frame.motion_seconds, model_seconds)
        )
        self.times.append((frame.distance, decode, motion, model))

    @contextmanager
    def metered(self, key: bool) -> Iterator[None]:
        """Count the energy of what is done inside as a frame's; ``key`` says of which kind."""
        if isinstance(self.counter, str):
            yield
            return
        before = self.counter.read()
        yield
        if self.times:  # the first frame comes with the warm-up
            self.joules[key].append(self.counter.joules(before, self.counter.read()))

    def energy(self, gop: int) -> dict[str, float | str | None]:
        """Return the mean joules of a keyframe, of another frame and over a GOP, None where they
        were not measured, and what the counter counts, or why there is none."""
        key, other = (
            math.fsum(its) / len(its) if its else None
            for its in map(self.joules.get, (True, False))
        )
        mean = key if gop == 1 else None
        if key is not None and other is not None and gop > 1:
            mean = (key + (gop - 1) * other) / gop
        joules = {"joules_key": key, "joules_nonkey": other, "joules_gop": mean}
        return {**joules, "energy": in_words(self.counter)}

    def score(
        self, clip: int, index: int, distance: int, label: LabelMap, prediction: LabelMap
    ) -> None:
        """Compare a prediction with its label. Raises DataError where a frame is scored twice at
        one distance."""
        if (clip, index, distance) in self._seen:
            raise DataError(
                f"frame {index} of clip {clip} was scored at distance {distance} before: the "
                "protocol repeats it"
            )
        self._seen.add((clip, index, distance))
        self.matrices.append(confusion_matrix(label, prediction, self.classes))
        self.scored.append((clip, index, distance))

    def streams(self) -> StreamRecord:
        columns = [np.array(column, np.float64) for column in zip(*self.stream, strict=True)]
        clips, frames, bits = (columns[place].astype(np.int64) for place in (0, 1, 3))
        return StreamRecord(clips, frames, columns[2].astype(np.uint8), bits, *columns[4:])

    def rate(self) -> dict[str, float | None]:
        """Return bit rate in kbit/s of what is video; PSNR of the mean squared error over all
        frames and mean SSIM. None where there is no video, nothing was lost or nothing is known."""
        record = self.streams()
        # relative to the peak's square; 0 in a frame without loss
        error = float(np.mean(10 ** (-record.psnr_db / 10)))
        psnr = -10 * math.log10(error) if error > 0 else math.inf
        ssim = float(record.ssim.mean())
        return {
            "bitrate_kbps": self._kilobits_a_second(record),
            "psnr_db": psnr if math.isfinite(psnr) else None,
            "ssim": ssim if math.isfinite(ssim) else None,
        }

    def _kilobits_a_second(self, record: StreamRecord) -> float | None:
        """Return the rate of what is video; None, too, where the frames of any video come without
        their size (0 bits): the sum of the others is not the rate."""
        bits = {
            clip: int(record.bits[record.clips == clip].sum()) for clip in self.seconds_of_video
        }
        if not bits or not all(bits.values()):
            return None
        return sum(bits.values()) / sum(self.seconds_of_video.values()) / 1000

    def confusion(self) -> ConfusionRecord:
        clips, frames, distances = (
            np.array(column, np.int64) for column in zip(*self.scored, strict=True)
        )
        groups = np.array(self.groups, np.int64)[clips]
        views = None if self.views is None else np.array(self.views, np.int64)[clips]
        return ConfusionRecord(np.stack(self.matrices), distances, clips, frames, groups, views)

    def latency(self) -> LatencyRecord:
        distance, decode, motion, model = zip(*self.times, strict=True)
        distances = np.array(distance, np.int64)
        return LatencyRecord(
            distances, distances == 0, np.array(decode), np.array(motion), np.array(model)
        )
