"""Frames of stored runs segmented again, with the settings that the runs record: predictions are
not stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from vssbench.core import registry
from vssbench.core.classes import numbers_of
from vssbench.core.dataset import Dataset
from vssbench.core.errors import DataError, UsageError, VssbenchError, WeightsError
from vssbench.core.machine import check_device
from vssbench.core.opening import open_dataset
from vssbench.core.variant import parse_variant
from vssbench.core.video import IGNORE, Frame, Image, LabelMap
from vssbench.fast.prepare import prepare
from vssbench.metrics.confusion import confusion_matrix
from vssbench.protocol import Episode
from vssbench.protocol import protocol as find_protocol
from vssbench.report.counted import widened
from vssbench.run.experiment import Experiment
from vssbench.run.identity import run_id
from vssbench.run.outputs import VOID
from vssbench.run.stored import Run
from vssbench.run.stream import Stream
from vssbench.weights.file import WeightFile, open_weights
from vssbench.weights.network import load_into, weights_name
from vssbench.weights.shipped import shipped


@dataclass(frozen=True, order=True)
class Place:
    """A frame of a dataset's clips as a run met it: clip, frame and distance by their numbers."""

    clip: int
    frame: int
    distance: int


@dataclass(frozen=True)
class Seen:
    """A frame as a method saw it, its label (None where it carries none; what is not scored is
    ignored in it) and the prediction.

    ``differing`` is the share of a scored frame's pixels by which the prediction's confusion matrix
    is not the stored one, None where none is stored.
    """

    image: Image
    label: LabelMap | None
    prediction: LabelMap
    differing: float | None


@dataclass
class Sources:
    """The places where data and weights of stored runs are looked for; each is opened once."""

    root: Path | None = None
    weights: Sequence[Path] = ()
    cache: Path | None = None
    _datasets: dict[str, Dataset | VssbenchError] = field(default_factory=dict)

    def dataset(self, run: Run) -> Dataset:
        """Open the data of a run. Raises DataError where they are not here, or are others."""
        item = run.measurement
        if item.dataset not in self._datasets:
            try:
                found = open_dataset(parse_variant(item.dataset), self.root)
                found.scored_clips  # noqa: B018  (its checks)
                self._datasets[item.dataset] = found
            except VssbenchError as error:
                self._datasets[item.dataset] = error
        opened = self._datasets[item.dataset]
        if isinstance(opened, VssbenchError):
            raise opened
        identity = {
            "classes": opened.classes,
            "clips": [clip.fingerprint for clip in opened.scored_clips],
        }
        if item.data and item.data != run_id(identity):
            raise DataError(
                f"the data of {item.dataset} are not those that were scored (digest "
                f"{run_id(identity)[:6]}, expected {item.data[:6]}): give the folder of those "
                "(--data-root)"
            )
        if list(opened.classes) != item.classes:
            raise DataError(f"the classes of {item.dataset} are not those that were scored")
        return opened

    @cached_property
    def _given(self) -> list[WeightFile]:
        return [open_weights(path) for path in self.weights]

    def weight_file(self, run: Run, dataset: Dataset) -> WeightFile:
        """Find the weights of a run by their digest. Raises WeightsError where they are not
        here."""
        item = run.measurement
        name = weights_name(parse_variant(item.method))
        data = parse_variant(item.dataset).name
        wanted = item.weights.get("sha256")
        for file in (*self._given, *shipped(name, data, dataset.classes)):
            if file.sha256 == wanted:
                return file
        raise WeightsError(
            f"the weights {item.weights.get('file') or 'of the run'} (sha256 "
            f"{str(wanted)[:12]}) are not here: give their file (--weights)"
        )


