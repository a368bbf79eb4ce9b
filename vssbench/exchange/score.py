"""Predictions of another program, scored like a run: the same frames, protocols and meters, and a
row in the same store. What the method costs is not measured: it may be typed in, and is marked."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from vssbench.core import registry
from vssbench.core.errors import UsageError
from vssbench.core.machine import describe_environment
from vssbench.core.progress import messages, track
from vssbench.core.variant import Variant, parse_variant
from vssbench.core.video import Clip
from vssbench.cost.gmacs import Cost
from vssbench.exchange.input import Input
from vssbench.exchange.predictions import Predictions, find
from vssbench.metrics.meters import CONSISTENCY, Meters
from vssbench.metrics.meters import check as check_meters
from vssbench.protocol import Pricing, pricing, typed
from vssbench.run.described import described
from vssbench.run.identity import PACKAGES, code_version, digests, origins, run_id
from vssbench.run.measurement import Measurement
from vssbench.run.measuring import group_numbers, view_numbers
from vssbench.run.recorder import Recorder
from vssbench.run.sizes import Sizes
from vssbench.run.store import RunStore
from vssbench.run.stored import Run

#: packages whose source makes the numbers of scored predictions
SOURCES = (*PACKAGES, "exchange")
_GMACS = ("gmacs_key", "gmacs_nonkey", "gmacs_gop")
#: digits of the predictions' digest that a row shows
_SHOWN = 12


@dataclass(frozen=True)
class Typed:
    """The cost of a method as its user states it; None where nothing was stated.

    GMACs are 1e9 multiply-accumulates, latencies milliseconds on ``machine``, each of a keyframe
    and of another frame. A frame that is no keyframe costs what a keyframe does where nothing else
    is said. Raises UsageError for numbers that tell nothing.
    """

    params: int | None = None
    gmacs_key: float | None = None
    gmacs_nonkey: float | None = None
    latency_key_ms: float | None = None
    latency_nonkey_ms: float | None = None
    machine: str = ""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if isinstance(value, int | float) and not 0 <= value < float("inf"):
                raise UsageError(f"{name} is {value:g}: expected a number of 0 or more")
        for kind in ("gmacs_{}", "latency_{}_ms"):
            key, other = kind.format("key"), kind.format("nonkey")
            if getattr(self, key) is None and getattr(self, other) is not None:
                raise UsageError(f"{other} is given without {key}: give both, or {key} alone")
            if getattr(self, other) is None:
                object.__setattr__(self, other, getattr(self, key))
        if self.latency_key_ms is not None and not self.machine:
            raise UsageError(
                "a latency tells nothing without its machine: name the processor (--machine 'RTX "
                "4090, batch 1'); rows of different machines are never ranked together"
            )

    def numbers(self, priced: Pricing) -> dict[str, float]:
        """Return what was typed by the names of the frame's columns, with the mean over a GOP."""
        found = {name: value for name, value in asdict(self).items() if name != "machine"}
        if self.gmacs_key is not None and self.gmacs_nonkey is not None:
            cost = Cost(self.params or 0, self.gmacs_key, self.gmacs_nonkey)
            found["gmacs_gop"] = cost.gmacs_gop(priced.gop)
        return {name: value for name, value in found.items() if value is not None}


@dataclass
class Scoring:
    """Predictions to be scored: whose they are, and on what input.

    ``name`` is the method's as it is typed, ``display`` that in tables. ``cache`` keeps bitstreams.
    """

    folder: Path
    name: Variant
    input: Input
    display: str = ""
    typed: Typed = Typed()
    measures: tuple[str, ...] = ()
    cache: Path | None = None

    def __post_init__(self) -> None:
        self.display = self.display or str(self.name)
        if self.name.name in registry.plugins("methods"):
            raise UsageError(
                f"--name {self.name} is a method of this project: name the predictions otherwise, "
                f"as {self.name.name}-elsewhere, so that rows are not mixed up"
            )

    def check(self) -> list[str]:
        """Return what the protocol says of the clips.

        Raises ExperimentRefused where it cannot score them, or a measure cannot be counted.
        """
        check_meters(self.measures, self.input.protocol, self.input.clips)
        return self.input.protocol.remarks(self.input.clips, self.input.codec.gop)

    @cached_property
    def predictions(self) -> Predictions:
        """The predictions, found by their names. Raises DataError."""
        every = CONSISTENCY in self.measures
        return find(self.folder, self.input.layout, len(self.input.dataset.classes), every)

    def identity(self, digest: str) -> dict[str, Any]:
        """Return everything that changes the scores of predictions of that digest; its hash is the
        run's id. What is typed in is no part of it."""
        source = self.input
        return {
            "predictions": digest,
            "method": str(self.name),
            "dataset": source.dataset_variant.name,
            "classes": source.dataset.classes,
            "clips": [clip.fingerprint for clip in source.clips],
            "codec": source.codec.settings(),
            "protocol": [typed(source.protocol), source.protocol.details()],
            "code": code_version(source.plugins, SOURCES),
        }


def method_name(text: str | None, folder: Path) -> Variant:
    """Return the name of a method whose predictions lie in a folder: as typed, else the folder's.

    Raises UsageError where that does not read as a name.
    """
    try:
        return parse_variant(text or folder.resolve().name)
    except UsageError as error:
        raise UsageError(f"{error}; give --name, and --display for tables") from error


