"""The measurement of one experiment: every clip through codec, method and meters, then stored."""

from __future__ import annotations

import os
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vssbench.core import reading, registry
from vssbench.core.ahead import ahead
from vssbench.core.allocator import keep_freed_memory
from vssbench.core.energy import NOT_MEASURED, counter
from vssbench.core.errors import DataError, ExperimentRefused, VssbenchError
from vssbench.core.machine import describe_machine
from vssbench.core.place import staying
from vssbench.core.segmenter import VideoSegmenter
from vssbench.core.shortage import check_memory, shortage
from vssbench.core.video import Clip, Frame
from vssbench.cost.gmacs import traits
from vssbench.cost.uncounted import remark
from vssbench.fast.prepare import prepare
from vssbench.metrics.meters import Meters
from vssbench.metrics.meters import check as check_meters
from vssbench.protocol import Episode, pricing
from vssbench.run.described import described
from vssbench.run.experiment import MOTION, Experiment
from vssbench.run.identity import (
    digests,
)
from vssbench.run.measurement import NON_DETERMINISTIC, Measurement
from vssbench.run.recorder import Recorder
from vssbench.run.seen import seen
from vssbench.run.sizes import Sizes
from vssbench.run.store import RunStore
from vssbench.run.stream import Stream
from vssbench.weights.network import load_into

#: passes over the first frame before any time counts, of either kind of frame
WARM_UP = 2

#: frames decoded ahead of the network
FRAMES_AHEAD = 4


@dataclass(frozen=True)
class Way:
    """The way in which an experiment is run, which changes nothing of its accuracy.

    ``advance`` is called once a frame. ``said`` returns what was printed meanwhile, for the log.
    An experiment that is not ``timed``, since others run beside it, stores no latency.
    """

    advance: Callable[[], None] = lambda: None
    said: Callable[[], str] = str
    timed: bool = True


#: an experiment by itself
ALONE = Way()


def measure(experiment: Experiment, store: RunStore, command: str, way: Way = ALONE) -> Measurement:
    """Run an experiment and store it, whatever comes of it: one that fails is a row too, with its
    reason.

    KeyboardInterrupt passes through: an interrupted experiment leaves nothing behind.
    """
    started = time.perf_counter()
    base = _base(experiment, command)
    try:
        with staying():
            recorder, meters, numbers = _run(experiment, started, way)
    except ExperimentRefused as error:
        measurement = _measurement(
            **base, status="refused", reason=str(error), seconds=time.perf_counter() - started
        )
        _store_failure(experiment, store, measurement, f"{error}\n{way.said()}")
        return measurement
    except Exception as error:  # the sweep goes on with the others; the row says what happened
        reason = _reason(error)
        trace = traceback.format_exc()
        measurement = _measurement(
            **base,
            status="failed",
            reason=reason,
            traceback=trace,
            seconds=time.perf_counter() - started,
        )
        _store_failure(experiment, store, measurement, f"{trace}{way.said()}")
        return measurement
    seconds = time.perf_counter() - started
    spent = recorder.spent(seconds)
    measurement = _measurement(**{**base, **numbers}, status="done", seconds=seconds, spent=spent)
    shares = ", ".join(f"{name} {part / seconds:.1%}" for name, part in spent.items())
    log = f"{experiment.title}: {measurement.frames} frames scored in {seconds:.1f} s ({shares})\n"
    log += way.said()
    records = recorder.confusion(), recorder.latency() if way.timed else None
    try:
        store.write(
            measurement,
            *records,
            experiment.environment(),
            log,
            recorder.streams(),
            meters.arrays(),
        )
    except DataError as error:  # a full disk: a row that says so takes less room
        measurement = _measurement(**base, status="failed", reason=str(error), seconds=seconds)
        _store_failure(experiment, store, measurement, f"{log}{error}\n")
    return measurement


def _measurement(**values: Any) -> Measurement:
    """Make a row. Raises MemoryError."""
    check_memory()
    return Measurement(**values)


