"""Experiments made of the points of a grid, each part opened and checked once for all of them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from vssbench.codec.spec import Codec
from vssbench.core import registry
from vssbench.core.dataset import Dataset
from vssbench.core.errors import WeightsError
from vssbench.core.machine import check_device
from vssbench.core.opening import open_dataset
from vssbench.core.variant import Variant, parse_variant
from vssbench.metrics.meters import named
from vssbench.protocol import Protocol
from vssbench.protocol import protocol as find_protocol
from vssbench.run.experiment import Experiment
from vssbench.sweep.grid import check_used, check_without, telling, weights_of, with_gop
from vssbench.sweep.points import Point
from vssbench.weights.file import WeightFile, open_weights

#: parts that are kept open at a time, such as datasets
_KEPT = 64
#: faults that are told at a time
_TOLD = 30


class Planner:
    """Makes experiments of points; ``cache`` is the folder of the bitstreams.

    Raises UsageError, DataError and WeightsError for what cannot be begun.
    """

    def __init__(self, cache: Path) -> None:
        self.cache = cache
        self._dataset = lru_cache(_KEPT)(_opened)
        self._files = lru_cache(_KEPT)(_weight_files)
        self._protocol = lru_cache(_KEPT)(_protocol)
        self._codec = lru_cache(_KEPT)(_codec)
        self._settled = lru_cache(None)(self._weights_of)
        self._say = telling()

    def experiments(self, points: Iterable[Point]) -> list[Experiment]:
        """Return the experiments of a grid, checked before anything is measured; of the weights all
        that are missing are told."""
        every = list(points)
        for device in dict.fromkeys(point.device for point in every):
            check_device(device)
        for weights in dict.fromkeys(point.weights for point in every):
            texts = dict.fromkeys(each.method for each in every if each.weights == weights)
            check_used(self._files(weights), [parse_variant(text) for text in texts])
        experiments, faults = [], {}
        for point in every:
            try:
                experiments.append(self.experiment(point))
            except WeightsError as error:
                faults[str(error)] = error
        if faults:
            raise _all_of(list(faults.values()))
        for without in dict.fromkeys(point.without for point in every):
            alike = zip(every, experiments, strict=True)
            check_without(without, [each for point, each in alike if point.without == without])
        return experiments

    def experiment(self, point: Point) -> Experiment:
        """Return the experiment of a point."""
        dataset, variant = (
            self._dataset(point.dataset, point.data_root), parse_variant(point.dataset)
        )  # fmt: skip
        method, file = self._settled(
            point.method, point.weights, variant.name, dataset.classes, point.without
        )
        codec = with_gop(parse_variant(point.codec), point.gop)
        return Experiment(
            method,
            file,
            variant,
            dataset,
            codec,
            self._codec(str(codec)),
            self._protocol(point.protocol),
            point.precision,
            point.device,
            point.seed,
            self.cache,
            named(point.measure),
            point.without,
            point.void,
        )

    def _weights_of(
        self,
        method: str,
        weights: tuple[str, ...],
        dataset: str,
        classes: tuple[str, ...],
        without: tuple[str, ...],
    ) -> tuple[Variant, WeightFile]:
        files = self._files(weights)
        return weights_of(parse_variant(method), files, dataset, classes, without, self._say)


def _all_of(faults: list[WeightsError]) -> WeightsError:
    """Return one error that tells of several, as far as one can read them."""
    if len(faults) == 1:
        return faults[0]
    told = [str(fault) for fault in faults[:_TOLD]]
    if len(faults) > _TOLD:
        told.append(f"and {len(faults) - _TOLD} more like these")
    return WeightsError(f"the weights of {len(faults)} methods:\n  " + "\n  ".join(told))


def _opened(text: str, root: str | None) -> Dataset:
    return open_dataset(parse_variant(text), None if root is None else Path(root))


def _weight_files(paths: tuple[str, ...]) -> list[WeightFile]:
    return [open_weights(Path(path)) for path in paths]


def _protocol(text: str) -> Protocol:
    return find_protocol(text)


def _codec(text: str) -> Codec:
    return registry.create("codecs", parse_variant(text))
