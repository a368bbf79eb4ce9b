"""Frames of stored runs segmented again, with the settings that the runs record: predictions are
not stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import DataError, UsageError, VssbenchError, WeightsError
from vssbench.core.machine import check_device
from vssbench.core.opening import open_dataset
from vssbench.core.variant import parse_variant
from vssbench.core.video import Frame, Image, LabelMap
from vssbench.fast.prepare import prepare
from vssbench.metrics.confusion import confusion_matrix
from vssbench.protocol import Episode, Protocol
from vssbench.protocol import protocol as find_protocol
from vssbench.run.store import Run, run_id
from vssbench.run.stream import Stream
from vssbench.weights.file import WeightFile, load_into, open_weights, shipped, weights_name


@dataclass(frozen=True, order=True)
class Place:
    """A frame of a dataset's clips as a run met it: clip, frame and distance by their numbers."""

    clip: int
    frame: int
    distance: int


@dataclass(frozen=True)
class Seen:
    """A frame as a method saw it, its label (None where it carries none) and the prediction.

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
    """A stored run that can be asked for its predictions again.

    Raises a VssbenchError where its data, weights or plug-ins are not here.
    """

    def __init__(self, run: Run, sources: Sources) -> None:
        item = run.measurement
        self.run, self.cache = run, sources.cache
        device = _device(item.device)
        self.dataset = sources.dataset(run)
        self.codec: Codec = registry.create("codecs", parse_variant(item.codec))
        if self.codec.gop != item.gop:
            raise UsageError(f"{item.codec} has a GOP of {self.codec.gop} now, not {item.gop}")
        self.protocol: Protocol = find_protocol(item.protocol)
        method = parse_variant(item.method)
        file = sources.weight_file(run, self.dataset)
        torch.manual_seed(item.seed)
        model = registry.create("methods", method, classes=len(self.dataset.classes))
        load_into(model, method, self.dataset.classes, file)
        prepare(model.to(device))
        self.stream = Stream(model, device, item.precision)

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
        left = set(wanted)
        for episode in self.protocol.episodes(self.dataset.scored_clips[clip], self.codec.gop):
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
        decoded = self.codec.frames(
            episode.clip, self.cache, "motion" in needs, residual="residual" in needs
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
        return Seen(frame.image, label, prediction, self._differing(place, label, prediction))

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
        again = confusion_matrix(label, prediction, record.matrices.shape[1])
        moved = np.abs(again - record.matrices[here][0]).sum() / 2
        return float(moved / max(again.sum(), 1))


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