def _reason(error: Exception) -> str:
    """Say in words why an experiment failed."""
    if isinstance(error, VssbenchError):
        return str(error)
    if isinstance(error, OSError) and isinstance(error.filename, str | os.PathLike):
        said = reading.fault_elsewhere(Path(error.filename), error)
    else:
        said = shortage(error)
    return said or f"{type(error).__name__}: {error}"


def fail(
    experiment: Experiment, store: RunStore, command: str, reason: str, log: str
) -> Measurement:
    """Store an experiment that failed with its process, for a reason in words."""
    measurement = _measurement(**_base(experiment, command), status="failed", reason=reason)
    _store_failure(experiment, store, measurement, f"{reason}\n{log}")
    return measurement


def _store_failure(
    experiment: Experiment, store: RunStore, measurement: Measurement, log: str
) -> None:
    """Store a failed experiment, but keep what was measured of it before.

    One that was measured before keeps its results, whatever fails when it is asked for more.
    """
    if store.result(experiment.run_id) is None:
        with suppress(DataError):
            store.write(measurement, None, None, experiment.environment(), log)


def _base(experiment: Experiment, command: str) -> dict[str, Any]:
    """Return the part of a Measurement that is known before anything runs."""
    return described(experiment, experiment.identity) | {
        "method": str(experiment.method),
        "display": traits(experiment.method, experiment.outputs.classes).display,
        "protocol_details": experiment.protocol.details(),
        "without": experiment.left_out,
        "void": experiment.outputs.void,
        "weights": {
            "file": experiment.weights.path.name,
            "sha256": experiment.weights.sha256,
            "trained": {
                key: value
                for key, value in experiment.weights.training.items()
                if key not in ("history", "initial", "pictures")
            },
            "trained_as": experiment.weights.metadata["method"],
        },
        "precision": experiment.precision,
        "device": experiment.device,
        "seed": experiment.seed,
        "machine": describe_machine(experiment.device),
        "command": command,
        "version": experiment.version,
        "sources": digests(experiment.plugins),
    }


def _run(
    experiment: Experiment, started: float, way: Way
) -> tuple[Recorder, Meters, dict[str, Any]]:
    if experiment.needs & MOTION and not experiment.codec.has_motion:
        raise ExperimentRefused(
            f"{experiment.method} needs motion vectors, and {experiment.codec_variant} carries "
            "none; choose a codec that has them, as h264, or motion=estimated"
        )
    remarks = experiment.protocol.remarks(experiment.dataset.scored_clips, experiment.codec.gop)
    check_meters(experiment.measures, experiment.protocol, experiment.dataset.scored_clips)
    keep_freed_memory()
    torch.manual_seed(experiment.seed)
    outputs = experiment.outputs
    model: VideoSegmenter = registry.create("methods", experiment.method, classes=outputs.classes)
    load_into(model, experiment.method, experiment.expected, experiment.weights)
    outputs.prepare(model)
    prepare(model.to(experiment.device))
    clips = experiment.dataset.scored_clips
    recorder = Recorder(outputs.values, group_numbers(clips), view_numbers(clips))
    meters = Meters(experiment.measures, outputs.values)
    stream = Stream(
        model, experiment.device, experiment.precision, warm_up=WARM_UP, outputs=outputs
    )
    sizes = Sizes.of(clips)
    costs = sizes.costs(experiment.method, outputs.classes)
    alone = f"{NOT_MEASURED}others ran beside it"
    recorder.counter = counter(experiment.device) if way.timed else alone
    # now: a disk that goes away behind the last frame takes nothing that was measured with it
    known = seen(experiment.weights.training, experiment.dataset_variant, experiment.dataset)
    recorder.setup_seconds = time.perf_counter() - started
    for number, clip in enumerate(clips):
        _run_clip(experiment, stream, number, clip, recorder, meters, way)
    recorder.network_seconds += stream.warm_up_seconds
    if not recorder.matrices:
        raise DataError(f"{experiment.dataset_variant} holds no labelled frame: nothing to score")
    priced = pricing(
        {distance for _, _, distance in recorder.scored},
        {distance for distance, *_ in recorder.times},
        experiment.codec.gop,
        [clip.length for clip in clips] if experiment.protocol.continuous else (),
    )
    cost = sizes.mean_cost(costs, recorder.ran)
    missing = [remark(model.display, cost.uncounted)] if cost.uncounted else []
    varying = [] if stream.repeats else [NON_DETERMINISTIC]
    numbers = {
        "frames": len(recorder.matrices),
        "remarks": [*remarks, *priced.remarks, *sizes.remarks, *missing, *varying],
        "protocol_details": experiment.protocol.details() | priced.details,
        "params": cost.params,
        "gmacs_key": cost.gmacs_key,
        "gmacs_nonkey": cost.gmacs_nonkey,
        "gmacs_gop": cost.gmacs_gop(priced.gop),
        **recorder.rate(),
        **recorder.energy(priced.gop),
        "seen": known.record(),
    }
    return recorder, meters, numbers