def score(
    scoring: Scoring,
    store: RunStore,
    command: str,
    digest: str,
    advance: Callable[[], object] = lambda: None,
) -> Measurement:
    """Score predictions of that digest and store the row; ``advance`` is called once a frame.

    Raises DataError and ExperimentRefused; nothing is stored then.
    """
    started = time.perf_counter()
    source, remarks = scoring.input, scoring.check()
    clips, classes = source.clips, len(source.dataset.classes)
    recorder = Recorder(classes, group_numbers(clips), view_numbers(clips))
    meters, ran = Meters(scoring.measures, classes), set[int]()
    for number, clip in enumerate(clips):
        ran |= _score_clip(scoring, number, clip, recorder, meters, advance)
    lengths = [clip.length for clip in clips] if source.protocol.continuous else ()
    scored = {distance for _, _, distance in recorder.scored}
    priced = pricing(scored, ran, source.codec.gop, lengths)
    numbers = scoring.typed.numbers(priced)
    sizes = Sizes.of(clips)
    files = len(scoring.predictions.files)
    costs: dict[str, Any] = {name: numbers.get(name) for name in _GMACS}
    rates: dict[str, Any] = recorder.rate()
    measurement = Measurement(
        **_base(scoring, digest, command),
        status="done",
        seconds=time.perf_counter() - started,
        frames=len(recorder.matrices),
        remarks=[
            f"{scoring.display}: predictions of another program, {files} files, sha256 "
            f"{digest[:_SHOWN]}",
            *remarks,
            *(priced.remarks if numbers else []),
            *(sizes.remarks if numbers else []),
        ],
        protocol_details=source.protocol.details() | priced.details,
        typed=numbers,
        params=scoring.typed.params,
        **costs,
        **rates,
    )
    store.write(
        measurement,
        recorder.confusion(),
        None,
        {**describe_environment("cpu"), "plugins": origins(source.plugins)},
        f"{scoring.name} on {source}: {files} predictions of {scoring.folder}, sha256 {digest}\n",
        recorder.streams(),
        meters.arrays(),
    )
    return measurement


def scored(scoring: Scoring, store: RunStore, command: str, force: bool = False) -> Run:
    """Return the stored row of predictions, scored now unless they are scored already.

    ``force`` scores them again. Raises DataError and ExperimentRefused; nothing is stored then.
    """
    scoring.check()
    with track("checking predictions", len(scoring.predictions.files)) as tracker:
        digest = scoring.predictions.digest(tracker.advance)
    if not force and is_stored(scoring, store, digest):
        messages().print("these predictions are scored already (--force scores them again)")
    else:
        store.check_writable()
        store.check_older([run_id(scoring.identity(digest))])
        with track("scoring", scoring.input.frames()) as tracker:
            score(scoring, store, command, digest, tracker.advance)
    return store.get(run_id(scoring.identity(digest)))


def is_stored(scoring: Scoring, store: RunStore, digest: str) -> bool:
    """Return whether predictions of that digest are scored already, with the same measures and the
    same numbers typed in."""
    name = run_id(scoring.identity(digest))
    if not store.has(name, scoring.measures):
        return False
    found = store.get(name).measurement
    stated = {key: value for key, value in found.typed.items() if key != "gmacs_gop"}
    asked = {key: value for key, value in asdict(scoring.typed).items() if value is not None}
    machine = asked.pop("machine")
    return (found.display, stated, found.machine) == (scoring.display, asked, _machine(machine))


def _base(scoring: Scoring, digest: str, command: str) -> dict[str, Any]:
    """Return the part of a Measurement that is known before anything is scored."""
    identity, source = scoring.identity(digest), scoring.input
    return described(source, identity) | {
        "method": str(scoring.name),
        "display": scoring.display,
        "predictions": digest,
        "precision": "",
        "device": "",
        "machine": _machine(scoring.typed.machine),
        "command": command,
        "version": identity["code"],
        "sources": _sources(source),
    }


def _sources(source: Input) -> dict[str, str]:
    """Return the digests of the code by its parts: those of any run, and this package's."""
    own = digests((), ("exchange",))["vssbench"]
    return digests(source.plugins) | {"exchange": own}


def _machine(name: str) -> dict[str, Any]:
    return {"cpu": name} if name else {}


def _score_clip(
    scoring: Scoring,
    number: int,
    clip: Clip,
    recorder: Recorder,
    meters: Meters,
    advance: Callable[[], object],
) -> set[int]:
    """Score a clip; returns the distances of the frames that a method runs on."""
    source, ran, keyframe = scoring.input, set[int](), np.empty(0, np.uint8)
    fps = clip.fps if clip.length > 1 else None  # a still
    for episode in source.protocol.episodes(clip, source.codec.gop):
        for frame in source.codec.frames(episode.clip, scoring.cache, motion=False):
            place = episode.first + frame.index
            keyframe = frame.image if frame.distance == 0 else keyframe
            recorder.frame(number, place, frame, keyframe, fps)
            if episode.runs(frame.index, frame.distance == 0):
                ran.add(frame.distance)
                label = episode.clip.label(frame.index) if episode.scores(frame.index) else None
                key = source.layout.key(number, episode, frame.index)
                prediction = scoring.predictions.read(key)
                if label is not None and prediction is not None:
                    recorder.score(number, place, frame.distance, label, prediction)
                if prediction is not None:
                    meters.add(number, episode, frame.index, frame.distance, label, prediction)
            advance()
    return ran