class Replay:
    """A stored run that can be asked for its predictions again; classes named by ``without`` are
    not scored, beside those that it left out itself.

    Raises a VssbenchError where its data, weights or plug-ins are not here.
    """

    def __init__(self, run: Run, sources: Sources, without: Sequence[str] = ()) -> None:
        item = run.measurement
        self.run, self.dataset = run, sources.dataset(run)
        codec = parse_variant(item.codec)
        self.experiment = Experiment(
            parse_variant(item.method), sources.weight_file(run, self.dataset),
            parse_variant(item.dataset), self.dataset, codec, registry.create("codecs", codec),
            find_protocol(item.protocol), item.precision, _device(item.device), item.seed,
            sources.cache, without=tuple(item.without),
            void="masked" if item.void == "masked" else VOID,
        )  # fmt: skip
        self.gop = self.experiment.codec.gop
        if self.gop != item.gop:
            raise UsageError(f"{item.codec} has a GOP of {self.gop} now, not {item.gop}")
        self.left_out = numbers_of([*item.without, *without], item.classes)
        self.stream = _stream(self.experiment)

    def frames(
        self, wanted: Sequence[Place], advance: Callable[[], None] = lambda: None
    ) -> dict[Place, Seen]:
        """Return what the method sees and says at those places, as far as the run met them.

        ``advance`` is called once a frame that is decoded.
        """
        found: dict[Place, Seen] = {}
        for clip in sorted({place.clip for place in wanted}):
            its = {place for place in wanted if place.clip == clip}
            for episode in self._episodes(clip, its):
                for place, seen in self._of_episode(clip, episode, its - found.keys(), advance):
                    found[place] = seen
        return found

    def _episodes(self, clip: int, wanted: set[Place]) -> Iterator[Episode]:
        """Yield the episodes of a clip that show some wanted frame at its distance."""
        left, clips = set(wanted), self.dataset.scored_clips
        for episode in self.experiment.protocol.episodes(clips[clip], self.gop):
            if not left:
                return
            here = {place for place in left if _shows(episode, place)}
            if here:
                left -= here
                yield episode

    def _of_episode(
        self, clip: int, episode: Episode, wanted: set[Place], advance: Callable[[], None]
    ) -> Iterator[tuple[Place, Seen]]:
        """Yield what is wanted of an episode; a method runs on that and on the keyframes before."""
        its = {place for place in wanted if _shows(episode, place)}
        keys = {place.frame - place.distance for place in its}
        last = max((place.frame for place in its), default=-1)
        needs = self.stream.model.needs
        decoded = self.experiment.codec.frames(
            episode.clip, self.experiment.cache, "motion" in needs, residual="residual" in needs
        )
        for frame in decoded:
            number = episode.first + frame.index
            if number > last:
                return
            advance()
            place = Place(clip, number, frame.distance)
            if place not in its and not (number in keys and frame.distance == 0):
                continue
            seen = self._seen(place, episode, frame)
            if place in its:
                yield place, seen

    def _seen(self, place: Place, episode: Episode, frame: Frame) -> Seen:
        label = episode.clip.label(frame.index)
        size = None if label is None else (label.shape[0], label.shape[1])
        prediction, _ = self.stream.segment(frame, size)
        differing = self._differing(place, label, prediction)
        if label is not None and self.left_out:
            label = np.where(np.isin(label, self.left_out), np.uint8(IGNORE), label)
        return Seen(frame.image, label, prediction, differing)

    def _differing(
        self, place: Place, label: LabelMap | None, prediction: LabelMap
    ) -> float | None:
        """Return the share of pixels that went from one cell of the stored matrix to another."""
        record = self.run.confusion
        if record is None or label is None:
            return None
        here = (
            (record.clips == place.clip)
            & (record.frames == place.frame)
            & (record.distances == place.distance)
        )
        if not here.any():
            return None
        values = max(self.experiment.outputs.values, record.matrices.shape[1])
        again = confusion_matrix(label, prediction, values)
        moved = np.abs(again - widened(record, values).matrices[here][0]).sum() / 2
        return float(moved / max(again.sum(), 1))


def _stream(experiment: Experiment) -> Stream:
    """Return the method of an experiment at work, as it is when it is measured."""
    torch.manual_seed(experiment.seed)
    outputs = experiment.outputs
    model = registry.create("methods", experiment.method, classes=outputs.classes)
    load_into(model, experiment.method, experiment.expected, experiment.weights)
    outputs.prepare(model)
    prepare(model.to(experiment.device))
    return Stream(model, experiment.device, experiment.precision, outputs=outputs)


def _device(measured: str) -> str:
    """Return the device of a run, or the CPU where this machine has no such device."""
    try:
        check_device(measured)
    except UsageError:
        return "cpu"
    return measured


def _shows(episode: Episode, place: Place) -> bool:
    """Return whether an episode holds a frame at its distance, as far as that is known before
    it is decoded: where episodes overlap, a frame is at the distance from their beginning."""
    index = place.frame - episode.first
    if not 0 <= index < episode.clip.length:
        return False
    return episode.scored is None or index == place.distance