def group_numbers(clips: Sequence[Clip]) -> list[int]:
    """Number the groups of the clips as they come, and return each clip's."""
    numbers: dict[str, int] = {}
    return [numbers.setdefault(clip.group, len(numbers)) for clip in clips]


def view_numbers(clips: Sequence[Clip]) -> list[int] | None:
    """Return for each clip the number of the first that shows the same labelled frame.

    It is the clip's own where none does; None where no clip is a view.
    """
    if not any(clip.view_of for clip in clips):
        return None
    first: dict[tuple[str, str], int] = {}
    return [
        first.setdefault((clip.group, clip.view_of), number) if clip.view_of else number
        for number, clip in enumerate(clips)
    ]


def _run_clip(
    experiment: Experiment,
    stream: Stream,
    number: int,
    clip: Clip,
    recorder: Recorder,
    meters: Meters,
    way: Way,
) -> None:
    # on a CPU the decoder stands still while a frame is timed: it would take the network's cores
    gate = threading.Lock()
    keyframe = np.empty(0, np.uint8)
    fps = clip.fps if clip.length > 1 else None  # a still
    with ahead(
        _episodes(experiment, stream, clip, way.timed),
        FRAMES_AHEAD,
        gate if experiment.device == "cpu" and way.timed else None,
    ) as decoded:
        for episode, frame in recorder.waiting(decoded):
            keyframe = frame.image if frame.distance == 0 else keyframe
            recorder.frame(number, episode.first + frame.index, frame, keyframe, fps)
            if episode.runs(frame.index, frame.distance == 0):
                label = episode.clip.label(frame.index) if episode.scores(frame.index) else None
                size = None if label is None else (label.shape[0], label.shape[1])
                name = f"frame {episode.first + frame.index} of {clip.name!r}"
                with gate, recorder.metered(frame.distance == 0):
                    prediction, times = stream.segment(frame, size, name)
                recorder.time(number, frame, sum(times) / 1000)
                if label is not None:
                    recorder.score(
                        number, episode.first + frame.index, frame.distance, label, prediction
                    )
                meters.add(number, episode, frame.index, frame.distance, label, prediction)
            way.advance()


def _episodes(
    experiment: Experiment, stream: Stream, clip: Clip, timed: bool
) -> Iterator[tuple[Episode, Frame]]:
    """Yield every frame of every episode of a clip, decoded."""
    codec = experiment.codec
    frames = codec.frames if timed else codec.untimed_frames
    asked = {"motion": "motion" in stream.model.needs, "residual": "residual" in stream.model.needs}
    for episode in experiment.protocol.episodes(clip, experiment.codec.gop):
        for frame in frames(episode.clip, experiment.cache, **asked):
            yield episode, frame
